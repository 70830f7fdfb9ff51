"""Failover decided: facts and a request in, a refusal or ordered steps out. Pure.

The order is what makes an interruption harmless: the peer is fenced before anything is promoted, an image is
promoted before it is registered, a VM is created on hold before it is started. Every prefix of a plan leaves
each image with at most one primary by our hand, and planning again from new facts yields exactly what is
missing.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from onedr.failover import (
    doubt_plan,
    failback_plan,
    fence_plan,
    not_followed,
    placement,
    planned_move,
    point_plan,
    quota_plan,
    refusal_plan,
    scope_plan,
    start_order,
    waves_plan,
)
from onedr.failover.facts import FailoverFacts, Fence, RunPlan
from onedr.failover.start_order import by_priority, chosen, not_found, wants_start
from onedr.model import names
from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.text import Sentence
from onedr.opennebula.vms import PeerVm
from onedr.replication import inventory
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind

_ORDER = {kind: number for number, kind in enumerate(StepKind)}


@dataclass(frozen=True)
class _Scope:
    """VMs of the peer that the run is about, those that the operator left behind, and all that are known."""

    vms: list[VmItem]
    left: list[VmItem]
    every: list[VmItem]


@dataclass(frozen=True)
class _Here:
    """VMs of this site that a plan is about, by origin:
    those that come home, and those that an interrupted run brought home.
    """

    homes: Mapping[str, PeerVm]
    back: Mapping[str, PeerVm]


def plan_failover(facts: FailoverFacts, request: Request) -> RunPlan:
    """Decide. A confirmation with a digest is good for the plan it was given to only."""
    every = inventory.vms(facts.images, facts.here, accept_unsigned=request.accept_unsigned)
    left = [item for item in every if scope_plan.is_left(item, request)]
    vms = [item for item in every if chosen(item, request.vms) and item not in left]
    here = _Here(failback_plan.homes(vms, facts.local), _back(facts, request))
    refusal = refusal_plan.refusal(facts, request, vms, here.back)
    scope = _Scope(vms, left, every)
    plan = RunPlan(refusal, vms=tuple(vms)) if refusal else _plan(facts, request, scope, here)
    return refusal_plan.as_confirmed(facts, request, plan)


def _plan(facts: FailoverFacts, request: Request, scope: _Scope, here: _Here) -> RunPlan:
    vms = scope.vms
    fresh = by_priority(
        item for item in vms if not item.blockers and item.origin not in {*facts.recovered, *here.homes}
    )
    placed = placement.place(fresh, facts.ground)
    left_out = {**_not_to_come(facts, request, vms, here), **placed.blockers}
    points = point_plan.of_failover(facts, request, [each for each in vms if each.origin not in left_out])
    left_out.update(points.left_out)
    good = [item for item in vms if item.origin not in left_out]
    images = scope_plan.images_to_take(facts, request, good, scope.left)
    bad = _untouchable(images, facts.local, doubt_plan.images(facts, request, images))
    left_out.update(_on_bad_images(bad, vms))
    left_out.update(doubt_plan.vms_not_known(facts, request, images, scope.every))
    usable = [image for image in images if image.name not in left_out]
    fence = fence_plan.choose_fence(facts, request)
    refusal = _out_of_scope(facts, request, fence, usable, vms, left_out)
    if refusal:
        return RunPlan(refusal, vms=tuple(vms), left_out=left_out)
    steps = _steps(facts, request, fence, usable, scope, here, left_out)
    steps = point_plan.with_steps(steps, points, good)
    if not steps and not facts.interrupted:
        text = _nothing_to_do(facts, request, left_out, vms)
        return RunPlan(text, vms=tuple(vms), left_out=left_out)
    starting = [item for item in fresh if item.origin not in left_out and wants_start(item, request)]
    delays = start_order.delays(vms, steps, facts.delay_s, facts.delay_max_s)
    begun = [item.origin for item in good if facts.interrupted and wants_start(item, request)]
    waves = waves_plan.of_run(facts.recovery.plan, steps, vms, delays, begun, facts.gates_passed)
    steps = waves_plan.in_order(steps, waves)
    differences = {
        origin: "; ".join(said) for origin, said in placed.differences.items() if origin not in left_out
    }
    staying = _not_followed([item for item in vms if item.origin not in left_out], here, facts)
    lacking = placement.without_capacity(starting, facts.ground)
    warnings = _joined(differences, staying, lacking, delays.warnings, points.warnings)
    waits = any(step.kind is StepKind.PROMOTE for step in steps)
    return RunPlan(
        "", tuple(steps), tuple(point_plan.as_of(vms, points)), left_out, warnings, delays.vms,
        fence if waits else Fence.NONE, points=points.points, waves=waves,
    )


def _not_followed(vms: Iterable[VmItem], here: _Here, facts: FailoverFacts) -> dict[str, str]:
    """By origin, of VMs that come home: what was changed of them there and stays as it is here."""
    found = {
        item.origin: not_followed.of_vm(
            here.homes[item.origin], item.record, facts.ground.counterparts
        )
        for item in vms if item.origin in here.homes
    }
    return {origin: "; ".join(said) for origin, said in found.items() if said}


def _out_of_scope(
    facts: FailoverFacts, request: Request, fence: Fence, images: list[ImageFacts],
    vms: list[VmItem], left_out: Mapping[str, str],
) -> str:
    """Why the run must not begin: something could not come, or a base would be demoted under others."""
    refusal = planned_move.refusal(facts, request, images, vms, left_out) if request.lossless else ""
    bases = scope_plan.bases_in_use(facts, request, fence, images)
    return refusal or scope_plan.bases_refusal(facts, request, bases)


def _steps(
    facts: FailoverFacts, request: Request, fence: Fence, images: list[ImageFacts], scope: _Scope,
    here: _Here, left_out: Mapping[str, str],
) -> list[Step]:
    good = [item for item in scope.vms if item.origin not in left_out]
    homes = {item.origin: here.homes[item.origin] for item in good if item.origin in here.homes}
    coming = {item.record.vm_id for item in good if any(disk.to_clone for disk in item.record.disks)}
    steps = [*_promotions(facts, images), *fence_plan.fence_steps(fence, facts, images, coming)]
    steps += _frontend_steps(facts, request, images, good, replace(here, homes=homes))
    if request.lossless:
        steps += planned_move.steps(facts, images, coming)
        steps += _left_behind(facts, request, scope.vms, here.back)
    steps.sort(key=lambda step: _ORDER[step.kind])
    # a VM left on hold whose disk is not to be trusted
    return [step for step in steps if step.target not in left_out]


def _nothing_to_do(
    facts: FailoverFacts, request: Request, left_out: Mapping[str, str], vms: Iterable[VmItem]
) -> Sentence:
    if not left_out:
        what = f"all that the peer had in {facts.datastore}"
        return Sentence(f"There is nothing left to do: {what} is active here already.")
    names = {item.origin: f"VM {item.record.name}" for item in vms}
    reasons = [f"{names.get(item, item)}: {why}" for item, why in left_out.items()]
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    text = "Nothing can be taken over"
    return Sentence(
        f"{text}: {'; '.join(reasons[:3])}{more}. Nothing was changed.",
        f"{text}, for {len(reasons)} reason(s). Nothing was changed. {scope_plan.dry_run(facts, request)}",
    )


def _on_bad_images(bad: Mapping[str, str], vms: Iterable[VmItem]) -> dict[str, str]:
    """Images that must stay as they are, and the VMs on them, with the reason."""
    found = dict(bad)
    for item in vms:
        reasons = [f"{image.name}: {bad[image.name]}" for image in item.images if image.name in bad]
        if reasons and not item.blockers:
            found[item.origin] = "; ".join(reasons)
    return found


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
    coming = [
        item for item in vms
        if item.origin in here.homes and item.origin not in left_out and wants_start(item, request)
        and failback_plan.waits(item, here.homes[item.origin], images, facts.here)
    ]
    refused = quota_plan.homes_refused(coming, facts.ground.counterparts, facts.ground.quotas)
    return {**left_out, **refused, **failback_plan.clones_of_others(vms, here.homes, facts.local)}


def _joined(*found: Mapping[str, str]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for texts in found:
        for origin, text in texts.items():
            joined[origin] = f"{joined[origin]}; {text}" if origin in joined else text
    return joined


def _untouchable(
    images: Iterable[ImageFacts], local: Mapping[str, PeerVm], in_doubt: Mapping[str, str]
) -> dict[str, str]:
    """Why an image must stay as it is: its own copy, or one it is read through, never completed,
    or a stale VM runs on it.
    """
    images = list(images)
    bad = {
        image.name: f"its first copy never completed{_whose(image)}; promoting it would give a broken disk"
        for image in images if not image.primary and not image.complete
    }
    bad.update(in_doubt)
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


def _whose(image: ImageFacts) -> str:
    """Of a copy whose VM's record has not arrived, because it comes last: whose disk it is, by its name."""
    disk = names.parse_vm_disk(image.name) if image.vm is None else None
    return f" (it is disk {disk.disk_id} of VM {disk.vm_id} at the other site)" if disk is not None else ""


