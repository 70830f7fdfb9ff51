"""Reprotect decided: a site that came back becomes the standby again. Facts in, a refusal or ordered steps
out. Pure.

An image is given to Ceph for a resync, which deletes it first, only when the peer is proven primary with a
later term, and what only this site holds is kept before (docs/design.md, "Never resync without a proven
primary"). One that was demoted in good order replays by itself.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from onedr.model.records import ImageFacts
from onedr.model.text import NOTHING, Sentence
from onedr.opennebula.vms import PeerVm
from onedr.replication.split_brain import Claim, Known, There, judge_claim, number
from onedr.runs.steps import Step, StepKind


@dataclass(frozen=True)
class ReprotectFacts:
    """What the decision rests on.

    `here`, `there`: mirrored images by name; `there` None: the peer cannot be read.
    """

    datastore: str
    protected: bool
    here: Mapping[str, ImageFacts]
    there: Mapping[str, ImageFacts] | None
    peer_detail: str
    split_brain: frozenset[str] = frozenset()  # images that Ceph's mirror status calls so
    on_old_base: frozenset[str] = frozenset()  # copies that are read through an image that a resync replaced
    vms: tuple[PeerVm, ...] = ()  # VMs here on this pool that are not locked yet
    unread: Mapping[str, str] = field(default_factory=dict)  # images that could not be read, at either site
    interrupted: bool = False
    paused: bool = False  # the pool here takes nothing (docs/pause.md)
    at_once: int | None = None  # so many resyncs at the same time now; None: all
    window: str = ""  # DR_COPY_WINDOW


@dataclass(frozen=True)
class ReprotectPlan:
    """`refusal` and no steps, or steps: LOCK, DEMOTE, KEEP for all, then RESYNC and AWAIT level by level."""

    refusal: str = ""
    steps: tuple[Step, ...] = ()
    resync: tuple[str, ...] = ()  # images that are copied again
    kept: tuple[str, ...] = ()  # those of them that hold what the peer never had
    only_here: tuple[str, ...] = ()  # the peer never took them over: they stay this site's
    left_out: Mapping[str, str] = field(default_factory=dict)


def plan_reprotect(facts: ReprotectFacts, confirm: str) -> ReprotectPlan:
    """Decide.

    `confirm`: the datastore's name gives this site up where both sites are primary and no term tells them
    apart.
    """
    refusal = _refusal(facts, confirm)
    if refusal:
        return ReprotectPlan(refusal)
    there = facts.there or {}
    verdicts = {name: _verdict(image, there.get(name)) for name, image in facts.here.items() if image.primary}
    given_up = bool(confirm)
    demote = {
        name
        for name, found in verdicts.items()
        if found is Claim.STALE or (given_up and found is Claim.SPLIT)
    }
    stale = {
        name
        for name, image in facts.here.items()
        if not image.primary and (image.stale or name in facts.split_brain)
    }
    left_out = _left_out(facts, demote | stale, verdicts, given_up)
    kept = (demote | stale) - left_out.keys()
    resync = kept | (_read_through(facts, kept) - left_out.keys())
    awaited = (
        resync | {name for name in there if _is_awaited(facts.here.get(name), there[name])} - left_out.keys()
    )
    only_here = tuple(
        sorted(name for name, found in verdicts.items() if found in (Claim.ONLY_HERE, Claim.MINE))
    )
    steps = _steps(facts, demote - left_out.keys(), kept, resync, awaited)
    if resync and facts.at_once == 0:
        return ReprotectPlan(_not_now(facts, len(resync)), only_here=only_here)
    if not steps and not left_out and not facts.interrupted:
        return ReprotectPlan(_nothing(facts, verdicts), only_here=only_here)
    return ReprotectPlan("", tuple(steps), tuple(sorted(resync)), tuple(sorted(kept)), only_here, left_out)


def _left_out(
    facts: ReprotectFacts, wanted: set[str], verdicts: Mapping[str, Claim], given_up: bool
) -> dict[str, str]:
    """Images that stay as they are, and why."""
    found = dict(facts.unread)
    for name in sorted(wanted):
        why = _unproven(facts.here[name], (facts.there or {}).get(name), given_up)
        if why:
            found[name] = why
    for name, claim in verdicts.items():
        if claim is Claim.SPLIT and not given_up:
            found[name] = (
                "primary at both sites, and nothing says who is right; to give this site's up: onedr "
                f"reprotect {facts.datastore} --confirm {facts.datastore}"
            )
    return found


def _read_through(facts: ReprotectFacts, replaced: set[str]) -> set[str]:
    """Copies of the peer's clones that are read through an image which is replaced:
    they would go on reading the old one.
    """
    there, found = facts.there or {}, set(facts.on_old_base) & facts.here.keys()
    while True:
        more = (
            {name for name, image in facts.here.items() if image.parent in replaced | found}
            - found
            - replaced
        )
        if not more:
            break
        found |= more
    return {
        name
        for name in found - replaced
        if not facts.here[name].primary and name in there and there[name].primary
    }


def _refusal(facts: ReprotectFacts, confirm: str) -> Sentence:
    if not facts.protected:
        return Sentence(
            f"Datastore {facts.datastore} is not protected (DR_PROTECT=YES is missing): nothing to reprotect."
        )
    if confirm and confirm != facts.datastore:
        text = f"The confirmation {confirm!r} is not this datastore's name; type {facts.datastore}."
        return Sentence(text)
    if facts.there is None:
        return Sentence(
            f"The peer's images cannot be read ({facts.peer_detail}), so nothing proves that it holds what "
            "would be deleted here. Nothing was touched; see docs/reprotect.md."
        )
    if facts.paused:
        return Sentence(
            "Replication to this site is paused, so nothing would be copied here; nothing was touched. "
            f"First: onedr resume-protection {facts.datastore}."
        )
    return NOTHING


def _not_now(facts: ReprotectFacts, count: int) -> Sentence:
    return Sentence(
        f"{count} image(s) would be copied over the line, and no resync begins outside DR_COPY_WINDOW="
        f"{facts.window} (DR_COPY_OUTSIDE=0). Nothing was touched; until then what the other site writes is "
        f"not protected. To begin now, set DR_COPY_OUTSIDE=1: onedatastore update {facts.datastore}."
    )


def note(facts: ReprotectFacts, plan: ReprotectPlan) -> str:
    """What the window costs, for the plan; empty where it costs nothing."""
    if not facts.at_once or len(plan.resync) <= facts.at_once:
        return ""
    return (
        f"Outside DR_COPY_WINDOW={facts.window}: {facts.at_once} of {len(plan.resync)} image(s) at once. "
        "What the other site writes to an image is not protected until its copy is complete."
    )


def _nothing(facts: ReprotectFacts, verdicts: Mapping[str, Claim]) -> Sentence:
    mine = [name for name, found in verdicts.items() if found is Claim.MINE]
    if 2 * len(mine) > len(facts.here):
        return Sentence(
            f"This site is the active one of {facts.datastore}: it writes the images. Reprotect runs at the "
            "site that came back. There is nothing to do here."
        )
    return Sentence(
        f"There is nothing left to do: all that {facts.datastore} receives from its peer is a complete copy. "
        "See onedr status."
    )


def _verdict(here: ImageFacts, there: ImageFacts | None) -> Claim:
    seen = None if there is None else There(there.primary, there.epoch)
    return judge_claim(Known(here.primary, here.epoch, True, seen))


def _unproven(here: ImageFacts, there: ImageFacts | None, given_up: bool) -> str:
    """Why an image must not be resynced; empty when the peer is proven to hold the later one."""
    if there is None or not there.primary:
        return "the peer's image is not primary: a resync could leave no copy at all"
    own, other = number(here.epoch), number(there.epoch)
    if given_up or (own is not None and other is not None and own < other):
        return ""
    return (
        "nothing proves that the peer's is the later one; --confirm with the datastore's name gives this one "
        "up"
    )


def _is_awaited(here: ImageFacts | None, there: ImageFacts) -> bool:
    """Is the copy of the peer's primary missing, incomplete, or from before the peer took over?"""
    if not there.primary:
        return False
    return here is None or (not here.primary and not is_arrived(here, there))


