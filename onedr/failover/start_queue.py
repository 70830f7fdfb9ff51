"""Starting VMs, group by group; one with a delay of its own when that is over.

Users choose their VMs' priorities, so how long a VM that does not come to run holds up others is the
datastore's word: DR_DELAY_MAX. When its group has lost that much time to such VMs, the rest of the group is
started without being waited for. What does not run by then is looked at again until its own time is over.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from onedr.model.errors import TimedOutError
from onedr.runs.steps import LIMITS_S, Later, Step, StepKind

_AT_ONCE = 32
_LIMIT_S = LIMITS_S[StepKind.START] - 10
_ROUND_S = 20.0  # at the end, when only late VMs are waited for
Start = Callable[[str, float], str]


class Runner(Protocol):
    """What does the steps (runs.run.Running)."""

    def do(self, steps: list[Step], action: Callable[[str], str], threads: int) -> None: ...
    def wait(self, seconds: float, why: str) -> None: ...
    def at_once(self, kind: StepKind, threads: int) -> int: ...
    def has_failed(self, target: str) -> bool: ...


class StartQueue:
    """The starts of one run. `start` starts the VM of an origin and waits so many seconds until it runs:
    TimedOutError when it does not. `most_s`: DR_DELAY_MAX. `late_s`: seconds by which a VM starts after its
    group, by origin.
    """

    def __init__(self, runner: Runner, start: Start, most_s: float, late_s: Mapping[str, float]):
        self._runner, self._action, self._most_s, self._late_s = runner, start, most_s, late_s
        self._slots = runner.at_once(StepKind.START, _AT_ONCE)
        self._begun: dict[str, float] = {}
        self._late: list[tuple[float, Step]] = []  # when each is due
        self._slow: list[Step] = []  # started, and not running yet
        self._left_s, self._counting = 0.0, threading.Lock()  # what the group may still lose

    def run(
        self, groups: list[tuple[str, list[Step]]], delays: Mapping[str, int],
        between: Callable[[str], None] = lambda called: None,
    ) -> None:
        """Start groups of steps, each known by what it is called. `between`: what must be done after one;
        `delays`: seconds between it and the next. Ends when every VM runs, has failed or is out of time.
        """
        for at, (called, group) in enumerate(groups):
            due = time.monotonic()
            late = [step for step in group if step.target in self._late_s]
            self._late += [(due + self._late_s[step.target], step) for step in late]
            group = [step for step in group if step not in late]
            self._do(group, self._most_s)
            self._do(self._due(), 0.0)
            between(called)
            delay = delays.get(called, 0) if at + 1 < len(groups) else 0
            if delay and not all(self._runner.has_failed(step.target) for step in group):
                self._runner.wait(delay, f"{delay} s between {called} and {groups[at + 1][0]}")
        while self._late or self._slow:
            next_s = min((due for due, _ in self._late), default=float("inf")) - time.monotonic()
            if self._slow:
                self._do(self._due(), min(max(0.0, next_s), _ROUND_S))
            else:
                self._runner.wait(max(0.0, next_s), f"{len(self._late)} VM(s) have a DR_DELAY of their own")
                self._do(self._due(), 0.0)

    def _due(self) -> list[Step]:
        """VMs whose own delay is over, and those that are started and do not run yet."""
        now = time.monotonic()
        ready = [step for due, step in self._late if due <= now]
        self._late = [(due, step) for due, step in self._late if due > now]
        slow, self._slow = self._slow, []
        return [*ready, *(step for step in slow if not self._runner.has_failed(step.target))]

    def _do(self, steps: list[Step], left_s: float) -> None:
        if not steps:
            return
        self._left_s, by_origin = left_s, {step.target: step for step in steps}

        def one(origin: str) -> str:
            begun = time.monotonic()
            end = self._begun.setdefault(origin, begun) + _LIMIT_S
            try:
                return self._action(origin, max(0.0, min(self._left_s, end - begun)))
            except TimedOutError:
                now = time.monotonic()
                if now >= end:
                    raise
                with self._counting:
                    self._left_s -= (now - begun) / self._slots
                self._slow.append(by_origin[origin])
                return Later("does not run yet; the others do not wait for it")

        self._runner.do(steps, one, _AT_ONCE)