def _under_stale_vms(images: Iterable[ImageFacts], local: Mapping[str, PeerVm]) -> dict[str, str]:
    """A VM that still runs here on an image it has lost would go on writing with
    what it remembers of it, once it is promoted.
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


def _promotions(facts: FailoverFacts, images: list[ImageFacts]) -> list[Step]:
    steps = [
        Step(StepKind.PROMOTE, image.name, f"promote {image.name}") for image in images if not image.primary
    ]
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
    """Was a run killed after its promotion,
    before it wrote the term that tells the peer's stale primary from it?
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
    """What starts: VMs that this run brings,
    and those that a run before brought and did not start; by priority.
    """
    texts = {item.origin: f"start VM {item.record.name}" for item in ready}
    # of two the one at home
    for origin in [found for found in _left_on_hold(facts, request, vms) if found not in here.homes]:
        texts.setdefault(origin, f"start VM {facts.recovered[origin].vm_id}, created by an interrupted run")
    at_home = {home.vm_id for home in here.homes.values()}
    for origin, vm in here.back.items():
        if request.start and vm.vm_id not in at_home and vm.locked_state in fence_plan.RUNS:
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
    """VMs here that wait for something the other site has no more:
    they are told of, and no run waits for them any longer.
    """
    if request.vms or facts.there is None:
        return []
    found = failback_plan.left_behind(facts.local, vms, facts.there or (), facts.datastore)
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
        and not _is_locked(facts, origin)
    ]


def _is_locked(facts: FailoverFacts, origin: str) -> bool:
    return origin in facts.local and bool(facts.local[origin].locked_state)


def _is_image(image: ImageFacts) -> bool:
    return image.image is not None and isinstance(image.image.body, ImageRecord)
