"""What a move or failover came to, VM by VM: recovery time and loss, for the result and the history. Pure."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from onedr.opennebula.vms import PeerVm
from onedr.replication.inventory import VmItem
from onedr.runs.journal_entry import VmOutcome
from onedr.runs.plan_events import FailoverPlanEvent
from onedr.runs.steps import StepKind


@dataclass(frozen=True)
class Measured:
    """What a run measured. Epoch seconds: when it was `asked` for, `now`, and when steps `ended` (`kind
    target`). By origin: ids here, why it failed, seconds and bytes that may be lost, recovery times of
    the last drills.

    `starting`: VMs that were to run; `pending`: those of them that wait for a host, as they did there.
    """

    asked: float
    now: float
    ended: Mapping[str, float]
    vm_ids: Mapping[str, int]
    failed: Mapping[str, str]
    loss: Mapping[str, float | None]
    loss_bytes: Mapping[str, int | None]
    starting: Collection[str]
    pending: Collection[str]
    drilled: Mapping[str, float]


def vm_outcome(origin: str, item: VmItem | None, home: PeerVm | None, seen: Measured) -> VmOutcome:
    """A VM of the run: `rto_s` from the command until it ran, `waited_s` from the command until now of one
    that was to run and does not.
    """
    ran_at = None if origin in seen.pending else seen.ended.get(f"{StepKind.START.value} {origin}")
    waits = ran_at is None and origin in seen.starting and origin not in seen.pending
    return VmOutcome(
        origin=origin,
        name=item.record.name if item else home.name if home else "",
        site=item.envelope.site if item else "",
        here=seen.vm_ids.get(origin),
        failed=seen.failed.get(origin, ""),
        rto_s=round(ran_at - seen.asked, 3) if ran_at is not None else None,
        rpo_s=seen.loss.get(origin),
        loss_bytes=seen.loss_bytes.get(origin),
        waited_s=round(seen.now - seen.asked, 3) if waits else None,
        drill_rto_s=seen.drilled.get(origin),
    )


def loss(
    plan: FailoverPlanEvent, items: Mapping[str, VmItem], before: Mapping[str, float | None]
) -> dict[str, float | None]:
    """By origin, seconds a VM may lose at most: by its recovery point, none in a move. `before`: as an
    interrupted run said when its disks were promoted.
    """
    return {
        vm.origin: before[vm.origin]
        if vm.origin in before and all(image.primary for image in items[vm.origin].images)
        else 0.0 if plan.planned else vm.expected_loss_s
        for vm in plan.vms
    }


def lost_bytes(
    plan: FailoverPlanEvent, items: Mapping[str, VmItem], before: Mapping[str, int | None]
) -> dict[str, int | None]:
    """The same in bytes, as rbd-mirror last said before the disks were promoted."""
    return {
        vm.origin: before[vm.origin]
        if vm.origin in before and all(image.primary for image in items[vm.origin].images)
        else vm.seen_loss_bytes
        for vm in plan.vms
    }
