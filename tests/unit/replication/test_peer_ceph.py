"""The peer is pinged beside other work where its state is only shown."""
from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from onedr.ceph import monitor_ping, peer_access
from onedr.ceph.peer_access import PeerAccess
from onedr.model.types import PeerState, Settings
from onedr.replication import peer_ceph

POOL: Any = SimpleNamespace(access=SimpleNamespace(pool="one"))
ACCESS = PeerAccess("192.0.2.1:6789", "key", "client.x")


def test_the_caller_works_while_the_peer_is_pinged_and_the_result_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def ping(mon_host: str, limit_s: float, connect_s: float) -> tuple[PeerState, str]:
        assert answered.wait(60), "nothing was done meanwhile"
        return PeerState.UNKNOWN, f"{mon_host} within {connect_s:g} of {limit_s:g} s"

    monkeypatch.setattr(peer_access, "peer_access", lambda _: ACCESS)
    monkeypatch.setattr(monitor_ping, "ping_monitors", ping)
    result = peer_ceph.begin_probe(POOL, Settings(protect=True))
    answered.set()
    found = result()
    assert (found.peer, found.access) == (PeerState.UNKNOWN, ACCESS)
    assert found.detail == "192.0.2.1:6789 within 1.2 of 3 s"


@pytest.mark.parametrize("access", [None, PeerAccess("", "key", "client.x")])
def test_without_an_address_librados_is_asked_where_there_is_a_way_in(
    monkeypatch: pytest.MonkeyPatch, access: PeerAccess | None
) -> None:
    tried: list[str] = []

    def connected(status: peer_ceph.PeerStatus, pool_name: str) -> peer_ceph.PeerStatus:
        tried.append(pool_name)
        return status

    monkeypatch.setattr(peer_access, "peer_access", lambda _: access)
    monkeypatch.setattr(peer_ceph, "_connected", connected)
    found = peer_ceph.begin_probe(POOL, Settings(protect=True))()
    assert found.peer is PeerState.UNKNOWN and tried == ([] if access is None else ["one"])
