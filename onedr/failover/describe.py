"""A plan as people and programs see it before anything is changed."""
from __future__ import annotations

from typing import Any

from onedr.failover import fence_plan, start_order
from onedr.failover.facts import FailoverFacts, FailoverRequest, RunPlan
from onedr.replication import recovery_point
from onedr.replication.inventory import VmItem
from onedr.runs.step_docs import listed


def describe_failover(
    plan: RunPlan, facts: FailoverFacts, request: FailoverRequest, now: float
) -> dict[str, Any]:
    """The plan as an event: what a person sees before anything is changed."""
    return {
        "event": "plan",
        "datastore": facts.datastore,
        "peer": {"state": facts.peer.value, "detail": facts.peer_detail, "front_end": facts.there_detail},
        "planned": request.lossless,
        "fence": plan.fence.value,
        "seen": fence_plan.seen(facts, facts.images),
        "digest": plan.digest,
        "refusal": plan.refusal,
        "vms": [_describe_vm(item, plan, request, now) for item in plan.vms],
        "images": [
            {
                "image": image.name,
                "recovery_point": image.recovery_point,
                "complete": image.complete,
                "primary": image.primary,
            }
            for image in facts.images
        ],
        "steps": listed(plan.steps),
        "left_out": dict(plan.left_out),
        "vm_delays": dict(plan.vm_delays),
        "delays": {str(priority): seconds for priority, seconds in plan.delays.items()},
    }


def _describe_vm(item: VmItem, plan: RunPlan, request: FailoverRequest, now: float) -> dict[str, Any]:
    return {
        "origin": item.origin,
        "name": item.record.name,
        "site": item.envelope.site,
        "vm": item.record.vm_id,
        "state_there": item.record.state,
        "recovery_point": item.recovery_point,
        "expected_loss_s": recovery_point.age_s(item.recovery_point, now),
        "starts": start_order.wants_start(item, request) and item.origin not in plan.left_out,
        "priority": start_order.priority(item),
        "disks": [image.name for image in item.images],
        "left_out": plan.left_out.get(item.origin, ""),
        "warnings": [
            *item.warnings,
            *filter(
                None, [plan.warnings.get(item.origin), recovery_point.clock_warning(item.recovery_point, now)]
            ),
        ],
    }
