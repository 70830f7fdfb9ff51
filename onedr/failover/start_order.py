"""Which VMs a run is about, and in which order they start. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onedr.failover import fence_plan
from onedr.model import settings, template
from onedr.opennebula.vm_locks import locked_state
from onedr.opennebula.vms import PeerVm
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind


def chosen(item: VmItem, wanted: tuple[str, ...]) -> bool:
    """Is the VM among those asked for, by name or id at the peer? Nothing asked for means all."""
    return not wanted or item.record.name in wanted or str(item.record.vm_id) in wanted


def not_found(request: Request, vms: list[VmItem], here: Iterable[PeerVm] = ()) -> dict[str, str]:
    """VMs asked for of which nothing is known here; `here`: VMs of this site that are meant too."""
    found = {name for item in vms for name in (item.record.name, str(item.record.vm_id))}
    found |= {name for vm in here for name in (vm.name, str(vm.vm_id))}
    return {wanted: "no record of this VM has arrived here" for wanted in request.vms if wanted not in found}


def _state_there(item: VmItem) -> str:
    """Of one that a planned move stopped, the one before."""
    return locked_state(item.record.user_template) or item.record.state


def was_pending(item: VmItem) -> bool:
    """Did it wait there for a host?"""
    return _state_there(item) == "PENDING"


def wants_start(item: VmItem, request: Request) -> bool:
    """A VM runs here if it ran there, unless DR_START=NO is set."""
    return (
        request.start
        and _state_there(item) in fence_plan.RUNS
        and template.get(item.record.user_template, "DR_START").upper() != "NO"
    )


def priority(item: VmItem) -> int:
    """DR_PRIORITY 1 (first) to 5; 3 when absent or not a number of that range."""
    text = template.get(item.record.user_template, "DR_PRIORITY", "3")
    return int(text) if text in ("1", "2", "3", "4", "5") else 3


def by_priority(vms: Iterable[VmItem]) -> list[VmItem]:
    """VMs in the order in which they start."""
    return sorted(vms, key=lambda item: (priority(item), item.record.name))


@dataclass(frozen=True)
class Delays:
    """Seconds between priority groups, by the priority of the former; seconds by which a VM starts after its
    group; and by origin, what is wrong with a VM's own delay.
    """

    groups: Mapping[int, int]
    vms: Mapping[str, int]
    warnings: Mapping[str, str]


def delays(vms: Iterable[VmItem], steps: Iterable[Step], group_s: int, most_s: int) -> Delays:
    """A VM's DR_DELAY holds up that VM only; groups wait for the datastore's, and a group of which all wait
    for their own holds up none. The run stays open for them, so `most_s` at the most is the datastore's too.
    """
    starting = {step.target for step in steps if step.kind is StepKind.START}
    late, warnings, priorities = {}, {}, set()
    for item in (item for item in vms if item.origin in starting):
        text = template.get(item.record.user_template, "DR_DELAY").strip()
        try:
            seconds = settings.duration(text) if text else 0
        except ValueError as error:
            seconds, warnings[item.origin] = 0, f"its DR_DELAY is not used: {error}"
        if seconds > most_s:
            warnings[item.origin] = f"its DR_DELAY of {seconds} s is cut to the {most_s} s of DR_DELAY_MAX"
        if min(seconds, most_s):
            late[item.origin] = min(seconds, most_s)
        else:
            priorities.add(priority(item))
    groups = sorted(priorities)[:-1] if group_s else []
    return Delays(dict.fromkeys(groups, group_s), late, warnings)
