"""A planned move: the peer is alive and willing, so nothing is lost, and everything can be rolled back until
the first promotion.

Its VMs are stopped and locked there, the last writes arrive, its images are demoted; then it continues as a
failover does.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from onedr.failover import fence_plan, scope_plan
from onedr.failover.facts import FailoverFacts
from onedr.model.records import ImageFacts
from onedr.model.text import NOTHING, Sentence
from onedr.opennebula.vms import PeerVm
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind

# until these are done, everything can be rolled back
BEFORE_PROMOTION = (StepKind.SYNC, StepKind.STOP, StepKind.DRAIN, StepKind.FENCE_SITE, StepKind.FENCE)


def refusal(
    facts: FailoverFacts,
    request: Request,
    images: Sequence[ImageFacts],
    vms: Sequence[VmItem],
    left_out: Mapping[str, str],
) -> Sentence:
    """Why the move must not begin: it would stop what cannot start here.

    Empty when it may, or has gone too far to turn back.
    """
    if any(image.primary for image in images):
        return NOTHING
    names = {item.origin: item for item in vms}
    known = {item.record.vm_id for item in vms}
    strangers = [
        vm for vm in fence_plan.users(facts, images)
        if vm.vm_id not in known and vm.state in fence_plan.RUNS and not scope_plan.stays(vm, request)
    ]
    reasons = [
        f"VM {names[item].record.name}: {why}" if item in names else f"{item}: {why}"
        for item, why in left_out.items()
    ]
    reasons += [
        f"VM {vm.name} ({vm.vm_id}) uses a disk that would move, and its record has not arrived or it was "
        "not chosen"
        for vm in strangers
    ]
    if not reasons:
        return NOTHING
    found = {image.name for image in facts.images}
    leave = [str(names[item].record.vm_id) if item in names else item for item in left_out
             if item in names or item in found]
    leave += [str(vm.vm_id) for vm in strangers]
    text = f"Some VMs cannot start here: {'; '.join(reasons)}. Nothing was changed. Fix the cause"
    return Sentence(
        f"{text}, or leave them behind: {scope_plan.command(facts, request, tuple(leave))}",
        f"{len(reasons)} VM(s) or image(s) cannot start here. Nothing was changed. "
        f"{scope_plan.dry_run(facts, request)}",
    )


def steps(facts: FailoverFacts, images: Sequence[ImageFacts], coming: Collection[int] = ()) -> list[Step]:
    """What comes before the promotion. `coming`: as of fence_plan.users.

    An image in no use has no writes on the way; its demotion waits for the rest.
    """
    there = fence_plan.users(facts, images, coming)
    in_use = sorted(
        {name for vm in there for name in vm.images} & {image.name for image in images if not image.primary}
    )
    running = [vm for vm in there if vm.state in fence_plan.RUNS and vm.images & set(in_use)]
    catching_up = in_use if running else []
    return [
        *(Step(StepKind.SYNC, name, f"let {name} catch up") for name in catching_up),
        *(
            Step(
                StepKind.STOP, str(vm.vm_id), f"stop VM {vm.name} ({vm.vm_id}) at the peer and lock it"
            )
            for vm in there
        ),
        *(Step(StepKind.DRAIN, name, f"take the last writes of {name}") for name in in_use),
    ]


def to_release(there: Iterable[PeerVm], wanted: Iterable[str], moved: Iterable[str]) -> list[PeerVm]:
    """VMs that this run locked at the peer and that did not move: they use an image that it `wanted`, and no
    disk of theirs has `moved`. Those of another datastore in the pool are another run's.
    """
    own, here = set(wanted), set(moved)
    return [vm for vm in there if vm.locked_state and vm.touches & own and not vm.touches & here]
