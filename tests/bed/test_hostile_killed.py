"""An action killed after any of its changes in Ceph, then the same again: done or a clear error, and nothing is left behind.

Table-driven: each action says what has to be there, how oned calls it, how a user gets rid of what it made, and what must
be true once it succeeded. tests/bed/killed/sitecustomize.py kills it after its n-th change, for n = 0, 1, 2 ... to its end.
"""
from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import driver_calls as calls
import pytest
from driver_calls import (
    DATASTORE_ID,
    MIB,
    SYSTEM_ID,
    Done,
    Drivers,
    contents,
    datastore,
    digest,
    facts,
    image,
    refused,
    succeeded,
)

from sandbox.bed import Bed
from sandbox.ceph.cluster import command, connect
from sandbox.layout import REPO, Site
from sandbox.waiting import until

EVERY = "KILL_POINTS" in os.environ  # all actions; without it a few, so that CI ends in time (docs/testing.md)
MOST_POINTS = int(os.environ.get("KILL_POINTS", "4"))  # of an action with many: the first, the last, and some between
NUMBERS = itertools.count(1000)
BYSTANDERS = ("one-7", "one-700-7-0", "users-own")


class World:
    """Drivers at site-a with a canned front-end, a protected datastore, and images that are nobody's business."""

    def __init__(self, here: Drivers, folder: Path):
        self.here, self.site, self.folder = here, here.site, folder
        self.store = datastore(here.site, DR_PROTECT="YES", STAGING_DIR=str(folder / "staging"))
        (folder / "staging").mkdir()
        here.api.datastores[DATASTORE_ID] = self.store
        system = datastore(here.site, STAGING_DIR=str(folder / "staging"))
        here.api.datastores[SYSTEM_ID] = {**system, "ID": SYSTEM_ID, "NAME": "system"}
        calls.random_file(folder / "data", 8 * MIB, seed=1)
        for name in BYSTANDERS:
            here.rbd("import", "--image-format", "2", str(folder / "data"), f"one/{name}")

    def of(self, number: int, **more: Any) -> calls.Tree:
        return image(number, **{"PATH": str(self.folder / "data"), **more})

    def ds(self, action: str, number: int, source: bool = True, env: dict[str, Any] | None = None, **more: Any) -> Done:
        """A datastore action; with `source` oned knows the image's SOURCE already."""
        known = {"SOURCE": f"one/one-{number}"} if source else {}
        stdin = calls.stdin_of(self.of(number, **{**known, **more}), self.store)
        return self.here.call("datastore", action, number, stdin=stdin, **(env or {}))

    def tm(self, action: str, *argv: object, env: dict[str, Any] | None = None) -> Done:
        return self.here.call("tm", action, *argv, **(env or {}))

    def vm(self, number: int, **disk: str) -> None:
        """VM `number` with a disk 0 that is a clone of image `number`."""
        usual = {"CEPH_USER": "oneadmin", "CEPH_CONF": str(self.site.ceph_conf), "POOL_NAME": "one", "DISK_ID": "0"}
        found = {"SOURCE": f"one/one-{number}", "CLONE": "YES", "SIZE": "8", "ORIGINAL_SIZE": "8", **disk}
        found = {key: value for key, value in found.items() if value}
        self.here.api.vms[number] = {"ID": number, "NAME": "v", "TEMPLATE": {"DISK": {**usual, **found}}, "USER_TEMPLATE": {}}


def place(number: int) -> str:
    return f"localhost:/var/lib/one/datastores/{SYSTEM_ID}/{number}/disk.0"


def base(world: World, number: int) -> None:
    succeeded(world.ds("cp", number, source=False), f"one/one-{number} raw\n")


def base_and_vm(world: World, number: int) -> None:
    base(world, number)
    world.vm(number, SIZE="12")


def disk(world: World, number: int) -> None:
    """Image `number` and its clone as disk 0 of VM `number`, with a snapshot 0 of other data than now."""
    base(world, number)
    world.vm(number)
    done = world.tm("clone", f"front:one/one-{number}", place(number), number, DATASTORE_ID)
    assert done.returncode == 0, done.stderr
    with_snapshot(world, f"one-{number}-{number}-0")


