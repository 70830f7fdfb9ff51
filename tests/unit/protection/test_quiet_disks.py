"""The proof that a copy may be believed: whatever guests write, and whenever, no point of a copy is later than a
write that the copy lacks. Played with a journal as Ceph writes it, cut lines, lagging appends, keepers that die.
"""
from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_bytes import FINISH, SET_METADATA, WIDTH, WRITE, entry

from onedr.ceph import journal_end, omap
from onedr.ceph.journal_end import JournalEnd
from onedr.model.types import Mode, Settings
from onedr.protection import time_marks
from onedr.protection.quiet_disks import IN_FLIGHT_S, Disk
from onedr.protection.time_marks import TimeMarks
from onedr.replication import image_facts
from onedr.replication.image_view import ImageView

HERE, THERE = "site-a", "site-b"
RPO_S = 900


class Image:
    """A primary. `pending`: writes that a cache answered and the journal does not have yet."""

    def __init__(self, name: str, world: World):
        self.name, self.world = name, world
        self.events: list[tuple[int, str, str, float]] = []  # with the moment of a write
        self.pending: list[float] = []
        self.objects = [b""] * WIDTH
        self.replayed = 0
        self.copied: dict[str, str] = {}  # metadata of its copy

    def write(self) -> None:
        self.pending.append(self.world.now)

    def append(self) -> None:
        for moment in self.pending:
            self._event(WRITE, moment=moment)
        self.pending = []

    def _event(self, kind: int, key: str = "", value: str = "", moment: float = 0.0) -> None:
        number = len(self.events)
        self.objects[number % WIDTH] += entry(1, number, kind, key, value)
        self.events.append((kind, key, value, moment))

    def metadata_set(self, key: str, value: str) -> None:
        self.world.meanwhile()
        self.append()  # the lock's owner appends them in order
        self._event(SET_METADATA, key, value)
        self._event(FINISH)
        self.world.marks += key == "onedr.mark"
        self.world.meanwhile()

    def replay(self, events: int) -> None:
        begun, self.replayed = self.replayed, self.replayed + events
        self.copied.update({
            key: value for kind, key, value, _ in self.events[begun:self.replayed] if kind == SET_METADATA
        })

    def view(self) -> ImageView:
        """Its copy."""
        return ImageView(
            self.name, f"b-{self.name}", 1, Mode.JOURNAL, False, f"g-{self.name}", self.copied, None
        )

    def lacks(self) -> list[float]:
        """Moments of the writes that the copy does not have."""
        return [event[3] for event in self.events[self.replayed:] if event[0] == WRITE] + self.pending


class World:
    """Two sites; `busy`: how likely something happens in between."""

    def __init__(self, names: Iterable[str], seed: int = 0, busy: float = 0.0):
        self.random, self.busy = random.Random(seed), busy
        self.now, self.marks, self.cut = 1000.0, 0, False
        self.images = {name: Image(name, self) for name in names}
        self.stored: dict[str, bytes] = {}
        self.keeper = self.new_keeper()

    def new_keeper(self) -> TimeMarks:
        keeper = TimeMarks(cast(Any, self), 100)
        keeper.complete = set(self.images)
        keeper._disks = {name: Disk(name, f"g-{name}") for name in self.images}
        keeper._read_there, keeper._rpo_s = True, RPO_S
        return keeper

    @contextmanager
    def image(self, name: str) -> Iterator[Image]:
        yield self.images[name]

    def fsid(self) -> str:
        return HERE

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        for image in self.images.values():
            if any(moment < self.now - IN_FLIGHT_S + 0.1 for moment in image.pending):
                image.append()

    def meanwhile(self) -> None:
        """What guests do at any moment."""
        while self.random.random() < self.busy:
            image = self.random.choice(list(self.images.values()))
            happening: list[Callable[[], None]] = [image.write, image.append, lambda: self.pass_(0.2)]
            self.random.choice(happening)()

    def replicate(self, all_: bool = False) -> None:
        for image in () if self.cut else self.images.values():
            rest = len(image.events) - image.replayed
            image.replay(rest if all_ else self.random.randint(0, rest))

    def points(self) -> dict[str, float | None]:
        views = [image.view() for image in self.images.values()]
        quiet = image_facts.stated(views, image_facts.Reader(None, "", self.now), THERE)
        return {view.name: image_facts.copy_point(view, Settings(), quiet)[0].at for view in views}

    def read_ends(self, _: object, image_ids: Iterable[str], __: float) -> dict[str, JournalEnd]:
        """One object after another, while guests write."""
        found = {}
        for image_id in image_ids:
            sizes = [0] * WIDTH
            for place in self.random.sample(range(WIDTH), WIDTH):
                self.meanwhile()
                sizes[place] = len(self.images[image_id].objects[place])
            found[image_id] = JournalEnd(0, 1, tuple(sizes))
        return found

    def read_tails(
        self, _: object, wanted: Mapping[str, tuple[JournalEnd, JournalEnd]], __: float
    ) -> dict[str, list[bytes]]:
        return {
            image_id: [
                data[then:now]
                for data, then, now in zip(self.images[image_id].objects, before.sizes, after.sizes)
            ]
            for image_id, (before, after) in wanted.items()
        }


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a world the one that keepers work in."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr("onedr.protection.time_marks.parallel.each", lambda items, action, *_: {
        each: action(each) for each in items
    })
    monkeypatch.setattr("onedr.ceph.mirroring.is_primary", lambda _: True)

    def enter(world: World) -> World:
        clock = SimpleNamespace(time=lambda: world.now, monotonic=lambda: world.now, process_time=lambda: 0.0)
        monkeypatch.setattr(time_marks, "time", clock)
        monkeypatch.setattr(journal_end, "read_ends", world.read_ends)
        monkeypatch.setattr(journal_end, "read_tails", world.read_tails)
        monkeypatch.setattr(omap, "read_all", lambda *_: dict(world.stored))
        monkeypatch.setattr(omap, "write_keys", lambda _, __, values: world.stored.update(values))
        monkeypatch.setattr(omap, "drop_keys", lambda _, __, key: world.stored.pop(key, None))
        return world

    return enter


