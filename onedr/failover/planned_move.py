"""A planned move: the peer is alive and willing, so nothing is lost, and everything can be taken back until
the first promotion.

Its VMs are stopped and held there, the last writes arrive, its images are demoted; then it goes on as a
failover does.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onedr.failover.facts import FailoverFacts
from onedr.model.records import ImageFacts
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm
from onedr.replication.inventory import VmItem
from onedr.runs.steps import Step, StepKind

RUNS = ("ACTIVE", "PENDING")  # a VM in another state was not meant to run
# until these are through all can be taken back
BEFORE_PROMOTION = (StepKind.SYNC, StepKind.STOP, StepKind.DRAIN, StepKind.FENCE)


def is_planned(facts: FailoverFacts) -> bool:
    """Does the peer answer in every way a planned move needs: its front-end, and its Ceph with a way in?"""
    return facts.there is not None and facts.peer is PeerState.ANSWERS and facts.can_fence


def refusal(
    facts: FailoverFacts, images: Sequence[ImageFacts], vms: Sequence[VmItem], left_out: Mapping[str, str]
) -> str:
    """Why the move must not begin: it would stop what cannot start here.

    Empty when it may, or has gone too far to turn back.
    """
    if any(image.primary for image in images):
        return ""
    names = {item.origin: f"VM {item.record.name}" for item in vms}
    if left_out:
        reasons = "; ".join(f"{names.get(item, item)}: {why}" for item, why in left_out.items())
        return (
            f"Not everything could come here: {reasons}. Nothing was touched; mend it, or choose VMs with "
            "--vm."
        )
    known = {item.record.vm_id for item in vms}
    unknown = [
        f"{vm.name} ({vm.vm_id})" for vm in users(facts, images) if vm.vm_id not in known and vm.state in RUNS
    ]
    if unknown:
        return (
            f"VM {', '.join(unknown)} at the peer uses a disk that would move and is not among those that "
            "can start here: its record has not arrived, or it was not chosen. Nothing was touched; see "
            "onedr status."
        )
    return ""


def users(facts: FailoverFacts, images: Iterable[ImageFacts]) -> list[PeerVm]:
    """VMs at the peer with a disk among the images that wait to be promoted here."""
    waiting = {image.name for image in images if not image.primary}
    return [vm for vm in facts.there or () if vm.images & waiting]


def steps(facts: FailoverFacts, images: Sequence[ImageFacts]) -> list[Step]:
    """What comes before the promotion.

    An image nobody uses has no writes on the way; its demotion waits for the rest.
    """
    there = users(facts, images)
    in_use = sorted(
        {name for vm in there for name in vm.images} & {image.name for image in images if not image.primary}
    )
    running = [vm for vm in there if vm.state in RUNS]
    catching_up = in_use if running else []
    return [
        *(Step(StepKind.SYNC, name, f"let {name} catch up") for name in catching_up),
        *(
            Step(
                StepKind.STOP, str(vm.vm_id), f"stop VM {vm.name} ({vm.vm_id}) at the peer and hold it there"
            )
            for vm in there
        ),
        *(Step(StepKind.DRAIN, name, f"take the last writes of {name}") for name in in_use),
    ]


def to_release(there: Iterable[PeerVm], moved: Iterable[str]) -> list[PeerVm]:
    """VMs that a run of ours holds at the peer and that did not move: none of their disks is primary here."""
    here = set(moved)
    return [vm for vm in there if vm.held and not vm.images & here]
