"""Waiting for a condition, always with an end."""
from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


class SandboxError(Exception):
    """A message for the user of the bed, in one sentence: what was tried, and what prevented it."""


class TimedOut(SandboxError):
    """A condition did not come true within its limit."""


def until(what: str, test: Callable[[], T], limit_s: float, every_s: float = 0.1) -> T:
    """Call `test` until it returns something true and return that.

    Raises TimedOut, naming `what`, when `limit_s` seconds went by first.
    """
    end = time.monotonic() + limit_s
    while True:
        found = test()
        if found:
            return found
        if time.monotonic() > end:
            raise TimedOut(f"waited {limit_s:g} s for {what}")
        time.sleep(every_s)
