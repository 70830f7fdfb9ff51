"""Transfer-manager actions on VM disks: clone, ln, delete, mvds, cpds, mkimage (argv:
docs/opennebula-facts.md O14).

All work is done in process on the front-end. The host in the arguments is used for the VM's folder only.
"""
from __future__ import annotations

import re

import rbd

from onedr.ceph import base_snapshot, connection, disk_snapshots, group_snapshots, images, mirroring
from onedr.ceph.connection import Pool
from onedr.driver import decode
from onedr.driver import disk as disks
from onedr.driver.decode import RemotePath
from onedr.driver.disk import Disk
from onedr.host import process
from onedr.model import names, parsing, template
from onedr.model.errors import InputError
from onedr.model.types import MIB
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.ceph_access import ceph_access, moves_to_trash

_VM_FOLDER = re.compile(r"/.+/datastores/\d+/(\d+)/?")
_RM_FOLDER_LIMIT_S = 120
_DISK_RESIZE = "62"  # LCM_STATE of a running VM whose disk grows
_CHECKPOINT = "one-sys-{vm_id}-checkpoint"


def clone(arguments: list[str]) -> str:
    """`FE:SOURCE HOST:…/disk.N VM_ID DS_ID`:
    make the thin clone SOURCE-VM-DISK, and mirror it, its parent first.
    """
    frontend = FrontEnd()
    source, disk, datastore = disks.from_image(arguments, frontend)
    name = names.vm_disk(source.name, disk.vm_id, disk.disk_id)
    what = f"disk {disk.disk_id} of VM {disk.vm_id}"
    with connection.connect(disk.connect(source.pool, disks.data_pool_at(frontend, arguments[1]))) as pool:
        disks.must_be_primary(pool, source.name)
        # as in the stock driver, a retry finds its own clone
        if not (pool.exists(name) and images.is_created_for(pool, name, what)):
            with images.creating(pool, name, what):
                base_snapshot.clone_from_base(pool, source.name, name)
                if size := disks.grown_bytes(disk.attributes):
                    images.grow_image(pool, name, size)
        disks.protect_disk(pool, name, datastore, disk)
    return ""


def ln(arguments: list[str]) -> str:
    """`FE:SOURCE HOST:…/disk.N VM_ID DS_ID`: a persistent image is used directly.

    As in the stock driver an unused @snap is removed.
    """
    source, disk, datastore = disks.from_image(arguments, FrontEnd())
    with connection.connect(disk.connect(source.pool)) as pool:
        disks.must_be_primary(pool, source.name)
        base_snapshot.drop_base_snapshot(pool, source.name)
        disks.protect_disk(pool, source.name, datastore, disk)
    return ""


def delete(arguments: list[str]) -> str:
    """`HOST:…/disk.N VM_ID DS_ID`: remove a clone or volatile disk; `HOST:…/<vm>`:
    the VM's folder and checkpoint.
    """
    target_text, vm_text, datastore_text = decode.words(arguments, "TARGET", "VM_ID", "DATASTORE_ID")
    target = decode.remote_path(target_text)
    vm_id, datastore_id = parsing.count(vm_text, "VM_ID"), parsing.count(datastore_text, "DATASTORE_ID")
    frontend = FrontEnd()
    if target.disk_id is None:
        _delete_folder(frontend, target, vm_id, datastore_id)
        return ""
    disk = disks.find_disk(frontend, vm_id, target.disk_id)
    if template.get(disk.attributes, "CLONE").upper() == "NO":
        return ""
    disks.datastore(frontend, datastore_id)
    name = disk.rbd_name
    with connection.connect(disk.connect(name.pool)) as pool:
        _remove_disk(pool, name.name, disk)
        base = template.get(disk.attributes, "SOURCE")
        if base and pool.exists(parsing.source(base).name):
            _drop_unused_snapshot(pool, parsing.source(base).name)
    return ""


def _remove_disk(pool: Pool, name: str, disk: Disk) -> None:
    if _is_free(pool, name):
        disks.must_be_primary(pool, name)
        if moves_to_trash(disk.attributes):
            images.move_to_trash(pool, name)
        else:
            images.remove_image(pool, name)
    disk_snapshots.remove_stock_volumes(pool, name)


def _is_free(pool: Pool, name: str) -> bool:
    """Is there such a disk, to be removed? Raises RefusedError while a point in time of it is locked."""
    try:
        with pool.image(name, read_only=True) as image:
            if group_snapshots.of_image(image):
                from onedr.replication import point_locks  # takes time that a disk without points is spared

                point_locks.refuse_while_locked(image, f"{pool.access.pool}/{name}")
        return True
    except rbd.ImageNotFound:
        return False


def _drop_unused_snapshot(pool: Pool, name: str) -> None:
    if mirroring.is_primary_image(pool, name):
        base_snapshot.drop_base_snapshot(pool, name)


