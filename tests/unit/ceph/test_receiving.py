"""A pool's peers, and which way they are used: what is set is what Ceph's own object class would decode."""
from __future__ import annotations

from struct import unpack_from
from types import SimpleNamespace
from typing import Any

import pytest
import rados
import rbd

from onedr.ceph import receiving
from onedr.model.errors import StorageError

RX, TX, BOTH = (
    rbd.RBD_MIRROR_PEER_DIRECTION_RX, rbd.RBD_MIRROR_PEER_DIRECTION_TX, rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX,
)


class Ceph:
    """A pool with peers; `deaf`: it accepts a change and makes none, `refuses`: it does not."""

    def __init__(self, *directions: int, noted: bool = False):
        self.peers = [
            {"uuid": f"uuid-{number}", "direction": way, "client_name": "client.peer"}
            for number, way in enumerate(directions)
        ]
        if noted:  # by the other site's daemon
            self.peers.append({"uuid": "noted", "direction": TX, "client_name": ""})
        self.calls, self.deaf, self.refuses = 0, False, False
        self.io, self.rbd, self.access = self, self, SimpleNamespace(pool="one")

    def mirror_peer_list(self, _: object) -> list[dict[str, Any]]:
        return self.peers

    def execute(self, name: str, of: str, method: str, data: bytes) -> None:
        assert (name, of, method) == ("rbd_mirroring", "rbd", "mirror_peer_set_direction")
        if self.refuses:
            raise rados.PermissionError("no")
        (length,) = unpack_from("<I", data)
        uuid, way = data[4:4 + length].decode(), data[4 + length]
        assert len(data) == 5 + length
        self.calls += 1
        if not self.deaf:
            next(peer for peer in self.peers if peer["uuid"] == uuid)["direction"] = way


@pytest.mark.parametrize(("pool", "paused"), [
    (Ceph(BOTH), False), (Ceph(RX), False), (Ceph(TX), True), (Ceph(TX, BOTH), False), (Ceph(), False),
    (Ceph(noted=True), False), (Ceph(BOTH, noted=True), False), (Ceph(TX, noted=True), True),
])
def test_a_pool_is_paused_when_it_reads_none_of_the_peers_that_it_could_read(pool: Any, paused: bool) -> None:
    assert receiving.is_paused(pool) == paused


@pytest.mark.parametrize("noted", [False, True])
def test_pausing_and_continuing_changes_what_has_to_change_and_nothing_twice(noted: bool) -> None:
    pool: Any = Ceph(BOTH, RX, noted=noted)
    assert receiving.set_receiving(pool, False) and receiving.is_paused(pool)
    assert not receiving.set_receiving(pool, False) and pool.calls == 2
    assert receiving.set_receiving(pool, True) and not receiving.is_paused(pool)
    assert [peer["direction"] for peer in pool.peers[:2]] == [BOTH, BOTH] and pool.calls == 4
    assert not noted or pool.peers[2]["direction"] == TX


@pytest.mark.parametrize("wanted", [True, False])
def test_what_was_not_done_is_said(wanted: bool) -> None:
    pool: Any = Ceph(TX if wanted else BOTH)
    pool.refuses = True
    with pytest.raises(StorageError, match="was not set"):
        receiving.set_receiving(pool, wanted)
    pool.refuses, pool.deaf = False, True
    with pytest.raises(StorageError, match="as before"):
        receiving.set_receiving(pool, wanted)
    with pytest.raises(StorageError, match="has no peer"):
        receiving.set_receiving(Ceph(noted=True), wanted)  # type: ignore[arg-type]
