"""What counts as a peer that answers: one whose OSDs do, and at which this run holds its lease."""
from __future__ import annotations

import threading
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import rados

from onedr.ceph import monitor_ping, peer_access
from onedr.ceph.peer_access import PeerAccess
from onedr.failover import collect
from onedr.model.errors import RefusedError
from onedr.model.types import PeerState, Settings
from onedr.replication import image_claims, image_facts, peer_ceph, peer_osds
from onedr.runs.request import Request


def peer(error: Exception | None) -> Any:
    def stat(_: str) -> tuple[int, int]:
        if error is not None:
            raise error
        return 0, 0

    return SimpleNamespace(io=SimpleNamespace(stat=stat))


@pytest.mark.parametrize("error", [None, rados.ObjectNotFound("no such object", errno=2)])
def test_a_peer_whose_osds_answer_can_be_fenced(error: Exception | None) -> None:
    there = peer(error)
    assert collect._answering(there, "it answers") == (there, "it answers")
    assert collect._answering(None, "it is silent") == (None, "it is silent")


@pytest.mark.parametrize("error", [rados.TimedOut("timed out", errno=110), rados.PermissionDeniedError("no", errno=1)])
def test_one_of_which_only_the_monitors_answer_cannot(error: Exception) -> None:
    """Else every demotion would run into its limit, and no other fence be tried."""
    found, detail = collect._answering(peer(error), "it answers")
    assert found is None and "its OSDs do not" in detail


def test_without_a_lease_at_a_peer_that_answers_a_run_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_facts, "of_datastore", lambda *_: [])
    monkeypatch.setattr(peer_ceph, "begin_probe", lambda *_: lambda _: None)
    monkeypatch.setattr(peer_osds, "begin_look", lambda *_: None)
    monkeypatch.setattr(peer_ceph, "peer_pool", lambda *_: nullcontext((peer(None), "it answers")))
    pool: Any = SimpleNamespace(access=SimpleNamespace(pool="one"))
    target: Any = SimpleNamespace(settings=None)
    with pytest.raises(RefusedError, match="another run may be in progress at the peer .timed out."):
        collect.collect_facts(pool, target, None, Request("failover"), "timed out")  # type: ignore[arg-type]


@pytest.mark.parametrize("dry_run,least_s", [(True, 1.2), (False, 3.0)])
def test_a_dark_peer_is_called_while_this_site_is_read(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool, least_s: float
) -> None:
    """Monitors and OSDs at once, before the images are read; only what is shown gives them less time."""
    called: dict[str, float] = {}
    reading = threading.Event()

    def ping(mon_host: str, limit_s: float, connect_s: float) -> tuple[PeerState, str]:
        assert reading.wait(60), "the images were not read meanwhile"
        called["monitors"] = connect_s
        return PeerState.UNKNOWN, "it is silent"

    def answering(known: object, limit_s: float, connect_s: float) -> set[tuple[str, int]]:
        assert reading.wait(60), "the images were not read meanwhile"
        called["OSDs"] = connect_s
        return set()

    def read(*_: object) -> list[Any]:
        reading.set()
        return []

    def look_no_further(*_: object) -> None:
        raise RefusedError("far enough")

    monkeypatch.setattr(peer_access, "peer_access", lambda _: PeerAccess("192.0.2.1:6789", "key", "client.x"))
    monkeypatch.setattr(peer_osds, "_remembered", lambda _: [("192.0.2.1", 6800)])
    monkeypatch.setattr(monitor_ping, "ping_monitors", ping)
    monkeypatch.setattr(monitor_ping, "answering", answering)
    monkeypatch.setattr(image_facts, "of_datastore", read)
    monkeypatch.setattr(collect, "map_in_force", look_no_further)
    pool: Any = SimpleNamespace(access=SimpleNamespace(pool="one"))
    target: Any = SimpleNamespace(settings=Settings(protect=True))
    monkeypatch.setattr(image_claims, "split_images", lambda *_: frozenset())
    with pytest.raises(RefusedError, match="far enough"):
        collect.collect_facts(pool, target, None, Request("failover", dry_run=dry_run))  # type: ignore[arg-type]
    assert called == {"monitors": least_s, "OSDs": least_s}


@pytest.mark.parametrize("greeted,said", [
    (set(), "none of the 2 OSDs last seen there answers"),
    ({("192.0.2.1", 6800)}, "1 of the 2 OSDs last seen there answer"),
])
def test_what_is_said_of_a_dark_peers_osds(
    monkeypatch: pytest.MonkeyPatch, greeted: set[tuple[str, int]], said: str
) -> None:
    monkeypatch.setattr(peer_osds, "_remembered", lambda _: [("192.0.2.1", 6800), ("192.0.2.1", 6804)])
    monkeypatch.setattr(monitor_ping, "answering", lambda *_: greeted)
    pool: Any = None
    assert peer_osds.begin_look(pool)(None).startswith(said)
