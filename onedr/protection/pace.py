"""How often the keeper does what, so that watching stays cheap however many disks there are.

Costs are seconds of the processor, measured of the last time. A small datastore is looked at often; a large
one so often that it costs a fixed share of one core. Pure.
"""
from __future__ import annotations

SHARE = 0.01  # of a core, for passes over a datastore in which nothing happens, and as much for time marks
REMINDED_SHARE = 0.02  # of passes that oned's monitoring asks for
BUSY_SHARE = 0.25  # while something happens
MARK_INTERVAL_S = 5.0  # between time marks of disks in use; limits the error of a recovery point
# between passes while initial copies are outstanding; also the minimum, because hooks come in bursts
MIN_INTERVAL_S = 1.0
PASS_INTERVAL_S = 30.0  # between full passes
LONGEST_PASS_S = 120.0  # the guard must see within that time that the peer took over
_MARKS_PER_RPO = 4


def quiet_pause_s(cost_s: float) -> float:
    """Seconds until the next pass when nothing changed. `cost_s`: of the last pass."""
    return min(max(PASS_INTERVAL_S, cost_s / SHARE), LONGEST_PASS_S)


def reminded_pause_s(cost_s: float) -> float:
    """The least seconds between passes when the datastore was only monitored."""
    return min(max(MIN_INTERVAL_S, cost_s / REMINDED_SHARE), LONGEST_PASS_S)


def busy_pause_s(cost_s: float) -> float:
    """The least seconds between passes when something changed."""
    return min(max(MIN_INTERVAL_S, cost_s / BUSY_SHARE), PASS_INTERVAL_S)


def mark_pause_s(cost_s: float, rpo_s: int) -> float:
    """Seconds between time marks. `cost_s`: of the last ones; `rpo_s`: DR_RPO, which they must not miss."""
    return min(max(MARK_INTERVAL_S, cost_s / SHARE), max(MARK_INTERVAL_S, rpo_s / _MARKS_PER_RPO))
