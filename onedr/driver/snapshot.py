"""Snapshots of disks: transfer-manager actions on VM disks, datastore actions on images (argv:
docs/opennebula-facts.md O11, O14).

oned calls `revert` only while no VM uses the disk, and `flatten` only for an unused image.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lxml import etree

from onedr.ceph import connection, disk_snapshots, mirroring, snapshot_marks
from onedr.ceph.connection import Pool
from onedr.driver import bridge_dispatch, decode
from onedr.driver import disk as disks
from onedr.driver.disk import Disk
from onedr.host import log, process
from onedr.model import parsing, template
from onedr.model.errors import InputError
from onedr.model.settings import wants_protection
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.ceph_access import hypervisor_defaults
from onedr.protection import keeper_lock
from onedr.replication.mirror_image import protect_image

_FREEZE_LIMIT_S = 60  # VIRSH_TIMEOUT of the stock driver
_ANSWER_S = 10  # for the host to report that its own limit is exceeded


@dataclass(frozen=True)
class _Target:
    """The snapshot of an action, with the image and the open pool."""

    pool: Pool
    name: str
    snapshot: str
    listed: frozenset[str] = frozenset()  # ids of the image's snapshots that oned lists
    disk: str = ""  # whose it is, and its name in oned: for people
    called: str = ""

    def make(self) -> None:
        """Make the snapshot of a disk."""
        disk_snapshots.make_snapshot(self.pool, self.name, self.snapshot, self.disk, self.called)

    def publish(self) -> None:
        """In snapshot mode changes are replicated with the next mirror snapshot: make it now."""
        with self.pool.image(self.name) as image:
            mirroring.publish_changes(self.pool, image)


def snap_create(arguments: list[str]) -> str:
    """`HOST:…/disk.N SNAP_ID VM_ID DS_ID`: snapshot a disk.

    The snapshot is protected, as in the stock driver.
    """
    with _disk(arguments, FrontEnd(), "create") as target:
        if target is not None:
            target.make()
    return ""


def snap_create_live(arguments: list[str]) -> str:
    """The same for a running VM's disk, with its file systems frozen
    meanwhile if the hypervisor supports that.
    """
    frontend = FrontEnd()
    host = decode.remote_path(decode.words(arguments, "DISK")[0]).host
    with _disk(arguments, frontend, "create") as target:
        if target is not None:
            vm = frontend.vm(parsing.count(arguments[2], "VM_ID"))
            with _frozen(host, vm):
                target.make()
    return ""


def snap_delete(arguments: list[str]) -> str:
    """`HOST:…/disk.N SNAP_ID VM_ID DS_ID`: remove a snapshot of a disk."""
    with _disk(arguments, FrontEnd(), "delete") as target:
        if target is not None:
            disk_snapshots.delete_snapshot(target.pool, target.name, target.snapshot)
    return ""


def snap_revert(arguments: list[str]) -> str:
    """`HOST:…/disk.N SNAP_ID VM_ID DS_ID`: revert a disk to a snapshot."""
    with _disk(arguments, FrontEnd(), "revert") as target:
        if target is not None:
            disk_snapshots.revert_to(target.pool, target.name, target.snapshot)
    return ""


def image_snap_delete(arguments: list[str]) -> str:
    """`IMAGE_ID`, IMAGE/TARGET_SNAPSHOT: remove a snapshot of an image."""
    with _image(arguments) as target:
        disk_snapshots.delete_snapshot(target.pool, target.name, target.snapshot)
    return ""


def image_snap_revert(arguments: list[str]) -> str:
    """`IMAGE_ID`, IMAGE/TARGET_SNAPSHOT: revert an image to a snapshot."""
    with _image(arguments) as target:
        disk_snapshots.revert_to(target.pool, target.name, target.snapshot)
    return ""


def image_snap_flatten(arguments: list[str]) -> str:
    """`IMAGE_ID`, IMAGE/TARGET_SNAPSHOT: revert an image to a snapshot and remove all its snapshots."""
    with _image(arguments) as target:
        disk_snapshots.flatten_to_snapshot(target.pool, target.name, target.snapshot, target.listed)
    return ""


@contextmanager
def _disk(arguments: list[str], frontend: FrontEnd, verb: str) -> Iterator[_Target | None]:
    """The snapshot of a disk; None when the action is one that changes oned's
    list and nothing else (ceph.snapshot_marks).
    """
    place, snapshot, vm, datastore_id = decode.words(arguments, "DISK", "SNAP_ID", "VM_ID", "DATASTORE_ID")
    wanted, vm_id = str(parsing.count(snapshot, "SNAP_ID")), parsing.count(vm, "VM_ID")
    element = frontend.vm(vm_id)
    disk = disks.of_vm(element, vm_id, decode.disk_id(place))
    _must_be_rbd(disk)
    datastore = disks.datastore(frontend, parsing.count(datastore_id, "DATASTORE_ID"))
    name = disk.rbd_name
    with connection.connect(disk.connect(name.pool)) as pool:
        disks.must_be_primary(pool, name.name)
        if snapshot_marks.is_expected(pool, name.name, snapshot_marks.Action(verb, vm_id, wanted)):
            yield None
            return
        whose = f"disk {disk.disk_id} of VM {vm_id}"
        target = _Target(
            pool, name.name, wanted, disk=whose, called=_called(element, disk.disk_id, wanted)
        )
        yield target
        target.publish()
        disks.protect_disk(pool, name.name, datastore, disk)


def _called(vm: etree._Element, disk_id: int, snapshot: str) -> str:
    for tree in vm.iterfind("SNAPSHOTS"):
        for each in tree.iterfind("SNAPSHOT"):
            if (tree.findtext("DISK_ID"), each.findtext("ID")) == (str(disk_id), snapshot):
                return each.findtext("NAME") or ""
    return ""


def _must_be_rbd(disk: Disk) -> None:
    kind = template.get(disk.attributes, "TYPE", "RBD")
    if kind != "RBD" or not template.get(disk.attributes, "SOURCE"):
        what = "volatile" if kind == "RBD" else f"of type {kind}"
        raise InputError(
            f"Disk {disk.disk_id} of VM {disk.vm_id} is {what}; only RBD disks of images have snapshots."
        )


@contextmanager
def _image(arguments: list[str]) -> Iterator[_Target]:
    decode.words(arguments, "IMAGE_ID")
    data = decode.action_data(bridge_dispatch.read_stdin())
    bridge_dispatch.unless_here(data.attributes)
    image = data.wanted_image()
    wanted = str(parsing.integer(image, "TARGET_SNAPSHOT"))
    source = parsing.source(image.findtext("SOURCE") or "")
    with connection.connect(replace(data.access, pool=source.pool)) as pool:
        disks.must_be_primary(pool, source.name)
        listed = frozenset(each.text or "" for each in image.iterfind("SNAPSHOTS/SNAPSHOT/ID"))
        target = _Target(pool, source.name, wanted, listed)
        yield target
        target.publish()
        own = image.find("TEMPLATE")
        try:
            settings = data.settings
        except InputError as error:  # an invalid DR_ attribute must not fail the action
            log.warn_oned(f"{source.name} is not protected yet: {error}")
            return
        if not wants_protection(settings, () if own is None else template.from_element(own)):
            return
        reason = protect_image(pool, source.name, settings)
        if reason:
            log.warn_oned(f"{source.name} is not protected yet: {reason}")
        keeper_lock.wake_keeper(data.datastore_id)


@contextmanager
def _frozen(host: str, vm: etree._Element) -> Iterator[None]:
    """Freeze a running guest's writes in the block, and thaw them in any case."""
    deploy_id = vm.findtext("DEPLOY_ID") or ""
    history = vm.findall("HISTORY_RECORDS/HISTORY")
    if history and history[-1].findtext("VM_MAD") == "lxc":
        process.on_host(host, ["sudo", "lxc-freeze", "-n", deploy_id], _FREEZE_LIMIT_S)
        try:
            yield
        finally:
            process.on_host(host, ["sudo", "lxc-unfreeze", "-n", deploy_id], _FREEZE_LIMIT_S)
        return
    frozen = _virsh(host, "domfsfreeze", deploy_id)
    try:
        yield
    finally:
        # Also when the freeze seemed to fail: it may have succeeded after the time limit.
        _virsh(host, "domfsthaw", deploy_id, quiet=not frozen)


def _virsh(host: str, verb: str, deploy_id: str, quiet: bool = False) -> bool:
    """As in the stock driver a guest that cannot be frozen (no agent, no libvirt)
    is only crash-consistent, which is a warning.
    """
    found = hypervisor_defaults()
    limit = found.get("VIRSH_TIMEOUT") or str(_FREEZE_LIMIT_S)
    uri = found.get("LIBVIRT_URI") or "qemu:///system"
    command = ["timeout", limit, "virsh", "-c", uri, verb, "--domain", deploy_id]
    try:
        process.on_host(host, command, parsing.count(limit, "VIRSH_TIMEOUT") + _ANSWER_S)
    except process.ProcessError as error:
        if not quiet:
            log.warn_oned(f"{verb} of {deploy_id} on {host} failed: {error}")
        return False
    return True
