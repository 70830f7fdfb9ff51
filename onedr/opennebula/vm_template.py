"""From a VM's record to the templates that recreate it at this site. Pure.

A VM is made in two calls. `allocate` gets an allow-list of what oned itself had put into the VM's template at
the other site; the attributes of the VM's user follow by `vm.update`, as data: nothing that a user may write
is parsed, resolved or substituted with oneadmin's rights (docs/opennebula-facts.md).
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.records import DiskRef, VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import attributes, files, mapped, nics, scheduled_actions
from onedr.opennebula.attributes import Treatment
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.objects import BACKUP_SETTINGS
from onedr.opennebula.own_marks import NO_SECRETS, STAND_IN, VM_SHOWN
from onedr.opennebula.vm_locks import LOCKED_STATE, OLD_LOCKED_STATE, USER_LOCK

ORIGIN = "DR_ORIGIN"  # `<cluster id>:<vm id>`: identifies a recovered VM
ORIGIN_SOURCE = "DR_ORIGIN_SOURCE"  # RBD name of an image at the site it came from
START_PENDING = "DR_START_PENDING"
DRILL = "DR_DRILL"  # on a drill's VM or image: its tag
REHEARSAL = "DR_REHEARSAL"  # on a rehearsal's VM or image: the token of its turn
CARRIER = "DR_SNAPSHOT_CARRIER"  # on a small VM of a run that lists snapshots (failover.snapshot_carrier)
ANOTHER_PORT = "GRAPHICS/PORT is chosen by oned here"  # the one warning of a VM that lacks nothing
FINISHED = "DR_FINISHED"  # set last: an object without it was left incomplete by an interrupted run
MARKS = (  # of one site's object only
    ORIGIN, START_PENDING, FINISHED, LOCKED_STATE, OLD_LOCKED_STATE, USER_LOCK, "DR_ORIGIN_SITE",
    "DR_ORIGIN_VM", NO_SECRETS, *VM_SHOWN,
)
_GENERATED_CONTEXT = re.compile(r"(ETH|PCI)\d+_.*|DISK\d+_.*|DISK_ID|ONEGATE_ENDPOINT|VMID|VROUTER_.*")
_OF_OS_FILES = tuple(f"{key}_" for key in files.OS_FILES)  # what oned adds to one: its datastore, its source
_PCI_KIND = ("VENDOR", "DEVICE", "CLASS", "PROFILE")
_PCI_KEPT = ("VM_BUS", "ROOT", "ACPI_NODES", "IOMMUFD")  # where the guest sees it, and how it is passed on
_PCI_MADE = (  # by oned, of the device that a host has free
    "ADDRESS", "SHORT_ADDRESS", "PREV_ADDRESS", "DOMAIN", "BUS", "SLOT", "FUNCTION", "NUMA_NODE", "PCI_ID",
    "UUID", "MDEV_MODE", "VM_ADDRESS", "VM_DOMAIN", "VM_FUNCTION", "VM_SLOT", "VM_BUS_INDEX", "ATTACH",
    "TYPE",
)
_BOOTS = re.compile(r"(disk|nic)(\d+)")


@dataclass(frozen=True)
class Recreation:
    """`template` goes to `allocate`, `user_template` to `update`; `warnings`:
    what differs, for the operator.
    """

    template: Pairs
    user_template: Pairs
    warnings: tuple[str, ...]


def recreate(
    record: VmRecord, origin: str, site: str, image_ids: Mapping[int, int], here: Counterparts, start: bool
) -> Recreation:
    """Build the templates. `image_ids`: image here by disk id there.

    Raises RefusedError when a protected disk has no image here, or a network, a security group or a kernel
    has no counterpart: a VM without a disk, open to everybody or on the wrong network is worse than none.
    """
    _must_have_its_disks(record, image_ids)
    warnings: list[str] = []
    record = mapped.with_owner(record, here.mapping)
    disks = [
        (disk, made) for disk in template.vectors(record.template, "DISK")
        if (made := _disk(disk, image_ids, record.disks))
    ]
    place = {template.get(disk, "DISK_ID", "0"): str(number) for number, (disk, _) in enumerate(disks)}
    for disk, _ in disks:
        warnings += attributes.said(attributes.VOLATILE_DISK, [key for key, _ in disk], "DISK/")
    parts: list[Callable[[], Iterable[tuple[str, object]]]] = [
        lambda: _plain_sections(record, here, place, warnings),
        lambda: [("DISK", made) for _, made in disks],
        *(partial(_nic, found, record, here, warnings) for found in template.vectors(record.template, "NIC")),
        lambda: [("NIC_ALIAS", made) for made in nics.aliases(record.template, here, record.owner, warnings)],
        lambda: _context(record, here, warnings),
    ]
    built: list[tuple[str, object]] = [("NAME", record.name)]
    reasons = []
    for part in parts:
        try:
            built += part()
        except RefusedError as error:
            reasons.append(str(error))
    if reasons:
        raise RefusedError(" ".join(dict.fromkeys(reasons)))
    marks: Pairs = ((ORIGIN, origin), ("DR_ORIGIN_SITE", site), ("DR_ORIGIN_VM", str(record.vm_id)))
    if start:
        marks = (*marks, (START_PENDING, "YES"))
    user = (*_user_template(record.user_template, here, warnings), *marks)
    return Recreation((*built, *marks), user, tuple(dict.fromkeys(warnings)))


def _must_have_its_disks(record: VmRecord, image_ids: Mapping[int, int]) -> None:
    missing = [str(disk.disk_id) for disk in record.disks if disk.protected and disk.disk_id not in image_ids]
    if missing:
        raise RefusedError(
            f"its disk {', '.join(missing)} is not registered as an image here yet; run onedr failover again."
        )


def _nic(
    found: Pairs, record: VmRecord, here: Counterparts, warnings: list[str]
) -> list[tuple[str, object]]:
    return [("NIC", nics.nic(found, here, record.owner, warnings))]


def _plain_sections(
    record: VmRecord, here: Counterparts, place: Mapping[str, str], warnings: list[str]
) -> list[tuple[str, object]]:
    """Everything but DISK, NIC, NIC_ALIAS and CONTEXT, which are built on their own."""
    built: list[tuple[str, object]] = []
    warnings += attributes.said(
        attributes.VM, [key for key, _ in record.template if not key.startswith("ONEDR_")])
    nic_place = {
        template.get(found, "NIC_ID"): str(number)
        for number, found in enumerate(template.vectors(record.template, "NIC"))
    }
    for key, value in record.template:
        treatment = attributes.rule(attributes.VM, key).treatment
        if treatment is Treatment.KEPT:
            built.append((key, value))
        elif isinstance(value, str):
            continue
        elif key == "OS":
            built.append((key, _os(value, here, record.owner, {"disk": place, "nic": nic_place}, warnings)))
        elif key == "GRAPHICS":
            if template.get(value, "PORT"):
                warnings.append(f"{ANOTHER_PORT}; it was {template.get(value, 'PORT')}")
            built.append((key, template.without(value, "PORT", "PREVIOUS_PORT")))
        elif key == "TPM":
            warnings.append("TPM: its state is a file of the other site's host; the device is empty here")
            built.append((key, value))
        elif key == "SCHED_ACTION":
            built += scheduled_actions.to_come(value, place, warnings)
        elif key in _MAPPED:
            built += _MAPPED[key](record, value, here, warnings)
    return built


def _os(
    value: Pairs, here: Counterparts, owner: str, front_end_paths: Mapping[str, Mapping[str, str]],
    warnings: list[str],
) -> Pairs:
    """OS with BOOT numbered again, and files by the name of their image."""
    built: list[tuple[str, object]] = []
    for key, text in value:
        if key.startswith(_OF_OS_FILES):
            continue
        if key in files.OS_FILES:
            text = files.of_os(text, key, here, owner)
        elif f"{key}_DS" in files.OS_FILES:
            if template.get(value, f"{key}_DS"):
                continue  # the path oned resolved from it
            warnings.append(f"OS/{key} {text} is a file of the other site's hosts: those here need it too")
        if key == "BOOT":
            text = _boot(text, front_end_paths, warnings)
        built.append((key, text))
    if template.get(value, "FIRMWARE"):
        warnings.append(
            "UEFI variables are a file of the other site's host: they are the firmware's defaults here"
        )
    return tuple(built)


def _boot(text: str, front_end_paths: Mapping[str, Mapping[str, str]], warnings: list[str]) -> str:
    """`disk2,nic0` for the numbers that disks and NICs get here; what is not there is left out, and said."""
    kept = []
    for device in filter(None, (each.strip() for each in text.split(","))):
        match = _BOOTS.fullmatch(device)
        number = front_end_paths[match[1]].get(match[2]) if match else None
        if match and number is None:
            warnings.append(f"OS/BOOT: {device} is not here and is left out of the boot order")
            continue
        kept.append(f"{match[1]}{number}" if match else device)
    return ",".join(kept)


def _numa_node(record: VmRecord, value: Pairs, _: Counterparts, warnings: list[str]) -> Pairs:
    """Of a pinned topology only, in MiB: oned takes MiB and shows KiB; otherwise it makes the nodes itself.
    """
    topology: Pairs = next(template.vectors(record.template, "TOPOLOGY"), ())
    memory = template.get(value, "MEMORY")
    if template.get(topology, "PIN_POLICY", "NONE").upper() == "NONE" or not memory.isdigit():
        return ()
    kept = tuple((key, text) for key, text in value if key in ("TOTAL_CPUS", "DISTANCE"))
    return (("NUMA_NODE", (*kept, ("MEMORY", str(int(memory) // 1024)))),)


def _pci(_: VmRecord, value: Pairs, here: Counterparts, warnings: list[str]) -> Pairs:
    kind = tuple((key, text) for key, text in value if key in _PCI_KIND and text)
    kept = tuple((key, text) for key, text in value if key in _PCI_KEPT and text)
    if template.get(value, "TYPE") == "NIC" or not kind:
        warnings.append("PCI was left out: the device belongs to a host of the other site")
        return ()
    named = ":".join(text for _, text in kind)
    warnings.append(f"PCI {named} is asked for by its kind: the VM waits until a host here has one free")
    unknown = sorted({key for key, text in value if text} - {*_PCI_KIND, *_PCI_KEPT, *_PCI_MADE})
    warnings += [f"PCI/{key} is left out: this release of OneDR does not know it" for key in unknown]
    return (("PCI", (*kind, *kept)),)


def _vm_group(record: VmRecord, value: Pairs, here: Counterparts, warnings: list[str]) -> Pairs:
    there, role = template.get(value, "VMGROUP_NAME"), template.get(value, "ROLE")
    name = mapped.name_of("vm_groups", there, here)
    every = [each for groups in here.vm_groups.values() for each in groups]
    by_id = next((each for each in every if each.object_id == name), None)
    named = here.mapping is not None and here.mapping.is_listed("vm_groups", there)
    found = by_id or nics.choose(here.vm_groups.get(str(name), ()), record.owner, named)
    if found is None or role not in found.roles:
        warnings.append(
            f"VMGROUP was left out: there is no VM group {name or there!r} with role {role!r} here")
        return ()
    return (("VMGROUP", (("VMGROUP_ID", str(found.object_id)), ("ROLE", role))),)


def _backup(record: VmRecord, value: Pairs, _: Counterparts, __: list[str]) -> Pairs:
    """The settings; disks that are chosen have the numbers that they get here."""
    here = {disk.disk_id for disk in record.disks if disk.protected or not disk.rbd}
    place = {str(disk_id): str(number) for number, disk_id in enumerate(sorted(here))}
    chosen = [place[each] for each in template.get(value, "DISK_IDS").split(",") if each in place]
    kept = tuple(
        (key, ",".join(chosen) if key == "DISK_IDS" else text)
        for key, text in value if key in BACKUP_SETTINGS and text
    )
    return (("BACKUP_CONFIG", kept),) if kept else ()


_MAPPED = {
    "NUMA_NODE": _numa_node, "PCI": _pci, "VMGROUP": _vm_group, "BACKUP_CONFIG": _backup,
}


def _disk(disk: Pairs, image_ids: Mapping[int, int], recorded: Iterable[DiskRef]) -> Pairs:
    """A disk as it is asked for here; empty for one that has no data here."""
    disk_id = int(template.get(disk, "DISK_ID", "0"))
    if disk_id in image_ids:
        size, base = template.get(disk, "SIZE"), template.get(disk, "ORIGINAL_SIZE")
        to_clone = any(each.to_clone for each in recorded if each.disk_id == disk_id)
        # it grows when it is cloned
        larger = (("SIZE", size),) if to_clone and base and size != base else ()
        return (("IMAGE_ID", str(image_ids[disk_id])), *disk_settings(disk), *larger)
    if template.get(disk, "SOURCE"):
        return ()  # named in the record's warnings
    section = attributes.VOLATILE_DISK
    return tuple(
        (key, value) for key, value in disk
        if value and attributes.rule(section, key).treatment is Treatment.KEPT
    )


def disk_settings(disk: Pairs) -> Pairs:
    """The settings of a disk that are kept with its image: target, cache, limits and so on."""
    return tuple(
        (key, value) for key, value in disk
        if value and attributes.rule(attributes.DISK, key).treatment is Treatment.KEPT
    )


def _context(
    record: VmRecord, here: Counterparts, warnings: list[str]
) -> list[tuple[str, object]]:
    """CONTEXT with the values that oned had resolved, and the attributes that stand in for those with a `$`.
    """
    context = next(template.vectors(record.template, "CONTEXT"), None)
    if context is None:
        return []
    stand_ins: list[tuple[str, object]] = []
    own: list[tuple[str, object]] = []
    for key, value in context:
        if is_generated(key):
            continue
        if key == "FILES":
            warnings.append(f"CONTEXT/{key} was left out: its files belong to the other site ({value})")
            continue
        if key == "FILES_DS":
            named = files.of_context(value, here, record.owner, warnings)
            own += [(key, named)] if named else []
            continue
        if "$" in value:
            name = f"{STAND_IN}{len(stand_ins)}"
            stand_ins.append((name, value))
            value = f"${name}"
        own.append((key, value))
    return [*stand_ins, ("CONTEXT", tuple(own))]


def is_generated(key: str) -> bool:
    """Does oned make this attribute of CONTEXT itself?"""
    return bool(_GENERATED_CONTEXT.fullmatch(key))


def _user_template(pairs: Pairs, here: Counterparts, warnings: list[str]) -> Pairs:
    """The attributes of the VM's user, without marks of a site. What names places of the other one is
    mapped, or put aside.
    """
    kept: list[tuple[str, object]] = []
    for key, value in pairs:
        if key.startswith("ONEDR_") or key in MARKS:
            continue
        found = attributes.USER_TEMPLATE.get(key)
        if found is not None and found.treatment is Treatment.REGENERATED:
            continue
        if names_a_place(key, value):
            here_too = mapped.requirements(key, value, here) if isinstance(value, str) else None
            if here_too is not None:
                warnings.append(f"{key} reads {here_too} here, by the mapping; it was {value}")
                kept.append((key, here_too))
                continue
        if found is not None and (names_a_place(key, value) or not key.startswith("SCHED_")):
            warnings.append(f"{key} names objects of the other site; kept as DR_ORIGIN_{key}")
            key = f"DR_ORIGIN_{key}"
        kept.append((key, value))
    return tuple(kept)


def names_a_place(key: str, value: template.Value) -> bool:
    """Is it a requirement that names hosts, clusters or datastores?"""
    return key in mapped.SECTION and bool(mapped.NAMES_A_PLACE.search(str(value)))


def is_half_made(pairs: Pairs) -> bool:
    """Was this VM or image taken over by a run that has not finished it?

    The peer's record is then still needed.
    """
    return bool(template.get(pairs, ORIGIN)) and template.get(pairs, FINISHED) != "YES"
