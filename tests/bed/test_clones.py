"""Clones that stay clones (DR_CLONES=PARENT, journal mode): after their base's snapshot, thin at both sites,
equal.
"""
from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import driver_calls as calls
import pytest
import rbd
from cloneground import LIMIT_S, Ground, ended, ground, thin
from driver_calls import MIB, contents, facts, mode_of, refused, succeeded

from onedr.ceph import base_snapshot, connection, images, mirroring, parallel
from onedr.model.types import CephAccess, Mode
from onedr.replication import clone_order
from onedr.replication.mirror_image import PROBLEM_KEY
from sandbox.bed import Bed
from sandbox.ceph.keys import PEER_ATTRIBUTES
from sandbox.layout import Site
from sandbox.waiting import until

JOURNAL = rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL


@pytest.fixture(scope="module")
def g(ceph_bed: Bed) -> Iterator[Ground]:
    with ground(ceph_bed) as made:
        yield made


@pytest.fixture(autouse=True)
def fresh(g: Ground) -> Iterator[None]:
    """Each test begins without VMs and images in a datastore with DR_CLONES=PARENT."""
    g.here.api.vms.clear()
    g.here.api.images.clear()
    g.here.api.updates.clear()
    g.settings()
    yield


def write_at_random(g: Ground, name: str, seed: int) -> None:
    """Small writes into objects that only the base has: each is a copy-up."""
    order = random.Random(seed)
    for _ in range(6):
        calls.write(
            g.site, name, order.randbytes(4096), order.randrange(0, calls.facts(g.site, name)["size"] - 4096)
        )


def test_a_clone_follows_its_bases_snapshot_and_no_vm_waits(g: Ground, tmp_path: Path) -> None:
    name = g.base(500, tmp_path, 64)
    g.bed.stop("site-b", "mirror")  # nothing arrives at the peer
    try:
        first = g.clone(7, name)  # answered
        assert mode_of(g.site, first) is None
        assert (
            calls.metadata(g.site, first)[PROBLEM_KEY]
            == f"waits until the snapshot of its base {name} is at the peer"
        )
        until(
            "the keeper to say that one waits",
            lambda: g.told(r"\d+ of \d+ not protected"),
            LIMIT_S,
        )
        assert mode_of(g.site, first) is None and clone_order.ARRIVED_KEY not in calls.metadata(g.site, name)
    finally:
        g.bed.start("site-b", "mirror")
    until("the clone to be mirrored", lambda: mode_of(g.site, first) == JOURNAL, LIMIT_S)
    assert facts(g.there, name)["snapshots"] == [("snap", True)], "its base's snapshot was there before"
    until("the note to go", lambda: PROBLEM_KEY not in calls.metadata(g.site, first), LIMIT_S)
    second = g.clone(8, name)
    assert mode_of(g.site, second) == JOURNAL, (
        "where the snapshot is at the peer already nothing is waited for"
    )
    g.protected(first, second)
    for number, disk in enumerate((first, second)):
        write_at_random(g, disk, number)
    g.protected(first, second)
    for disk in (first, second):
        assert facts(g.site, disk)["parent"] == facts(g.there, disk)["parent"] == ("one", name, "snap")
        assert 0 < thin(g.there, disk) <= thin(g.site, disk) <= 6 * 4 * MIB
    assert tried_in_vain(g) == []


def tried_in_vain(g: Ground) -> list[str]:
    """What the peer's rbd-mirror said of a snapshot it missed: in the wrong order it tries, fails, and tries
    again later.
    """
    with (g.there.folder / "client.rbd-mirror.a.log").open(errors="replace") as log:
        return [line for line in log if "failed to find snapshot snap" in line]


def test_a_new_snapshot_is_not_mistaken_for_the_old_one(g: Ground, tmp_path: Path) -> None:
    """@snap went with the last clone and came again: what was seen at the peer was another one."""
    name = g.base(501, tmp_path)
    g.protected(g.clone(7, name))
    g.delete(7, name)
    until("@snap to go at the peer", lambda: facts(g.there, name)["snapshots"] == [], LIMIT_S)
    g.bed.stop("site-b", "mirror")
    try:
        again = g.clone(8, name)
        assert mode_of(g.site, again) is None
    finally:
        g.bed.start("site-b", "mirror")
    g.protected(again)
    assert facts(g.there, again)["parent"] == ("one", name, "snap")


def test_many_clones_at_once_are_all_protected(g: Ground, tmp_path: Path) -> None:
    name = g.base(502, tmp_path)
    disks = [g.vm(number, name) for number in range(10, 22)]
    assert set(ended([g.start("clone", number, name) for number in range(10, 22)])) == {""}
    g.protected(*disks)
    for number, disk in enumerate(disks[:4]):
        write_at_random(g, disk, number)
    g.protected(*disks)
    assert {facts(g.there, disk)["parent"] for disk in disks} == {("one", name, "snap")}


@pytest.mark.parametrize("attributes", [{}, {"DR_CLONES": "FLATTEN"}, {"DR_MODE": "SNAPSHOT"}])
def test_the_base_goes_after_its_last_clone_and_nothing_stays(
    g: Ground, tmp_path: Path, attributes: dict[str, str]
) -> None:
    number = 510 + len(attributes.get("DR_CLONES", "")) + len(attributes.get("DR_MODE", ""))
    g.settings(**attributes)
    before = (contents(g.site), contents(g.there))
    name = g.base(number, tmp_path)
    disks = [g.clone(vm, name) for vm in (7, 8)]
    if not attributes:
        removed = g.here.ds("rm", g.here.api.images[0], g.here.api.datastores[calls.DATASTORE_ID])
        refused(removed, f"it is the base of one/{disks[0]}, one/{disks[1]}. Delete them first.")
    g.protected(*disks)
    for vm in (7, 8):
        g.delete(vm, name)
    g.publish(name)  # as its schedule does: in snapshot mode snapshots go with the next mirror snapshot
    for site in (g.site, g.there):
        until(f"@snap to leave {site.name}", lambda site=site: not user_snapshots(site, name), LIMIT_S)
    succeeded(g.here.ds("rm", g.here.api.images.pop(), g.here.api.datastores[calls.DATASTORE_ID]))
    until("both sites to be clean", lambda: (contents(g.site), contents(g.there)) == before, LIMIT_S, 0.2)


