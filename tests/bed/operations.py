"""Everything a user can do to a disk, as rows of a table, and what must be true after each: for both mirroring modes."""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

import oracle
import pyone
import rbd
import workload as w
from lxml import etree

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.model.types import MIB
from sandbox.cloud import Cloud
from sandbox.waiting import SandboxError, until

if TYPE_CHECKING:
    from conftest import Sites

SIZE_MIB = 16
LIMIT_S = 180
_PIECE = 4 * MIB
_USABLE = ("READY", "USED", "USED_PERS")
PERSISTENT, CLONE = 0, 1  # disk ids of every VM here


@dataclass
class Ground:
    """Two sites; VMs with a persistent disk and a clone each, one running, the others off; a spare image.

    `ids`: RBD id and mirroring id of each image when first seen.
    """

    sites: Sites
    here: Pool
    there: Pool
    spare: int
    base: int
    vms: dict[str, int]
    ids: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def cloud(self) -> Cloud:
        return self.sites.a

    @property
    def api(self) -> Any:
        return self.cloud.api

    def disk(self, vm: str, disk_id: int) -> str:
        """RBD name of a VM's disk."""
        return next(disk.name for disk in oracle.vm(self.cloud, self.vms[vm]).disks if disk.number == disk_id)

    def image(self, image_id: int) -> str:
        return w.rbd_name(self.cloud, image_id)

    def at_rest(self, vm: int, state: str = "POWEROFF") -> None:
        """Wait for a VM's state after an operation that must have gone well."""
        found = self.cloud.wait_vm(vm, state)
        assert "ERROR" not in found.USER_TEMPLATE, found.USER_TEMPLATE["ERROR"]

    def write(self, name: str) -> None:
        """Some data that is not there yet: over old data, and where nothing was. In snapshot mode the schedule comes by."""
        with self.here.image(name) as image:
            for offset in (0, int(time.monotonic()) % 10 * MIB + 12345):
                image.write(os.urandom(MIB), offset)
            mirroring.publish_changes(self.here, image)


@contextmanager
def prepared(sites: Sites, attributes: str) -> Iterator[Ground]:
    """The ground, on a datastore with these attributes; every copy is complete."""
    a = sites.a
    a.api.datastore.update(a.datastore_id, attributes, 1)
    images = {name: _image(a, name, name != "base") for name in ("base", "spare", "off", "on", "doomed", "fresh")}
    for image in images.values():
        a.wait_image(image)
    with w.open_pool(a) as here, w.open_pool(sites.b) as there:
        ground = Ground(sites, here, there, images["spare"], images["base"], {})
        ground.write(ground.image(images["base"]))
        for name in ("on", "off", "doomed", "fresh"):
            ground.vms[name] = w.create_vm(a, name, [images[name], images["base"]], wait=False)
        for name, vm in ground.vms.items():
            a.wait_vm(vm)
            if name != "on":
                a.api.vm.action("poweroff-hard", vm)
        for name, vm in ground.vms.items():
            if name != "on":
                a.wait_vm(vm, "POWEROFF")
        w.wait_writing(a, ground.vms["on"])  # a guest that has not booted lets no disk be unplugged
        for name in ground.vms:
            for disk_id in (PERSISTENT, CLONE):
                if name != "on":
                    ground.write(ground.disk(name, disk_id))
        w.wait_complete(a, sorted(expected(a)), LIMIT_S)
        yield ground


def _image(cloud: Cloud, name: str, persistent: bool) -> int:
    kind = "YES" if persistent else "NO"
    text = f"NAME={name}\nTYPE=DATABLOCK\nSIZE={SIZE_MIB}\nPERSISTENT={kind}\nDEV_PREFIX=vd\n"
    return int(cloud.api.image.allocate(text, cloud.datastore_id))


# What must be true

