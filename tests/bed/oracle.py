"""What the records must say, by oned's own XML and the rules of docs/, with none of the product's code.

Records that were read back become the same plain objects, to be compared with these.
"""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xmlrpc.client import ServerProxy

import pyone

from onedr.model.records import DiskRef, ImageRecord, VmRecord
from sandbox.cloud import Cloud

Leaves = tuple[tuple[str, str], ...]
"""A template's texts in order, each with its path: ("NIC[1]/IP", "192.0.2.11")."""

# What oned works out anew wherever the VM is, or what belongs to one site: it does not travel.
_OF_ONE_SITE = {
    "AUTOMATIC_REQUIREMENTS", "AUTOMATIC_DS_REQUIREMENTS", "AUTOMATIC_NIC_REQUIREMENTS", "SECURITY_GROUP_RULE",
    "VMID", "TM_MAD_SYSTEM", "TEMPLATE_ID", "SUBMIT_ON_HOLD", "SNAPSHOT",
}
_OF_ONE_SITE_ON_DISKS = {
    "CEPH_CONF", "CEPH_HOST", "CEPH_KEY", "CEPH_SECRET", "CEPH_USER", "CLONE_TARGET", "CLUSTER_ID", "DATASTORE_ID",
    "DISK_SNAPSHOT_TOTAL_SIZE", "IMAGE_STATE", "LN_TARGET", "TM_MAD", "TM_MAD_SYSTEM", "MONITOR",
}
_MESSAGES = {"ERROR", "DR_MESSAGE"}
_SHOWN = {"DR_STATE", "DR_RECOVERY_POINT"}  # by the keeper, on VMs


@dataclass(frozen=True)
class Disk:
    """A VM's disk. `rbd`: POOL/NAME of the image that holds its data, empty when there is none."""

    number: int
    rbd: str
    image: int | None
    image_name: str
    datastore: str
    clone: bool
    protected: bool
    shared: bool

    @property
    def name(self) -> str:
        """Of the RBD image, without its pool."""
        return self.rbd.rpartition("/")[2]


@dataclass(frozen=True)
class Vm:
    """A VM, as its record must tell of it."""

    number: int
    name: str
    owner: str
    group: str
    permissions: str
    state: str
    template: Leaves
    user_template: Leaves
    snapshots: Leaves
    disks: tuple[Disk, ...]

    @property
    def protected(self) -> list[str]:
        """RBD names of its protected disks, in order."""
        return [disk.name for disk in self.disks if disk.protected]


@dataclass(frozen=True)
class Image:
    """An image, as its record must tell of it."""

    number: int
    name: str
    kind: int
    persistent: bool
    size_mib: int
    owner: str
    group: str
    permissions: str
    datastore: str
    template: Leaves
    snapshots: Leaves


def vm(cloud: Cloud, number: int) -> Vm:
    """What the record of a VM of this site must say now."""
    found = asked(cloud, "vm", number)
    _name_security_groups(cloud, found)
    trees = ElementTree.Element("TREES")
    trees.extend(found.findall("SNAPSHOTS"))
    return Vm(
        number, *_who(found), pyone.VM_STATE(int(_text(found, "STATE"))).name,
        _leaves(_with_lock(found, _with_backup(found)), _OF_ONE_SITE, _OF_ONE_SITE_ON_DISKS),
        _leaves(found.find("USER_TEMPLATE"), _MESSAGES | _SHOWN), _leaves(trees), disks(cloud, found),
    )


_OF_BACKUPS = {"BACKUP_VOLATILE", "DISK_IDS", "FS_FREEZE", "INTERACTIVE", "KEEP_LAST", "MODE", "INCREMENT_MODE"}


def _with_backup(vm: ElementTree.Element) -> ElementTree.Element | None:
    """The template with the settings of backups, which oned shows outside of it."""
    template, found = vm.find("TEMPLATE"), vm.find("BACKUPS/BACKUP_CONFIG")
    kept = [each for each in found if each.tag in _OF_BACKUPS] if found is not None else []
    if template is not None and kept:
        ElementTree.SubElement(template, "BACKUP_CONFIG").extend(kept)
    return template


def _with_lock(vm: ElementTree.Element, template: ElementTree.Element | None) -> ElementTree.Element | None:
    """The template with the level of the user's lock: what a run noted while its own lock is on the VM."""
    ours = _text(vm, "USER_TEMPLATE/DR_LOCKED_STATE")
    level = _text(vm, "USER_TEMPLATE/DR_USER_LOCK" if ours else "LOCK/LOCKED")
    if template is not None:
        ElementTree.SubElement(template, "ONEDR_LOCK").text = level or "0"
    return template


def _name_security_groups(cloud: Cloud, vm: ElementTree.Element) -> None:
    """A record has the groups' names beside their ids, which mean nothing at the other site."""
    for nic in (*vm.iterfind("TEMPLATE/NIC"), *vm.iterfind("TEMPLATE/NIC_ALIAS")):
        numbers = _text(nic, "SECURITY_GROUPS").split(",")
        names = [_text(asked(cloud, "secgroup", int(each)), "NAME") for each in numbers if each]
        if names:
            ElementTree.SubElement(nic, "SECURITY_GROUP_NAMES").text = ",".join(names)


