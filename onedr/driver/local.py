"""Transfer-manager actions on disks that a system datastore with TM_MAD=ssh keeps as files of the host
(TM_MAD_SYSTEM=ssh).

Such a disk is not mirrored while its VM runs. A persistent one is copied back into its mirrored image when
the VM ends. The data is transferred through this machine, so the host needs no access to Ceph (the stock
driver runs `rbd` on the host).
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lxml import etree

from onedr.ceph import base_snapshot, connection, image_data, images
from onedr.ceph.connection import Pool
from onedr.driver import decode
from onedr.driver import disk as disks
from onedr.driver.disk import Disk, DriverDatastore
from onedr.host import process
from onedr.model import parsing
from onedr.model.errors import InputError, OneDRError, RefusedError, StorageError
from onedr.opennebula import host_disk
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.ceph_access import hypervisor_defaults
from onedr.opennebula.host_disk import HostFile

_PLACE = re.compile(r"/[^\0]*/datastores/\d+/(\d+)/disk\.\d+")
_SAVING_LIVE, _RESIZING_LIVE = "26", "62"  # LCM_STATE HOTPLUG_SAVEAS, DISK_RESIZE
_SAVING_WITHOUT_HOST = ("67", "68")  # HOTPLUG_SAVEAS_UNDEPLOYED, _STOPPED
_RESIZE_LIMIT_S = 120
_SYSTEM = "ssh"


def clone(arguments: list[str]) -> str:
    """`FE:SOURCE HOST:…/disk.N VM_ID DS_ID`: copy the image to a file on the host, grown to the disk's SIZE.
    """
    source, disk, _ = disks.from_image(arguments, FrontEnd())
    target = _file(arguments[1], disk.vm_id)
    with connection.connect(disk.connect(source.pool)) as pool:
        disks.must_be_primary(pool, source.name)
        _copy_out(pool, source.name, target, disks.grown_bytes(disk.attributes))
    return ""


def ln(arguments: list[str]) -> str:
    """The same for a persistent image.

    As in the stock driver an unused @snap is removed. `mvds` copies it back.
    """
    source, disk, datastore = disks.from_image(arguments, FrontEnd())
    target = _file(arguments[1], disk.vm_id)
    with connection.connect(disk.connect(source.pool)) as pool:
        disks.must_be_primary(pool, source.name)
        base_snapshot.drop_base_snapshot(pool, source.name)
        disks.protect_disk(pool, source.name, datastore, disk)
        _copy_out(pool, source.name, target, 0)
    return ""


def _copy_out(pool: Pool, name: str, target: HostFile, at_least: int) -> None:
    with pool.image(name, read_only=True) as image:
        areas = image_data.areas(image)
        data = image_data.read_areas(image, areas)
        host_disk.write_file(target, max(int(image.size()), at_least), areas, data, _SYSTEM)


def mvds(arguments: list[str]) -> str:
    """`HOST:…/disk.N SOURCE VM_ID DS_ID`: copy the file back into its image, in place, then remove the file.
    """
    source_text, target_text, vm_text, datastore_text = decode.words(
        arguments, "SOURCE", "TARGET", "VM_ID", "DATASTORE_ID"
    )
    vm, disk, datastore = _found(source_text, vm_text, datastore_text)
    file = _file(source_text, disk.vm_id)
    _live_only_on_kvm(vm, "mvds")
    if vm.findtext("HISTORY_RECORDS/HISTORY[last()]/HOSTNAME") != file.host:
        raise RefusedError(
            "Saving a disk that is a file on its host is not supported while the VM is undeployed or stopped."
        )
    name = disk.rbd_name
    with connection.connect(disk.connect(name.pool)) as pool:
        disks.must_be_primary(pool, name.name)
        with host_disk.read_file(file) as content:
            _must_fit(pool, name.name, content.size, disks.grown_bytes(disk.attributes), file)
            image_data.rewrite(pool, name.name, content.size, content.blocks)
        disks.protect_disk(pool, name.name, datastore, disk)
    host_disk.remove_file(file)
    return ""


def _must_fit(pool: Pool, name: str, size: int, grown: int, file: HostFile) -> None:
    """A truncated file would erase the rest of its image,
    and one that grew without a resize does not belong to it.
    """
    with pool.image(name, read_only=True) as image:
        now = int(image.size())
    if size < now or (size > now and size != grown):
        raise RefusedError(
            f"{file.path} on {file.host} has {size} bytes and its image {pool.access.pool}/{name} has {now}, "
            "so it is not written back. Find out which one is correct, then run onevm recover --retry, or "
            "--success to continue without it."
        )


def cpds(arguments: list[str]) -> str:
    """`HOST:…/disk.N POOL/IMAGE SNAP_ID VM_ID DS_ID`: save the file as a new image.

    A running VM is frozen or suspended meanwhile.
    """
    source_text, target_text, snapshot, vm_text, datastore_text = decode.words(
        arguments, "SOURCE", "TARGET", "SNAP_ID", "VM_ID", "DATASTORE_ID"
    )
    target = parsing.source(target_text)
    vm, disk, datastore = _found(source_text, vm_text, datastore_text)
    file = _file(source_text, disk.vm_id)
    _live_only_on_kvm(vm, "cpds")
    if vm.findtext("LCM_STATE") in _SAVING_WITHOUT_HOST:
        raise RefusedError(
            "Saving a disk that is a file on its host is not supported while the VM is undeployed or stopped."
        )
    if snapshot != "-1":
        raise RefusedError("A snapshot of a disk that is a file on its host cannot be saved.")
    with connection.connect(disk.connect(target.pool, datastore.data_pool)) as pool:
        what = f"saved disk {disk.disk_id} of VM {disk.vm_id}"
        with (
            images.creating(pool, target.name, what),
            _quiesced(vm, file.host),
            host_disk.read_file(file) as content,
        ):
            images.import_blocks(pool, target.name, content.size, content.blocks)
        disks.protect_disk(pool, target.name, datastore, disk)
    return ""


def delete(arguments: list[str]) -> str:
    """`HOST:…/disk.N VM_ID DS_ID`: nothing, as in the stock driver; the file is removed with the VM's folder.
    """
    decode.words(arguments, "TARGET", "VM_ID", "DATASTORE_ID")
    return ""


def resize(arguments: list[str]) -> str:
    """`HOST:…/disk.N SIZE_MIB VM_ID`: grow the file. For a running VM the hypervisor does that."""
    target_text, size_text, vm_text = decode.words(arguments, "TARGET", "SIZE", "VM_ID")
    size, vm_id = parsing.count(size_text, "SIZE"), parsing.count(vm_text, "VM_ID")
    file = _file(target_text, vm_id)
    if FrontEnd().vm(vm_id).findtext("LCM_STATE") == _RESIZING_LIVE:
        return ""
    process.on_host(
        file.host, ["qemu-img", "resize", "-q", "-f", "raw", file.path, f"{size}M"], _RESIZE_LIMIT_S
    )
    return ""


def snapshot(arguments: list[str]) -> str:
    """`HOST:…/disk.N SNAP_ID VM_ID DS_ID`: every snapshot action is refused, as in the stock driver."""
    decode.words(arguments, "DISK", "SNAP_ID", "VM_ID", "DATASTORE_ID")
    raise RefusedError(
        "Disk snapshots are not supported for a disk that is a file on its host (disk type FILE)."
    )


def _found(place: str, vm_text: str, datastore_text: str) -> tuple[etree._Element, Disk, DriverDatastore]:
    disk_id = decode.disk_id(place)
    vm_id, datastore_id = parsing.count(vm_text, "VM_ID"), parsing.count(datastore_text, "DATASTORE_ID")
    frontend = FrontEnd()
    disk, datastore = disks.find_disk(frontend, vm_id, disk_id), disks.datastore(frontend, datastore_id)
    return frontend.vm(vm_id), disk, datastore


def _file(text: str, vm_id: int) -> HostFile:
    """The file that a path names. Raises InputError when it does not belong to this VM."""
    place = decode.remote_path(text)
    match = _PLACE.fullmatch(place.path)
    if not match or int(match[1]) != vm_id or ".." in place.path:
        raise InputError(f"{text!r} is not a disk in the folder of VM {vm_id}.")
    return HostFile(place.host, place.path)


def _live_only_on_kvm(vm: etree._Element, action: str) -> None:
    driver = vm.findtext("HISTORY_RECORDS/HISTORY[last()]/VM_MAD")
    if vm.findtext("LCM_STATE") == _SAVING_LIVE and driver != "kvm":
        raise RefusedError(f"{action}: a running VM's disk cannot be saved on {driver}; power the VM off.")


@contextmanager
def _quiesced(vm: etree._Element, host: str) -> Iterator[None]:
    """The guest agent freezes the file systems of a running VM, else the VM is suspended.

    It is resumed in any case.
    """
    if vm.findtext("LCM_STATE") != _SAVING_LIVE:
        yield
        return
    domain, settings = vm.findtext("DEPLOY_ID") or "", hypervisor_defaults()
    limit_s = parsing.count(settings.get("VIRSH_TIMEOUT") or "60", "VIRSH_TIMEOUT")
    virsh = ["timeout", str(limit_s), "virsh", "-c", settings.get("LIBVIRT_URI") or "qemu:///system"]
    undo = _quiesce(host, virsh, domain, limit_s)
    try:
        yield
    finally:
        try:
            process.on_host(host, [*virsh, undo, "--domain", domain], limit_s + 15)
        except OneDRError as error:
            raise StorageError(
                f"VM {domain} on {host} is still suspended after its disk was copied. Run on that host: "
                f"virsh {undo} {domain} ({error})"
            ) from error


def _quiesce(host: str, virsh: list[str], domain: str, limit_s: int) -> str:
    """Freeze or suspend; returns what undoes it."""
    reasons = []
    for command, undo in (("domfsfreeze", "domfsthaw"), ("suspend", "resume")):
        try:
            process.on_host(host, [*virsh, command, "--domain", domain], limit_s + 15)
            return undo
        except OneDRError as error:
            reasons.append(str(error))
        with suppress(OneDRError):  # it may have succeeded after the time limit
            process.on_host(host, [*virsh, undo, "--domain", domain], limit_s + 15)
    raise StorageError(f"VM {domain} on {host} could be neither frozen nor suspended: {'; '.join(reasons)}")