MOVES = ("turn", "turn", "turn", "pass", "write", "replicate", "replicate", "cut", "heal", "heal", "restart")
MARKED_S = 0.001  # marks are in milliseconds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.02, 0.2]))
def test_no_point_is_later_than_a_write_that_the_copy_lacks(play: Any, seed: int, busy: float) -> None:
    world = play(World(["one-1", "one-2", "one-3"], seed, busy))
    for _ in range(60):
        move = world.random.choice(MOVES)
        if move == "turn":
            world.pass_(world.random.choice([0.5, 2.0, 5.0, 60.0]))
            world.keeper.turn()
        elif move == "pass":
            world.pass_(world.random.uniform(0.1, 30))
        elif move == "write":
            world.random.choice(list(world.images.values())).write()
        elif move == "replicate":
            world.replicate(world.random.random() < 0.5)
        elif move == "restart":
            world.keeper = world.new_keeper()
        else:
            world.cut = move == "cut"
        for name, point in world.points().items():
            missing = world.images[name].lacks()
            assert point is None or not missing or point <= min(missing) + MARKED_S, (name, point, missing)


def idle(world: World, seconds: float) -> None:
    for _ in range(int(seconds / 5)):
        world.pass_(5)
        world.keeper.turn()
        world.replicate(True)


def test_disks_that_are_not_written_to_are_marked_once_and_their_points_stay_fresh(play: Any) -> None:
    world = play(World([f"one-{number}" for number in range(20)]))
    idle(world, 30)
    before = world.marks
    for _ in range(20):
        world.keeper = world.new_keeper()  # keepers live minutes; what they know does not
        idle(world, 60)
    assert world.marks - before == 240, "the statement and a mark on the disk that carries it, each turn"
    assert all(world.now - point <= 2 * IN_FLIGHT_S for point in world.points().values())


def test_the_disk_that_is_written_to_gets_marks_of_its_own(play: Any) -> None:
    world = play(World(["one-1", "one-2", "one-3"]))
    idle(world, 30)
    for _ in range(12):
        world.images["one-3"].write()
        world.images["one-3"].append()
        idle(world, 5)
    (newest,) = [event[3] for event in world.images["one-3"].events if event[0] == WRITE][-1:]
    assert world.points()["one-3"] > newest


def test_a_site_cut_off_for_an_hour_shows_an_hour_of_loss_and_the_right_one_afterwards(play: Any) -> None:
    world = play(World(["one-1", "one-2", "one-3"]))
    idle(world, 60)
    world.cut, cut_at = True, world.now
    idle(world, 1800)
    world.images["one-2"].write()
    idle(world, 1800)
    points = world.points()
    assert all(cut_at - 2 * IN_FLIGHT_S <= point <= cut_at for point in points.values())
    assert world.now - min(points.values()) >= 3600
    world.cut = False
    idle(world, 15)
    assert all(world.now - point <= 2 * IN_FLIGHT_S for point in world.points().values())


def test_a_statement_that_does_not_arrive_is_written_to_another_disk(play: Any) -> None:
    world = play(World(["one-1", "one-2", "one-3"]))
    idle(world, 30)
    stuck = world.keeper._carrier
    copies = {
        name: SimpleNamespace(recovery_point=world.now - (600 if name == stuck else 0)) for name in world.images
    }
    world.keeper._replace_carrier(cast(Any, SimpleNamespace(copies=SimpleNamespace(by_name=copies))))
    assert world.keeper._carrier not in ("", stuck)


def test_when_the_statement_cannot_be_written_each_disk_gets_its_mark(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = play(World(["one-1", "one-2", "one-3"]))
    idle(world, 30)
    monkeypatch.setattr(world.keeper, "_state", lambda *_: {})
    before = world.marks
    idle(world, 10)
    assert world.marks - before == 6
    assert all(world.now - point <= 2 * IN_FLIGHT_S for point in world.points().values())


def test_what_an_earlier_keeper_noted_and_cannot_be_read_is_not_known(play: Any) -> None:
    world = play(World(["one-1", "one-2"]))
    idle(world, 30)
    world.stored = {"one-1": b"{", "one-2": world.stored["one-2"].replace(b"g-one-2", b"another")}
    world.keeper, before = world.new_keeper(), world.marks
    world.pass_(5)
    world.keeper.turn()
    assert world.marks == before + 2
