"""Waiting for a condition, always with an end."""
from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")
LONGEST_PAUSE_S = 1.0


class SandboxError(Exception):
    """A message for the user of the bed, in one sentence: what was tried, and what prevented it."""


class TimedOut(SandboxError):
    """A condition did not come true within its limit."""


def until(what: str, test: Callable[[], T], limit_s: float, every_s: float = 0.1) -> T:
    """Call `test` until it returns something true and return that.

    It is called every `every_s` seconds at first, later after a tenth of the time waited, at most 1 s.
    Raises TimedOut, naming `what`, when `limit_s` seconds went by first.
    """
    start = time.monotonic()
    while True:
        found = test()
        if found:
            return found
        waited_s = time.monotonic() - start
        if waited_s > limit_s:
            raise TimedOut(f"waited {limit_s:g} s for {what}")
        time.sleep(max(every_s, min(waited_s / 10, LONGEST_PAUSE_S)))