def disks(cloud: Cloud, found: ElementTree.Element) -> tuple[Disk, ...]:
    """The disks of a VM that was asked for, in order."""
    number = int(_text(found, "ID"))
    return tuple(_disk(disk, number, cloud.datastore_id) for disk in found.iterfind("TEMPLATE/DISK") if len(disk))


def image(cloud: Cloud, number: int) -> Image:
    """What the record of an image of this site must say now."""
    found = asked(cloud, "image", number)
    name, owner, group, permissions = _who(found)
    return Image(
        number, name, int(_text(found, "TYPE")), _text(found, "PERSISTENT") == "1", int(_text(found, "SIZE")),
        owner, group, permissions, _text(found, "DATASTORE"), _leaves(found.find("TEMPLATE"), _MESSAGES),
        _leaves(found.find("SNAPSHOTS")),
    )


def of_vm_record(record: VmRecord | None) -> Vm | None:
    """A VM's record as it was read back."""
    if record is None:
        return None
    return Vm(
        record.vm_id, record.name, record.owner, record.group, record.permissions, record.state,
        leaves(record.template), leaves(record.user_template), leaves(record.snapshots),
        tuple(_of_disk(disk) for disk in record.disks),
    )


def of_image_record(record: ImageRecord | None) -> Image | None:
    """An image's record as it was read back."""
    if record is None:
        return None
    return Image(
        record.image_id, record.name, record.type, record.persistent, record.size_mib, record.owner, record.group,
        record.permissions, record.datastore, leaves(record.template), leaves(record.snapshots),
    )


def leaves(pairs: Any) -> Leaves:
    """Nested pairs, as records hold them, flat."""
    return _flat(pairs)


def _of_disk(disk: DiskRef) -> Disk:
    return Disk(
        disk.disk_id, disk.rbd or "", disk.image_id, disk.image_name, disk.datastore, disk.clone, disk.protected,
        disk.shared,
    )


def asked(cloud: Cloud, what: str, number: int, *more: bool) -> ElementTree.Element:
    """An object's XML as oned sends it; of a VM with True `more`, its secrets in plain. Raises AssertionError with
    oned's own words.
    """
    with ServerProxy(cloud.endpoint) as api:
        done, text, *_ = getattr(api.one, what).info(cloud.one_auth.read_text().strip(), number, *more)
    assert done, text
    return ElementTree.fromstring(str(text))


def _text(found: ElementTree.Element, path: str) -> str:
    return found.findtext(path) or ""


def _who(found: ElementTree.Element) -> tuple[str, str, str, str]:
    """Name, owner, group and permissions, nine digits: owner, group, other x use, manage, admin."""
    rights = [f"{who}_{right}" for who in ("OWNER", "GROUP", "OTHER") for right in "UMA"]
    digits = "".join(_text(found, f"PERMISSIONS/{right}") for right in rights)
    return _text(found, "NAME"), _text(found, "UNAME"), _text(found, "GNAME"), digits


def _disk(disk: ElementTree.Element, vm_id: int, datastore_id: int) -> Disk:
    """A disk by docs/: oned names a clone SOURCE-VM-DISK; a volatile disk and a file have no image."""
    number, source = int(_text(disk, "DISK_ID")), _text(disk, "SOURCE")
    clone = _text(disk, "CLONE").upper() == "YES"
    is_rbd = "RBD" in (_text(disk, "TYPE"), _text(disk, "DISK_TYPE")) and _text(disk, "DISK_TYPE") != "FILE"
    rbd = (f"{source}-{vm_id}-{number}" if clone else source) if is_rbd else ""
    wanted = _text(disk, "DATASTORE_ID") == str(datastore_id) and _text(disk, "DR_PROTECT").upper() != "NO"
    return Disk(
        number, rbd, int(_text(disk, "IMAGE_ID")) if _text(disk, "IMAGE_ID") else None, _text(disk, "IMAGE"),
        _text(disk, "DATASTORE"), clone, bool(rbd) and wanted,
        bool(source) and not clone and _text(disk, "PERSISTENT").upper() != "YES",
    )


def _leaves(found: ElementTree.Element | None, but: Collection[str] = (), but_of_disks: Collection[str] = ()) -> Leaves:
    """An element's texts, without some attributes of its own and of its DISK vectors."""
    children = [] if found is None else [child for child in found if child.tag not in but]
    return _flat((child.tag, _pairs(child, but_of_disks if child.tag == "DISK" else ())) for child in children)


def _pairs(element: ElementTree.Element, but: Collection[str] = ()) -> Any:
    if len(element):
        return [(child.tag, _pairs(child)) for child in element if child.tag not in but]
    return element.text or ""


def _flat(pairs: Any, above: str = "") -> Leaves:
    seen: dict[str, int] = {}
    found: list[tuple[str, str]] = []
    for key, value in pairs:
        path = f"{above}{key}[{seen.get(key, 0)}]"
        seen[key] = seen.get(key, 0) + 1
        found += [(path, value)] if isinstance(value, str) else _flat(value, f"{path}/")
    return tuple(found)
