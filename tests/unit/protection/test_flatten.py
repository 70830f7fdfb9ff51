"""The queue of clones to be flattened: never more at once than the limit, one process at a time, every end
seen.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from onedr.host import log
from onedr.model.errors import StorageError
from onedr.protection.flatten import AT_ONCE, Progress, Queue

LIMIT_S = 20  # of every wait; reached only when something is broken


class Place:
    """A place that is free, or taken by somebody else."""

    def __init__(self) -> None:
        self.free, self.mine = True, False

    def acquire(self) -> bool:
        self.mine = self.free
        return self.mine

    def release(self) -> None:
        self.mine = False


class Workshop:
    """Work that goes on until the test lets it end; counts how many are at work."""

    def __init__(self) -> None:
        self.running: dict[str, Progress] = {}
        self.most = 0
        self.order: list[str] = []
        self._may_end: set[str] = set()
        self.failing: dict[str, Exception] = {}
        self._changed = threading.Condition()

    def __call__(self, name: str, progress: Progress) -> None:
        with self._changed:
            self.running[name] = progress
            self.order.append(name)
            self.most = max(self.most, len(self.running))
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: name in self._may_end or progress(40, 100) < 0, LIMIT_S)
            self._may_end.discard(name)
            del self.running[name]
            self._changed.notify_all()
        if name in self.failing:
            raise self.failing.pop(name)

    def end(self, *names: str) -> None:
        with self._changed:
            self._may_end.update(names)
            self._changed.notify_all()

    def poke(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait_running(self, *names: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(self.running) == set(names), LIMIT_S), self.running


@contextmanager
def workshop(at_once: int = AT_ONCE) -> Iterator[tuple[Queue, Workshop, Place]]:
    work, place = Workshop(), Place()
    queue = Queue(work, place, at_once)
    try:
        yield queue, work, place
    finally:
        for name in [*work.running, *queue.running()]:
            queue.end(name)
        work.poke()


def joined(queue: Queue) -> None:
    """Wait for the threads of the queue to end."""
    for thread in queue._threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_no_more_than_the_limit_at_once_and_all_in_the_end() -> None:
    names = [f"one-1-{vm}-0" for vm in range(12)]
    with workshop() as (queue, work, _):
        assert [queue.request(name, "waits") for name in names] == ["waits"] * 12
        for _ in range(3):
            queue.step()  # again and again, as the keeper does
        work.wait_running(*names[:2])
        for number, name in enumerate(names):
            work.end(name)
            work.wait_running(*[left for left in names[number + 1 : number + 3]])
            queue.step()
        joined(queue)
        assert (work.most, sorted(queue.done), queue.busy, queue.finished) == (2, sorted(names), False, 12)
        assert work.order == names


def test_an_item_says_how_far_it_is() -> None:
    with workshop() as (queue, work, _):
        queue.request("a", "waits to be flattened from its parent one/one-1")
        queue.step()
        work.wait_running("a")
        assert work.running["a"](91, 128) == 0
        assert queue.request("a", "x") == "is being flattened, 70 %"
        assert queue.running() == {"a": "is being flattened, 70 %"}


def test_while_another_process_flattens_nothing_is_begun() -> None:
    with workshop() as (queue, work, place):
        place.free = False
        queue.request("a", "waits")
        queue.step()
        assert (queue.running(), queue.busy, queue._threads) == ({}, True, [])
        place.free = True
        queue.step()
        work.wait_running("a")
        work.end("a")
        joined(queue)
        assert place.mine
        queue.step()
        assert not place.mine, "who has nothing to do gives the place back"


@pytest.mark.parametrize("error, text", [
    (StorageError("cannot be flattened: it needs 9 MiB."), "cannot be flattened: it needs 9 MiB."),
    (ValueError("odd"), f"cannot be flattened: unexpected ValueError: odd; see {log.path()}"),
])
def test_what_failed_says_why_and_is_tried_again_when_wanted_again(error: Exception, text: str) -> None:
    with workshop(1) as (queue, work, _):
        work.failing["bad"] = error
        for name in ("bad", "good"):
            queue.request(name, "waits")
        queue.step()
        work.wait_running("bad")
        work.end("bad", "good")
        joined(queue)
        assert (queue.failed(), queue.done, queue.busy) == ({"bad": text}, ["good"], False)
        queue.step()
        assert queue.running() == {}, "not by itself"
        assert queue.request("bad", "waits") == text, "the reason stays until it is known better"
        queue.step()
        work.wait_running("bad")
        work.end("bad")
        joined(queue)
        assert (queue.failed(), queue.done) == ({}, ["good", "bad"])


def test_a_stop_ends_what_runs_and_forgets_what_waits() -> None:
    with workshop() as (queue, work, place):
        for name in ("a", "b", "c"):
            queue.request(name, "waits")
        queue.step()
        work.wait_running("a", "b")
        stopper = threading.Thread(target=queue.stop)
        stopper.start()
        while stopper.is_alive():
            work.poke()
            stopper.join(0.05)
        assert (work.order, place.mine, queue.running()) == (["a", "b"], False, {})


def test_one_item_can_be_ended() -> None:
    with workshop() as (queue, work, _):
        for name in ("a", "b", "c"):
            queue.request(name, "waits")
        queue.step()
        work.wait_running("a", "b")
        queue.end("a")
        work.poke()
        work.wait_running("b", "c")
