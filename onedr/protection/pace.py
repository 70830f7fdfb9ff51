"""How often the keeper does what, so that watching stays cheap however many disks there are.

Costs are seconds of the processor, measured of the last time. A small datastore is looked at often; a large
one so often that it costs a fixed share of one core. Pure.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping

SHARE = 0.01  # of a core, for passes over a datastore in which nothing happens
FULL_SHARE = 0.005  # for passes although a glance shows no change
MARK_SHARE = 0.03  # for time marks: less would make recovery points of a hundred disks coarse
LOOK_SHARE = 0.005  # for looking which disks were not written to
REMINDED_SHARE = 0.01  # of passes that oned's monitoring asks for
BUSY_SHARE = 0.25  # while something happens
MARK_COST_S = 0.007  # of one time mark, until it is known (docs/bench.md)
MARK_INTERVAL_S = 5.0  # between time marks of disks in use; limits the error of a recovery point
# between passes while initial copies are outstanding; also the minimum, because hooks come in bursts
MIN_INTERVAL_S = 1.0
PASS_INTERVAL_S = 30.0  # between full passes
LONGEST_PASS_S = 120.0  # the guard must see within that time that the peer took over
LONGEST_FULL_S = 300.0
_MARKS_PER_RPO = 4
_EARLIER = 20  # marks that the mean so far stands for


def quiet_pause_s(cost_s: float) -> float:
    """Seconds until the next glance, or pass, when nothing changed. `cost_s`: of the last pass."""
    return min(max(PASS_INTERVAL_S, cost_s / SHARE), LONGEST_PASS_S)


def full_pause_s(cost_s: float) -> float:
    """Seconds from one pass to the next when glances in between show no change. The same."""
    return min(max(PASS_INTERVAL_S, cost_s / FULL_SHARE), LONGEST_FULL_S)


def reminded_pause_s(cost_s: float) -> float:
    """The least seconds between passes when the datastore was only monitored."""
    return min(max(MIN_INTERVAL_S, cost_s / REMINDED_SHARE), LONGEST_PASS_S)


def busy_pause_s(cost_s: float) -> float:
    """The least seconds between passes when something changed."""
    return min(max(MIN_INTERVAL_S, cost_s / BUSY_SHARE), PASS_INTERVAL_S)


def mark_pause_s(cost_s: float, rpo_s: int) -> float:
    """Seconds between time marks. `cost_s`: of one for each disk; `rpo_s`: DR_RPO, which they must not miss.
    """
    return min(max(MARK_INTERVAL_S, cost_s / MARK_SHARE), max(MARK_INTERVAL_S, rpo_s / _MARKS_PER_RPO))


def look_pause_s(cost_s: float, rpo_s: int) -> float:
    """Seconds between looks at the disks' journals. `cost_s`: of the last look; `rpo_s` as above."""
    return min(max(MARK_INTERVAL_S, cost_s / LOOK_SHARE), max(MARK_INTERVAL_S, rpo_s / _MARKS_PER_RPO))


def mean_cost_s(before_s: float, spent_s: float, count: int) -> float:
    """Of one mark, after `count` more that cost `spent_s` together: a few say little."""
    return (before_s * _EARLIER + spent_s) / (_EARLIER + count)


def due_marks(names: Iterable[str], marked: Mapping[str, float], pause_s: float, now: float) -> set[str]:
    """Those of `names` whose newest mark (`marked`, epoch seconds) is `pause_s` old, or dated ahead.

    All of them while marks are cheap.
    """
    wanted = set(names)
    if pause_s <= MARK_INTERVAL_S:
        return wanted
    return {name for name in wanted if is_due(marked.get(name, 0.0), pause_s, now)}


def is_due(at: float, pause_s: float, now: float) -> bool:
    """Was it done `pause_s` ago or earlier (epoch seconds), or is it dated ahead: by a clock that was wrong?
    """
    return not now - pause_s < at <= now
