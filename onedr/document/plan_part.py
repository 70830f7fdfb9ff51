"""PLAN of a document, from the plan that a dry run shows. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Union

from onedr.document import fit_rules
from onedr.document.fit_rules import few, fitting, short
from onedr.document.form import (
    DatastoreShown,
    LeftOut,
    LeftOutList,
    PlanImage,
    PlanImageList,
    PlanPart,
    PlanStep,
    PlanVm,
    PlanVmList,
)
from onedr.runs.plan_events import (
    DrillPlanEvent,
    DrillVm,
    FailoverPlanEvent,
    FailoverVm,
    ReprotectPlanEvent,
    StepShown,
)
from onedr.runs.request import Request

RunPlan = Union[FailoverPlanEvent, DrillPlanEvent, ReprotectPlanEvent]
PLANS = (FailoverPlanEvent, DrillPlanEvent, ReprotectPlanEvent)
_TEXTS, _WARNINGS = 5, 5


@dataclass(frozen=True)
class Asked:
    """What was asked for: a plan of `verb` (a word of DR_PLAN), of this datastore."""

    datastore: DatastoreShown
    verb: str
    request: Request


def without_plan(asked: Asked, now: float, error: str = "") -> PlanPart:
    """Why there is none. The base of those that there are."""
    return PlanPart(
        as_of=now, datastore=asked.datastore, verb=asked.verb, by=short(asked.request.by),
        request=short("".join(asked.request.words("REQUEST"))), lossless=False, digest="", confirm="",
        refusal="", error=short(error), peer="", seen="", fence="", network="", steps=(),
        vms=PlanVmList(0), images=PlanImageList(0), left_out=LeftOutList(0),
    )


def plan_part(asked: Asked, event: RunPlan, now: float) -> PlanPart:
    """What a person decides by."""
    base = replace(
        without_plan(asked, now), refusal=short(event.refusal), peer=short(event.peer.detail),
        steps=_steps(event.steps),
    )
    if isinstance(event, ReprotectPlanEvent):
        return replace(base, images=_images(event), left_out=_left_out(event.left_out, {}))
    rows = [_drill_vm(vm) for vm in event.vms] if isinstance(event, DrillPlanEvent) else [
        _vm(vm) for vm in event.vms]
    labels = {vm.origin: f"VM {vm.name} ({vm.vm} at {vm.site})" for vm in event.vms}
    base = replace(base, vms=_vms(rows), left_out=_left_out(event.left_out, labels))
    if isinstance(event, DrillPlanEvent):
        return replace(base, network=short(event.network))
    return replace(
        base, lossless=event.planned, digest=event.digest, seen=short(event.seen), fence=short(event.fence),
        confirm=f"{event.datastore}:{event.digest}" if event.digest and not event.refusal else "",
    )


def _steps(steps: Iterable[StepShown]) -> tuple[PlanStep, ...]:
    """In the order in which they are done; all of one kind together."""
    kinds: dict[str, list[StepShown]] = {}
    for step in steps:
        kinds.setdefault(step.kind, []).append(step)
    return tuple(
        PlanStep(kind, len(found), few((step.text for step in found), _TEXTS), short(found[0].needs))
        for kind, found in kinds.items()
    )


def _vm(vm: FailoverVm) -> PlanVm:
    return PlanVm(
        vm.vm, short(vm.name), short(vm.site), vm.recovery_point, vm.expected_loss_s, vm.seen_loss_bytes,
        vm.starts, vm.priority, short(vm.left_out), few(vm.warnings, _WARNINGS),
    )


def _drill_vm(vm: DrillVm) -> PlanVm:
    """A drill loses nothing, and starts its VMs in the order of the plan."""
    return PlanVm(
        vm.vm, short(vm.name), short(vm.site), vm.recovery_point, None, None, vm.starts, None,
        short(vm.left_out), few(vm.warnings, _WARNINGS),
    )


def _vms(rows: Sequence[PlanVm]) -> PlanVmList:
    """Those that are left out first, then in the order of the plan."""
    ordered = sorted(rows, key=lambda row: not row.left_out)
    return PlanVmList(len(rows), fitting(ordered, fit_rules.ROOM["vms"]))


def _images(event: ReprotectPlanEvent) -> PlanImageList:
    rows = (
        PlanImage(each.image, short(each.vm), each.kept, each.again, each.loss_s, each.bytes)
        for each in event.images
    )
    return PlanImageList(len(event.images), fitting(rows, fit_rules.ROOM["images"]))


def _left_out(found: Mapping[str, str], labels: Mapping[str, str]) -> LeftOutList:
    rows = (LeftOut(short(labels.get(item, item)), short(why)) for item, why in found.items())
    return LeftOutList(len(found), fitting(rows, fit_rules.ROOM["left_out"]))
