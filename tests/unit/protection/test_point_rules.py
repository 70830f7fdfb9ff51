"""Which points stay: never more than the spans say, and none goes today that is wanted tomorrow."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model.errors import RefusedError
from onedr.model.records import PointNote
from onedr.protection.point_rules import expired, kept, next_is_due, pause_s, pinned

MINUTE, HOUR, DAY = 60, 3600, 86400
SPANS = ((12, 5 * MINUTE), (24, HOUR), (7, DAY))
spans = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from([MINUTE, 5 * MINUTE, HOUR, DAY])), min_size=1, max_size=4
)
ages = st.lists(st.floats(0, 30 * DAY), max_size=60)
NOW = 1_700_000_000.0


def taken(since: list[float]) -> dict[str, float]:
    return {f"p{number}": NOW - age for number, age in enumerate(sorted(since, reverse=True))}


@given(ages, spans)
def test_as_many_as_the_spans_say_and_the_newest(since: list[float], rules: list[tuple[int, int]]) -> None:
    points = taken(since)
    stay = kept(points, rules, NOW)
    assert stay <= points.keys()
    assert len(stay) <= sum(count for count, _ in rules) + 1
    if points:
        assert max(points, key=lambda name: (points[name], name)) in stay


@given(ages, spans)
def test_each_span_that_has_a_point_keeps_one(since: list[float], rules: list[tuple[int, int]]) -> None:
    points = taken(since)
    stay = {points[name] for name in kept(points, rules, NOW)}
    for count, seconds in rules:
        for number in range(int(NOW // seconds) - count + 1, int(NOW // seconds) + 1):
            if any(at // seconds == number for at in points.values()):
                assert any(at // seconds == number for at in stay)


@given(ages, spans, st.lists(st.floats(0, 3 * DAY), max_size=20))
def test_what_is_removed_today_is_not_wanted_tomorrow(
    since: list[float], rules: list[tuple[int, int]], later: list[float]
) -> None:
    """Removing every day leaves what removing once at the end would leave, but for the newest of a day."""
    points, now = taken(since), NOW
    everything = dict(points)
    for number, step in enumerate(later):
        now += step
        everything[f"q{number}"] = now
        points[f"q{number}"] = now
        points = {name: points[name] for name in kept(points, rules, now)}
    assert kept(everything, rules, now) == kept(points, rules, now)


def test_a_week_of_five_minutes_leaves_the_steps_that_were_asked_for() -> None:
    points: dict[str, float] = {}
    for number in range(10 * 288):
        now = NOW + number * 5 * MINUTE
        points[f"p{number}"] = now
        points = {name: points[name] for name in kept(points, SPANS, now)}
    ages_left = sorted(now - at for at in points.values())
    assert ages_left[:12] == [number * 5 * MINUTE for number in range(12)]
    assert len(points) <= 12 + 24 + 7
    assert 6 * DAY < ages_left[-1] <= 7 * DAY


def test_a_pinned_point_and_one_of_all_disks_stay() -> None:
    notes = {
        "part": PointNote(NOW - 200, 0.1), "whole": PointNote(NOW - 100, 0.1), "old": PointNote(NOW - 9000, 0.1),
        "pinned": PointNote(NOW - 9000, 0.1, "before the upgrade"), "newest": PointNote(NOW, 0.1),
    }
    rules = ((1, HOUR),)
    assert kept({name: note.at for name, note in notes.items()}, rules, NOW) == {"part", "newest"}
    gone = expired(notes, {"whole", "newest", "pinned"}, rules, NOW)
    assert gone == {"old"}, "a point that only some disks have does not take the place of one that all have"


def test_a_locked_point_stays_until_its_date_whatever_the_spans_say() -> None:
    notes = {"locked": PointNote(NOW - 9000, 0.1, "audit", NOW + 1), "newest": PointNote(NOW, 0.1)}
    assert expired(notes, notes, ((1, HOUR),), NOW) == set()
    assert expired(notes, notes, ((1, HOUR),), NOW + 1) == {"locked"}, "its pin ends with the lock"
    assert expired({**notes, "locked": PointNote(NOW - 9000, 0.1, "audit")}, notes, ((1, HOUR),), NOW) == set()


def test_a_lock_is_made_longer_and_never_shorter() -> None:
    free, locked = PointNote(NOW, 0.1), PointNote(NOW, 0.1, "a", NOW + DAY)
    assert pinned(free, "a", NOW + DAY, NOW) == locked
    assert pinned(locked, "b", NOW + HOUR, NOW) == replace(locked, pin="b")
    assert pinned(locked, "b", 0.0, NOW) == replace(locked, pin="b")
    assert pinned(locked, "b", NOW + 2 * DAY, NOW).until == NOW + 2 * DAY
    with pytest.raises(RefusedError, match="is locked until"):
        pinned(locked, "", 0.0, NOW)


def test_a_lock_that_is_over_binds_nothing() -> None:
    over = PointNote(NOW, 0.1, "a", NOW - 1)
    assert pinned(over, "", 0.0, NOW) == PointNote(NOW, 0.1)
    assert pinned(over, "b", 0.0, NOW) == PointNote(NOW, 0.1, "b"), "pinned for good"


def test_points_that_hold_up_writers_are_taken_less_often() -> None:
    def after(*stalls: float) -> float:
        return pause_s({str(at): PointNote(at, stall) for at, stall in enumerate(stalls)}, 300, 2.0)

    assert after() == after(0.5) == after(9.0, 0.5) == 300
    assert after(0.5, 3.0) == 600
    assert after(0.5, 3.0, 3.0) == 1200
    assert after(*[9.0] * 20) == 2400, "eight times at most"


def test_a_point_is_due_when_there_is_none_or_the_clock_was_wrong() -> None:
    assert next_is_due({}, 300, 2.0, NOW)
    assert not next_is_due({"a": PointNote(NOW - 299, 0.1)}, 300, 2.0, NOW)
    assert next_is_due({"a": PointNote(NOW - 300, 0.1)}, 300, 2.0, NOW)
    assert next_is_due({"a": PointNote(NOW + DAY, 0.1)}, 300, 2.0, NOW)
    assert not next_is_due({"a": PointNote(NOW - 300, 2.1)}, 300, 2.0, NOW)
