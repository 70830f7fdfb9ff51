"""How the peer is kept from writing, and what is seen of it. Pure.

A refused or silent connection is a hint, never evidence: with its monitors stopped, the VMs of a living site
continue to write. Evidence is a fence that succeeded, or the operator's typed confirmation of the plan.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable

from onedr.failover.facts import FailoverFacts, Fence
from onedr.model.records import ImageFacts
from onedr.model.text import Sentence
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind

RUNS = ("ACTIVE", "PENDING")  # a VM in another state was not meant to run


def can_move(facts: FailoverFacts) -> bool:
    """Does the peer answer in every way a move needs: its front-end, and its Ceph with a way in?"""
    return facts.there is not None and facts.peer is PeerState.ANSWERS and facts.can_fence


def choose_fence(facts: FailoverFacts, request: Request) -> Fence:
    """The best fence that is there."""
    if facts.peer is PeerState.ANSWERS and facts.can_fence:
        return Fence.DEMOTE
    if facts.fence_command and request.fence_command:
        return Fence.COMMAND
    return Fence.VMS if facts.there is not None else Fence.NONE


def command_unknown(facts: FailoverFacts, request: Request) -> str:
    """Why it is not known whether there is a fence command that would be needed; empty when it is known."""
    if not facts.fence_unknown or not request.fence_command or choose_fence(facts, request) is Fence.DEMOTE:
        return ""
    return (
        f"Whether there is a fence command is not known: {facts.fence_unknown} Correct the file, or continue "
        f"without one: onedr failover {facts.datastore} --skip-fence-command."
    )


def users(
    facts: FailoverFacts, images: Iterable[ImageFacts], coming: Collection[int] = ()
) -> list[PeerVm]:
    """VMs at the peer with a disk among the images that wait to be promoted here. `coming`: ids of those that
    come without a disk yet, and will be made from such an image.
    """
    waiting = {image.name for image in images if not image.primary}
    return [
        vm for vm in facts.there or ()
        if vm.images & waiting or (vm.vm_id in coming and vm.bases & waiting)
    ]


def fence_steps(
    fence: Fence, facts: FailoverFacts, images: Iterable[ImageFacts], coming: Collection[int]
) -> list[Step]:
    """What fences the peer of the images that wait to be promoted, and what the promotion then needs."""
    images = list(images)
    waiting = [image for image in images if not image.primary]
    if not waiting:
        return []
    if fence is Fence.DEMOTE:
        return [Step(StepKind.FENCE, image.name, f"demote {image.name} at the peer") for image in waiting]
    text = "blocklist the local rbd-mirror, so that promotion cannot hang"
    steps = [Step(StepKind.CUT, facts.datastore, text)]
    if fence is Fence.COMMAND:
        program = facts.fence_command[0]
        steps.append(Step(StepKind.FENCE_SITE, facts.datastore, f"run the fence command {program}"))
    elif fence is Fence.VMS:
        steps += [
            Step(StepKind.STOP, str(vm.vm_id), f"stop VM {vm.name} ({vm.vm_id}) at the peer and lock it")
            for vm in users(facts, images, coming)
        ]
    return steps


def seen(facts: FailoverFacts, images: Iterable[ImageFacts]) -> Sentence:
    """What is seen of the peer: monitors, OSDs, front-end, and the VMs on the images, which the public form
    counts.
    """
    answers = facts.peer is PeerState.ANSWERS
    parts = [f"its Ceph {'answers' if answers else 'does not answer'} ({facts.peer_detail})"]
    if facts.osds:
        parts.append(facts.osds)
    if facts.there is None:
        parts.append(f"its front-end cannot be asked ({facts.there_detail or 'none is configured'})")
        return Sentence(f"Seen of the peer: {'; '.join(parts)}.")
    running = [f"{vm.name} ({vm.vm_id})" for vm in users(facts, images) if vm.state in RUNS]
    shown = ", ".join(running[:5]) + (f" and {len(running) - 5} more" if len(running) > 5 else "")
    begun = f"Seen of the peer: {'; '.join(parts)}; its front-end answers and shows"
    vms, count = (shown, f"{len(running)} VM(s)") if running else ("no VM", "no VM")
    return Sentence(f"{begun} {vms} running on these disks.", f"{begun} {count} running on these disks.")


def unfenced(fence: Fence, facts: FailoverFacts) -> str:
    """Why a failover must not begin although it was confirmed; empty when it may."""
    if fence is not Fence.NONE or facts.peer is not PeerState.ANSWERS:
        return ""
    return (
        f"The peer's Ceph answers ({facts.peer_detail}) and cannot be fenced from here: both sites would be "
        "primary. Give CEPH_USER the cap mon 'profile rbd-mirror', set DR_PEER_CEPH_CONF, or configure a "
        "fence command in onedr.conf; see docs/failover.md."
    )
