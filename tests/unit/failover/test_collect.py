"""What counts as a peer that answers: one whose OSDs do, and at which this run holds its lease."""
from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import rados

from onedr.failover import collect
from onedr.model.errors import RefusedError
from onedr.replication import image_facts, peer_ceph
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
    monkeypatch.setattr(peer_ceph, "probe_peer", lambda *_: None)
    monkeypatch.setattr(peer_ceph, "peer_pool", lambda *_: nullcontext((peer(None), "it answers")))
    pool: Any = SimpleNamespace(access=SimpleNamespace(pool="one"))
    target: Any = SimpleNamespace(settings=None)
    with pytest.raises(RefusedError, match="another run may be in progress at the peer .timed out."):
        collect.collect_facts(pool, target, None, Request("failover"), "timed out")  # type: ignore[arg-type]