def with_snapshot(world: World, name: str) -> None:
    calls.write(world.site, name, b"before" * 1000, 0)
    world.here.rbd("snap", "create", f"one/{name}@0")
    world.here.rbd("snap", "protect", f"one/{name}@0")
    calls.write(world.site, name, b"after!" * 1000, 5 * MIB)


def at_snapshot(world: World, name: str) -> bytes:
    return bytes(calls.read(world.site, name, 0, 6000) + calls.read(world.site, name, 5 * MIB, 6000))


def gone_image(world: World, number: int, known: bool) -> None:
    """A client that was killed a moment ago still counts as one at work: the user deletes again."""
    found: list[Done] = []

    def is_free() -> bool:
        found[:] = [world.ds("rm", number, source=known)]
        return "still in use" not in found[0].stderr

    until("the killed client to be forgotten", is_free, 60, 1)
    succeeded(found[0])


def gone_disk(world: World, number: int, known: bool = True) -> None:
    succeeded(world.tm("delete", place(number), number, DATASTORE_ID))
    gone_image(world, number, True)


@dataclass(frozen=True)
class Action:
    """`before` makes ready, `call` is the action, `after` what a user does to be rid of it (`known`: it succeeded at last)."""

    name: str
    call: Callable[[World, int, dict[str, str]], Done]
    before: Callable[[World, int], None] = lambda world, number: None
    after: Callable[[World, int, bool], None] = gone_image
    holds: Callable[[World, int], bool] = lambda world, number: True


def cpds(world: World, number: int, env: dict[str, str]) -> Done:
    return world.tm("cpds", place(number), f"one/one-{number + 500000}", -1, number, DATASTORE_ID, env=env)


def after_cpds(world: World, number: int, known: bool) -> None:
    gone_image(world, number + 500000, True)
    gone_disk(world, number)


def whole(world: World, number: int) -> bool:
    return digest(world.site, f"one-{number}") == digest(world.site, BYSTANDERS[0])


def disk_action(name: str, *more: object) -> Callable[[World, int, dict[str, str]], Done]:
    return lambda world, number, env: world.tm(name, place(number), *more, number, DATASTORE_ID, env=env)


def snapshots_of(world: World, name: str) -> list[str]:
    return [snapshot for snapshot, _ in facts(world.site, name)["snapshots"] if snapshot.isdecimal()]


def disk_of(number: int) -> str:
    return f"one-{number}-{number}-0"


def image_with_snapshot(world: World, number: int) -> None:
    base(world, number)
    with_snapshot(world, f"one-{number}")


ACTIONS = [
    Action("cp", lambda world, number, env: world.ds("cp", number, False, env), holds=whole),
    Action("mkfs", lambda world, number, env: world.ds("mkfs", number, False, env, SIZE=16)),
    Action("mkfs-ext4", lambda world, number, env: world.ds("mkfs", number, False, env, SIZE=16, FS="ext4")),
    Action(
        "image-clone", lambda world, number, env: world.ds("clone", number, False, env, PATH=f"one/{BYSTANDERS[0]}"), holds=whole,
    ),
    Action("rm", lambda world, number, env: world.ds("rm", number, True, env), before=base),
    Action(
        "clone", lambda world, number, env: world.tm(
            "clone", f"front:one/one-{number}", place(number), number, DATASTORE_ID, env=env
        ),
        before=base_and_vm, after=gone_disk,
        holds=lambda world, number: facts(world.site, disk_of(number))["size"] == 12 * MIB,
    ),
    Action("delete", disk_action("delete"), before=disk, after=gone_disk),
    Action("cpds", cpds, before=disk, after=after_cpds, holds=lambda world, number: (
        digest(world.site, f"one-{number + 500000}") == digest(world.site, disk_of(number))
    )),
    Action(
        "mkimage", lambda world, number, env: world.tm("mkimage", 16, "raw", place(number), number, SYSTEM_ID, env=env),
        before=lambda world, number: world.vm(number, SOURCE="", CLONE=""),
        after=lambda world, number, known: succeeded(world.tm("delete", place(number), number, SYSTEM_ID)),
    ),
    Action("resize", disk_action("resize", 24), before=disk, after=gone_disk, holds=lambda world, number: (
        facts(world.site, disk_of(number))["size"] == 24 * MIB
    )),
    Action("snap_create", disk_action("snap_create", 1), before=disk, after=gone_disk, holds=lambda world, number: (
        snapshots_of(world, disk_of(number)) == ["0", "1"]
    )),
    Action("snap_delete", disk_action("snap_delete", 0), before=disk, after=gone_disk, holds=lambda world, number: (
        snapshots_of(world, disk_of(number)) == []
    )),
    Action("snap_revert", disk_action("snap_revert", 0), before=disk, after=gone_disk, holds=lambda world, number: (
        at_snapshot(world, disk_of(number))[:6000] == b"before" * 1000 and b"after!" not in at_snapshot(world, disk_of(number))
    )),
    Action(
        "snap_flatten", lambda world, number, env: world.ds("snap_flatten", number, True, env, TARGET_SNAPSHOT=0),
        before=image_with_snapshot, holds=lambda world, number: (
            snapshots_of(world, f"one-{number}") == [] and b"after!" not in at_snapshot(world, f"one-{number}")
        ),
    ),
]


