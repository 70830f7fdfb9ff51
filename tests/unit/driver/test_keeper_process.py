"""Whoever wakes a keeper that is just ending is heard: the process looks once more after it gave its place
back.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from onedr.driver import keeper_process
from onedr.host import process
from onedr.protection import keeper_lock


class Ended(BaseException):
    pass


@pytest.fixture
def turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where the turns of the keeper under test are noted; its process end is an exception."""
    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(os, "_exit", end)
    return []


def told(turns: list[int]) -> Callable[[int], bool]:
    """A turn that goes well and is noted."""
    def turn(datastore_id: int) -> bool:
        turns.append(datastore_id)
        return True

    return turn


@pytest.mark.parametrize("changed", [True, False])
def test_who_comes_while_it_ends_gets_a_turn(
    turns: list[int], monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    def turn(datastore_id: int) -> bool:
        turns.append(datastore_id)
        if len(turns) == 1:
            keeper_lock.wake_keeper(datastore_id, changed)  # its place is still taken
        return True

    monkeypatch.setattr(keeper_process, "_turn", turn)
    with pytest.raises(Ended):
        keeper_process.main(100)
    assert turns == [100, 100]
    assert not keeper_lock.has_news(100) and not keeper_lock.is_reminded(100)


def test_after_half_an_hour_a_new_process_takes_over(turns: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    clock, started = [0.0], []

    def turn(datastore_id: int) -> bool:
        turns.append(datastore_id)
        keeper_lock.wake_keeper(datastore_id, changed=False)
        clock[0] += 1000
        return True

    monkeypatch.setattr(keeper_process, "_turn", turn)
    monkeypatch.setattr(keeper_process, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(process, "detach", lambda argv, _: started.append(argv[-1]))
    with pytest.raises(Ended):
        keeper_process.main(100)
    assert turns == [100, 100] and started == ["100"]


def test_monitoring_is_no_news(turns: list[int]) -> None:
    with keeper_lock.keeper_slot(100):
        keeper_lock.wake_keeper(100, changed=False)
        assert not keeper_lock.has_news(100) and keeper_lock.is_reminded(100, peek=True)
        assert keeper_lock.is_reminded(100) and not keeper_lock.is_reminded(100)
        keeper_lock.wake_keeper(100)
        assert keeper_lock.has_news(100) and not keeper_lock.is_reminded(100)


def test_without_news_it_ends(turns: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_process, "_turn", told(turns))
    keeper_lock.news(100).parent.mkdir(parents=True)
    keeper_lock.news(100).touch()  # from before it began: its first turn sees that anyway
    with pytest.raises(Ended):
        keeper_process.main(100)
    assert turns == [100]


def test_it_does_not_run_against_a_world_that_is_gone(
    turns: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn(datastore_id: int) -> bool:
        turns.append(datastore_id)
        keeper_lock.wake_keeper(datastore_id)
        return False

    monkeypatch.setattr(keeper_process, "_turn", turn)
    with pytest.raises(Ended):
        keeper_process.main(100)
    assert turns == [100]


def test_the_place_taken_it_leaves_at_once(turns: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_process, "_turn", told(turns))
    with keeper_lock.keeper_slot(100) as free:
        assert free
        keeper_process.main(100)
    assert turns == []