def user_snapshots(site: Site, name: str) -> list[str]:
    """The image's snapshots, mirror snapshots apart."""
    return [snapshot for snapshot, _ in facts(site, name)["snapshots"] if not snapshot.startswith(".mirror")]


def test_clones_made_while_the_last_one_goes(g: Ground, tmp_path: Path) -> None:
    """The end of one VM drops @snap while two others are made from it."""
    name = g.base(530, tmp_path)
    g.clone(7, name)
    for turn in range(4):
        old, new = 7 + 2 * turn, (9 + 2 * turn, 100 + turn)
        disks = [g.vm(vm, name) for vm in new]
        ended([g.start("delete", old, name), *(g.start("clone", vm, name) for vm in new)])
        del g.here.api.vms[old]
        assert [facts(g.site, disk)["parent"] for disk in disks] == [("one", name, "snap")] * 2
        g.delete(new[1], name)
    last = f"{name}-{7 + 2 * 4}-0"
    g.protected(last)
    write_at_random(g, last, 1)
    g.protected(last)
    for site in (g.site, g.there):
        assert [disk for disk in contents(site)[0] if disk.startswith(f"{name}-")] == [last]


COME_AND_GO = """
import sys
from onedr.ceph import base_snapshot, connection, images
from onedr.model.types import CephAccess
with connection.connect(CephAccess("one", "oneadmin", sys.argv[1])) as pool:
    for turn in range(10):
        name = f"one-535-{sys.argv[2]}-{turn}"
        base_snapshot.clone_from_base(pool, "one-535", name)
        images.remove_image(pool, name)
        base_snapshot.drop_base_snapshot(pool, "one-535")
"""


@pytest.mark.long  # librbd 16.2 hung once in many hundred runs of it (docs/measured.md)
def test_a_bases_snapshot_comes_and_goes_under_the_making_of_clones(g: Ground) -> None:
    """The same race, dense: three VMs at a time come and go, each drops @snap at its end when it may.

    A process each, as drivers are. Without the lock of onedr/ceph/image_lock.py librbd 16.2 dies now and then
    (docs/measured.md).
    """
    access = CephAccess("one", "oneadmin", str(g.site.ceph_conf))
    with connection.connect(access) as pool:
        pool.rbd.create(pool.io, "one-535", 4 * MIB, old_format=False)
        words = [sys.executable, "-c", COME_AND_GO, str(g.site.ceph_conf)]
        ended([Popen([*words, str(vm)], stdout=PIPE, stderr=PIPE) for vm in range(3)])
        base_snapshot.drop_base_snapshot(pool, "one-535")
        assert [name for name in pool.names() if name.startswith("one-535")] == ["one-535"]
        with pool.image("one-535") as image:
            assert images.snapshots(image) == []
        images.remove_image(pool, "one-535")


def test_a_driver_and_the_keeper_enable_at_once(g: Ground) -> None:
    access = CephAccess("one", "oneadmin", str(g.site.ceph_conf))
    with connection.connect(access) as one, connection.connect(access) as other:
        for number, mode in enumerate([Mode.JOURNAL, Mode.SNAPSHOT] * 5):
            name = f"race-{number}"
            one.rbd.create(one.io, name, 8 * MIB, old_format=False)

            def enable(way: int, name: str = name, mode: Mode = mode) -> None:
                pool = (one, other)[way % 2]
                with pool.image(name) as image:
                    mirroring.enable_mirroring(pool, image, mode)

            assert set(parallel.each(range(4), enable, 30).values()) == {None}
            assert mode_of(g.site, name) is not None
            with one.image(name) as image:
                image.mirror_image_disable(True)
            one.rbd.remove(one.io, name)
    for number in range(10):
        calls.vanishes(g.there, f"race-{number}")


@pytest.mark.long
def test_where_the_peer_cannot_be_read_a_clone_does_not_wait(g: Ground, tmp_path: Path) -> None:
    """Neither without the right to (the driver knows that), nor with the peer in the dark (the keeper finds
    that).
    """
    name = g.base(540, tmp_path)
    g.bed.cut()
    try:
        dark = g.clone(7, name)
        until("the keeper to mirror it all the same", lambda: mode_of(g.site, dark) == JOURNAL, LIMIT_S)
        assert clone_order.ARRIVED_KEY not in calls.metadata(g.site, name)
    finally:
        g.bed.heal()
    g.protected(dark)
    name = g.base(541, tmp_path)
    allow(g, "profile rbd")
    try:
        blind = g.clone(8, name)
        assert mode_of(g.site, blind) == JOURNAL
    finally:
        allow(g, f"profile rbd, {PEER_ATTRIBUTES}".replace("\\", ""))
    g.protected(blind)


def allow(g: Ground, monitor: str) -> None:
    """What the datastore's user may ask of the monitors."""
    rights = ["mon", monitor, "osd", "profile rbd", "mgr", "profile rbd"]
    g.bed.run("site-a", ["ceph", "auth", "caps", "client.oneadmin", *rights], check=True, capture_output=True)
