"""OpenNebula objects as records: the parts of an image or VM that the peer needs."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from lxml import etree

from onedr.model import names, template
from onedr.model.errors import InputError
from onedr.model.records import NOT_COPIED, DiskRef, ImageRecord, VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import vm_locks
from onedr.opennebula.attributes import GROUP_NAMES
from onedr.opennebula.own_marks import DISABLED, STAND_IN, VM_SHOWN

VM_STATES = (
    "INIT",
    "PENDING",
    "HOLD",
    "ACTIVE",
    "STOPPED",
    "SUSPENDED",
    "DONE",
    "FAILED",
    "POWEROFF",
    "UNDEPLOYED",
    "CLONING",
    "CLONING_FAILURE",
)
IMAGE_STATES = (
    "INIT", "READY", "USED", "DISABLED", "LOCKED", "ERROR", "CLONE", "DELETE", "USED_PERS", "LOCKED_USED",
    "LOCKED_USED_PERS",
)
USABLE_IMAGE_STATES = ("READY", "USED", "USED_PERS", "DISABLED")  # its RBD image is complete
# A VM in one of these may never have been deployed: its clones are then not made yet
WAITING = ("PENDING", "HOLD", "CLONING", "CLONING_FAILURE")
CDROM = 1  # image TYPE
_RBD_TYPES = ("RBD", "RBD_CDROM")
# Attributes of one site, or that change without meaning: they would rewrite a record for nothing.
_LOCAL_VM = {
    "AUTOMATIC_REQUIREMENTS",
    "AUTOMATIC_DS_REQUIREMENTS",
    "AUTOMATIC_NIC_REQUIREMENTS",
    "SECURITY_GROUP_RULE",
    "VMID",
    "TM_MAD_SYSTEM",
    "TEMPLATE_ID",
    "SUBMIT_ON_HOLD",
}
# A secret that is left out elsewhere: its name travels, in plain, so that it can be said.
_NAME_IS_ENOUGH = {"VROUTER_KEEPALIVED_PASSWORD"}
_LOCAL_DISK = {
    "CEPH_CONF",
    "CEPH_HOST",
    "CEPH_KEY",
    "CEPH_SECRET",
    "CEPH_USER",
    "CLONE_TARGET",
    "CLUSTER_ID",
    "DATASTORE_ID",
    "DISK_SNAPSHOT_TOTAL_SIZE",
    "IMAGE_STATE",
    "LN_TARGET",
    "TM_MAD",
    "TM_MAD_SYSTEM",
    "MONITOR",
}
BACKUP_SETTINGS = (
    "BACKUP_VOLATILE", "DISK_IDS", "FS_FREEZE", "INTERACTIVE", "KEEP_LAST", "MODE", "INCREMENT_MODE",
)
_LOCAL_USER = {"ERROR", "DR_MESSAGE"}
_MEASURED = ("MONITORING", "LAST_POLL")  # what oned measures of a VM all the time


def _text(element: etree._Element, path: str) -> str:
    return element.findtext(path) or ""


def _int(element: etree._Element, path: str) -> int:
    return _number(_text(element, path), f"{element.tag} has {path}")


def _number(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{what}={text!r} instead of a number.") from error


def _state(element: etree._Element, known: Sequence[str]) -> str:
    number = _int(element, "STATE")
    if not 0 <= number < len(known):
        raise InputError(f"{element.tag} has STATE={number}, which this release does not know.")
    return known[number]


def permissions(element: etree._Element) -> str:
    """Nine digits: use, manage, admin for owner, group, other. Raises InputError."""
    found = element.find("PERMISSIONS")
    if found is None:
        raise InputError(f"{element.tag} has no PERMISSIONS.")
    return "".join(_text(found, f"{who}_{right}") for who in ("OWNER", "GROUP", "OTHER") for right in "UMA")


def _attributes(element: etree._Element, part: str) -> Pairs:
    found = element.find(part)
    return () if found is None else template.from_element(found)


def image_state(element: etree._Element) -> str:
    """Name of an image's state. Raises InputError for an unknown one."""
    return _state(element, IMAGE_STATES)


