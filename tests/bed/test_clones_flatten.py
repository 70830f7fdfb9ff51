"""Clones that are flattened in the background: no VM waits, every one ends protected, whatever happens on the way."""
from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import driver_calls as calls
import pytest
import rados
import rbd
from cloneground import LIMIT_S, Ground, ended, ground
from driver_calls import MIB, contents, facts, image, mode_of, refused, succeeded

from onedr.ceph import base_snapshot, connection, images, space
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.model.types import CephAccess, Settings
from onedr.protection import flatten
from onedr.replication.mirror_image import PROBLEM_KEY
from sandbox.bed import Bed
from sandbox.waiting import until


@pytest.fixture(scope="module")
def g(ceph_bed: Bed) -> Iterator[Ground]:
    with ground(ceph_bed) as made:
        yield made


@pytest.fixture(autouse=True)
def fresh(g: Ground) -> Iterator[None]:
    g.here.api.vms.clear()
    g.here.api.images.clear()
    g.here.api.updates.clear()
    g.settings(DR_CLONES="FLATTEN")
    yield


def why(g: Ground, disk: str) -> str:
    """Why the disk is not protected."""
    return calls.metadata(g.site, disk).get(PROBLEM_KEY, "")


@pytest.fixture
def held(g: Ground) -> Iterator[ExclusiveLock]:
    """Somebody else flattens of this datastore: no keeper may begin."""
    with connection.connect(CephAccess("one", "oneadmin", str(g.site.ceph_conf))) as pool:
        place = ExclusiveLock(pool, f"onedr.flatten.{calls.DATASTORE_ID}")
        until("the place", place.acquire, LIMIT_S)
        yield place
        place.release()


@pytest.mark.parametrize("attributes", [{"DR_CLONES": "FLATTEN"}, {"DR_MODE": "SNAPSHOT"}])
def test_many_at_once_begin_before_they_are_flattened_and_end_protected(
    g: Ground, held: ExclusiveLock, tmp_path: Path, attributes: dict[str, str]
) -> None:
    g.settings(**attributes)
    number = 700 + len(attributes.get("DR_MODE", ""))
    name = g.base(number, tmp_path)
    assert held.acquire(), "for another minute: the base's copy may have taken long"
    disks = [g.vm(vm, name) for vm in range(10, 22)]
    said = ended([g.start("clone", vm, name) for vm in range(10, 22)])  # each VM has its answer
    assert [text for text in said if "waits to be flattened" not in text] == []
    assert {facts(g.site, disk)["parent"] for disk in disks} == {("one", name, "snap")}
    until("the keeper to count them", lambda: g.told(f"{len(disks)} of \\d+ not protected"), LIMIT_S)
    assert {mode_of(g.site, disk) for disk in disks} == {None}, "not mirrored before they are flattened"
    removed = g.here.ds("rm", g.here.api.images[0], g.here.api.datastores[calls.DATASTORE_ID])
    refused(removed, f"it is the base of one/{disks[0]}, ", "Delete them first.")
    held.release()
    g.protected(*disks)
    for disk in disks:
        assert facts(g.site, disk)["parent"] is facts(g.there, disk)["parent"] is None
    until("their notes to go", lambda: not any(why(g, disk) for disk in disks), LIMIT_S)


@pytest.fixture
def slowly(g: Ground) -> Iterator[None]:
    """Flattening takes many seconds, also for a keeper that is at work already: a new one takes its place."""
    with g.slowly():
        kill(g, signal.SIGKILL)
        yield
    kill(g, signal.SIGKILL)


def kill(g: Ground, how: signal.Signals) -> None:
    """End the keepers."""
    keepers = g.keepers()
    for pid in keepers:
        os.kill(pid, how)
    until("the keeper to die", lambda: not set(keepers) & set(g.keepers()), LIMIT_S)


def under_way(g: Ground, disk: str) -> None:
    """Wait until some of the disk is flattened."""
    until("the flattening", lambda: re.fullmatch(r"is being flattened, [1-9]0 %", why(g, disk)), LIMIT_S, 0.02)


def test_a_disk_under_way_says_so_and_can_be_deleted(g: Ground, slowly: None, tmp_path: Path) -> None:
    name = g.slow_base(710, tmp_path)
    g.wake()
    g.protected(name)
    before = (contents(g.site), contents(g.there))
    disk = g.clone(7, name)
    under_way(g, disk)
    g.delete(7, name)
    until("both sites to be clean", lambda: (contents(g.site), contents(g.there)) == before, LIMIT_S, 0.2)
    assert facts(g.site, name)["snapshots"] == []


def test_who_removes_a_disk_ends_its_flattening(g: Ground, slowly: None, tmp_path: Path) -> None:
    name = g.slow_base(714, tmp_path)
    access = CephAccess("one", "oneadmin", str(g.site.ceph_conf))
    with connection.connect(access) as pool, connection.connect(access) as other:
        base_snapshot.clone_from_base(pool, name, f"{name}-9-0")
        queue = flatten.Queue(flatten.Flattener(pool, Settings(flatten_clones=True)), flatten.flatten_lock(pool, 999))
        queue.request(f"{name}-9-0", "waits")
        queue.step()
        until("some of it", lambda: re.search("[1-9]0 %", str(queue.running())), LIMIT_S, 0.02)
        remover = threading.Thread(target=images.remove_image, args=(other, f"{name}-9-0"))
        remover.start()

        def ended() -> bool:
            flatten.cancel_removed(pool, queue)
            return not queue.running()

        until("its end", ended, LIMIT_S)
        assert queue.done == [], "it did not come to its end by itself"
        remover.join(LIMIT_S)
        assert not pool.exists(f"{name}-9-0")
        queue.stop()


