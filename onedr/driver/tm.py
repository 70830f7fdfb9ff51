"""Transfer-manager actions on VM disks: clone, ln, delete, mvds, cpds, mkimage, monitor (argv: ONED-FACTS §3).

Everything happens on the front-end in process; the host in the arguments matters only for the VM's folder.
"""
from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace

import rbd

from onedr import names, parse, template
from onedr.driver import datastore as datastore_actions
from onedr.driver import decode, staging
from onedr.driver.decode import Place
from onedr.errors import InputError, RefusedError
from onedr.model import MIB, CephAccess, ImageName
from onedr.ops import wake
from onedr.ops.protect import protect
from onedr.policy import settings as policy
from onedr.policy.settings import wants_protection
from onedr.ports import ceph, images, mirror, process
from onedr.ports.access import ceph_access, moves_to_trash
from onedr.ports.ceph import Pool
from onedr.ports.frontend import FrontEnd, attributes
from onedr.template import Pairs

_DISK_PLACE = re.compile(r".*/datastores/(\d+)/\d+/disk\.\d+")
_VM_FOLDER = re.compile(r"/.+/datastores/\d+/(\d+)/?")
_RM_FOLDER_LIMIT_S = 120
_CHECKPOINT = "one-sys-{vm_id}-checkpoint"


@dataclass(frozen=True)
class _Disk:
    """A VM's disk as oned knows it."""

    vm_id: int
    disk_id: int
    attributes: Pairs
    user_template: Pairs

    @property
    def access(self) -> CephAccess:
        return ceph_access(self.attributes)

    @property
    def rbd_name(self) -> ImageName:
        source = template.get(self.attributes, "SOURCE")
        if not source:
            return ImageName(self.access.pool, names.volatile(self.vm_id, self.disk_id))
        found = parse.source(source)
        if template.get(self.attributes, "CLONE").upper() == "YES":
            return ImageName(found.pool, names.vm_disk(found.name, self.vm_id, self.disk_id))
        return found

    def connect(self, pool: str, data_pool: str = "") -> CephAccess:
        """Access to the pool the disk lies in (SOURCE says which); new data goes to `data_pool`."""
        return replace(self.access, pool=pool, data_pool=data_pool)


@dataclass(frozen=True)
class _Datastore:
    """A datastore as oned knows it."""

    datastore_id: int
    name: str
    attributes: Pairs

    @property
    def data_pool(self) -> str:
        return template.get(self.attributes, "EC_POOL_NAME")


def _disk(frontend: FrontEnd, vm_id: int, disk_id: int) -> _Disk:
    vm = frontend.vm(vm_id)
    for disk in template.vectors(attributes(vm), "DISK"):
        if template.get(disk, "DISK_ID") == str(disk_id):
            return _Disk(vm_id, disk_id, disk, attributes(vm, "USER_TEMPLATE"))
    raise InputError(f"VM {vm_id} has no disk {disk_id}.")


def _datastore(frontend: FrontEnd, datastore_id: int) -> _Datastore:
    found = frontend.datastore(datastore_id)
    return _Datastore(datastore_id, found.findtext("NAME") or str(datastore_id), attributes(found))


def _from_image(arguments: list[str], frontend: FrontEnd) -> tuple[ImageName, _Disk, _Datastore]:
    """What `FE:SOURCE HOST:…/disk.N VM_ID DS_ID` names."""
    source, target, vm_id, datastore_id = decode.words(arguments, "SOURCE", "TARGET", "VM_ID", "DATASTORE_ID")
    found = parse.source(source.partition(":")[2])
    disk_id = decode.disk_id(target)
    vm, datastore = parse.count(vm_id, "VM_ID"), parse.count(datastore_id, "DATASTORE_ID")
    return found, _disk(frontend, vm, disk_id), _datastore(frontend, datastore)


