"""The keeper's cost does not grow with the datastore, and what it owes is still done in time."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onedr.protection import pace

costs = st.floats(0, 1000)


def test_a_small_datastore_is_looked_at_as_often_as_ever() -> None:
    assert pace.quiet_pause_s(0.2) == 30 and pace.busy_pause_s(0.2) == 1 and pace.mark_pause_s(0.14, 900) == 5


@given(costs)
def test_quiet_passes_cost_a_hundredth_of_a_core_until_the_guard_needs_them(cost_s: float) -> None:
    pause_s = pace.quiet_pause_s(cost_s)
    assert 30 <= pause_s <= 120
    assert cost_s <= pause_s * pace.SHARE * 1.0001 or pause_s == 120


@given(costs)
def test_full_passes_cost_half_of_that_and_are_made_every_five_minutes_at_least(cost_s: float) -> None:
    pause_s = pace.full_pause_s(cost_s)
    assert pace.quiet_pause_s(cost_s) <= pause_s <= 300
    assert cost_s <= pause_s * pace.FULL_SHARE * 1.0001 or pause_s == 300


@given(costs, st.integers(0, 86400))
def test_looks_cost_a_fixed_share_and_miss_no_objective(cost_s: float, rpo_s: int) -> None:
    pause_s = pace.look_pause_s(cost_s, rpo_s)
    assert pause_s >= 5 and (pause_s <= rpo_s / 4 or pause_s == 5)
    assert cost_s <= pause_s * pace.LOOK_SHARE * 1.0001 or pause_s == max(5, rpo_s / 4)


@given(costs, costs)
def test_dearer_passes_are_never_more_often(one: float, other: float) -> None:
    for pause in (pace.quiet_pause_s, pace.full_pause_s, pace.busy_pause_s, pace.reminded_pause_s):
        assert pause(min(one, other)) <= pause(max(one, other))


@given(costs)
def test_a_change_is_seen_within_half_a_minute_and_bursts_cost_a_quarter_of_a_core(cost_s: float) -> None:
    pause_s = pace.busy_pause_s(cost_s)
    assert 1 <= pause_s <= 30 and (cost_s <= pause_s * 0.2501 or pause_s == 30)


@given(costs)
def test_monitoring_brings_no_more_passes_than_a_hundredth_of_a_core(cost_s: float) -> None:
    pause_s = pace.reminded_pause_s(cost_s)
    assert pace.busy_pause_s(cost_s) <= pause_s or pause_s == 120
    assert cost_s <= pause_s * 0.0101 or pause_s == 120


@given(costs, st.integers(0, 10**6))
def test_marks_never_miss_the_objective_however_dear_they_are(cost_s: float, rpo_s: int) -> None:
    pause_s = pace.mark_pause_s(cost_s, rpo_s)
    assert pause_s >= 5 and (pause_s == 5 or pause_s <= rpo_s / 4)
    assert pause_s >= min(cost_s / pace.MARK_SHARE, rpo_s / 4)


names = st.sampled_from(["one-1", "one-2", "one-3"])


@given(st.sets(names), st.dictionaries(names, st.floats(0, 2000)), st.floats(0, 300))
def test_a_disk_gets_a_mark_when_its_own_is_old_enough_or_missing_or_of_a_clock_that_ran_ahead(
    wanted: set[str], marked: dict[str, float], pause_s: float
) -> None:
    due = pace.due_marks(wanted, marked, pause_s, 1000.0)
    assert due <= wanted
    for name in wanted - due:
        assert pause_s > 5 and 1000 - pause_s < marked[name] <= 1000


def test_cheap_marks_are_written_whenever_they_are_asked_for() -> None:
    assert pace.due_marks({"one-1"}, {"one-1": 999.0}, 5.0, 1000.0) == {"one-1"}
    assert pace.due_marks({"one-1"}, {"one-1": 999.0}, 6.0, 1000.0) == set()


@given(costs, costs, st.integers(0, 10**6))
def test_what_a_mark_costs_follows_what_is_measured_but_not_one_measurement(
    before: float, each: float, count: int
) -> None:
    found = pace.mean_cost_s(before, each * count, count)
    assert min(before, each) - 1e-9 <= found <= max(before, each) + 1e-9
    assert count > 2 or abs(found - before) <= abs(each - before) / 10 + 1e-9
