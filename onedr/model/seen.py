"""What a pass of reconcile and a hook noted, for metrics and the report.

Apart from the events: a hook starts for each change of a VM, and needs none of them.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PassSeen:
    """The newest pass of reconcile: when it ended, how long it took, what failed in it. `repairs`: of all
    passes, what no hook or driver had done.
    """

    at: float
    seconds: float
    failed: int
    repairs: int


@dataclass(frozen=True)
class HookSeen:
    """The newest change of a VM's state that a hook recorded: when (epoch seconds), and how long it had
    waited; the longest of the last hour, and when that was.
    """

    at: float
    waited_s: float
    worst_s: float
    worst_at: float


@dataclass(frozen=True)
class AgeSeen:
    """How old the oldest recovery point of a datastore was at `at` (epoch seconds); None: an item had none,
    or it was not known. `objective_s`: DR_RPO at that time; of `total` items `protected` had a complete copy.
    """

    at: float
    age_s: float | None
    objective_s: int
    protected: int
    total: int
