"""Many items at once: what fails or hangs is a result of its own and never stops the rest."""
from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import rados
import rbd

from onedr.ceph import parallel
from onedr.model.errors import OneDRError, RefusedError

LONG_S = 60.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a hanging item waits for; opened at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


def test_results_come_by_item_in_the_order_asked() -> None:
    items = [f"one-{n}" for n in range(50)]
    results = parallel.each(reversed(items), lambda name: name.upper(), LONG_S, threads=7)
    assert list(results.items()) == [(name, name.upper()) for name in reversed(items)]


def test_nothing_to_do_is_done() -> None:
    assert parallel.each([], lambda name: name, LONG_S) == {}


@pytest.mark.parametrize(("error", "text"), [
    (RefusedError("not this one"), "not this one"), (rbd.ImageNotFound("gone"), "Ceph: "),
    (rados.Error("broken"), "Ceph: "), (KeyError("x"), "unexpected KeyError: 'x'"),
    (AssertionError(), "unexpected AssertionError"),
])
def test_one_that_fails_is_a_result_and_the_rest_is_done(error: Exception, text: str) -> None:
    def action(number: int) -> int:
        if number == 3:
            raise error
        return number * 2

    results = parallel.each(range(10), action, LONG_S, threads=2)
    assert {number: result for number, result in results.items() if number != 3} == {
        number: number * 2 for number in range(10) if number != 3
    }
    assert isinstance(results[3], OneDRError) and text in str(results[3])


def test_an_error_of_ours_is_handed_on_as_it_is() -> None:
    error = RefusedError("not this one")

    def action(_: str) -> str:
        raise error

    assert parallel.each(["x"], action, LONG_S) == {"x": error}


@pytest.mark.parametrize("threads", [1, 2, 100])
def test_one_that_hangs_is_given_up_and_the_rest_is_done(gate: threading.Event, threads: int) -> None:
    def action(name: str) -> str:
        if name == "hangs":
            gate.wait(LONG_S)
        return name

    results = parallel.each(["hangs", *"abc"], action, 0.5, threads)
    assert {name: results[name] for name in "abc"} == {"a": "a", "b": "b", "c": "c"}
    assert isinstance(results["hangs"], OneDRError) and "did not end within 0.5 s" in str(results["hangs"])


def test_when_all_threads_hang_the_waiting_items_still_get_their_turn(gate: threading.Event) -> None:
    def action(number: int) -> int:
        if number < 3:
            gate.wait(LONG_S)
        return number

    results = parallel.each(range(6), action, 0.5, threads=2)
    assert [isinstance(results[number], OneDRError) for number in range(6)] == [True] * 3 + [False] * 3


def test_what_ends_after_it_was_given_up_does_not_change_the_result(gate: threading.Event) -> None:
    ended = threading.Event()

    def action(name: str) -> str:
        gate.wait(LONG_S)
        ended.set()
        return name

    results = parallel.each(["late"], action, 0.1)
    gate.set()
    assert ended.wait(LONG_S)
    assert isinstance(results["late"], OneDRError)


def test_an_item_named_twice_is_done_once() -> None:
    done: list[str] = []
    assert parallel.each(["a", "b", "a"], done.append, LONG_S, threads=1) == {"a": None, "b": None}
    assert done == ["a", "b"]


def test_no_more_than_the_allowed_number_runs_at_once() -> None:
    both = threading.Barrier(3)
    running: set[int] = set()
    most: list[int] = []
    lock = threading.Lock()

    def action(number: int) -> None:
        with lock:
            running.add(number)
            most.append(len(running))
        both.wait(LONG_S)  # only with three at once does anything go on
        with lock:
            running.discard(number)
        both.wait(LONG_S)

    results = parallel.each(range(6), action, LONG_S, threads=3)
    assert set(results.values()) == {None}
    assert max(most) == 3