def is_arrived(here: ImageFacts, there: ImageFacts) -> bool:
    """Does the copy follow the peer's primary since that was promoted?"""
    return here.complete and not here.stale and number(here.epoch) == number(there.epoch)


def _steps(
    facts: ReprotectFacts, demote: set[str], kept: set[str], resync: set[str], awaited: set[str]
) -> list[Step]:
    there = facts.there or {}
    taken = resync | {name for name, image in facts.here.items() if not image.primary}
    steps = [
        Step(StepKind.LOCK, str(vm.vm_id), f"stop VM {vm.name} ({vm.vm_id}) here and lock it")
        for vm in facts.vms if vm.touches & taken
    ]
    steps += [Step(StepKind.DEMOTE, name, f"demote {name}") for name in sorted(demote)]
    steps += [Step(StepKind.KEEP, name, f"keep what only {name} here holds") for name in sorted(kept)]
    for group in levels(awaited, there):
        for turn in _turns(group, resync, facts.at_once):
            steps += [
                Step(StepKind.RESYNC, name, f"let {name} be replaced by the peer's")
                for name in turn
                if name in resync
            ]
            steps += [Step(StepKind.AWAIT, name, f"wait for the new copy of {name}") for name in turn]
    return steps


def _turns(group: list[str], resync: set[str], at_once: int | None) -> list[list[str]]:
    """Those that are replaced, so many at once; the others are being copied already, whatever is asked."""
    if not at_once:
        return [group]
    replaced = [name for name in group if name in resync]
    others = [name for name in group if name not in resync]
    turns = [replaced[place:place + at_once] for place in range(0, len(replaced), at_once)]
    return [*turns, *([others] if others else [])]


def levels(wanted: Iterable[str], there: Mapping[str, ImageFacts]) -> list[list[str]]:
    """Bases before what is read through them: a clone's copy is made from its base's copy."""
    left, groups = set(wanted), []
    while left:
        group = sorted(name for name in left if name not in there or there[name].parent not in left - {name})
        group = group or sorted(left)  # a circle cannot be; it must not hang us either
        groups.append(group)
        left -= set(group)
    return groups
