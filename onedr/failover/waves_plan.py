"""In which order a run starts VMs: by the groups of a recovery plan, then the others by DR_PRIORITY. Pure.

Without a plan DR_PRIORITY alone decides: the datastore's own priorities are the default plan.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from onedr.failover import start_order
from onedr.model import recovery_plan, template
from onedr.model.recovery_plan import Gate, Group, RecoveryPlan
from onedr.replication.inventory import VmItem
from onedr.runs.steps import Step, StepKind


@dataclass(frozen=True)
class GroupGate:
    """The gate of a group in a run. `origins`: the VMs that must pass it."""

    group: str
    gate: Gate
    origins: tuple[str, ...]

    @property
    def step(self) -> Step:
        """Its step; the target is no name that an image or a VM's origin can have."""
        what = f" and accept connections at port {self.gate.port}" if self.gate.port else ""
        then = "the run stops" if self.gate.stops else "the next ones start all the same"
        text = (
            f"wait until {len(self.origins)} VM(s) of group {self.group} run{what}; after "
            f"{self.gate.within_s} s {then}"
        )
        return Step(StepKind.GATE, f"group {self.group}", text)


@dataclass(frozen=True)
class Wave:
    """VMs (by origin) that start together, when the wave before is through. `gates`: what must pass after
    it; `delay_s`: seconds after that.
    """

    called: str
    origins: tuple[str, ...]
    delay_s: int = 0
    gates: tuple[GroupGate, ...] = ()


@dataclass(frozen=True)
class Order:
    """What the waves are made from. `targets`: origins of the VMs that start; `running`: of all that are to
    run in the end, which a run before may have started; `late`: of those with a DR_DELAY of their own, for
    which no gate waits; `passed`: targets of gates that the interrupted run has passed.
    """

    targets: Sequence[str]
    items: Mapping[str, VmItem]
    running: Collection[str] = ()
    late: Collection[str] = ()
    passed: Collection[str] = ()


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


def in_order(steps: Iterable[Step], found: Sequence[Wave]) -> list[Step]:
    """The steps with the starts in the order of their waves, and the gates between them."""
    steps = list(steps)
    starts = {step.target: step for step in steps if step.kind is StepKind.START}
    ordered: list[Step] = []
    for wave in found:
        ordered += [starts[origin] for origin in wave.origins if origin in starts]
        ordered += [gate.step for gate in wave.gates]
    return [*(step for step in steps if step.kind is not StepKind.START), *ordered]