def vm_state(element: etree._Element) -> str:
    """Name of a VM's state. Raises InputError for an unknown one."""
    return _state(element, VM_STATES)


def image_record(element: etree._Element) -> ImageRecord:
    """The record of an `<IMAGE>` from the API or from driver data.

    Raises InputError for an incomplete one.
    """
    return ImageRecord(
        image_id=_int(element, "ID"),
        name=_text(element, "NAME"),
        type=_int(element, "TYPE"),
        persistent=_text(element, "PERSISTENT") == "1",
        size_mib=_int(element, "SIZE"),
        owner=_text(element, "UNAME"),
        group=_text(element, "GNAME"),
        permissions=permissions(element),
        datastore=_text(element, "DATASTORE"),
        datastore_id=_int(element, "DATASTORE_ID"),
        template=(
            *template.without(_attributes(element, "TEMPLATE"), *_LOCAL_USER, DISABLED),
            *(((DISABLED, "YES"),) if image_state(element) == "DISABLED" else ()),
        ),
        snapshots=_attributes(element, "SNAPSHOTS"),
    )


def vm_record(element: etree._Element, protected_datastores: Collection[int]) -> VmRecord:
    """The record of a `<VM>`. Disks in `protected_datastores` (ids) count as protected. Raises InputError."""
    attributes = _attributes(element, "TEMPLATE")
    vm_id = _int(element, "ID")
    user = _attributes(element, "USER_TEMPLATE")
    return VmRecord(
        vm_id=vm_id,
        name=_text(element, "NAME"),
        owner=_text(element, "UNAME"),
        group=_text(element, "GNAME"),
        permissions=permissions(element),
        state=vm_state(element),
        template=(
            *(
                _portable(key, value, _group_names(attributes))
                for key, value in attributes
                if key not in _LOCAL_VM and key != vm_locks.RECORDED
            ),
            *_backup_settings(element),
            *vm_locks.for_record(element, user),
        ),
        user_template=tuple(
            pair for pair in template.without(user, *_LOCAL_USER, *VM_SHOWN)
            if not pair[0].startswith(STAND_IN)
        ),
        disks=tuple(
            _disk(disk, vm_id, protected_datastores) for disk in template.vectors(attributes, "DISK")
        ),
        snapshots=tuple((tree.tag, template.from_element(tree)) for tree in element.iterfind("SNAPSHOTS")),
    )


def vm_disks(element: etree._Element, protected_datastores: Collection[int]) -> tuple[DiskRef, ...]:
    """The disks of the same record, without reading the templates: a third of what all of it costs. Raises
    InputError.
    """
    vm_id, found = _int(element, "ID"), element.find("TEMPLATE")
    disks = () if found is None else found.iterfind("DISK")
    return tuple(
        _disk(template.from_element(disk), vm_id, protected_datastores) for disk in disks if len(disk)
    )


def state_since(vm: etree._Element) -> float | None:
    """When a VM came into its state, by the last entry of its history (epoch seconds, whole ones); None where
    oned does not say.
    """
    entries = vm.findall("HISTORY_RECORDS/HISTORY")
    if not entries:
        return None
    names = ("RSTIME",) if vm_state(vm) == "ACTIVE" else ("RETIME", "EETIME", "ETIME")
    return max(_int(entries[-1], name) for name in names) or None


def lasting_parts(vm: etree._Element) -> Iterator[bytes]:
    """A `<VM>` without what oned measures all the time and what OneDR shows on it: another one than before
    means that something changed.
    """
    for part in vm:
        if part.tag == "USER_TEMPLATE":
            yield from (etree.tostring(each) for each in part if each.tag not in VM_SHOWN)
        elif part.tag not in _MEASURED:
            yield etree.tostring(part)


def _backup_settings(element: etree._Element) -> Pairs:
    """BACKUP_CONFIG of a VM, which oned shows outside of its template; without what its backups left."""
    kept = tuple(
        (key, value) for key, value in _attributes(element, "BACKUPS/BACKUP_CONFIG") if key in BACKUP_SETTINGS
    )
    return (("BACKUP_CONFIG", kept),) if kept else ()


