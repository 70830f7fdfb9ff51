"""What snapshots the images of a datastore have, against what OpenNebula here lists; and listing them."""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from onedr.ceph import connection, disk_snapshots, images
from onedr.ceph.connection import Pool
from onedr.failover import snapshot_list_plan, target_site
from onedr.failover.snapshot_lists import SnapshotLists
from onedr.model import template
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, number
from onedr.opennebula.datastores import Datastore
from onedr.runs.answer_events import SnapshotShown

_FREE = ("READY", "DISABLED")


class _Disk(NamedTuple):
    """An RBD image with OpenNebula's snapshots. `vm_id` None: an image that no VM uses, `number` its id; else
    the number of the VM's disk.
    """

    name: str
    whose: str
    vm_id: int | None
    number: int
    listed: snapshot_list_plan.SnapshotList


def shown(target: Datastore, frontend: FrontEnd) -> tuple[SnapshotShown, ...]:
    """Every snapshot of the datastore's disks, those that are not listed here too."""
    with connection.connect(target.access) as pool:
        return tuple(
            each for disk in _disks(target, frontend, pool.access.pool) for each in _of_disk(pool, disk)
        )


def list_all(target: Datastore, frontend: FrontEnd) -> tuple[str, ...]:
    """List what can be listed: of images that no VM uses, and of VMs that are powered off.

    Returns warnings.
    """
    with connection.connect(target.access) as pool:
        site = target_site.survey(frontend, target.datastore_id, pool, target.settings)
        lists, unknown = SnapshotLists(site), snapshot_list_plan.SnapshotList()
        try:
            for disk in _disks(target, frontend, pool.access.pool):
                if not {int(each) for each in _existing(pool, disk.name)} - disk.listed.snapshots.keys():
                    continue
                if disk.vm_id is None:
                    lists.list_image(disk.number, disk.name, unknown)
                else:
                    lists.list_disk(disk.vm_id, disk.number, disk.name, unknown, disk.name)
        finally:
            lists.close()
    return tuple(text for texts in site.warnings.values() for text in texts)


def _disks(target: Datastore, frontend: FrontEnd, pool_name: str) -> Iterator[_Disk]:
    for image in frontend.images():
        where, _, name = (image.findtext("SOURCE") or "").partition("/")
        ours = image.findtext("DATASTORE_ID") == str(target.datastore_id) and where == pool_name
        if ours and opennebula_objects.image_state(image) in _FREE and image.findtext("PERSISTENT") == "1":
            tree = image.find("SNAPSHOTS")
            listed = snapshot_list_plan.read_list(() if tree is None else template.from_element(tree))
            image_id = number(image, "ID")
            yield _Disk(name, f"image {image_id} {image.findtext('NAME')}", None, image_id, listed)
    for vm in frontend.vms():
        vm_id = number(vm, "ID")
        trees = tuple((tree.tag, template.from_element(tree)) for tree in vm.iterfind("SNAPSHOTS"))
        record = opennebula_objects.vm_record(vm, {target.datastore_id: None})
        for disk in record.disks:
            where, _, name = (disk.rbd or "").partition("/")
            if disk.datastore_id != target.datastore_id or where != pool_name or disk.shared:
                continue
            listed = snapshot_list_plan.of_disk(trees, disk.disk_id)
            yield _Disk(name, f"disk {disk.disk_id} of VM {vm_id} {record.name}", vm_id, disk.disk_id, listed)


def _existing(pool: Pool, name: str) -> set[str]:
    return disk_snapshots.numbered(pool, name) if pool.exists(name) else set()


def _of_disk(pool: Pool, disk: _Disk) -> Iterator[SnapshotShown]:
    existing = _existing(pool, disk.name)
    for wanted in sorted({int(each) for each in existing} | disk.listed.snapshots.keys()):
        there = str(wanted) in existing
        holder = disk_snapshots.find_snapshot(pool, disk.name, str(wanted)) if there else None
        made, size = _facts(pool, holder, str(wanted)) if holder else (None, None)
        listed = disk.listed.snapshots.get(wanted)
        yield SnapshotShown(
            disk.name, disk.whose, wanted, None if listed is None else listed.name, made, size,
            f"rbd snap rollback {pool.access.pool}/{disk.name}@{wanted}" if listed is None else "",
        )


def _facts(pool: Pool, holder: str, snapshot: str) -> tuple[float | None, int | None]:
    with pool.image(holder, read_only=True) as image:
        found = next((each for each in image.list_snaps() if each["name"] == snapshot), None)
        if found is None:
            return None, None
        return images.made_at(image, found["id"]), int(found["size"])