def expected(cloud: Cloud) -> dict[str, set[str]]:
    """The RBD images that the front-end's images and VMs need, with their snapshots."""
    found: dict[str, set[str]] = {}
    frontend = w.frontend(cloud)
    for image in frontend.images():
        if image.findtext("DATASTORE_ID") == str(cloud.datastore_id):
            found[(image.findtext("SOURCE") or "").rpartition("/")[2]] = _ids(image.find("SNAPSHOTS"))
    for summary in frontend.vms():
        vm = oracle.asked(cloud, "vm", int(summary.findtext("ID") or ""))
        trees = {tree.findtext("DISK_ID"): tree for tree in vm.iterfind("SNAPSHOTS")}
        for disk in oracle.disks(cloud, vm):
            found[disk.name] = _ids(trees.get(str(disk.number)))
            if disk.clone:
                found[disk.name.rsplit("-", 2)[0]].add("snap")
    return found


def _ids(tree: etree._Element | Element | None) -> set[str]:
    return set() if tree is None else {str(snapshot.findtext("ID")) for snapshot in tree.iterfind("SNAPSHOT")}


def held(pool: Pool, name: str) -> set[str]:
    """Snapshots of an image in Ceph, mirroring's own apart."""
    with pool.image(name, read_only=True) as image:
        users = [snapshot["name"] for snapshot in image.list_snaps() if snapshot["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER]
    return {str(snapshot) for snapshot in users if not str(snapshot).startswith(".")}


def identity(pool: Pool, name: str) -> tuple[str, str]:
    with pool.image(name, read_only=True) as image:
        return str(image.id()), str(image.mirror_image_get_info()["global_id"])


def trash(pool: Pool) -> list[str]:
    return sorted(item["name"] for item in pool.rbd.trash_list(pool.io))


def settled(ground: Ground, *touched: str, renewed: tuple[str, ...] = ()) -> None:
    """Wait until everything is as it must be; compare the bytes of the `touched` images that no guest writes to.

    `renewed`: images that rightly are other ones now.
    """
    _wait(ground, "no more and no less in both pools", _leftovers)
    _wait(ground, "true records of images", _wrong_records)
    for summary in w.frontend(ground.cloud).vms():
        w.wait_recorded(ground.cloud, int(summary.findtext("ID") or ""), ground.here, ground.there)
    for name in renewed:
        ground.ids.pop(name, None)
    for name in expected(ground.cloud):
        found = identity(ground.here, name)
        assert ground.ids.setdefault(name, found) == found, f"{name} is another RBD image now"
        with ground.here.image(name, read_only=True) as image:
            assert mirroring.mirror_mode(image) is not None
        assert identity(ground.there, name)[1] == found[1]
    for name in touched:
        for snapshot in (None, *sorted(held(ground.here, name) - {"snap"})):
            if snapshot is None and _is_written(ground, name):
                continue
            _wait(ground, f"equal bytes of {name}@{snapshot}", lambda g, n=name, s=snapshot: _unequal(g, n, s))


def _wait(ground: Ground, what: str, problems: Callable[[Ground], Any]) -> None:
    last: list[Any] = []

    def look() -> bool:
        last[:] = [problems(ground)]
        return not last[0]

    try:
        until(what, look, LIMIT_S, 0.5)
    except SandboxError as error:
        raise AssertionError(f"{error}: {last[0]}") from error


def _leftovers(ground: Ground) -> list[str]:
    wanted = expected(ground.cloud)
    found = []
    for site, pool in (("here", ground.here), ("there", ground.there)):
        names = pool.names()
        found += [f"{site}: {name} is too much" for name in names if name not in wanted]
        found += [f"{site}: {name} is missing" for name in wanted if name not in names]
        for name in wanted.keys() & set(names):
            snapshots = held(pool, name)
            # Stock's @snap may stay while clones that were flattened live.
            if snapshots | {"snap"} != wanted[name] | {"snap"} or ("snap" in snapshots and "snap" not in wanted[name]):
                found.append(f"{site}: {name} has snapshots {snapshots}, not {wanted[name]}")
        found += [f"{site}: {name} is in the trash" for name in trash(pool)]
    return found


def _wrong_records(ground: Ground) -> list[str]:
    found = []
    for image in ground.api.imagepool.info(-2, -1, -1).IMAGE:
        if ground.cloud.datastore_id != image.DATASTORE_ID or pyone.IMAGE_STATES(image.STATE).name not in _USABLE:
            continue
        name, wanted = image.SOURCE.rpartition("/")[2], oracle.image(ground.cloud, image.ID)
        for site, pool in (("here", ground.here), ("there", ground.there)):
            said = oracle.of_image_record(w.image_record(pool, name))
            if said != wanted:
                found.append(f"{site}: {name} says {said}, not {wanted}")
    return found


def _is_written(ground: Ground, name: str) -> bool:
    return bool(w.lock_owners(ground.here, name)) and name in {ground.disk("on", disk) for disk in (PERSISTENT, CLONE)}


def _unequal(ground: Ground, name: str, snapshot: str | None) -> str:
    here, there = w.digest_in(ground.here, name, snapshot), w.digest_in(ground.there, name, snapshot)
    return "" if here == there else f"{here} here, {there} there"


# What a user does. Each row leaves the VMs in the states in which it found them.

def snapshots_while_off(ground: Ground, disk: int) -> None:
    """A tree: 0, 1; back to 0; branch 2; back to 1 and 0 again; 2 goes."""
    vm, name, at = ground.vms["off"], ground.disk("off", disk), {}

    def create() -> int:
        ground.write(name)
        made = int(ground.api.vm.disksnapshotcreate(vm, disk, ""))
        ground.at_rest(vm)
        at[made] = w.digest_in(ground.here, name)
        return made

    def revert(snapshot: int) -> None:
        ground.write(name)
        ground.api.vm.disksnapshotrevert(vm, disk, snapshot)
        ground.at_rest(vm)
        assert w.digest_in(ground.here, name) == at[snapshot]
        settled(ground, name)

    first, second = create(), create()
    settled(ground, name)
    revert(first)
    branch = create()
    for snapshot in (second, branch, first):
        revert(snapshot)
    ground.api.vm.disksnapshotdelete(vm, disk, second)
    ground.at_rest(vm)
    settled(ground, name)
    assert str(second) not in held(ground.here, name)


def grow_while_off(ground: Ground, disk: int) -> None:
    """A snapshot, growth, another; back to the small one and to the large one."""
    vm, name, size = ground.vms["off"], ground.disk("off", disk), SIZE_MIB + 8
    small = int(ground.api.vm.disksnapshotcreate(vm, disk, ""))
    ground.at_rest(vm)
    ground.api.vm.diskresize(vm, disk, str(size))
    ground.at_rest(vm)
    settled(ground, name)
    with ground.here.image(name) as image:
        assert image.size() == size * MIB
        image.write(os.urandom(MIB), (size - 2) * MIB)
    large = int(ground.api.vm.disksnapshotcreate(vm, disk, ""))
    ground.at_rest(vm)
    for snapshot, wanted in ((small, SIZE_MIB), (large, size)):
        ground.api.vm.disksnapshotrevert(vm, disk, snapshot)
        ground.at_rest(vm)
        with ground.here.image(name, read_only=True) as image:
            assert image.size() == wanted * MIB
        settled(ground, name)


def snapshot_and_grow_while_on(ground: Ground, disk: int) -> None:
    """A snapshot under a writing guest, growth, another snapshot; the first goes."""
    vm, name = ground.vms["on"], ground.disk("on", disk)
    first = int(ground.api.vm.disksnapshotcreate(vm, disk, ""))
    ground.at_rest(vm, "ACTIVE")
    ground.api.vm.diskresize(vm, disk, str(SIZE_MIB + 4))
    ground.at_rest(vm, "ACTIVE")
    w.wait_writing(ground.cloud, vm, target="vda" if disk == PERSISTENT else "vdb")
    ground.api.vm.disksnapshotcreate(vm, disk, "")
    ground.at_rest(vm, "ACTIVE")
    settled(ground, name)
    with ground.here.image(name, read_only=True) as image:
        assert image.size() == (SIZE_MIB + 4) * MIB
    ground.api.vm.disksnapshotdelete(vm, disk, first)
    ground.at_rest(vm, "ACTIVE")
    settled(ground, name)
    assert str(first) not in held(ground.here, name)


def save_as(ground: Ground, disk: int) -> None:
    """A disk at rest, one of its snapshots, and the disk of a running VM become images."""
    off, name = ground.vms["off"], ground.disk("off", disk)
    snapshot = int(ground.api.vm.disksnapshotcreate(off, disk, ""))
    ground.at_rest(off)
    old = w.digest_in(ground.here, name)
    ground.write(name)
    made = []
    for vm, state, of, wanted in (
        ("off", "POWEROFF", -1, w.digest_in(ground.here, name)), ("off", "POWEROFF", snapshot, old), ("on", "ACTIVE", -1, None),
    ):
        saved = int(ground.api.vm.disksaveas(ground.vms[vm], disk, f"saved {vm} {disk} {of}", "", of))
        ground.cloud.wait_image(saved)
        ground.at_rest(ground.vms[vm], state)
        made.append(saved)
        assert wanted in (None, w.digest_in(ground.here, ground.image(saved), None))
    settled(ground, name, *map(ground.image, made))
    for image in made:
        remove(ground, image, force=image == made[0])


def attach_and_detach(ground: Ground, disk: int) -> None:
    """The spare image as a persistent disk, or the base as a clone: plugged into a running VM, used, unplugged."""
    image = ground.spare if disk == PERSISTENT else ground.base
    vm = ground.vms["on"]
    ground.api.vm.attach(vm, f"DISK=[IMAGE_ID={image}]")
    ground.at_rest(vm, "ACTIVE")
    added = max(found.number for found in oracle.vm(ground.cloud, vm).disks if found.rbd)
    w.wait_writing(ground.cloud, vm, target="vdc")
    name = ground.disk("on", added)
    w.wait_complete(ground.cloud, [name], LIMIT_S)
    settled(ground)
    ground.api.vm.detach(vm, added)
    ground.at_rest(vm, "ACTIVE")
    if disk == PERSISTENT:
        ground.cloud.wait_image(image)
    ground.ids.pop(name, None)
    settled(ground, ground.image(image))


def persistence(ground: Ground) -> None:
    """Persistent and back."""
    for persistent in (False, True):
        ground.api.image.persistent(ground.spare, persistent)
        settled(ground, ground.image(ground.spare))


def clone_an_image(ground: Ground) -> None:
    """A copy of the spare image."""
    ground.write(ground.image(ground.spare))
    made = int(ground.api.image.clone(ground.spare, "copy"))
    ground.cloud.wait_image(made)
    assert w.digest_in(ground.here, ground.image(made), None) == w.digest_in(ground.here, ground.image(ground.spare), None)
    settled(ground, ground.image(made), ground.image(ground.spare))
    remove(ground, made)


def remove(ground: Ground, image: int, force: bool = False) -> None:
    """An image is deleted at both sites."""
    name = ground.image(image)
    ground.api.image.delete(image, force)
    until(f"image {image} to go", lambda: name not in expected(ground.cloud), LIMIT_S)
    ground.ids.pop(name, None)
    settled(ground)


def move_to_trash(ground: Ground) -> None:
    """CEPH_TRASH: the image waits in this site's trash; the peer's copy goes."""
    image = _image(ground.cloud, "trash", True)
    ground.cloud.wait_image(image)
    name = ground.image(image)
    ground.write(name)
    settled(ground, name)
    ground.api.datastore.update(ground.cloud.datastore_id, "CEPH_TRASH=YES", 1)
    ground.api.image.delete(image, False)
    until(f"image {image} to go", lambda: name not in expected(ground.cloud), LIMIT_S)
    ground.api.datastore.update(ground.cloud.datastore_id, "CEPH_TRASH=NO", 1)
    assert trash(ground.here) == [name]
    for item in ground.here.rbd.trash_list(ground.here.io):
        ground.here.rbd.trash_remove(ground.here.io, item["id"])
    ground.ids.pop(name)
    settled(ground)


def recover_recreate(ground: Ground) -> None:
    """The clone is made anew, the persistent disk stays as it is."""
    vm, name, clone = ground.vms["fresh"], ground.disk("fresh", PERSISTENT), ground.disk("fresh", CLONE)
    ground.api.vm.recover(vm, 4)
    ground.at_rest(vm, "ACTIVE")
    ground.api.vm.action("poweroff-hard", vm)
    ground.at_rest(vm)
    w.wait_complete(ground.cloud, [clone], LIMIT_S)
    before = ground.ids.get(clone)
    for each in (name, clone):
        ground.write(each)
    settled(ground, name, clone, renewed=(clone,))
    assert ground.ids[clone] != before


def recover_delete(ground: Ground) -> None:
    """The clone goes at both sites; the persistent image stays, in ERROR, and comes back."""
    vm, clone = ground.vms["doomed"], ground.disk("doomed", CLONE)
    image = next(disk.image for disk in oracle.vm(ground.cloud, vm).disks if not disk.clone)
    assert image is not None
    ground.api.vm.recover(vm, 3)
    ground.cloud.wait_vm(vm, "DONE")
    until("the image to be free", lambda: ground.api.image.info(image).RUNNING_VMS == 0, LIMIT_S)
    until("the clone to go", lambda: clone not in ground.here.names(), LIMIT_S)
    ground.ids.pop(clone, None)
    ground.api.image.enable(image, True)
    ground.cloud.wait_image(image)
    ground.write(ground.image(image))
    settled(ground, ground.image(image))
    del ground.vms["doomed"]


def snapshots_of_an_image(ground: Ground) -> None:
    """The VM goes, its tree stays with the image: revert, delete, flatten there."""
    vm, name = ground.vms["off"], ground.disk("off", PERSISTENT)
    image = next(disk.image for disk in oracle.vm(ground.cloud, vm).disks if not disk.clone)
    assert image is not None
    ids = [int(ground.api.vm.disksnapshotcreate(vm, PERSISTENT, "")) for _ in _each_off(ground, vm, name, 3)]
    at = {snapshot: w.digest_in(ground.here, name, str(snapshot)) for snapshot in ids}
    ground.api.vm.action("terminate", vm)
    ground.cloud.wait_vm(vm, "DONE")
    ground.cloud.wait_image(image)
    ground.ids.pop(ground_clone(ground, name, vm), None)
    del ground.vms["off"]
    settled(ground, name)
    for call, snapshot in ((ground.api.image.snapshotrevert, ids[1]), (ground.api.image.snapshotdelete, ids[2])):
        ground.write(name)
        call(image, snapshot)
        ground.cloud.wait_image(image)
        settled(ground, name)
    assert w.digest_in(ground.here, name, str(ids[0])) == at[ids[0]]
    ground.api.image.snapshotflatten(image, ids[0])
    ground.cloud.wait_image(image)
    assert w.digest_in(ground.here, name) == at[ids[0]]
    settled(ground, name)
    assert held(ground.here, name) == held(ground.there, name) == set()


def _each_off(ground: Ground, vm: int, name: str, count: int) -> Iterator[int]:
    for number in range(count):
        ground.write(name)
        yield number
        ground.at_rest(vm)


def ground_clone(ground: Ground, name: str, vm: int) -> str:
    """Name of the clone that a VM had."""
    return f"{ground.image(ground.base)}-{vm}-{CLONE}"


def end_of_all(ground: Ground) -> None:
    """Every VM terminated, every image deleted: nothing stays in either pool."""
    for vm in ground.vms.values():
        ground.api.vm.action("terminate-hard", vm)
    for vm in ground.vms.values():
        ground.cloud.wait_vm(vm, "DONE")
    for image in w.frontend(ground.cloud).images():
        image_id = int(image.findtext("ID") or "")
        ground.cloud.wait_image(image_id)
        ground.api.image.delete(image_id, False)
    until("empty pools", lambda: (ground.here.names(), ground.there.names()) == ([], []), LIMIT_S)


BY_DISK = (snapshots_while_off, grow_while_off, snapshot_and_grow_while_on, save_as, attach_and_detach)
ONCE = (
    persistence, clone_an_image, move_to_trash, recover_recreate, recover_delete, snapshots_of_an_image, end_of_all,
)