def _portable(key: str, value: str | Pairs, groups: Mapping[str, str]) -> tuple[str, str | Pairs]:
    if key in _NAME_IS_ENOUGH:
        return key, ""
    if key == "DISK" and not isinstance(value, str):
        return key, template.without(value, *_LOCAL_DISK)
    if key in ("NIC", "NIC_ALIAS") and not isinstance(value, str) and template.get(value, "SECURITY_GROUPS"):
        ids = template.get(value, "SECURITY_GROUPS").split(",")
        return key, (*value, (GROUP_NAMES, ",".join(groups.get(each.strip(), "") for each in ids)))
    return key, value


def _group_names(attributes: Pairs) -> dict[str, str]:
    """Names of the VM's security groups by id: oned puts their rules into the VM.

    One without a rule has none.
    """
    rules = template.vectors(attributes, "SECURITY_GROUP_RULE")
    return {
        template.get(rule, "SECURITY_GROUP_ID"): template.get(rule, "SECURITY_GROUP_NAME") for rule in rules
    }


def lies_as_file(disk: Pairs) -> bool:
    """Is a VM's disk a file on its host?

    oned sets DISK_TYPE, also for an RBD image on a system datastore with TM_MAD=ssh
    (VirtualMachineDisks::check_tm_mad); TYPE may still be RBD.
    """
    return template.get(disk, "DISK_TYPE") == "FILE"


def is_shareable(disk: Pairs) -> bool:
    """May several VMs write to a VM's disk? oned says so of persistent images with PERSISTENT_TYPE=SHAREABLE
    (Image::disk_attribute).
    """
    return template.get(disk, "SHAREABLE").upper() == "YES"


def _disk(disk: Pairs, vm_id: int, protected_datastores: Collection[int]) -> DiskRef:
    disk_id = _number(template.get(disk, "DISK_ID"), f"VM {vm_id} has a disk with DISK_ID")
    where = f"Disk {disk_id} of VM {vm_id}"
    source = template.get(disk, "SOURCE")
    image_id = template.get(disk, "IMAGE_ID")
    clone = template.get(disk, "CLONE").upper() == "YES"
    rbd: str | None = None
    reason = ""
    if lies_as_file(disk):
        mine = template.get(disk, "DATASTORE_ID") in map(str, protected_datastores)
        reason = "it is a file on its host while the VM exists" if mine else "it is not an RBD disk"
    elif template.get(disk, "DISK_TYPE") not in _RBD_TYPES and template.get(disk, "TYPE") not in _RBD_TYPES:
        reason = "it is not an RBD disk"
    elif not source and image_id:
        reason = NOT_COPIED
    elif not source:
        reason = "it is a volatile disk, which always starts empty"
    else:
        rbd = names.vm_disk(source, vm_id, disk_id) if clone else source
        datastore_id = _number(template.get(disk, "DATASTORE_ID", "-1"), f"{where} has DATASTORE_ID")
        if datastore_id not in protected_datastores:
            reason = f"its datastore {template.get(disk, 'DATASTORE')} is not protected"
        elif template.get(disk, "DR_PROTECT").upper() == "NO":
            reason = "its image has DR_PROTECT=NO"
    return DiskRef(
        disk_id=disk_id, rbd=rbd, image_id=_number(image_id, f"{where} has IMAGE_ID") if image_id else None,
        image_name=template.get(disk, "IMAGE"),
        clone=clone, protected=rbd is not None and not reason, reason=reason,
        datastore=template.get(disk, "DATASTORE"),
        datastore_id=_number(template.get(disk, "DATASTORE_ID") or "-1", f"{where} has DATASTORE_ID"),
        shared=bool(source) and not clone and (
            template.get(disk, "PERSISTENT").upper() != "YES" or is_shareable(disk)
        ),
    )


def vms_of_datastore(vms: Iterable[etree._Element], datastore_id: int) -> list[etree._Element]:
    """VMs with a disk in the datastore."""
    return [
        vm for vm in vms
        if str(datastore_id) in {disk.text for disk in vm.iterfind("TEMPLATE/DISK/DATASTORE_ID")}
    ]
