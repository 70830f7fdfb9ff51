"""In which order a run starts VMs: by the groups of a recovery plan, then the others by DR_PRIORITY. Pure.

Without a plan DR_PRIORITY alone decides: the datastore's own priorities are the default plan.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from onedr.failover import start_order
from onedr.failover.waves import GroupGate, Wave
from onedr.model import recovery_plan, template
from onedr.model.recovery_plan import Group, RecoveryPlan
from onedr.replication.inventory import VmItem
from onedr.runs.steps import Step, StepKind


@dataclass(frozen=True)
class Order:
    """What the waves are made from. `targets`: origins of the VMs that start; `running`: of all that are to
    run in the end, which an interrupted run may have started; `late`: of those with a DR_DELAY of their own,
    for which no gate waits; `passed`: targets of gates that the interrupted run has passed.
    """

    targets: Sequence[str]
    items: Mapping[str, VmItem]
    running: Collection[str] = ()
    late: Collection[str] = ()
    passed: Collection[str] = ()


def of_run(
    plan: RecoveryPlan | None, steps: Iterable[Step], items: Iterable[VmItem], delays: start_order.Delays,
    running: Collection[str] = (), passed: Collection[str] = (),
) -> tuple[Wave, ...]:
    """The waves of a run with these steps; `running`, `passed`: as in Order."""
    targets = [step.target for step in steps if step.kind is StepKind.START]
    known = {item.origin: item for item in items}
    return waves(plan, Order(targets, known, running, delays.vms, passed), delays.groups)


def group_of(plan: RecoveryPlan | None, item: VmItem | None) -> Group | None:
    """The group of a plan that a VM belongs to; None: it starts after all groups."""
    if plan is None or item is None:
        return None
    record = item.record
    return plan.group_of(record.name, labels(item), record.group, record.owner)


def labels(item: VmItem) -> tuple[str, ...]:
    """The labels of a VM (LABELS)."""
    words = template.get(item.record.user_template, "LABELS").split(",")
    return tuple(filter(None, (word.strip() for word in words)))


def waves(plan: RecoveryPlan | None, order: Order, delays: Mapping[int, int]) -> tuple[Wave, ...]:
    """All waves in order; each target is in exactly one. `delays`: seconds by priority, as
    `start_order.delays` has them.
    """
    members: dict[str, list[str]] = {}
    rest: dict[int, list[str]] = {}
    for origin in dict.fromkeys((*order.targets, *order.running)):
        item = order.items.get(origin)
        group = group_of(plan, item)
        if group is not None:
            members.setdefault(group.name, []).append(origin)
        elif origin in order.targets:
            rest.setdefault(start_order.priority(item) if item is not None else 3, []).append(origin)
    found = []
    for level in plan.waves() if plan is not None else ():
        found += _of_groups([group for group in level if group.name in members], members, order)
    found += [
        Wave(f"priority {priority}", tuple(rest[priority]), delays.get(priority, 0))
        for priority in sorted(rest)
    ]
    return tuple(wave for wave in found if wave.origins or wave.gates)


def _of_groups(groups: list[Group], members: Mapping[str, list[str]], order: Order) -> list[Wave]:
    """The waves of groups that begin together: VMs that others of their group need come first."""
    if not groups:
        return []
    depths: dict[int, list[str]] = {}
    for group in groups:
        levels = recovery_plan.levels({vm: group.depends.get(vm, ()) for vm in group.vms})
        depth = {vm: number for number, level in enumerate(levels) for vm in level}
        for origin in members[group.name]:
            if origin in order.targets:
                depths.setdefault(depth.get(order.items[origin].record.name, 0), []).append(origin)
    gates = [_gate(group, members[group.name], order) for group in groups]
    called = f"group {', '.join(group.name for group in groups)}"
    starts = [tuple(depths[number]) for number in sorted(depths)] or [()]
    last = len(starts) - 1
    return [
        Wave(
            f"{called} ({number + 1})" if number else called, origins,
            max(group.delay_s for group in groups) if number == last else 0,
            tuple(gate for gate in gates if gate is not None) if number == last else (),
        )
        for number, origins in enumerate(starts)
    ]


def _gate(group: Group, members: Iterable[str], order: Order) -> GroupGate | None:
    if group.gate is None:
        return None
    waited = tuple(origin for origin in members if origin not in order.late)
    found = GroupGate(group.name, group.gate, waited)
    return found if waited and found.step.target not in order.passed else None


def stops_in_order(
    plan: RecoveryPlan | None, steps: Sequence[Step], found: Sequence[Wave], items: Mapping[str, VmItem]
) -> list[list[Step]]:
    """Steps that stop VMs at the other site (targets: ids there), in groups, one after the other: those that
    start last stop first, and before them those that do not start. Without a plan all at once.
    """
    if plan is None:
        return [list(steps)] if steps else []
    wave_of = {
        str(items[origin].record.vm_id): number
        for number, wave in enumerate(found, 1) for origin in wave.origins if origin in items
    }
    groups: dict[int, list[Step]] = {}
    for step in steps:
        groups.setdefault(wave_of.get(step.target, len(found) + 1), []).append(step)
    return [groups[number] for number in sorted(groups, reverse=True)]


def in_order(steps: Iterable[Step], found: Sequence[Wave]) -> list[Step]:
    """The steps with the starts in the order of their waves, and the gates between them."""
    steps = list(steps)
    starts = {step.target: step for step in steps if step.kind is StepKind.START}
    ordered: list[Step] = []
    for wave in found:
        ordered += [starts[origin] for origin in wave.origins if origin in starts]
        ordered += [gate.step for gate in wave.gates]
    at = next((number for number, step in enumerate(steps) if step.kind is StepKind.START), len(steps))
    return [*steps[:at], *ordered, *(step for step in steps[at:] if step.kind is not StepKind.START)]
