"""What was changed of a VM at the other site and does not come home with it, in sentences. Pure.

Its own object here goes on (failback_vms): disks, NICs and their security groups, capacity, scheduled actions
and the attributes of its user follow.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping

from onedr.failover import failback_plan, nic_changes, placement
from onedr.model import template
from onedr.model.records import VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import attributes, files, mapped, scheduled_actions, vm_template
from onedr.opennebula.attributes import Treatment
from onedr.opennebula.mapped import owner_of
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.objects import BACKUP_SETTINGS
from onedr.opennebula.vm_locks import locked_state
from onedr.opennebula.vms import PeerVm
from onedr.replication import secrets

# These follow; oned itself completes a topology.
_FOLLOWED = ("CPU", "VCPU", "MEMORY", "TOPOLOGY")
# Parts of a section that differ between the sites by themselves, or are said on their own.
_APART: Mapping[str, tuple[str, ...]] = {
    "OS": ("BOOT", "KERNEL", "INITRD"), "GRAPHICS": ("PORT", "PREVIOUS_PORT"), "TPM": (),
    "BACKUP_CONFIG": ("DISK_IDS",), "CONTEXT": ("FILES", "FILES_DS", "TARGET"),
}


def of_vm(home: PeerVm, there: VmRecord, here: Counterparts) -> list[str]:
    """`home`: the VM here, its template as a record has it. Names only: a value may be a secret."""
    own = home.template
    return [
        *_attributes(own, there.template), *_sections(own, there.template), *_boot(home, there, here),
        *_vm_group(own, there.template, here), *_devices(own, there.template), *_nics(own, there, here),
        *_actions(there), *_files_of_hosts(own, there),
    ]


def _attributes(own: Pairs, there: Pairs) -> Iterator[str]:
    kept = {key for key, rule in attributes.VM.items() if rule.treatment is Treatment.KEPT} - {*_FOLLOWED}
    for key in sorted(kept & {name for pairs in (own, there) for name, _ in pairs}):
        if _values(own, key) != _values(there, key):
            yield _changed(key)


def _changed(what: str) -> str:
    return f"{what} was changed at the other site: it stays as it is here"


def _values(pairs: Pairs, key: str) -> list[object]:
    """Of an attribute, without what is empty; vectors in any order of their parts."""
    found = [value for name, value in pairs if name == key and value]
    return [value if isinstance(value, str) else sorted(part for part in value if part[1]) for value in found]


def _sections(own: Pairs, there: Pairs) -> Iterator[str]:
    """Sections that are mapped, part by part. What may be among secrets that were not opened is not compared.
    """
    sealed = template.get(there, secrets.ENCRYPTED) or template.get(there, secrets.WITHHELD)
    for section in _APART:
        mine, theirs = _parts(own, section), _parts(there, section)
        for key in sorted(mine.keys() | theirs.keys()):
            hidden = sealed and key not in theirs
            if mine.get(key, "") != theirs.get(key, "") and not hidden:
                yield _changed(f"{section}/{key}")


def _parts(pairs: Pairs, section: str) -> dict[str, str]:
    found: Pairs = next(template.vectors(pairs, section), ())
    return {
        key: value for key, value in found
        if isinstance(value, str) and value and key not in _APART[section]
        and not (section == "OS" and key.startswith(files.OS_FILES))
        and not (section == "CONTEXT" and vm_template.is_generated(key))
        and not (section == "BACKUP_CONFIG" and key not in BACKUP_SETTINGS)
    }


def _boot(home: PeerVm, there: VmRecord, here: Counterparts) -> Iterator[str]:
    """The boot order, of disks by their RBD image and of NICs by which is which; what is not there is no
    difference.
    """
    mine = {number: name for name, number in failback_plan.disk_names(home.template, home.vm_id).items()}
    theirs = {
        str(disk.disk_id): str(disk.rbd).rpartition("/")[2] for disk in there.disks if not disk.to_clone
    }
    nics_here = nic_changes.same_nics(home.template, there.template, here)
    known = {f"disk{number}" for number, name in mine.items() if name in theirs.values()}
    known |= {f"nic{number}" for number in nics_here.values()}
    own = [each for each in _order(home.template) if each in known]
    numbers = {name: number for number, name in mine.items()}
    translated = {
        **{f"disk{number}": f"disk{numbers.get(name, '?')}" for number, name in theirs.items()},
        **{f"nic{number}": f"nic{mine_too}" for number, mine_too in nics_here.items()},
    }
    if own != [translated.get(each, each) for each in _order(there.template) if each in translated]:
        yield _changed("OS/BOOT")


def _order(pairs: Pairs) -> list[str]:
    found: Pairs = next(template.vectors(pairs, "OS"), ())
    return [each.strip() for each in template.get(found, "BOOT").split(",") if each.strip()]


def _vm_group(own: Pairs, there: Pairs, here: Counterparts) -> Iterator[str]:
    """Of one that was left out on the way there nothing is said."""
    theirs: Pairs = next(template.vectors(there, "VMGROUP"), ())
    mine: Pairs = next(template.vectors(own, "VMGROUP"), ())
    if not theirs:
        return
    name = mapped.name_of("vm_groups", template.get(theirs, "VMGROUP_NAME"), here)
    called = template.get(mine, "VMGROUP_NAME"), template.get(mine, "VMGROUP_ID")
    if str(name) not in called or template.get(theirs, "ROLE") != template.get(mine, "ROLE"):
        yield _changed("VMGROUP")


def _devices(own: Pairs, there: Pairs) -> Iterator[str]:
    """Devices that were attached there; of one that is not there nobody knows whether it ever was."""
    mine = [_kind(device) for device in template.vectors(own, "PCI")]
    for device in map(_kind, template.vectors(there, "PCI")):
        if device in mine:
            mine.remove(device)
        elif any(device):
            yield f"PCI {':'.join(device)} was attached at the other site: it is not here"


def _kind(device: Pairs) -> tuple[str, ...]:
    return tuple(template.get(device, key) for key in ("VENDOR", "DEVICE", "CLASS"))


def _nics(own: Pairs, there: VmRecord, here: Counterparts) -> Iterator[str]:
    unclear = nic_changes.changes(own, there.template, here).unclear
    if unclear:
        yield f"its NICs were changed at the other site: they stay as they are here, {unclear}"
    yield from nic_changes.settings(own, there.template, here)
    yield from nic_changes.groups(own, there.template, here, owner_of(there, here.mapping).owner).said


def _actions(there: VmRecord) -> Iterator[str]:
    """Scheduled actions that were added there and are of that site only."""
    found: list[str] = []
    disks = {str(disk.disk_id): str(disk.disk_id) for disk in there.disks if disk.protected}
    for action in template.vectors(there.template, "SCHED_ACTION"):
        scheduled_actions.to_come(action, disks, found)
    yield from found


def _files_of_hosts(own: Pairs, there: VmRecord) -> Iterator[str]:
    """What the VM's host there keeps beside the disks. Here it is as the VM left it, or not at all."""
    yield from placement.of_memory(locked_state(there.user_template) or there.state)
    if any(True for _ in template.vectors(own, "TPM")):
        yield "TPM: what was written to it at the other site stays there: its state is a file of the host"
    if any(template.get(found, "FIRMWARE") for found in template.vectors(own, "OS")):
        yield "UEFI variables that were written at the other site stay there: they are a file of the host"
    mine = {key for key, _ in own}
    yield from attributes.said(attributes.VM, [
        key for key, _ in there.template if key not in mine and not key.startswith("ONEDR_")
    ])
