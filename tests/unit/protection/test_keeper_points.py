"""What the keeper takes points of, when, and what it does when that fails."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from one_omap import one_omap
from samples import HERE, disk, envelope, image, image_record, vm_record

from onedr.ceph import group_snapshots, omap
from onedr.ceph.group_snapshots import Taken
from onedr.model.errors import RefusedError
from onedr.model.records import ImageFacts, PointNote
from onedr.model.types import Mode, Settings
from onedr.opennebula.objects import CDROM
from onedr.protection import points
from onedr.protection.points import Points, noted_problems, subjects
from onedr.replication import point_notes
from onedr.runs import lease

SETTINGS = Settings(protect=True, point_every_s=300)


def own(name: str, vm_id: int = 1, **changes: Any) -> ImageFacts:
    """A disk of a VM of this site."""
    body = vm_record(vm_id=vm_id, disks=tuple(disk(at, f"one/one-{vm_id}{at}") for at in range(2)))
    values = {"primary": True, "vm": envelope(body, fsid=HERE)}
    return image(name, **{**values, **changes})


TWO = (own("one-10"), own("one-11"))
NAMES = {fact.name for fact in TWO}


def test_a_point_is_of_all_disks_of_a_vm() -> None:
    found = subjects(TWO, HERE, NAMES, of_all=False)
    assert {label: subject.disks for label, subject in found.items()} == {"1": ["one-10", "one-11"]}


@pytest.mark.parametrize("change", [
    {"primary": False}, {"mode": Mode.SNAPSHOT}, {"vm": None},
    {"image": envelope(image_record(type=CDROM), fsid=HERE)},
])
def test_a_disk_that_no_snapshot_can_be_carried_of_is_no_member(change: dict[str, Any]) -> None:
    found = subjects((own("one-10"), own("one-11", **change)), HERE, NAMES, of_all=False)
    assert found["1"].disks == ["one-10"]


def test_nor_is_one_whose_copy_is_not_complete() -> None:
    assert subjects(TWO, HERE, {"one-10"}, of_all=False)["1"].disks == ["one-10"]
    assert subjects(TWO, HERE, (), of_all=False) == {}


def test_of_a_datastore_it_is_one_of_all_vms() -> None:
    facts = (*TWO, own("one-20", 2), own("one-21", 2))
    assert subjects(facts, HERE, {fact.name for fact in facts}, of_all=True)["all"].disks == [
        "one-10", "one-11", "one-20", "one-21",
    ]


class World:
    """Ceph, as far as taking a point needs it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.taken: list[tuple[str, list[str]]] = []
        self.notes: dict[str, dict[str, PointNote]] = {}
        self.stall_s, self.fails, self.running, self.ours = 0.1, False, False, True
        self.said = one_omap(monkeypatch)
        monkeypatch.setattr(omap, "drop_keys", lambda _, __, key: self.said.pop(key, None))
        monkeypatch.setattr(omap, "read_all", lambda _, __, begin: {
            key: value for key, value in self.said.items() if key.startswith(begin)
        })
        monkeypatch.setattr(group_snapshots, "taking", self.taking)
        monkeypatch.setattr(group_snapshots, "remove_left", lambda *_: None)
        monkeypatch.setattr(point_notes, "change", self.change)
        monkeypatch.setattr(point_notes, "drop", self.drop)
        monkeypatch.setattr(lease, "in_force", lambda _: object() if self.running else None)
        monkeypatch.setattr(points, "ExclusiveLock", lambda *_: SimpleNamespace(acquire=lambda: self.ours))
        self.points = Points(cast(Any, SimpleNamespace(fsid=lambda: HERE)), 7)

    @contextmanager
    def taking(self, _: Any, label: str, names: list[str]) -> Iterator[Taken]:
        if self.fails:
            raise RefusedError("it is in another RBD group")
        self.taken.append((label, list(names)))
        yield Taken(f"s{len(self.taken)}", self.stall_s)

    def change(self, _: Any, name: str, by: Any) -> None:
        self.notes[name] = by(self.notes.get(name, {}))

    def drop(self, _: Any, name: str, wanted: set[str]) -> None:
        self.notes[name] = {key: note for key, note in self.notes.get(name, {}).items() if key not in wanted}

    def look(self, *facts: ImageFacts, clock_sure: bool = True, settings: Settings = SETTINGS) -> None:
        self.points.take(facts, settings, {fact.name for fact in facts}, clock_sure)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_one_is_taken_when_it_is_due_and_noted_on_each_disk(world: World) -> None:
    world.look(*TWO)
    world.points.turn()
    world.points.turn()
    assert world.taken == [("7-1", ["one-10", "one-11"])]
    assert world.notes["one-10"] == world.notes["one-11"] and set(world.notes["one-10"]) == {"s1"}


@pytest.mark.parametrize(("settings", "running", "ours"), [
    (Settings(protect=True), False, True), (SETTINGS, True, True), (SETTINGS, False, False),
    (Settings(point_every_s=300), False, True),
])
def test_none_is_taken(world: World, settings: Settings, running: bool, ours: bool) -> None:
    """Where none is asked for, during a run, and where another front-end takes them."""
    world.running, world.ours = running, ours
    world.look(*TWO, settings=settings)
    world.points.turn()
    assert world.taken == []


def test_why_there_is_none_is_told_until_there_is_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    clock = SimpleNamespace(time=time.time, monotonic=lambda: now[0])
    monkeypatch.setattr("onedr.protection.points.time", clock)
    world.fails = True
    world.look(*TWO)
    for _ in range(3):
        world.points.turn()
    assert noted_problems(cast(Any, None), 7) == {"1": "it is in another RBD group"}
    world.fails, now[0] = False, now[0] + 301
    world.points.turn()
    assert len(world.taken) == 1 and noted_problems(cast(Any, None), 7) == {}


def test_one_that_held_up_writers_is_told(world: World) -> None:
    world.stall_s = 3.5
    world.look(*TWO)
    world.points.turn()
    assert "3.5 s" in noted_problems(cast(Any, None), 7)["1"] and "600 s" in noted_problems(cast(Any, None), 7)["1"]


def test_what_is_over_goes_from_each_disk_while_the_clock_is_sure(world: World) -> None:
    notes = {f"s{at}": PointNote(at * 86400.0, 0.1) for at in range(3)}
    notes["p"] = PointNote(5.0, 0.1, "pinned")
    facts = [
        own(name, points=notes, group_snapshots=frozenset(notes)) for name in ("one-10", "one-11")
    ]
    world.notes = {fact.name: dict(notes) for fact in facts}
    world.look(*facts, clock_sure=False)
    assert set(world.notes["one-10"]) == {"s0", "s1", "s2", "p"}
    world.look(*facts)
    assert set(world.notes["one-10"]) == set(world.notes["one-11"]) == {"s2", "p"}


def test_points_of_a_disk_that_no_vm_has_any_more_age_too(world: World) -> None:
    notes = {f"s{at}": PointNote(at * 86400.0, 0.1) for at in range(3)}
    alone = image("one-30", primary=True, points=notes, group_snapshots=frozenset(notes))
    world.notes = {"one-30": dict(notes)}
    world.look(*TWO, alone)
    assert set(world.notes["one-30"]) == {"s2"}
