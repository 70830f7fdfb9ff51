"""What a pass of reconcile and a hook noted for metrics.

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
