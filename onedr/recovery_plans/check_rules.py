"""What a recovery plan makes of the VMs that there are, and what its author should look at. Pure."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from onedr.failover import start_order, waves_plan
from onedr.failover.waves import Wave
from onedr.failover.waves_plan import Order
from onedr.model.recovery_plan import RecoveryPlan
from onedr.replication.inventory import VmItem
from onedr.runs.recovery_plan_events import GroupShown
from onedr.runs.request import Request


def groups(plan: RecoveryPlan, items: Sequence[VmItem]) -> tuple[GroupShown, ...]:
    """The waves in which the VMs of a site would start at the other, in order."""
    known = {item.origin: item for item in items}
    starting = [item.origin for item in items if start_order.wants_start(item, Request("check"))]
    found = waves_plan.waves(plan, Order(starting, known), {})
    return tuple(
        GroupShown(number, wave.called, tuple(sorted(known[origin].record.name for origin in wave.origins)),
                   _gates(wave))
        for number, wave in enumerate(found, 1)
    )


def _gates(wave: Wave) -> str:
    return "; ".join(gate.step.text for gate in wave.gates)


def warnings(plan: RecoveryPlan, items: Iterable[VmItem]) -> tuple[str, ...]:
    """Names that no VM has or several have, and groups without a VM."""
    items = list(items)
    named = Counter(item.record.name for item in items)
    found = []
    for group in plan.groups:
        for vm in group.vms:
            if named[vm] != 1:
                how = "no protected VM is" if not named[vm] else f"{named[vm]} protected VMs are"
                found.append(f"line {group.line}: {how} called {vm}")
        if not any(waves_plan.group_of(plan, item) is group for item in items):
            found.append(f"line {group.line}: group {group.name} selects no protected VM")
    return tuple(found)
