"""A glance differs when there may be something for a pass to do, and only then."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lxml import etree

from onedr.ceph import mirroring
from onedr.ceph.mirroring import MirrorRole
from onedr.model.errors import OneDRError
from onedr.model.types import Mode, PeerState, Role, Settings
from onedr.opennebula.api import FrontEnd
from onedr.protection import glance, keeper
from onedr.protection.keeper import Keeper
from onedr.replication import peer_ceph

DATASTORE = """<DATASTORE><ID>100</ID><NAME>ceph-dr</NAME><USED_MB>5</USED_MB><TEMPLATE>
<DS_MAD>ceph_dr</DS_MAD><POOL_NAME>one</POOL_NAME><DR_PROTECT>YES</DR_PROTECT><DR_STATE>PROTECTED</DR_STATE>
<DR_RPO>15m</DR_RPO></TEMPLATE></DATASTORE>"""
IMAGE = "<IMAGE><ID>1</ID><TEMPLATE><NOTE>a</NOTE></TEMPLATE></IMAGE>"
VM = "<VM><ID>7</ID><LAST_POLL>1</LAST_POLL><MONITORING><CPU>1</CPU></MONITORING><USER_TEMPLATE/></VM>"


class World:
    """Both sites and oned, as a glance sees them."""

    def __init__(self) -> None:
        self.texts = {"datastore": DATASTORE, "image": IMAGE, "vm": VM}
        self.here, self.there = {"one-1": "1"}, {"one-1": "b1"}
        self.roles = {"here": True, "there": False}
        self.answers = True

    def pool(self, site: str) -> Any:
        images = self.here if site == "here" else self.there
        listed = [{"name": name, "id": image_id} for name, image_id in images.items()]
        return SimpleNamespace(
            site=site, io=None, access=SimpleNamespace(pool="one"),
            rbd=SimpleNamespace(list2=lambda _: listed),
        )

    @contextmanager
    def peer_pool(self, *_: object) -> Iterator[tuple[Any, str]]:
        if not self.answers:
            raise OneDRError("it went away")
        yield self.pool("there"), ""

    def look(self) -> str:
        one = {name: etree.fromstring(text) for name, text in self.texts.items()}
        frontend = SimpleNamespace(
            datastore=lambda _: one["datastore"], images=lambda: [one["image"]], vms=lambda: [one["vm"]]
        )
        return glance.look(self.pool("here"), 100, cast(FrontEnd, frontend))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(mirroring, "roles", lambda pool: {"one-1": MirrorRole("g", found.roles[pool.site])})
    monkeypatch.setattr(peer_ceph, "probe_peer", lambda *_: SimpleNamespace(peer=PeerState.ANSWERS))
    monkeypatch.setattr(peer_ceph, "peer_pool", found.peer_pool)
    return found


CHANGES: dict[str, Callable[[World], Any]] = {
    "a new image": lambda world: world.here.update({"one-2": "2"}),
    "an image is gone": lambda world: world.here.clear(),
    "a role here": lambda world: world.roles.update(here=False),
    "the peer took over": lambda world: world.roles.update(there=True),
    "a copy that is made again": lambda world: world.there.update({"one-1": "b2"}),
    "the peer's images cannot be read": lambda world: setattr(world, "answers", False),
    "a setting": lambda world: edit(world, "datastore", "15m", "5m"),
    "a user's attribute of an image": lambda world: edit(world, "image", "<NOTE>a", "<NOTE>b"),
    "an attribute of a VM": lambda world: edit(world, "vm", "<USER_TEMPLATE/>", "<USER_TEMPLATE><A>1</A></USER_TEMPLATE>"),
}
NOTHING: dict[str, Callable[[World], Any]] = {
    "nothing": lambda world: None,
    "space": lambda world: edit(world, "datastore", "<USED_MB>5", "<USED_MB>6"),
    "the state that is shown": lambda world: edit(world, "datastore", "PROTECTED<", "DEGRADED<"),
    "monitoring": lambda world: edit(world, "vm", "<CPU>1", "<CPU>2"),
    "what is shown on a VM": lambda world: edit(
        world, "vm", "<USER_TEMPLATE/>", "<USER_TEMPLATE><DR_STATE>PROTECTED</DR_STATE></USER_TEMPLATE>"),
    "the last poll": lambda world: edit(world, "vm", "<LAST_POLL>1", "<LAST_POLL>2"),
}


def edit(world: World, what: str, old: str, new: str) -> None:
    assert old in world.texts[what]
    world.texts[what] = world.texts[what].replace(old, new)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(world: World, change: Callable[[World], Any]) -> None:
    before = world.look()
    change(world)
    assert world.look() != before


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING)
def test_what_changes_all_the_time_is_no_change(world: World, change: Callable[[World], Any]) -> None:
    before = world.look()
    change(world)
    assert world.look() == before


class Watching(Keeper):
    """A keeper whose passes cost `cost_s` and end as `after` says."""

    def __init__(self, cost_s: float, after: Callable[[Watching], Any] = lambda _: None) -> None:
        nothing: Any = SimpleNamespace(io=None)
        super().__init__(nothing, 100, nothing)
        self.clock, self.cost_s, self.after = 0.0, cost_s, after

    def run_pass(self) -> Role:
        self.clock += self.cost_s
        self._peer_answers, self._mirrored, self._marks.complete = True, {"one-1"}, {"one-1"}
        self._datastore = cast(Any, SimpleNamespace(settings=Settings(protect=False)))
        self.after(self)
        return Role.PRIMARY


def by_snapshot(it: Watching) -> None:
    it._datastore = cast(Any, SimpleNamespace(settings=Settings(mode=Mode.SNAPSHOT)))


@pytest.fixture
def glances(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the next glances see, the first one first."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    seen: list[str] = []
    monkeypatch.setattr(glance, "look", lambda *_: seen.pop(0))
    return seen


def needs_a_pass(made: Watching, glances: list[str], monkeypatch: pytest.MonkeyPatch, *seen: str) -> bool:
    clock = SimpleNamespace(process_time=lambda: made.clock, monotonic=time.monotonic)
    monkeypatch.setattr(keeper, "time", clock)
    glances[:] = seen
    made._timed_pass()
    return made._changed()


def test_after_a_costly_pass_a_glance_that_shows_the_same_is_enough(
    glances: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not needs_a_pass(Watching(2.0), glances, monkeypatch, "before", "before")


@pytest.mark.parametrize(("made", "seen"), [
    (lambda: Watching(2.0), ("before", "changed while the pass ran")),
    (lambda: Watching(0.05), ("before", "before")),
    (lambda: Watching(2.0, lambda it: it._report.failed.update(a="why")), ("before", "before")),
    (lambda: Watching(2.0, lambda it: it._report.waiting.update(a="why")), ("before", "before")),
    (lambda: Watching(2.0, lambda it: it._mirrored.add("one-2")), ("before", "before")),
    (lambda: Watching(2.0, lambda it: setattr(it, "_peer_answers", False)), ("before", "before")),
    (lambda: Watching(2.0, by_snapshot), ("before", "before")),
], ids=["a change", "cheap", "failed", "waiting", "a first copy", "the peer is dark", "snapshot mode"])
def test_else_a_pass_is_made(
    made: Callable[[], Watching], seen: tuple[str, ...], glances: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needs_a_pass(made(), glances, monkeypatch, *seen)