@pytest.fixture(scope="module")
def world(ceph_bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with connect(ceph_bed.sites["site-a"]) as cluster:  # how long a dead client counts as one at work
        command(cluster, prefix="config set", who="osd", name="osd_client_watch_timeout", value="12")
    with calls.no_keeper(*ceph_bed.sites.values()), calls.front_end(ceph_bed) as api:
        yield World(Drivers(ceph_bed, "site-a", api), tmp_path_factory.mktemp("killed"))


def shim(**more: str) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(REPO / "tests" / "bed" / "killed"), str(REPO)]), **more}


def changes(world: World, action: Action) -> int:
    """How many changes the action makes when it is left alone."""
    number, log = next(NUMBERS), world.folder / f"{action.name}.log"
    action.before(world, number)
    done = action.call(world, number, shim(CALLS_LOG=str(log)))
    assert done.returncode == 0, done.stderr
    assert action.name == "rm" or action.name == "delete" or action.holds(world, number)
    if action.name != "rm":
        action.after(world, number, True)
    return len(log.read_text().splitlines())


def killed_then_again(world: World, action: Action, point: int) -> None:
    number = next(NUMBERS)
    action.before(world, number)
    cut = action.call(world, number, shim(CALLS_KILL_AFTER=str(point)))
    assert cut.returncode == -9, f"{action.name} was not killed after change {point}: {cut.stderr}"
    again = action.call(world, number, {})
    if again.returncode == 0:
        assert action.name in ("rm", "delete") or action.holds(world, number), f"{action.name} after change {point}"
    else:
        refused(again)
    action.after(world, number, again.returncode == 0)


def left(world: World, site: Site) -> list[str]:
    with connect(site) as cluster, cluster.open_ioctx("one") as io:
        noted = [str(key) for key in calls.omap(io, "onedr.making")]
    names, trash = contents(site)
    return sorted({*names, *trash, *noted} - set(BYSTANDERS))


CHOSEN = [
    pytest.param(action, marks=[pytest.mark.long] if action.name == "snap_revert" else [])
    for action in ACTIONS if action.name in ("cp", "clone", "delete", "snap_revert")
]


@pytest.mark.parametrize("action", ACTIONS if EVERY else CHOSEN, ids=lambda action: action.name)
def test_killed_after_any_change_and_called_again(world: World, ceph_bed: Bed, action: Action) -> None:
    before = {name: (digest(world.site, name), calls.metadata(world.site, name)) for name in BYSTANDERS}
    count = changes(world, action)
    assert count
    points = sorted({round(point * count / MOST_POINTS) for point in range(MOST_POINTS + 1)})
    with ThreadPoolExecutor(len(points)) as pool:
        for attempt in [pool.submit(killed_then_again, world, action, point) for point in points if point <= count]:
            attempt.result()
    assert left(world, world.site) == []
    assert list((world.folder / "staging").iterdir()) == []
    until("the peer to hold nothing", lambda: left(world, ceph_bed.sites["site-b"]) == [], 90, 0.5)
    assert {name: (digest(world.site, name), calls.metadata(world.site, name)) for name in BYSTANDERS} == before