def clone(arguments: list[str]) -> str:
    """`FE:SOURCE HOST:…/disk.N VM_ID DS_ID`: a thin clone SOURCE-VM-DISK; mirrored, its parent first."""
    frontend = FrontEnd()
    source, disk, datastore = _from_image(arguments, frontend)
    name = names.vm_disk(source.name, disk.vm_id, disk.disk_id)
    what = f"disk {disk.disk_id} of VM {disk.vm_id}"
    with ceph.connect(disk.connect(source.pool, _data_pool_at(frontend, arguments[1]))) as pool:
        _must_be_primary(pool, source.name)
        if not (pool.exists(name) and images.is_mine(pool, name, what)):  # as stock: a retry finds its own clone
            with images.making(pool, name, what):
                images.clone(pool, source.name, name)
                _grow(pool, name, disk.attributes)
        _protect(pool, name, datastore, disk)
    return ""


def _data_pool_at(frontend: FrontEnd, target: str) -> str:
    """EC_POOL_NAME of the system datastore the VM lies in; as in stock, not that of the image's datastore."""
    match = _DISK_PLACE.fullmatch(target)
    return _datastore(frontend, int(match[1])).data_pool if match else ""


def _grow(pool: Pool, name: str, disk: Pairs) -> None:
    original, wanted = template.get(disk, "ORIGINAL_SIZE"), template.get(disk, "SIZE")
    if original and wanted and parse.count(wanted, "SIZE") > parse.count(original, "ORIGINAL_SIZE"):
        with pool.image(name) as image:
            image.resize(parse.count(wanted, "SIZE") * MIB)


def _protect(pool: Pool, name: str, datastore: _Datastore, disk: _Disk) -> None:
    try:
        settings = policy.read(datastore.attributes, datastore.name)
    except InputError as error:  # a slip in a DR_ attribute stops no VM
        print(f"WARN: {name} is not protected yet: {error}", file=sys.stderr)
        return
    if not wants_protection(settings, disk.attributes, disk.user_template):
        return
    reason = protect(pool, name, settings)
    if reason:
        print(f"WARN: {name} is not protected yet: {reason}", file=sys.stderr)
    wake.keeper(datastore.datastore_id)


def _must_be_primary(pool: Pool, name: str) -> None:
    try:
        with pool.image(name, read_only=True) as image:
            primary = mirror.is_primary(image)
    except rbd.ImageNotFound as error:
        raise InputError(f"RBD image {pool.access.pool}/{name} does not exist.") from error
    if not primary:  # a guest would boot and then get I/O errors (CEPH-FACTS §9); and the peer may run it (P22)
        raise RefusedError(
            f"RBD image {pool.access.pool}/{name} is the peer's copy here, not the primary: the VM must not start at "
            f"this site. See onedr status; onedr failover makes this site the primary."
        )


def ln(arguments: list[str]) -> str:
    """`FE:SOURCE HOST:…/disk.N VM_ID DS_ID`: a persistent image is used as it is; as in stock an unused @snap goes."""
    source, disk, datastore = _from_image(arguments, FrontEnd())
    with ceph.connect(disk.connect(source.pool)) as pool:
        _must_be_primary(pool, source.name)
        images.drop_base_snapshot(pool, source.name)
        _protect(pool, source.name, datastore, disk)
    return ""


def delete(arguments: list[str]) -> str:
    """`HOST:…/disk.N VM_ID DS_ID`: remove a clone or volatile disk; `HOST:…/<vm>`: the VM's folder and checkpoint."""
    target_text, vm_text, datastore_text = decode.words(arguments, "TARGET", "VM_ID", "DATASTORE_ID")
    target = decode.place(target_text)
    vm_id, datastore_id = parse.count(vm_text, "VM_ID"), parse.count(datastore_text, "DATASTORE_ID")
    frontend = FrontEnd()
    if target.disk_id is None:
        _delete_folder(frontend, target, vm_id, datastore_id)
        return ""
    disk = _disk(frontend, vm_id, target.disk_id)
    if template.get(disk.attributes, "CLONE").upper() == "NO":
        return ""
    name = disk.rbd_name
    with ceph.connect(disk.connect(name.pool)) as pool:
        _remove_disk(pool, name.name, disk)
        base = template.get(disk.attributes, "SOURCE")
        if base and pool.exists(parse.source(base).name):
            _drop_unused_snapshot(pool, parse.source(base).name)
    return ""


def _remove_disk(pool: Pool, name: str, disk: _Disk) -> None:
    if not pool.exists(name):
        return
    _must_be_primary(pool, name)
    if moves_to_trash(disk.attributes):
        images.move_to_trash(pool, name)
    else:
        images.remove(pool, name)


