"""A plan as people and programs see it before anything is changed."""
from __future__ import annotations

from onedr.failover import fence_plan, loss, point_plan, start_order, waves_plan
from onedr.failover.facts import FailoverFacts, RunPlan
from onedr.replication import recovery_point
from onedr.replication.inventory import VmItem
from onedr.runs.events import PeerShown
from onedr.runs.plan_events import FailoverImage, FailoverPlanEvent, FailoverVm
from onedr.runs.request import Request
from onedr.runs.step_docs import shown_steps


def describe_failover(
    plan: RunPlan, facts: FailoverFacts, request: Request, now: float
) -> FailoverPlanEvent:
    """The plan as an event: what a person sees before anything is changed."""
    last_seen = loss.last_seen(facts.images, facts.peer, now)
    return FailoverPlanEvent(
        datastore=facts.datastore,
        verb=request.verb,
        peer=PeerShown(facts.peer_detail, facts.peer.value, facts.there_detail),
        planned=request.lossless,
        fence=plan.fence.value,
        seen=fence_plan.seen(facts, facts.images),
        last_seen=last_seen,
        digest=plan.digest,
        refusal=plan.refusal,
        vms=tuple(_describe_vm(item, plan, facts, request, last_seen, now) for item in plan.vms),
        images=tuple(
            FailoverImage(image.name, image.recovery_point, image.complete, image.primary)
            for image in facts.images
        ),
        steps=shown_steps(plan.steps),
        left_out=dict(plan.left_out),
        delays={
            wave.called.removeprefix("priority "): wave.delay_s for wave in plan.waves[:-1] if wave.delay_s
        },
        recovery_plan=facts.recovery.label,
    )


def _describe_vm(
    item: VmItem, plan: RunPlan, facts: FailoverFacts, request: Request, last_seen: float | None, now: float
) -> FailoverVm:
    lost = loss.Loss(0.0, 0.0, 0)
    if not request.lossless:
        lost = loss.loss(item, last_seen, now, facts.behind)
    more = [plan.warnings.get(item.origin), recovery_point.clock_warning(item.recovery_point, now)]
    return FailoverVm(
        origin=item.origin,
        name=item.record.name,
        site=item.envelope.site,
        vm=item.record.vm_id,
        state_there=item.record.state,
        recovery_point=item.recovery_point,
        expected_loss_s=lost.at_most_s,
        seen_loss_s=lost.if_seen_s,
        seen_loss_bytes=lost.if_seen_bytes,
        starts=start_order.wants_start(item, request) and item.origin not in plan.left_out,
        priority=start_order.priority(item),
        group=group.name if (group := waves_plan.group_of(facts.recovery.plan, item)) is not None else "",
        delay_s=plan.vm_delays.get(item.origin, 0),
        disks=tuple(image.name for image in item.images),
        left_out=plan.left_out.get(item.origin, ""),
        drill_rto_s=facts.drilled.get(item.origin),
        newest_point=None if (point := point_plan.newest(item)) is None else point.note.at,
        warnings=(*item.warnings, *(text for text in more if text)),
    )
