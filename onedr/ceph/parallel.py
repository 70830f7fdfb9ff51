"""Run an action for many items in parallel.

Each has a time limit; one that fails or hangs never stops the others.
"""
from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import rados
import rbd

from onedr.host import log
from onedr.host import threads as daemon_threads
from onedr.model.errors import OneDRError, TimedOutError, UnexpectedError

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    items: Iterable[Item], action: Callable[[Item], Result], limit_s: float, threads: int = 100,
    watch: Callable[[int], None] = lambda through: None,
) -> dict[Item, Result | OneDRError]:
    """The results by item, in the order of `items`. An error is a result too, and so is not ending within
    `limit_s` of its start.

    Threads are daemons: a call that Ceph never answers is abandoned, and replaced by another thread, so that
    there may be more than `threads`. `watch` is called repeatedly with the number of finished items; what it
    raises ends the wait.
    """
    work: queue.SimpleQueue[Item] = queue.SimpleQueue()
    ordered = list(dict.fromkeys(items))
    for item in ordered:
        work.put(item)
    results: dict[Item, Result | OneDRError] = {}
    started: dict[Item, float] = {}
    for _ in range(min(threads, len(ordered))):
        daemon_threads.start(_worker, work, action, started, results)
    while len(results) < len(ordered):  # no `waiting.attempts`: each item has its own limit
        now = time.monotonic()
        for item in [
            item for item, begun in list(started.items()) if now - begun > limit_s and item not in results
        ]:
            late = TimedOutError(f"did not end within {limit_s:g} s; run the command again")
            results.setdefault(item, late)
            daemon_threads.start(_worker, work, action, started, results)
        watch(len(results))
        time.sleep(0.01)
    return {item: results[item] for item in ordered}


def _worker(
    work: queue.SimpleQueue[Item], action: Callable[[Item], Result], started: dict[Item, float],
    results: dict[Item, Result | OneDRError],
) -> None:
    while True:
        try:
            item = work.get_nowait()
        except queue.Empty:
            return
        started[item] = time.monotonic()
        try:
            result: Result | OneDRError = action(item)
        except OneDRError as error:
            result = error
        except (rados.Error, rbd.Error) as error:
            result = OneDRError(f"Ceph: {error}")
        except Exception as error:  # noqa: BLE001 becomes this item's result; a lost worker would hang the run
            log.exception(f"unexpected error at {item}")
            result = UnexpectedError(f"unexpected {type(error).__name__}: {error}; see {log.path()}")
        results.setdefault(item, result)
