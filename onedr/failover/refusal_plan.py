"""Why a move or failover must not begin; what is public of it, for DR_MESSAGE, names no VM or image. Pure.
"""
from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from onedr.failover import fence_plan
from onedr.failover.facts import FailoverFacts, Fence, RunPlan
from onedr.model.records import ImageFacts
from onedr.model.text import NOTHING, Sentence, filled
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm
from onedr.replication import split_brain
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request

_DIGEST_LETTERS = 12


def refusal(
    facts: FailoverFacts, request: Request, vms: Sequence[VmItem], back: Mapping[str, PeerVm]
) -> Sentence:
    """Why nothing may be done, whatever the plan would be; empty when it may."""
    name = facts.datastore
    if not facts.protected:
        return Sentence(f"Datastore {name} is not protected (DR_PROTECT=YES is missing): nothing to do.")
    if request.confirm and request.confirmed != name:
        text = f"The confirmation {request.confirmed!r} is not this datastore's name; type {name}."
        return Sentence(text)
    if facts.recovery.doubt:
        return chosen_refusal(facts.recovery.doubt)
    if facts.split:
        return split_brain.split_refusal(facts.split, name)
    waiting = [image for image in facts.images if from_peer(image, facts.here)]
    if not waiting and not facts.recovered and not back and not facts.interrupted:
        return Sentence(
            f"Nothing to take over in {name}: this site is already primary, or no image has been replicated "
            "here yet. See onedr status."
        )
    if request.vms and not vms and not back:
        return Sentence(
            f"No record of VM {', '.join(request.vms)} has arrived here. See onedr status.",
            "No record of the VMs that were asked for has arrived here. See onedr status.",
        )
    if request.lossless and facts.paused and not all(image.primary for image in waiting):
        return Sentence(
            "Replication is paused, so nothing can arrive here and a move is not possible; nothing was "
            f"changed. First: onedr resume-protection {name}."
        )
    if all(image.primary for image in waiting) or (request.lossless and fence_plan.can_move(facts)):
        return NOTHING
    return _not_lossless(facts, waiting) if request.lossless else _unconfirmed(facts, request, waiting)


def chosen_refusal(doubt: str) -> Sentence:
    """A plan that is not known, or not to be trusted, holds the run: its author wanted another order."""
    why = "Nothing was changed. Correct it, or go by DR_PRIORITY alone: --plan none."
    return filled("The recovery plan cannot be followed{}", Sentence(f": {doubt} ", ". ")).then(Sentence(why))


def _not_lossless(facts: FailoverFacts, images: Sequence[ImageFacts]) -> Sentence:
    text = "A move without loss is not possible now, and nothing was changed. {}"
    instead = Sentence(f" If the peer is lost, run: onedr failover {facts.datastore}.")
    return filled(text, fence_plan.seen(facts, images)).then(instead)


def _unconfirmed(facts: FailoverFacts, request: Request, images: Sequence[ImageFacts]) -> Sentence:
    unknown = fence_plan.command_unknown(facts, request)
    if unknown:
        return Sentence(unknown)
    fence = fence_plan.choose_fence(facts, request)
    if request.confirmed != facts.datastore:
        text = "A failover may lose what has not arrived here, so it must be confirmed. {}"
        return filled(text, fence_plan.seen(facts, images)).then(Sentence(
            f" {_hint(fence)} To continue: {_again(facts.datastore, request)}"
        ))
    return Sentence(fence_plan.unfenced(fence, facts))


def _again(name: str, request: Request) -> str:
    """What confirms, where it was asked for."""
    if request.trigger == "DR_ACTION":
        return f"set DR_ACTION=FAILOVER and DR_CONFIRM={name} in one update."
    return f"onedr failover {shlex.quote(name)} --confirm {shlex.quote(name)}"


def _hint(fence: Fence) -> str:
    if fence is Fence.NONE:
        return "Nothing here can fence it: make sure yourself that its VMs are off."
    return f"Its fence: {fence.value}."


def from_peer(image: ImageFacts, here: str) -> bool:
    """Is it a copy of the peer's, or was it one before it was promoted here?"""
    if image.mode is None:
        return False
    records = [record for record in (image.image, image.vm) if record is not None]
    return not image.primary or any(record.fsid != here for record in records)


def digest(facts: FailoverFacts, request: Request, plan: RunPlan) -> str:
    """Names the facts and steps a confirmation is about. What changes by itself (ages, recovery points, the
    words of a connection error) is no part of it.
    """
    running = sorted(vm.vm_id for vm in facts.there or () if vm.state in fence_plan.RUNS)
    about = {
        "verb": request.verb,
        "datastore": facts.datastore,
        "here": facts.here,
        "peer": [facts.peer is PeerState.ANSWERS, facts.can_fence, facts.there is not None, running],
        "fence": plan.fence.value,
        "command": facts.fence_command,
        "images": sorted(
            [image.name, image.rbd_id, image.primary, image.complete, image.stale]
            for image in facts.images
        ),
        "vms": [[item.origin, item.record.name, [image.name for image in item.images]] for item in plan.vms],
        "steps": [[step.kind.value, step.target] for step in plan.steps],
        "left_out": sorted(plan.left_out),
    }
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:_DIGEST_LETTERS]


def as_confirmed(facts: FailoverFacts, request: Request, plan: RunPlan) -> RunPlan:
    """The plan with its digest; refused when another plan was shown to whoever confirmed."""
    plan = replace(plan, digest=digest(facts, request, plan))
    if not request.digest or request.digest == plan.digest:
        return plan
    changed = "The situation is not the one that was shown when this was confirmed. Nothing was changed. {}"
    again = Sentence(f"Look at the new plan, then confirm it: {facts.datastore}:{plan.digest}.")
    return replace(plan, refusal=filled(changed, plan.refusal or again))
