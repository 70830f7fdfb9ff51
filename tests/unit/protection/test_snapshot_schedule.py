"""Which mirror snapshots the keeper takes."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onedr.protection import snapshot_schedule

POINTS = st.dictionaries(st.sampled_from(["one-1", "one-2", "one-3"]), st.none() | st.floats(0, 20_000))


def test_schedules_are_read_as_ceph_reads_them() -> None:
    assert [snapshot_schedule.interval_s(text) for text in ("5m", "2h", "1d")] == [300, 7200, 86400]


@given(st.integers(1, 500))
def test_a_manager_that_runs_schedules_must_miss_several_before_the_keeper_takes_one(minutes: int) -> None:
    alone, beside = (snapshot_schedule.patience_s(f"{minutes}m", runs) for runs in (False, True))
    assert alone == minutes * 60 and beside >= 3 * alone


@given(POINTS, st.floats(1, 5000), st.floats(5000, 10_000))
def test_late_is_what_is_known_to_be_old_or_dated_ahead(
    points: dict[str, float | None], patience: float, now: float
) -> None:
    found = snapshot_schedule.late(points, patience, now)
    for name, point in points.items():
        assert (name in found) == (point is not None and (point <= now - patience or point > now))
