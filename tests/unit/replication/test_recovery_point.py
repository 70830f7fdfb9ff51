"""Which moment a copy is of, and whether it may be promoted: judged from the copy, and never too kindly."""
from __future__ import annotations

import pytest

from onedr.model.records import Mark
from onedr.model.types import Mode
from onedr.replication import recovery_point
from onedr.replication.recovery_point import Point, point

DONE, SYNCING = True, False
REPLAYED, EARLY = Mark(1000.0, replaying=True), Mark(1000.0, replaying=False)


@pytest.mark.parametrize(("carries", "mark", "expected"), [
    (False, None, Point(False, None)),
    (False, REPLAYED, Point(False, None)),  # a mark alone proves nothing
    (True, None, Point(True, None)),
    (True, EARLY, Point(True, None)),  # may have overtaken the data
    (True, REPLAYED, Point(True, 1000.0)),
])
def test_journal_mode(carries: bool, mark: Mark | None, expected: Point) -> None:
    assert point(Mode.JOURNAL, carries, mark, [DONE], 300) == expected


@pytest.mark.parametrize(("snapshots", "mark", "interval_s", "expected"), [
    ([], REPLAYED, 300, Point(False, None)),
    ([SYNCING], REPLAYED, 300, Point(False, None)),
    ([DONE], None, 300, Point(True, None)),
    ([DONE], REPLAYED, 300, Point(True, 1000.0)),
    ([DONE], EARLY, 300, Point(True, 1000.0)),  # metadata belongs to the snapshot, it cannot overtake
    ([DONE, SYNCING], REPLAYED, 300, Point(True, 700.0)),  # promotion falls back one further
    ([DONE, SYNCING], REPLAYED, 0, Point(True, None)),  # by how much is unknown
    ([DONE, SYNCING], None, 300, Point(True, None)),
    ([SYNCING, DONE], REPLAYED, 300, Point(True, 1000.0)),
])
def test_snapshot_mode(
    snapshots: list[bool], mark: Mark | None, interval_s: int, expected: Point
) -> None:
    for carries in (True, False):
        assert point(Mode.SNAPSHOT, carries, mark, snapshots, interval_s) == expected


@pytest.mark.parametrize(("snapshots", "complete"), [
    ([DONE], True),  # the first copy is whole, and nothing overwrites it
    ([DONE, SYNCING], False),  # promotion would go back to before it, when there was nothing
    ([SYNCING], False),
])
def test_a_copy_in_its_second_sync_may_not_be_promoted(snapshots: list[bool], complete: bool) -> None:
    assert point(Mode.SNAPSHOT, True, REPLAYED, snapshots, 300, once_synced=True).complete is complete


@pytest.mark.parametrize(("syncs", "once"), [
    ([], False), ([(SYNCING, 100)], False),  # nothing is complete
    ([(DONE, 100)], True), ([(DONE, 101), (SYNCING, 900)], True), ([(DONE, 99)], True),
    ([(DONE, 900)], False), ([(DONE, 101), (DONE, 900)], False), ([(DONE, 900), (SYNCING, 901)], False),
])
def test_the_first_sync_is_known_by_its_time(syncs: list[tuple[bool, int]], once: bool) -> None:
    assert recovery_point.is_once_synced(100, syncs) is once


@pytest.mark.parametrize(("at", "now", "expected"), [
    (None, 5.0, None), (100.0, 130.5, 30.5), (100.0, 99.0, 0.0),  # clocks are never quite the same
    (3700.0, 100.0, None),  # an hour ahead: says nothing about what is missing
])
def test_the_age_of_a_point_is_never_negative_and_unknown_stays_unknown(
    at: float | None, now: float, expected: float | None
) -> None:
    assert recovery_point.age_s(at, now) == expected


def test_a_point_in_the_future_is_said_to_be_a_matter_of_clocks() -> None:
    assert "3600 s in the future" in recovery_point.clock_warning(3700.0, 100.0)
    assert recovery_point.clock_warning(100.0, 99.0) == recovery_point.clock_warning(None, 99.0) == ""
