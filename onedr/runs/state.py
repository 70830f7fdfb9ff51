"""The named state of a datastore, from its items.

Pure; the table in docs/states.md is made from DESCRIPTIONS.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onedr.model.text import NOTHING, Sentence, filled, named
from onedr.model.types import Role, State

DESCRIPTIONS = {
    State.UNPROTECTED: "DR_PROTECT is not YES: nothing is mirrored by OneDR.",
    State.PROTECTING: (
        "Initial sync in progress. A VM is not recoverable before the copies of its disks are complete."
    ),
    State.PROTECTED: "Every item has a complete copy at the peer, younger than DR_RPO.",
    State.DEGRADED: (
        "Something is not protected, a copy is older than DR_RPO, or the peer's copies cannot be read. onedr "
        "status lists what and why."
    ),
    State.STANDBY: "This site receives replicas and can take over.",
    State.FAILING_OVER: "A move or failover is in progress.",
    State.FAILING_BACK: "A failback is in progress: the VMs move home without loss.",
    State.DRILLING: "A drill or its cleanup is in progress. Protection continues.",
    State.RETURNED: (
        "The other site took over while this one was down. Images here contain writes that were never "
        "replicated. Next: onedr reprotect."
    ),
    State.REPROTECTING: (
        "A reprotect is in progress: writes that only this site has are preserved, then its images are "
        "resynchronised."
    ),
    State.ACTIVE_UNPROTECTED: "This site took over. The peer has no complete copy yet.",
    State.SPLIT_BRAIN: (
        "The same image is primary at both sites. Stop the VMs of one site before anything else."
    ),
    State.INTERRUPTED: (
        "A run was interrupted. Run onedr resume to continue it, or onedr abort to roll it back (only before "
        "the first promotion)."
    ),
}

# Why a datastore is in its state, for programs (`code` in onedr status --json), and the state that follows.
CODES = {
    "NOT_ASKED_FOR": State.UNPROTECTED,
    "NO_IMAGES": State.UNPROTECTED,
    "COPYING": State.PROTECTING,
    "SAFE": State.PROTECTED,
    "NOT_PROTECTED": State.DEGRADED,
    "LATE": State.DEGRADED,
    "UNSEEN": State.DEGRADED,
    "PAUSED": State.DEGRADED,
    "READY": State.STANDBY,
    "RECEIVING": State.STANDBY,
    "PAUSED_HERE": State.STANDBY,
    "RUNNING": State.FAILING_OVER,
    "DRILL": State.DRILLING,
    "DIED": State.INTERRUPTED,
    "STALE": State.RETURNED,
    "BOTH_PRIMARY": State.SPLIT_BRAIN,
    "TOOK_OVER": State.ACTIVE_UNPROTECTED,
}
# Worst first: which of several datastores a person should look at.
SEVERITY = (
    State.SPLIT_BRAIN, State.RETURNED, State.INTERRUPTED, State.ACTIVE_UNPROTECTED, State.DEGRADED,
    State.FAILING_OVER, State.FAILING_BACK, State.REPROTECTING, State.PROTECTING, State.DRILLING,
    State.UNPROTECTED, State.STANDBY, State.PROTECTED,
)
NEEDS_A_PERSON = SEVERITY[:5]  # degraded or worse
DRILLS = ("drill", "drill_cleanup")  # verbs of runs that move nothing
# verbs that are journaled, and move nothing
SETTINGS = ("map", "recovery_plan", "pause", "resume_protection", "point_end")
MOVES = ("move", "failover", "failback")  # of runs that can be rolled back before their first promotion
CANCELLABLE = (*MOVES, "reprotect", *DRILLS)
RUN_VERBS = (*CANCELLABLE, "resume", "abort")  # of runs that are shown while they last


@dataclass(frozen=True)
class ImageState:
    """An image or disk: is it this site's to write, has it a copy at the peer, what is wrong with it."""

    name: str
    mirrored: bool
    primary: bool
    copied: bool  # primary: the peer's copy is complete; secondary: ours is
    age_s: float | None  # of the recovery point
    split: bool = False  # primary at both sites, and no term says who is right
    stale: bool = False  # the other site took over from it
    taken: bool = False  # OneDR promoted it at this site
    problem: str = ""


@dataclass(frozen=True)
class StateVerdict:
    """State, role, how many of how many are safe, and a sentence: what, why, what next. It names images; its
    public form counts them.
    """

    state: State
    code: str  # why, for programs: a word of CODES
    role: Role
    safe: int
    total: int
    message: Sentence


_RUNS = {"failback": State.FAILING_BACK, "reprotect": State.REPROTECTING, "guard": State.RETURNED}
Say = Callable[[str, Sentence], StateVerdict]


