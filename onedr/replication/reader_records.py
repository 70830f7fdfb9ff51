"""VMs without a disk of their own: they were never deployed, or only read a CDROM. Their records are on the
images that they read through, each under a key of its own (docs/records.md).

The mirroring carries them to the peer with the image. What a clone inherits of them says nothing: a record
counts on those images only that its own disks name.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import rbd
from lxml import etree

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.model import names
from onedr.model.errors import FrontEndError, InputError, OneDRError
from onedr.model.records import NOT_CLONED, NOT_COPIED, DiskRef, Envelope, VmRecord
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, number
from onedr.opennebula.objects import WAITING
from onedr.replication import image_view, records
from onedr.replication.image_view import ImageView
from onedr.replication.ledger import Ledger
from onedr.replication.records import Reader

_COPYING = ("CLONING", "CLONING_FAILURE")


def copied_from(frontend: FrontEnd, vm: etree._Element) -> dict[int, str]:
    """By id of an image that is still being copied for this VM, SOURCE of the image that it is a copy of.

    Raises FrontEndError.
    """
    if opennebula_objects.vm_state(vm) not in _COPYING:
        return {}
    found = {}
    for disk in opennebula_objects.vm_record(vm, ()).disks:
        if disk.reason != NOT_COPIED or disk.image_id is None:
            continue
        try:
            origin = frontend.image(disk.image_id).findtext("CLONING_ID") or "-1"
            if origin != "-1":
                found[disk.image_id] = frontend.image(int(origin)).findtext("SOURCE") or ""
        except FrontEndError as error:
            if error.code != NO_SUCH_OBJECT:
                raise
    return found


def as_found(body: VmRecord, exists: Callable[[str], bool], copied: Mapping[int, str]) -> VmRecord:
    """A VM's record with what is not there yet of its disks. `exists`: is there an RBD image `pool/name`?
    `copied`: of `copied_from`.
    """
    if body.state not in WAITING:
        return body
    return replace(body, disks=tuple(_as_found(disk, exists, copied) for disk in body.disks))


def _as_found(disk: DiskRef, exists: Callable[[str], bool], copied: Mapping[int, str]) -> DiskRef:
    if disk.reason == NOT_COPIED:
        return replace(disk, rbd=copied.get(disk.image_id or 0) or None)
    if disk.protected and disk.clone and disk.rbd and not exists(disk.rbd):
        return replace(disk, protected=False, reason=NOT_CLONED)
    return disk


def carriers(body: VmRecord, pool_name: str) -> list[str]:
    """RBD names of the images in this pool that carry the record of a VM without a disk of its own; of any
    other VM none.
    """
    if any(disk.protected and not disk.shared for disk in body.disks):
        return []
    found = [_read_through(disk, body.vm_id).partition("/") for disk in body.disks]
    return sorted({name for where, _, name in found if where == pool_name and name})


def names_image(record: Envelope, name: str) -> bool:
    """Does the record of a reader say that it reads through the image of this name, in whichever pool?"""
    body = record.body
    return isinstance(body, VmRecord) and any(
        _read_through(disk, body.vm_id).rpartition("/")[2] == name for disk in body.disks
    )


def _read_through(disk: DiskRef, vm_id: int) -> str:
    """`pool/name` of the image that a disk is, or will be, read through; empty for one that has its own."""
    if disk.to_clone:
        return names.base_of(disk.rbd or "", vm_id, disk.disk_id)
    return (disk.rbd or "") if disk.reason == NOT_COPIED or (disk.protected and disk.shared) else ""


def forget(pool: Pool, element: etree._Element, kept: Iterable[str]) -> list[str]:
    """Take a VM's record off the images it reads through, but for those `kept`: it has disks of its own now,
    or is gone. Returns their names.

    Raises rados.Error, rbd.Error, InputError.
    """
    body = opennebula_objects.vm_record(element, ())
    reader, found = Reader(pool.fsid(), body.vm_id), set()
    for disk in body.disks:
        where, _, name = _source(disk, body.vm_id).partition("/")
        if where == pool.access.pool:
            found.add(name)
    views = image_view.read_views(pool, found - set(kept))
    return [
        name for name, view in views.items()
        if isinstance(view, ImageView) and reader in records.readers(view.metadata)
        and remove(pool, name, [reader])
    ]


def remove(pool: Pool, name: str, readers: Iterable[Reader]) -> bool:
    """Take records of readers off an image. Returns whether there were any; never from the peer's copy."""
    with pool.image(name) as image:
        if not mirroring.is_primary(image):
            return False
        removed = [reader for reader in readers if records.remove_records(image, reader.key)]
        if removed:
            mirroring.publish_changes(pool, image)
        return bool(removed)


def outdated(
    images: Mapping[str, ImageView], fsid: str, vms: Iterable[etree._Element], ledger: Ledger
) -> dict[str, list[Reader]]:
    """By primary image here, the readers whose records say nothing any more: this site's VMs that are gone or
    have disks of their own, the peer's that a run made here, and what a clone inherited.
    """
    written = {name: records.readers(view.metadata) for name, view in images.items() if view.primary}
    if not any(written.values()):
        return {}
    read = _read_by(vms)
    made = {entry.origin for entry in ledger.vms.values() if entry.finished}
    found = {
        name: [
            reader for reader in readers
            if names.parse_vm_disk(name)
            or (name not in read.get(reader.vm_id, ()) if reader.fsid == fsid
                else f"{reader.fsid}:{reader.vm_id}" in made)
        ]
        for name, readers in written.items()
    }
    return {name: readers for name, readers in found.items() if readers}


class _Anything(frozenset[str]):
    """Of a VM whose image is still being copied: oned does not say in the VM from which."""

    def __contains__(self, _: object) -> bool:
        return True


def _read_by(vms: Iterable[etree._Element]) -> dict[int, frozenset[str]]:
    """By VM here, names of the images that it may read through without a disk of its own."""
    found: dict[int, frozenset[str]] = {}
    for vm in vms:
        try:
            body = opennebula_objects.vm_record(vm, ())
        except InputError:
            found[number(vm, "ID")] = _Anything()
            continue
        if body.state in _COPYING:
            found[body.vm_id] = _Anything()
            continue
        waits = body.state in WAITING
        found[body.vm_id] = frozenset(
            _source(disk, body.vm_id).partition("/")[2]
            for disk in body.disks if disk.shared or (waits and disk.clone)
        )
    return found


def _source(disk: DiskRef, vm_id: int) -> str:
    """`pool/name` of the image that a disk is a clone of, or is."""
    rbd_name = disk.rbd or ""
    return names.base_of(rbd_name, vm_id, disk.disk_id) if disk.clone else rbd_name


def tidy(pool: Pool, outdated_ones: Mapping[str, list[Reader]]) -> dict[str, str]:
    """Remove what is outdated. Returns why not, by image."""
    failed = {}
    for name, readers in outdated_ones.items():
        try:
            remove(pool, name, readers)
        except (rbd.Error, OneDRError) as error:
            failed[name] = str(error)
    return failed
