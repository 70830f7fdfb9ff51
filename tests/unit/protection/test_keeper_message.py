"""What the keeper writes of a datastore: its state without names, and beside it what others said meanwhile."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pages
import pytest
from pages import World

from onedr.protection import status
from onedr.protection.keeper import Keeper
from onedr.runs import datastore_message
from onedr.runs.state import ImageState, judge_state

SECRET = ImageState("one-7-of-alice", True, True, False, None, problem="alice's VM is the base of bob's")


class Watched(World):
    """A datastore that something else changes after each call of the keeper."""

    def __init__(self, then: Callable[[Watched], None] = lambda _: None):
        super().__init__()
        self.then, self.writes, self.io = then, 0, None

    def datastore(self, number: int) -> Any:
        found = super().datastore(number)
        self.then(self)
        return found

    def update_datastore(self, number: int, changes: Any) -> None:
        super().update_datastore(number, changes)
        self.writes += 1
        self.then(self)


@pytest.fixture(autouse=True)
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(status, "beside", lambda world, _: world.refusal)
    monkeypatch.setattr(datastore_message, "adopt", lambda *_: None)


def passed(world: Any, *items: ImageState) -> str:
    """DR_MESSAGE after the keeper showed what it found."""
    seen: Any = SimpleNamespace(facts=(), verdict=judge_state(True, items, 900, "", False))
    Keeper(world, pages.DATASTORE, world)._show(seen)
    return str(world.template["DR_MESSAGE"])


def test_it_counts_what_it_does_not_name() -> None:
    said = passed(Watched(), SECRET)
    assert "1 of 1 not protected" in said and "onedr status" in said
    assert "alice" not in said and "bob" not in said


@pytest.mark.parametrize("step", [1, 2])
def test_a_refusal_that_comes_between_its_read_and_its_write_is_there_afterwards(step: int) -> None:
    calls = iter(range(1, 10))

    def hook(world: Watched) -> None:
        if next(calls) == step:
            world.refusal = "DR_REQUEST was used before"
            world.template["DR_MESSAGE"] = world.refusal

    world = Watched(hook)
    world.template["DR_MESSAGE"] = "as it was"
    assert passed(world) == "0 of 0 items have a complete copy at the peer. DR_REQUEST was used before"


def test_it_writes_nothing_where_nothing_changed() -> None:
    world = Watched()
    passed(world)
    world.writes = 0
    passed(world)
    assert world.writes == 0