@pytest.mark.long
def test_a_killed_keepers_work_is_begun_again(g: Ground, slowly: None, tmp_path: Path) -> None:
    name = g.slow_base(711, tmp_path)
    disk = g.clone(7, name)
    under_way(g, disk)
    kill(g, signal.SIGKILL)
    assert facts(g.site, disk)["parent"] == ("one", name, "snap")
    g.wake()
    until("the flattening to end", lambda: facts(g.site, disk)["parent"] is None, 2 * LIMIT_S)
    g.protected(disk)


@pytest.mark.long
def test_a_vm_that_begins_to_write_in_the_midst_loses_nothing(g: Ground, slowly: None, tmp_path: Path) -> None:
    """Its client takes the lock and the work; what it wrote stands, what it did not write is the base's."""
    name = g.slow_base(712, tmp_path)
    disk = g.clone(7, name)
    under_way(g, disk)
    wanted = bytearray((tmp_path / "base").read_bytes())
    with calls.opened(g.site) as io, rbd.Image(io, disk) as writer:
        for turn in range(32):
            offset = (turn * 37 % 16) * MIB + 4096 * turn
            wanted[offset : offset + 512] = block = os.urandom(512)
            writer.write(block, offset)
        writer.flush()
        assert writer.is_exclusive_lock_owner(), "who writes has the lock"
        until("the flattening to end", lambda: facts(g.site, disk)["parent"] is None, LIMIT_S)
    assert calls.digest(g.site, disk) == calls.sha256(bytes(wanted))
    g.protected(disk)


@pytest.mark.long
def test_without_room_nothing_is_flattened_and_the_reason_is_shown(g: Ground) -> None:
    made = g.here.ds("mkfs", image(713, size=1024), g.here.api.datastores[calls.DATASTORE_ID])
    succeeded(made, "one/one-713\n")
    for block in range(256):  # a little in each object: counted whole
        calls.write(g.site, "one-713", b"x" * 512, block * 4 * MIB)
    with connection.connect(CephAccess("one", "oneadmin", str(g.site.ceph_conf))) as pool:
        stored = next(int(entry["stats"]["stored"]) for entry in pool.mon(prefix="df", detail="detail")["pools"]
                      if entry["name"] == "one")
    quota(g, stored + 512 * MIB)
    try:
        disk = g.clone(7, "one-713")
        until("the reason", lambda: why(g, disk).startswith("cannot be flattened: it needs 1024 MiB and pool one has"), LIMIT_S)
        until("the keeper to count it", lambda: g.told(r"1 of \d+ not protected"), LIMIT_S)
        assert facts(g.site, disk)["parent"] == ("one", "one-713", "snap") and mode_of(g.site, disk) is None
    finally:
        quota(g, 0)
    g.protected(disk)


def quota(g: Ground, size: int) -> None:
    """Limit the pool, or not any more (0)."""
    g.bed.run("site-a", ["ceph", "-n", "client.admin", "osd", "pool", "set-quota", "one", "max_bytes", str(size)],
              check=True, capture_output=True)


def test_room_is_what_the_base_holds(g: Ground) -> None:
    """A large empty base needs none; a hole counts nothing."""
    with connection.connect(CephAccess("one", "oneadmin", str(g.site.ceph_conf))) as pool:
        pool.rbd.create(pool.io, "sparse", 1 << 40, old_format=False)
        with pool.image("sparse") as opened:
            opened.write(b"x" * MIB, 5 << 30)
            opened.create_snap("snap")
        parent = ("one", "sparse", "snap")
        assert (space.snapshot_bytes(pool, parent, 1 << 40), space.snapshot_bytes(pool, parent, 1 << 30)) == (4 * MIB, 0)
        assert space.shortage(pool, "one", 4 * MIB) is None
        assert "it needs 1048576 MiB and pool one has" in str(space.shortage(pool, "one", 1 << 40))
        assert "does not list pool none" in str(space.shortage(pool, "none", 1))
        with pool.image("sparse") as opened:
            opened.remove_snap("snap")
        pool.rbd.remove(pool.io, "sparse")


def test_the_place_is_one_processs_until_it_gives_it_back(g: Ground) -> None:
    access = CephAccess("one", "oneadmin", str(g.site.ceph_conf))
    with connection.connect(access) as pool, connection.connect(access) as other:
        mine, yours = ExclusiveLock(pool, "onedr.flatten.9"), ExclusiveLock(other, "onedr.flatten.9")
        assert (mine.acquire(), yours.acquire(), mine.acquire()) == (True, False, True)
        yours.release()
        assert not yours.acquire(), "what is not ours is not given back"
        mine.release()
        assert yours.acquire() and not mine.acquire()
        yours.release()
        with pytest.raises(rados.ObjectNotFound):
            pool.io.stat("onedr.flatten.9")
