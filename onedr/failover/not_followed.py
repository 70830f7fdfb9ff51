"""What was changed of a VM at the other site and does not come home with it, in sentences. Pure.

Its own object here goes on (failback_vms): disks, NICs and their security groups, capacity, scheduled
actions, the attributes of its user and what oned can set of its settings (setting_changes) follow.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from onedr.failover import nic_changes, placement, setting_changes
from onedr.model import template
from onedr.model.records import VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import attributes, mapped, scheduled_actions
from onedr.opennebula.mapped import owner_of
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.vm_locks import locked_state
from onedr.opennebula.vms import PeerVm


def of_vm(home: PeerVm, there: VmRecord, here: Counterparts) -> list[str]:
    """`home`: the VM here, its template as a record has it. Names only: a value may be a secret."""
    own = home.template
    return [
        *_settings(home, there, here), *_vm_group(own, there.template, here),
        *_devices(own, there.template), *_nics(own, there, here), *_actions(there),
        *_volatile(own, there.template), *_files_of_hosts(own, there),
    ]


def _settings(home: PeerVm, there: VmRecord, here: Counterparts) -> Iterator[str]:
    for change in setting_changes.changes(home, there, here):
        if not change.follows:
            yield setting_changes.stays(change.name)


def _vm_group(own: Pairs, there: Pairs, here: Counterparts) -> Iterator[str]:
    """Of one that was left out on the way there nothing is said."""
    theirs: Pairs = next(template.vectors(there, "VMGROUP"), ())
    mine: Pairs = next(template.vectors(own, "VMGROUP"), ())
    if not theirs:
        return
    name = mapped.name_of("vm_groups", template.get(theirs, "VMGROUP_NAME"), here)
    called = template.get(mine, "VMGROUP_NAME"), template.get(mine, "VMGROUP_ID")
    if str(name) not in called or template.get(theirs, "ROLE") != template.get(mine, "ROLE"):
        yield setting_changes.stays("VMGROUP")


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


def _volatile(own: Pairs, there: Pairs) -> Iterator[str]:
    """Volatile disks, which have nothing by which one is known at both sites but their kind."""
    mine, theirs = (Counter(map(_sized, _without_image(pairs))) for pairs in (own, there))
    for disk in (theirs - mine).elements():
        yield f"a volatile disk ({disk}) was plugged in at the other site: it is not here"
    for disk in (mine - theirs).elements():
        yield f"a volatile disk ({disk}) was unplugged at the other site: it stays here"


def _without_image(pairs: Pairs) -> Iterator[Pairs]:
    for disk in template.vectors(pairs, "DISK"):
        if not template.get(disk, "SOURCE") and not template.get(disk, "IMAGE_ID"):
            yield disk


def _sized(disk: Pairs) -> str:
    return f"{template.get(disk, 'TYPE')}, {template.get(disk, 'SIZE')} MiB"


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
