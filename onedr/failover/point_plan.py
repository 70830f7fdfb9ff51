"""To which point in time each VM is taken back, where that was asked for (docs/points.md). Pure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from onedr.failover.facts import FailoverFacts
from onedr.model.records import ImageFacts
from onedr.replication import vm_points
from onedr.replication.inventory import VmItem
from onedr.replication.vm_points import VmPoint
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind

NEWEST = "newest"  # as the moment: the newest complete point of each VM


@dataclass(frozen=True)
class Chosen:
    """By image, the point that it is taken back to; by origin and image, why a VM cannot be; by origin, what
    else is said.
    """

    points: Mapping[str, VmPoint] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)


def choose(items: Iterable[VmItem], request: Request) -> Chosen:
    """Each VM's newest complete point that is not after the moment asked for. Raises InputError."""
    asked = request.words("POINT")
    if not asked:
        return Chosen()
    until = None if asked[-1].lower() == NEWEST else vm_points.when(asked[-1])
    found: dict[str, VmPoint] = {}
    left_out: dict[str, str] = {}
    for item in items:
        point, disks = newest(item, until), [image.name for image in vm_points.disks_of(item.images)]
        if point is not None:
            found.update(dict.fromkeys(disks, point))
        else:
            when = "" if until is None else f" at or before {asked[-1]}"
            why = f"VM {item.record.name} has no point{when} that all its disks have here"
            left_out.update(dict.fromkeys((item.origin, *disks), why))
    return Chosen(found, {what: why for what, why in left_out.items() if what not in found})


def newest(item: VmItem, until: float | None = None) -> VmPoint | None:
    """A VM's newest point, not after `until`, that all its disks have here; None when there is none."""
    here = [replace(point, complete=not point.lacking) for point in vm_points.of_vm(item.images)]
    return vm_points.newest(here, until)


def of_failover(facts: FailoverFacts, request: Request, items: Iterable[VmItem]) -> Chosen:
    """What a failover takes back: what was asked for; else with DR_RECOVER=CONSISTENT what has a point.
    A move brings everything that was written.
    """
    if request.lossless:
        return Chosen()
    if request.words("POINT") or not facts.recover_consistent:
        return choose(items, request)
    found = choose(items, replace(request, attributes=(*request.attributes, ("POINT", NEWEST))))
    text = "it has no point in time, and comes with the newest data of each disk"
    return Chosen(found.points, {}, dict.fromkeys(found.left_out, text))


def with_steps(steps: list[Step], chosen: Chosen, vms: Iterable[VmItem]) -> list[Step]:
    """The steps of a failover, with those that take back the disks of each VM that it brings: never those of
    a VM that is here already.
    """
    coming = {step.target for step in steps if step.kind in (StepKind.CREATE, StepKind.RETURN)}
    names = {image.name for item in vms if item.origin in coming for image in item.images}
    order = list(StepKind)
    return sorted([*steps, *rewinds(sorted(names), chosen, "{}")], key=lambda step: order.index(step.kind))


def as_of(items: Iterable[VmItem], chosen: Chosen) -> list[VmItem]:
    """The VMs with the recovery points that they will have."""
    return [
        replace(item, images=tuple(_as_of(image, chosen.points) for image in item.images)) for item in items
    ]


def _as_of(image: ImageFacts, chosen: Mapping[str, VmPoint]) -> ImageFacts:
    return replace(image, recovery_point=chosen[image.name].note.at) if image.name in chosen else image


def rewinds(names: Iterable[str], chosen: Chosen, what: str) -> list[Step]:
    """The steps that take these images back; `what`: how to call one, with its name in braces."""
    return [
        Step(StepKind.REWIND, name, f"take {what.format(name)} back to its point {chosen.points[name].name}")
        for name in names if name in chosen.points
    ]