def _delete_folder(frontend: FrontEnd, target: RemotePath, vm_id: int, datastore_id: int) -> None:
    match = _VM_FOLDER.fullmatch(target.path)
    if not match or int(match[1]) != vm_id or ".." in target.path:
        raise InputError(f"{target.path!r} is not the folder of VM {vm_id}; nothing was removed.")
    with connection.connect(ceph_access(disks.datastore(frontend, datastore_id).attributes)) as pool:
        images.remove_image(pool, _CHECKPOINT.format(vm_id=vm_id))
    process.on_host(target.host, ["rm", "-rf", "--", target.path], _RM_FOLDER_LIMIT_S)


def mvds(arguments: list[str]) -> str:
    """`HOST:…/disk.N SOURCE VM_ID DS_ID`:
    nothing to do, as in the stock driver, because the disk is the image.
    """
    decode.words(arguments, "SOURCE", "TARGET", "VM_ID", "DATASTORE_ID")
    return ""


def cpds(arguments: list[str]) -> str:
    """`HOST:…/disk.N POOL/IMAGE SNAP_ID VM_ID DS_ID`: save a disk (or one of its snapshots) as a new image.
    """
    source, target_text, snapshot, vm_text, datastore_text = decode.words(
        arguments, "SOURCE", "TARGET", "SNAP_ID", "VM_ID", "DATASTORE_ID"
    )
    disk_id = decode.disk_id(source)
    target = parsing.source(target_text)
    vm_id, datastore_id = parsing.count(vm_text, "VM_ID"), parsing.count(datastore_text, "DATASTORE_ID")
    frontend = FrontEnd()
    disk = disks.find_disk(frontend, vm_id, disk_id)
    datastore = disks.datastore(frontend, datastore_id)
    name = disk.rbd_name
    if target.pool != name.pool:
        raise InputError(f"Cannot save {name} as {target}: it is in another pool.")
    chosen = None if snapshot == "-1" else str(parsing.count(snapshot, "SNAP_ID"))
    with connection.connect(disk.connect(name.pool, datastore.data_pool)) as pool:
        with images.creating(pool, target.name, f"saved disk {disk_id} of VM {vm_id}"):
            holder = chosen and disk_snapshots.find_snapshot(pool, name.name, chosen)
            images.copy_image(pool, holder or name.name, target.name, chosen)
        disks.protect_disk(pool, target.name, datastore, disk)
    return ""


def mkimage(arguments: list[str]) -> str:
    """`SIZE_MIB FORMAT HOST:…/disk.N VM_ID DS_ID`:
    create a volatile disk, empty or with a file system or swap.
    """
    size_text, format_, target, vm_text, datastore_text = decode.words(
        arguments, "SIZE", "FORMAT", "TARGET", "VM_ID", "DATASTORE_ID"
    )
    size = parsing.count(size_text, "SIZE") * MIB
    disk_id = decode.disk_id(target)
    vm_id, datastore_id = parsing.count(vm_text, "VM_ID"), parsing.count(datastore_text, "DATASTORE_ID")
    frontend = FrontEnd()
    disk = disks.find_disk(frontend, vm_id, disk_id)
    datastore = disks.datastore(frontend, datastore_id)
    name = names.volatile(vm_id, disk_id)
    kind = "swap" if format_ == "swap" else template.get(disk.attributes, "FS")
    with connection.connect(disk.connect(disk.access.pool, datastore.data_pool)) as pool:
        what = f"volatile disk {disk_id} of VM {vm_id}"
        if pool.exists(name) and images.is_created_for(pool, name, what):
            return ""
        with images.creating(pool, name, what):
            if kind:
                # takes 20 ms to load and is rarely needed
                from onedr.driver import datastore as datastore_actions
                from onedr.driver import staging

                folder = staging.staging_folder(datastore.attributes)
                with datastore_actions.formatted_file(kind, size, folder) as path:
                    images.import_file(pool, name, path)
            else:
                images.create_image(pool, name, size)
        disks.protect_disk(pool, name, datastore, disk)
    return ""


def resize(arguments: list[str]) -> str:
    """`HOST:…/disk.N SIZE_MIB VM_ID DS_ID`: grow a disk. It is never shrunk.

    libvirt grows the disk of a running VM itself.
    """
    target, size_text, vm_text, datastore_text = decode.words(
        arguments, "DISK", "SIZE", "VM_ID", "DATASTORE_ID"
    )
    size = parsing.count(size_text, "SIZE") * MIB
    vm_id, disk_id = parsing.count(vm_text, "VM_ID"), decode.disk_id(target)
    frontend = FrontEnd()
    vm = frontend.vm(vm_id)
    disk = disks.of_vm(vm, vm_id, disk_id)
    if vm.findtext("LCM_STATE") == _DISK_RESIZE:
        return ""
    datastore = disks.datastore(frontend, parsing.count(datastore_text, "DATASTORE_ID"))
    name = disk.rbd_name
    with connection.connect(disk.connect(name.pool)) as pool:
        disks.must_be_primary(pool, name.name)
        images.grow_image(pool, name.name, size)
        disks.protect_disk(pool, name.name, datastore, disk)
    return ""


def mkswap(arguments: list[str]) -> str:
    """`SIZE_MIB HOST:…/disk.N VM_ID DS_ID`: create a volatile disk with swap."""
    size, *rest = decode.words(arguments, "SIZE", "TARGET", "VM_ID", "DATASTORE_ID")
    return mkimage([size, "swap", *rest])
