"""The datastore hook asks the pool only when something that the pool puts right may have changed."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
from pages import STOCK, World

from onedr.hook import datastore as datastore_hook
from onedr.model.errors import StorageError
from onedr.model.template import Pairs


class Asked:
    """A datastore that the hook has seen, and how often its pool was asked since."""

    def __init__(self, world: World):
        self.world, self.times, self.silent = world, 0, False

    def take_request(self, _: int) -> Pairs:
        self.times += 1
        if self.silent:
            raise StorageError("Ceph does not answer.")
        return self.world.hook()

    def hook(self) -> str:
        world: Any = self.world
        return datastore_hook.on_datastore(world, self.world.datastore(100))

    def settle(self) -> None:
        """What an update by the hook itself causes: it runs once more."""
        self.hook()
        self.hook()
        self.times = 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Asked]:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr("onedr.protection.keeper_lock.wake_keeper", lambda _: None)
    with pages.in_memory():
        made = Asked(World())
        made.world.update({"DR_RPO": "20m", "DR_SITE": "here"}, append=True)
        made.world.keeper()
        monkeypatch.setattr(datastore_hook, "take_request", made.take_request)
        monkeypatch.setattr(datastore_hook, "answer", lambda *_: None)
        made.settle()
        yield made


def test_what_onedr_shows_asks_no_pool(asked: Asked) -> None:
    for state in ("PROTECTED", "DEGRADED"):
        asked.world.update({"DR_STATE": state, "DR_RECOVERY_POINT": "2026-01-01T00:00:00Z", "DR_MESSAGE": "x"}, True)
        assert asked.hook() == "attributes are good"
    assert asked.times == 0


@pytest.mark.parametrize("change", [
    {"DR_RPO": "5m"}, {"DR_RPO": ""}, {"DR_PROTECT": "NO"}, {"DR_SEQ": "1"}, {"DR_LEAVE": "7"}, {"POOL_NAME": "two"},
    {"DS_MAD": "ceph"}, {"TM_MAD": "ceph"}, {"DR_ACTION": "EXPLODE"},
])
def test_whatever_is_put_right_asks_the_pool(asked: Asked, change: dict[str, str]) -> None:
    asked.world.update(change, append=True)
    asked.hook()
    assert asked.times == 1


@pytest.mark.parametrize("drivers", [{}, {"DS_MAD": "ceph", "TM_MAD": "ceph"}], ids=["ours", "stock"])
def test_an_update_that_takes_all_attributes_away_is_noticed(asked: Asked, drivers: dict[str, str]) -> None:
    before = asked.world.page()
    asked.world.update({**STOCK, **drivers}, append=False)
    assert "DR_PROTECT" not in asked.world.template
    asked.hook()
    assert asked.times == 1
    assert {key: asked.world.page()[key] for key in ("DR_PROTECT", "DR_RPO", "DR_SITE", "DS_MAD", "TM_MAD")} == {
        key: before[key] for key in ("DR_PROTECT", "DR_RPO", "DR_SITE", "DS_MAD", "TM_MAD")
    }


def test_a_renamed_datastore_asks_the_pool(asked: Asked) -> None:
    asked.world.name = "other"
    asked.hook()
    assert asked.times == 1


def test_an_action_asks_the_pool_each_time(asked: Asked) -> None:
    for _ in range(2):
        asked.world.update({"DR_ACTION": "EXPLODE"}, append=True)
        assert "not known" in asked.hook()
    assert asked.times == 2


def test_nothing_is_noted_where_the_pool_does_not_answer(asked: Asked) -> None:
    asked.world.update({"DR_RPO": "5m"}, append=True)
    asked.silent = True
    for _ in range(2):
        with pytest.raises(StorageError):
            asked.hook()
    assert asked.times == 2


def test_a_change_while_the_pool_is_asked_is_not_taken_for_settled(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """That change has an event of its own, and its hook has to ask."""
    def slow(datastore_id: int) -> Pairs:
        found = asked.take_request(datastore_id)
        asked.world.update({"DR_RPO": "1m"}, append=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(datastore_hook, "take_request", slow)
        asked.world.update({"DR_RPO": "5m"}, append=True)
        asked.hook()
    asked.hook()
    assert asked.times == 2


def test_without_a_note_that_can_be_read_the_pool_is_asked(asked: Asked, tmp_path: Path) -> None:
    (note,) = (tmp_path / "var" / "onedr").glob("settled-*")
    note.write_bytes(b"\xff")
    asked.hook()
    assert (asked.times, len(note.read_text())) == (1, 64)