def _drop_unused_snapshot(pool: Pool, name: str) -> None:
    with pool.image(name, read_only=True) as image:
        primary = mirror.is_primary(image)
    if primary:
        images.drop_base_snapshot(pool, name)


def _delete_folder(frontend: FrontEnd, target: Place, vm_id: int, datastore_id: int) -> None:
    match = _VM_FOLDER.fullmatch(target.path)
    if not match or int(match[1]) != vm_id or ".." in target.path:
        raise InputError(f"{target.path!r} is not the folder of VM {vm_id}; nothing was removed.")
    with ceph.connect(ceph_access(_datastore(frontend, datastore_id).attributes)) as pool:
        images.remove(pool, _CHECKPOINT.format(vm_id=vm_id))
    process.on_host(target.host, ["rm", "-rf", "--", target.path], _RM_FOLDER_LIMIT_S)


def mvds(arguments: list[str]) -> str:
    """`HOST:…/disk.N SOURCE VM_ID DS_ID`: nothing moves, the disk is the image; as in stock."""
    decode.words(arguments, "SOURCE", "TARGET", "VM_ID", "DATASTORE_ID")
    return ""


def cpds(arguments: list[str]) -> str:
    """`HOST:…/disk.N POOL/IMAGE SNAP_ID VM_ID DS_ID`: save a disk (or one of its snapshots) as a new image."""
    source, target_text, snapshot, vm_text, datastore_text = decode.words(
        arguments, "SOURCE", "TARGET", "SNAP_ID", "VM_ID", "DATASTORE_ID"
    )
    disk_id = decode.disk_id(source)
    target = parse.source(target_text)
    vm_id, datastore_id = parse.count(vm_text, "VM_ID"), parse.count(datastore_text, "DATASTORE_ID")
    frontend = FrontEnd()
    disk = _disk(frontend, vm_id, disk_id)
    datastore = _datastore(frontend, datastore_id)
    name = disk.rbd_name
    if target.pool != name.pool:
        raise InputError(f"Cannot save {name} as {target}: it lies in another pool.")
    chosen = None if snapshot == "-1" else str(parse.count(snapshot, "SNAP_ID"))
    with ceph.connect(disk.connect(name.pool, datastore.data_pool)) as pool:
        with images.making(pool, target.name, f"saved disk {disk_id} of VM {vm_id}"):
            images.copy(pool, name.name, target.name, chosen)
        _protect(pool, target.name, datastore, disk)
    return ""


def mkimage(arguments: list[str]) -> str:
    """`SIZE_MIB FORMAT HOST:…/disk.N VM_ID DS_ID`: a volatile disk, empty, with a file system or swap."""
    size_text, format_, target, vm_text, datastore_text = decode.words(
        arguments, "SIZE", "FORMAT", "TARGET", "VM_ID", "DATASTORE_ID"
    )
    size = parse.count(size_text, "SIZE") * MIB
    disk_id = decode.disk_id(target)
    vm_id, datastore_id = parse.count(vm_text, "VM_ID"), parse.count(datastore_text, "DATASTORE_ID")
    frontend = FrontEnd()
    disk = _disk(frontend, vm_id, disk_id)
    datastore = _datastore(frontend, datastore_id)
    name = names.volatile(vm_id, disk_id)
    kind = "swap" if format_ == "swap" else template.get(disk.attributes, "FS")
    with ceph.connect(disk.connect(disk.access.pool, datastore.data_pool)) as pool:
        what = f"volatile disk {disk_id} of VM {vm_id}"
        if pool.exists(name) and images.is_mine(pool, name, what):
            return ""
        with images.making(pool, name, what):
            if kind:
                folder = staging.staging_folder(datastore.attributes)
                with datastore_actions.formatted_file(kind, size, folder) as path:
                    images.import_file(pool, name, path)
            else:
                images.create(pool, name, size)
        _protect(pool, name, datastore, disk)
    return ""


def monitor(arguments: list[str]) -> str:
    """A system datastore's usage; same answer as for an image datastore."""
    return datastore_actions.monitor(arguments)