def judge_state(
    protect: bool, items: Sequence[ImageState], rpo_s: int, run: str, interrupted: bool,
    lacking: Sentence = NOTHING, unseen: bool = False, paused: bool = False,
) -> StateVerdict:
    """The state of a datastore, from the roles read now.

    `run`: verb of a run in progress or interrupted; `lacking`: what the last move or failover here left out;
    `unseen`: the peer's copies cannot be read, so what is said of them is not known. `paused`: does the pool
    that receives take nothing?
    """
    safe = sum(1 for item in items if item.copied and item.mirrored and not item.problem)
    total = len(items)

    role = _role(protect, items)

    def say(code: str, message: Sentence) -> StateVerdict:
        state = _RUNS.get(run, State.FAILING_OVER) if code == "RUNNING" else CODES[code]
        return StateVerdict(state, code, role, safe, total, message)

    if run:
        return say(*_running(run, interrupted))
    if not protect:
        text = "Not protected. Set DR_PROTECT=YES to mirror its images to the peer."
        return say("NOT_ASKED_FOR", Sentence(text))
    disputed = _disputed(items)
    if disputed:
        return say(*disputed)
    if role is Role.SECONDARY:
        return say("PAUSED_HERE", _PAUSED_HERE) if paused else _standby(items, say)
    bare = [item.name for item in items if item.primary and item.taken and item.mirrored and not item.copied]
    if bare:
        text = "This site took over; the peer has no complete copy of {}. When the peer is back, run onedr "
        return say("TOOK_OVER", filled(text + "reprotect there.", named(bare)).then(lacking))
    if paused and any(item.mirrored for item in items):
        return say("PAUSED", _PAUSED.then(f" {safe} of {total} items have a complete copy."))
    return _primary(items, rpo_s, say, unseen)


_PAUSED = Sentence(
    "Replication is paused: the copies at the peer stay as they are and grow older, and what is written here "
    "is not protected. onedr resume-protection continues."
)
_PAUSED_HERE = Sentence(
    "Replication is paused: the copies here stay as they are and grow older. This site can take over with "
    "them; onedr resume-protection continues."
)


def _running(run: str, interrupted: bool) -> tuple[str, Sentence]:
    """Code and sentence while a run is in progress, or was interrupted."""
    if run in DRILLS:
        return _drilling(run, interrupted)
    if not interrupted:
        return "RUNNING", Sentence(f"{run} in progress.")
    text = (
        f"The last {run} was interrupted. Run onedr resume to continue it, or onedr abort to roll it back "
        "(only before the first promotion)."
    )
    return "DIED", Sentence(text)


def _disputed(items: Sequence[ImageState]) -> tuple[str, Sentence] | None:
    """Code and sentence when the sites disagree about who writes an image."""
    split = [item.name for item in items if item.split]
    if split:
        text = "Primary at both sites: {}. Stop the VMs of one site; see docs/guard.md."
        return "BOTH_PRIMARY", filled(text, named(split))
    stale = [item.name for item in items if item.stale]
    if not stale:
        return None
    text = (
        "The other site took over while this one was down. {} contain writes that were never "
        "replicated; VMs using them are locked. Run onedr reprotect: it preserves a copy of each and makes "
        "this site the standby."
    )
    return "STALE", filled(text, named(stale))


def _drilling(run: str, interrupted: bool) -> tuple[str, Sentence]:
    if not interrupted:
        return "DRILL", Sentence(f"{run.replace('_', ' ')} in progress. Protection continues.")
    text = (
        "The last drill was interrupted. Run onedr drill cleanup to remove what it left. Protection "
        "continues, and a failover works."
    )
    return "DIED", Sentence(text)


def _role(protect: bool, items: Sequence[ImageState]) -> Role:
    if not protect:
        return Role.UNPROTECTED
    mirrored = [item for item in items if item.mirrored]
    copies = sum(1 for item in mirrored if not item.primary)
    own = [item for item in mirrored if item.primary]
    # an image that was made here beside the peer's copies does not make this site the primary
    return Role.SECONDARY if copies > len(own) and not any(item.taken for item in own) else Role.PRIMARY


def _standby(items: Sequence[ImageState], say: Say) -> StateVerdict:
    own = [item.name for item in items if item.primary and item.mirrored]
    text = f" {len(own)} image(s) made here are written here"
    beside = Sentence(f"{text}: {named(own)}.", f"{text}.") if own else NOTHING
    waiting = [item.name for item in items if item.mirrored and not item.primary and not item.copied]
    if waiting:
        text = f"Receives replicas from the peer; {len(waiting)} copies are not complete yet"
        return say("RECEIVING", Sentence(f"{text}: {named(waiting)}.", f"{text}.").then(beside))
    return say("READY", Sentence("Receives replicas from the peer; ready to take over.").then(beside))


def _primary(items: Sequence[ImageState], rpo_s: int, say: Say, unseen: bool) -> StateVerdict:
    total = len(items)
    problems = [item for item in items if item.problem or not item.mirrored]
    late = [item.name for item in items if item.copied and item.age_s is not None and item.age_s > rpo_s]
    if problems:
        first = problems[0]
        which = named([item.name for item in problems])
        text = f"{len(problems)} of {total} not protected"
        what = f"{text}: {which} ({first.problem or 'not mirrored'})."
        return say("NOT_PROTECTED", Sentence(what, f"{text}.").then(Sentence(" onedr status lists all.")))
    unknown = [item.name for item in items if unseen and (not item.copied or item.age_s is None)]
    if unknown:
        text = "The peer's copies cannot be read now: nothing is known of those of {}. See onedr check."
        return say("UNSEEN", filled(text, named(unknown)))
    if late:
        text = f"Older than the objective of {rpo_s} s: {{}}. Does rbd-mirror run at the peer?"
        return say("LATE", filled(text, named(late)))
    waiting = [item.name for item in items if not item.copied]
    if waiting:
        return say("COPYING", filled("Initial sync in progress: {}.", named(waiting)))
    return say("SAFE", Sentence(f"{total} of {total} items have a complete copy at the peer."))
