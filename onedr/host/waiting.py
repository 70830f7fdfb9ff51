"""Waiting with a limit. The few loops with a clock of their own say why."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator


def attempts(limit_s: float, pause_s: float) -> Iterator[bool]:
    """One turn for each attempt, `pause_s` apart. It yields True for the last one, after `limit_s` seconds.

    For loops that try something: leave the loop on success, raise when the attempt was the last one.
    """
    end = time.monotonic() + limit_s
    while True:
        last = time.monotonic() >= end
        yield last
        if last:
            return
        time.sleep(pause_s)


def wait_until(condition: Callable[[], object], limit_s: float, pause_s: float = 0.3) -> bool:
    """Check a condition until it holds. Returns False when it still does not after `limit_s` seconds."""
    return any(condition() for _ in attempts(limit_s, pause_s))
