"""Which disks the keeper marks, and when: an earlier keeper's marks count, and what failed is tried again."""
from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from onedr.model.errors import OneDRError
from onedr.protection.time_marks import TimeMarks
from onedr.replication.peer_copies import Copy


class Marking(TimeMarks):
    """A keeper's marks, which are noted; those of `broken` fail."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), 100)
        self.written: list[str] = []
        self.broken: set[str] = set()

    def _mark(self, name: str, held: object = None) -> str:
        if name in self.broken:
            raise OneDRError("no")
        self.written.append(name)
        return "a mark"

    def due(self, *names: str) -> list[str]:
        """What is written of these disks when their marks are asked for."""
        self.written = []
        self._write_due(set(names), len(self.complete))
        return sorted(self.written)


@pytest.fixture
def keeper() -> Marking:
    return Marking()


def view(**points: float | None) -> Any:
    return SimpleNamespace(copies=SimpleNamespace(
        by_name={name.replace("_", "-"): Copy(True, point) for name, point in points.items()}
    ))


def test_a_copy_with_an_earlier_keepers_mark_gets_no_first_one_but_in_snapshot_mode(keeper: Marking) -> None:
    names = {"one-1", "one-2", "one-3"}
    seen = view(one_1=900.0, one_2=None, one_3=900.0)
    assert keeper._fresh(names, {"one-3"}, seen) == {"one-2", "one-3"}
    keeper.complete = names
    assert keeper._fresh(names, {"one-3"}, seen) == set()


def expensive(keeper: Marking) -> None:
    """So many disks that marks every few seconds would take more than 3 % of a core."""
    keeper.complete = {f"one-{number}" for number in range(1000)}
    keeper._rpo_s = 900


def test_few_disks_are_marked_whenever_it_is_asked(keeper: Marking) -> None:
    keeper.complete = {"one-1"}
    assert keeper.due("one-1") == ["one-1"] and keeper.due("one-1") == ["one-1"]


def test_of_many_disks_only_those_whose_mark_is_old_are_marked(keeper: Marking) -> None:
    expensive(keeper)
    now = time.time()
    keeper._marked = {"one-1": now - 10, "one-2": now - 300, "one-3": now + 3600}
    assert keeper.due("one-1", "one-2", "one-3", "one-4") == ["one-2", "one-3", "one-4"]


def test_a_mark_that_failed_is_due_again_at_once(keeper: Marking) -> None:
    expensive(keeper)
    keeper.broken = {"one-1"}
    assert keeper.due("one-1", "one-2") == ["one-2"]
    keeper.broken = set()
    assert keeper.due("one-1", "one-2") == ["one-1"]
