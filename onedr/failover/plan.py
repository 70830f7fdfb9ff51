"""Failover decided: facts and a request in, a refusal or ordered steps out. Pure (docs/design.md, "Rules of
failover").

The order is what makes an interruption harmless: the peer is fenced before anything is promoted, an image is
promoted before it is registered, a VM is created on hold before it is started. Every prefix of a plan leaves
each image with at most one primary by our hand, and planning again from new facts yields exactly what is
missing.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from onedr.failover import failback_plan, placement, planned_move
from onedr.failover.facts import FailoverFacts, RunPlan
from onedr.failover.start_order import by_priority, chosen, not_found, priority, wants_start
from onedr.model import settings, template
from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm
from onedr.replication import inventory
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind

_ORDER = {kind: number for number, kind in enumerate(StepKind)}


@dataclass(frozen=True)
class _Here:
    """VMs of this site that a plan is about, by origin: those that come home, and those that an interrupted
    run brought home.
    """

    homes: Mapping[str, PeerVm]
    back: Mapping[str, PeerVm]


def plan_failover(facts: FailoverFacts, request: Request) -> RunPlan:
    """Decide."""
    vms = [item for item in inventory.vms(facts.images, facts.here) if chosen(item, request.vms)]
    here = _Here(failback_plan.homes(vms, facts.local), _back(facts, request))
    refusal = _refusal(facts, request, vms, here.back)
    if refusal:
        return RunPlan(refusal, vms=tuple(vms))
    fresh = by_priority(
        item for item in vms if not item.blockers and item.origin not in {*facts.recovered, *here.homes}
    )
    left_out = {**_not_to_come(facts, request, vms, here), **placement.blockers(fresh, facts.ground)}
    images = _images_to_take(facts, request, [item for item in vms if item.origin not in left_out])
    bad_images = _untouchable(images, facts.local)
    for item in vms:
        reasons = [
            f"{image.name}: {bad_images[image.name]}" for image in item.images if image.name in bad_images
        ]
        if reasons and not item.blockers:
            left_out[item.origin] = "; ".join(reasons)
    left_out.update(bad_images)
    good = [item for item in vms if item.origin not in left_out]
    usable = [image for image in images if image.name not in left_out]
    coming = replace(
        here, homes={item.origin: here.homes[item.origin] for item in good if item.origin in here.homes}
    )
    steps = [*_storage_steps(facts, usable), *_frontend_steps(facts, request, usable, good, coming)]
    if planned_move.is_planned(facts):
        refusal = planned_move.refusal(facts, usable, vms, left_out)
        if refusal:
            return RunPlan(refusal, vms=tuple(vms), left_out=left_out)
        steps = [*planned_move.steps(facts, usable), *steps, *_left_behind(facts, request, vms, here.back)]
    steps.sort(key=lambda step: _ORDER[step.kind])
    # a VM left on hold whose disk is not to be trusted
    steps = [step for step in steps if step.target not in left_out]
    if not steps and not left_out and not facts.interrupted:
        return RunPlan(
            f"There is nothing left to do: all that the peer had in {facts.datastore} is active here already."
        )
    starting = [item for item in fresh if item.origin not in left_out and wants_start(item, request)]
    delays, bad = _delays(good, steps, facts.delay_s)
    created = [item for item in fresh if item.origin not in left_out]
    warnings = _joined(
        placement.differences(created, facts.ground), placement.without_capacity(starting, facts.ground), bad
    )
    return RunPlan("", tuple(steps), tuple(vms), left_out, warnings, delays)


def _not_to_come(
    facts: FailoverFacts, request: Request, vms: list[VmItem], here: _Here
) -> dict[str, str]:
    """By origin, or as asked for: VMs that the run leaves where they are, and why."""
    left_out = {item.origin: "; ".join(item.blockers) for item in vms if item.blockers}
    left_out.update(not_found(request, vms, here.back.values()))
    images = {image.name: image for image in facts.images}
    left_out.update(
        {
            item.origin: why
            for item in vms
            if item.origin in here.homes
            and (why := failback_plan.obstacle(item, here.homes[item.origin], images, facts.here))
        }
    )
    return {**left_out, **failback_plan.held_by_others(vms, here.homes, facts.local)}


def _joined(*found: Mapping[str, str]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for texts in found:
        for origin, text in texts.items():
            joined[origin] = f"{joined[origin]}; {text}" if origin in joined else text
    return joined


def _delays(
    vms: Iterable[VmItem], steps: Iterable[Step], default_s: int
) -> tuple[dict[int, int], dict[str, str]]:
    """By priority of each group but the last, the longest DR_DELAY of its VMs that start; by origin, what is
    wrong with one.
    """
    starting = {step.target for step in steps if step.kind is StepKind.START}
    delays: dict[int, int] = {}
    bad = {}
    for item in (item for item in vms if item.origin in starting):
        text = template.get(item.record.user_template, "DR_DELAY").strip()
        try:
            seconds = settings.delay(text) if text else default_s
        except ValueError as error:
            bad[item.origin] = f"its DR_DELAY is not used: {error}"
            seconds = default_s
        delays[priority(item)] = max(delays.get(priority(item), 0), seconds)
    last = max(delays, default=0)
    return {group: seconds for group, seconds in sorted(delays.items()) if group != last and seconds}, bad


def _refusal(
    facts: FailoverFacts, request: Request, vms: list[VmItem], back: Mapping[str, PeerVm]
) -> str:
    if not facts.protected:
        return (
            f"Datastore {facts.datastore} is not protected (DR_PROTECT=YES is missing): nothing to fail over."
        )
    if request.confirm and request.confirm != facts.datastore:
        return f"The confirmation {request.confirm!r} is not this datastore's name; type {facts.datastore}."
    from_peer = [image for image in facts.images if _from_peer(image, facts.here)]
    if not from_peer and not facts.recovered and not back and not facts.interrupted:
        return (
            f"Nothing in {facts.datastore} came from a peer: this site is the primary, or no copy has "
            "arrived yet. See onedr status."
        )
    if request.vms and not vms and not back:
        return f"No record of VM {', '.join(request.vms)} has arrived here. See onedr status."
    waiting = any(not image.primary for image in from_peer)
    if waiting and request.only_planned and not planned_move.is_planned(facts):
        why = facts.there_detail if facts.peer is PeerState.ANSWERS else facts.peer_detail
        return (
            f"The peer is not there for a move without loss ({why}). If it is really lost: onedr failover "
            f"{facts.datastore}."
        )
    confirmed = request.confirm == facts.datastore
    if waiting and facts.peer is PeerState.ANSWERS and not confirmed and not planned_move.is_planned(facts):
        return (
            f"The peer's Ceph still answers ({facts.peer_detail}). If the peer shall really lose its role, "
            f"confirm with DR_CONFIRM={facts.datastore}: its images are then demoted first."
        )
    if waiting and facts.peer is PeerState.ANSWERS and not facts.can_fence:
        return (
            f"The peer's Ceph answers ({facts.peer_detail}) and cannot be fenced from here: both sites would "
            "be primary. Give CEPH_USER the cap mon 'profile rbd-mirror' or set DR_PEER_CEPH_CONF; see "
            "docs/failover.md."
        )
    if waiting and facts.peer is PeerState.UNKNOWN and not confirmed:
        return (
            f"Whether the peer still runs is not known ({facts.peer_detail}). Make sure that it is down or "
            f"cut off from its clients, then confirm with DR_CONFIRM={facts.datastore}."
        )
    return ""


def _from_peer(image: ImageFacts, here: str) -> bool:
    if image.mode is None:
        return False
    records = [record for record in (image.image, image.vm) if record is not None]
    return not image.primary or any(record.fsid != here for record in records)


def _images_to_take(
    facts: FailoverFacts, request: Request, vms: Iterable[VmItem]
) -> list[ImageFacts]:
    wanted = {image.name: image for item in vms for image in item.images}
    if not request.vms:
        wanted.update({image.name: image for image in facts.images if _from_peer(image, facts.here)})
    by_name = {image.name: image for image in facts.images}
    for image in list(wanted.values()):
        parent = image.parent
        while parent in by_name and parent not in wanted:  # a clone is read through its parent
            wanted[parent] = by_name[parent]
            parent = by_name[parent].parent
    return list(wanted.values())


def _untouchable(images: Iterable[ImageFacts], local: Mapping[str, PeerVm]) -> dict[str, str]:
    """Why an image must stay as it is: its own copy, or one it is read through, never completed, or a stale
    VM runs on it.
    """
    images = list(images)
    bad = {
        image.name: "its first copy never completed; promoting it would give a broken disk"
        for image in images if not image.primary and not image.complete
    }
    bad.update(_under_stale_vms(images, local))
    bad.update(
        {
            image.name: (
                "it holds what was written here before the peer took over, and nothing "
                "since: onedr reprotect comes first"
            )
            for image in images
            if image.stale
        }
    )
    grown = True
    while grown:
        found = {
            image.name: f"it is read through {image.parent}, and {bad[image.parent]}"
            for image in images if image.name not in bad and image.parent in bad
        }
        bad.update(found)
        grown = bool(found)
    return bad


def _under_stale_vms(images: Iterable[ImageFacts], local: Mapping[str, PeerVm]) -> dict[str, str]:
    """A VM that still runs here on an image it has lost would go on writing with what it remembers of it,
    once it is promoted.
    """
    waiting = {image.name for image in images if not image.primary and not inventory.is_cdrom(image)}
    return {
        name: (
            f"VM {vm.name} ({vm.vm_id}) still runs on it here although the peer has "
            "taken it over: power that VM off first"
        )
        for vm in local.values()
        if vm.state == "ACTIVE"
        for name in vm.images & waiting
    }


def _storage_steps(facts: FailoverFacts, images: list[ImageFacts]) -> list[Step]:
    waiting = [image for image in images if not image.primary]
    steps = [Step(StepKind.PROMOTE, image.name, f"promote {image.name}") for image in waiting]
    if waiting and facts.peer is PeerState.ANSWERS:
        steps = [
            *(Step(StepKind.FENCE, image.name, f"demote {image.name} at the peer") for image in waiting),
            *steps,
        ]
    elif waiting:
        steps.insert(
            0,
            Step(
                StepKind.CUT, facts.datastore, "cut the local rbd-mirror off, so that promotion cannot hang"
            ),
        )
    cut_short = [
        image for image in facts.images if image.primary and image.epoch is not None and image not in images
    ]
    lacking = [
        image for image in (*images, *cut_short) if not image.primary or _lacks_term(image, facts.here)
    ]
    return [
        *steps,
        *(
            Step(StepKind.TERM, image.name, f"note on {image.name} that it was promoted here")
            for image in lacking
        ),
    ]


def _lacks_term(image: ImageFacts, here: str) -> bool:
    """Was a run killed after its promotion, before it wrote the term that tells the peer's stale primary
    from it?
    """
    return image.mode is not None and (image.epoch is None or image.epoch.fsid != here)


def _frontend_steps(
    facts: FailoverFacts, request: Request, images: list[ImageFacts], vms: list[VmItem], here: _Here
) -> list[Step]:
    homes = here.homes
    at_home = {name for home in homes.values() for name in home.images} | failback_plan.clones_here(
        facts.local
    ).keys()
    disks = {image.name for item in vms for image in item.images}
    steps = [
        Step(StepKind.REGISTER, image.name, f"register {image.name} as an image")
        for image in images
        if image.name not in facts.registered | at_home and not failback_plan.is_ours_there(image, facts.here)
        and (image.name in disks or _is_image(image))
    ]
    fresh = [
        item
        for item in vms
        if item.origin not in homes
        and (item.origin not in facts.recovered or not facts.recovered[item.origin].finished)
    ]
    steps += [Step(StepKind.CREATE, item.origin, f"create VM {item.record.name} on hold") for item in fresh]
    by_name = {image.name: image for image in facts.images}
    at_home_now = [item for item in vms if item.origin in homes]
    home = [
        item for item in at_home_now if failback_plan.waits(item, homes[item.origin], by_name, facts.here)
    ]
    steps += [
        Step(StepKind.RETURN, item.origin, f"give VM {homes[item.origin].vm_id} its disks back")
        for item in home
    ]
    # a run died in between
    off = [item for item in at_home_now if item not in home and homes[item.origin].state == "POWEROFF"]
    ready = [item for item in (*fresh, *home, *off) if wants_start(item, request)]
    return [*steps, *_starts(facts, request, vms, ready, here)]


def _starts(
    facts: FailoverFacts, request: Request, vms: list[VmItem], ready: list[VmItem], here: _Here
) -> list[Step]:
    """What starts: VMs that this run brings, and those that a run before brought and did not start; by
    priority.
    """
    texts = {item.origin: f"start VM {item.record.name}" for item in ready}
    # of two the one at home
    for origin in [found for found in _left_on_hold(facts, request, vms) if found not in here.homes]:
        texts.setdefault(origin, f"start VM {facts.recovered[origin].vm_id}, created by an interrupted run")
    at_home = {home.vm_id for home in here.homes.values()}
    for origin, vm in here.back.items():
        if request.start and vm.vm_id not in at_home and vm.held in planned_move.RUNS:
            texts[origin] = f"start VM {vm.name} ({vm.vm_id}), which an interrupted run gave its disks back"
    known = [item.origin for item in by_priority(vms) if item.origin in texts]
    return [
        Step(StepKind.START, origin, texts[origin])
        for origin in (*known, *(found for found in texts if found not in known))
    ]


def _back(facts: FailoverFacts, request: Request) -> dict[str, PeerVm]:
    """Of those asked for, the VMs that an interrupted run gave their disks back and did not start."""
    found = failback_plan.taken_back(facts.local, facts.images, facts.here)
    return {
        origin: vm
        for origin, vm in found.items()
        if not request.vms or {vm.name, str(vm.vm_id)} & set(request.vms)
    }


def _left_behind(
    facts: FailoverFacts, request: Request, vms: list[VmItem], back: Mapping[str, PeerVm]
) -> list[Step]:
    """VMs here that wait for something the other site has no more: they are told of, and no run waits for
    them any longer.
    """
    if request.vms:
        return []
    found = failback_plan.left_behind(facts.local, vms, facts.there or ())
    for vm in back.values():
        found.pop(vm.vm_id, None)
    return [
        Step(
            StepKind.RETURN,
            f"{facts.here}:{vm_id}",
            f"keep VM {vm.name} ({vm_id}) locked: the other site has it no more",
        )
        for vm_id, vm in sorted(found.items())
    ]


def _left_on_hold(facts: FailoverFacts, request: Request, vms: list[VmItem]) -> list[str]:
    """VMs that an interrupted run created and did not start; of a chosen few only those."""
    chosen = {item.origin for item in vms}
    return [
        origin for origin, found in facts.recovered.items()
        if request.start and found.finished and found.start_pending and (origin in chosen or not request.vms)
        and not _is_held(facts, origin)
    ]


def _is_held(facts: FailoverFacts, origin: str) -> bool:
    return origin in facts.local and bool(facts.local[origin].held)


def _is_image(image: ImageFacts) -> bool:
    return image.image is not None and isinstance(image.image.body, ImageRecord)


