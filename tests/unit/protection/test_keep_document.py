"""When a keeper writes STATUS: promptly when something changed, seldom when only moments did, and never for long
after a run that died.
"""
from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from one_omap import one_omap
from samples import HERE, image

from onedr.document import place
from onedr.model.errors import FrontEndError
from onedr.model.types import CephAccess, PeerState, Settings
from onedr.opennebula.datastores import Datastore
from onedr.protection import status
from onedr.protection.keep_document import KeptDocument
from onedr.protection.status import Objects
from onedr.replication import rehearsals
from onedr.replication.peer_copies import Copy
from onedr.runs import journal
from onedr.runs.answer_events import StatusEvent
from onedr.runs.events import PeerShown
from onedr.runs.lease_watch import Lease
from onedr.runs.state import ImageState, judge_state

DATASTORE = Datastore(100, "ceph", CephAccess("one"), Settings(protect=True, site="south"))
EVENT = StatusEvent("ceph", "PROTECTED", "SAFE", "primary", "Fine.", 1, 1, "JOURNAL", PeerShown("answers", "answers"))
LEASE = Lease("fe:1:2", "failover", 1, run="9-failover")


class Site:
    """A datastore with one image, its pool, a oned and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now, self.age, self.runs, self.silent = 1e6, 5.0, "none", False
        self.complete, self.answers = True, True
        self.lease: Lease | None = None
        self.puts: list[tuple[float, set[str]]] = []
        self.omap = one_omap(monkeypatch)
        monkeypatch.setattr("onedr.ceph.omap.drop_keys", lambda _, __, key: self.omap.pop(key, None))
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(place, "Document", lambda *_: self)
        monkeypatch.setattr(journal, "newest_keys", lambda _: self.runs)
        monkeypatch.setattr(journal, "newest_runs", lambda *_: [])
        monkeypatch.setattr(rehearsals, "results", lambda *_: {})
        monkeypatch.setattr(status, "shown", lambda *_: EVENT)

    def put(self, parts: dict[str, str]) -> None:
        if self.silent:
            raise FrontEndError("oned does not answer.")
        self.omap["100"] = b"7"
        self.puts.append((self.now, set(parts)))

    def fsid(self) -> str:
        return HERE

    def seen(self) -> Any:
        items = (ImageState("one-1", True, True, self.complete, self.age),)
        return SimpleNamespace(
            facts=[replace(image("one-1", primary=True), recovery_point=self.now - self.age)], items=items,
            verdict=judge_state(True, items, 900, "", False), unprotected={}, lease=self.lease,
            copies=SimpleNamespace(
                by_name={"one-1": Copy(self.complete, self.now - self.age)}, rehearsed={},
                peer_status=SimpleNamespace(peer=PeerState.ANSWERS)),
            objects=Objects((), (), frozenset({100}), self.answers),
        )

    def keeper(self) -> KeptDocument:
        return KeptDocument(self, 100, self)  # type: ignore[arg-type]

    def live(self, kept: KeptDocument, seconds: int, every: int = 30) -> int:
        before = len(self.puts)
        for second in range(seconds):
            if second % every == 0:
                kept.take(DATASTORE, self.seen(), self.now)
            kept.turn()
            self.now += 1
        return len(self.puts) - before


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(monkeypatch)


def test_recovery_points_alone_cost_a_write_each_minute_or_less(site: Site) -> None:
    assert 20 <= site.live(site.keeper(), 3600) <= 60


def test_keepers_that_follow_each_other_write_no_more_than_one(site: Site) -> None:
    for _ in range(60):
        site.live(site.keeper(), 60)
    assert len(site.puts) <= 60


@pytest.mark.parametrize("change", ["complete", "runs", "lease"])
def test_what_a_page_shows_is_written_with_the_next_pass(site: Site, change: str) -> None:
    kept = site.keeper()
    site.live(kept, 91)
    values: dict[str, Any] = {"complete": False, "runs": "one more", "lease": LEASE}
    setattr(site, change, values[change])
    assert site.live(kept, 31) == 1


def test_what_changes_each_second_is_written_every_few_seconds(site: Site) -> None:
    kept = site.keeper()
    for number in range(600):
        site.runs = str(number)
        site.live(kept, 1, 1)
    assert len(site.puts) <= 120
    gaps = [after - before for (before, _), (after, _) in zip(site.puts, site.puts[1:])]
    assert max(gaps) < 8


def test_a_change_that_waits_is_written_before_the_keeper_ends(site: Site) -> None:
    kept = site.keeper()
    site.live(kept, 1)
    site.runs = "one more"
    kept.take(DATASTORE, site.seen(), site.now)
    assert len(site.puts) == 1
    kept.finish()
    assert len(site.puts) == 2
    kept.finish()
    assert len(site.puts) == 2


def test_the_run_of_a_process_that_died_is_taken_away(site: Site) -> None:
    kept = site.keeper()
    pool: Any = None
    site.live(kept, 1)
    site.lease = LEASE
    place.note_run(pool, 100, site.now)
    site.live(kept, 60)
    assert not any("RUN" in parts for _, parts in site.puts), "it is in progress"
    site.lease = None
    site.live(kept, 60)
    assert sum("RUN" in parts for _, parts in site.puts) == 1
    assert "100.run" not in site.omap


def test_a_run_that_began_after_the_pass_is_not_taken_away(site: Site) -> None:
    kept, since = site.keeper(), site.now
    pool: Any = None
    site.now += 2
    place.note_run(pool, 100, site.now)
    kept.take(DATASTORE, site.seen(), since)
    assert [parts for _, parts in site.puts] == [{"STATUS"}]


def test_a_oned_that_does_not_answer_is_asked_again_by_the_next_pass(site: Site) -> None:
    kept = site.keeper()
    site.silent = True
    site.live(kept, 61)
    site.silent = False
    assert site.live(kept, 31) == 1


def test_without_a_front_end_nothing_is_said_of_its_vms(site: Site) -> None:
    site.answers = False
    assert site.live(site.keeper(), 60) == 0


def test_what_is_not_protected_has_no_document_but_one_that_is_there_tells_it(site: Site) -> None:
    kept, bare = site.keeper(), replace(DATASTORE, settings=Settings(protect=False))
    kept.take(bare, site.seen(), site.now)
    assert not site.puts
    kept.take(DATASTORE, site.seen(), site.now)
    site.now += 90
    kept.take(bare, site.seen(), site.now)
    assert len(site.puts) == 2


def test_the_note_of_the_last_write_may_be_damaged(site: Site) -> None:
    for note in (b"", b"{", b"[]", b'{"mark": 1}', b'{"mark": "x", "at": 1e999, "size": 1}', b'{"mark":"x","at":0,"size":"y"}'):
        site.omap[f"100{place.STATUS}"] = note
        assert site.live(site.keeper(), 1) == 1, note
        site.now += 100


def test_large_journals_are_read_only_when_one_is_new(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def newest_runs(*_: Any) -> list[Any]:
        read.append(1)
        return []

    monkeypatch.setattr(journal, "newest_runs", newest_runs)
    kept = site.keeper()
    site.live(kept, 600)
    assert len(read) == 2  # of all verbs, and drills
    site.runs = "one more"
    site.live(kept, 31)
    assert len(read) == 4
