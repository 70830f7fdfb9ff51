"""What each kind of step needs, how it is proven done, and what it means when the run dies right after it.
Data only.

docs/steps.md is made from MEANINGS; a test compares. Limits are in runs.steps.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from onedr.runs.plan_events import StepShown
from onedr.runs.steps import Step, StepKind


@dataclass(frozen=True)
class Meaning:
    """Sentences for people: precondition, read-back, and what an interruption after the step leaves."""

    needs: str
    proof: str
    interrupted: str


_MOVE_BACK = "nothing is promoted; onedr resume goes on, onedr abort lets the peer have everything back"
_GOES_ON = "onedr resume goes on; what is done is found and not done twice"
_CLEANUP = "onedr drill cleanup removes it; production and replication know nothing of it"

MEANINGS = {
    StepKind.SYNC: Meaning(
        "the peer's image is primary, its VMs may run",
        "a mark written there after now is in the copy here",
        _MOVE_BACK,
    ),
    StepKind.STOP: Meaning(
        "everything that moves can start here",
        "the VM at the peer is at rest, marked DR_HELD and locked",
        _MOVE_BACK,
    ),
    StepKind.DRAIN: Meaning(
        "its VMs at the peer are stopped",
        "a mark written there after the last write is in the copy here",
        _MOVE_BACK,
    ),
    StepKind.FENCE: Meaning(
        "the peer's Ceph answers; of a planned move also: the last writes are here",
        "the peer's image says that it is not primary",
        f"no site is primary for it, and no VM can write to it; {_MOVE_BACK}",
    ),
    StepKind.CUT: Meaning(
        "the peer does not answer, or the operator typed the datastore's name",
        "Ceph has rbd-mirror's addresses on its blocklist",
        "rbd-mirror comes back by itself after 60 s; onedr resume cuts it off again",
    ),
    StepKind.PROMOTE: Meaning(
        "the copy is complete, and the peer's image is demoted, gone or cut off",
        "the image says that it is primary here",
        _GOES_ON,
    ),
    StepKind.TERM: Meaning(
        "the image is primary here",
        "the term reads back from the image, which so can be written",
        "without it a returned peer counts as equal and nothing is demoted there by itself; onedr resume "
        "writes it",
    ),
    StepKind.REGISTER: Meaning(
        "the image is primary here", "oned shows an image with that SOURCE, READY", _GOES_ON
    ),
    StepKind.RETURN: Meaning(
        "the VM's disks are primary here and it is the one that left",
        "the VM is unlocked, with the disks and NICs of its record",
        _GOES_ON,
    ),
    StepKind.CREATE: Meaning(
        "its disks are registered, its networks are here",
        "the VM is there on hold with its origin, owner and permissions",
        _GOES_ON,
    ),
    StepKind.START: Meaning(
        "it ran at the other site, DR_START does not forbid it, earlier groups ran, failed or were out of "
        "time",
        "oned shows it RUNNING",
        "VMs not started yet stay on hold; onedr resume starts them",
    ),
    StepKind.SNAPSHOT: Meaning("the peer's Ceph answers", "the snapshot is on the peer's image", _CLEANUP),
    StepKind.ARRIVE: Meaning(
        "the snapshot is on the peer's image", "the copy here has it, complete", _CLEANUP
    ),
    StepKind.CLONE: Meaning("the snapshot is here", "the clone carries the drill's mark", _CLEANUP),
    StepKind.CHECK: Meaning(
        "the drill's VM was started", "it runs, wrote to its disk, and answers what was asked", _CLEANUP
    ),
    StepKind.PROVE: Meaning(
        "the checks are over", "a mark written at the peer since then is in the copy here", _CLEANUP
    ),
    StepKind.TERMINATE: Meaning(
        "the VM carries the drill's mark and lives on its clones only", "oned shows it no more", _CLEANUP
    ),
    StepKind.DELETE: Meaning("the image carries the drill's mark", "oned shows it no more", _CLEANUP),
    StepKind.REMOVE: Meaning("the clone carries the drill's mark", "Ceph shows it no more", _CLEANUP),
    StepKind.UNSNAP: Meaning(
        "no clone uses the snapshot", "Ceph shows it no more, here and at the peer", _CLEANUP
    ),
    StepKind.HOLD: Meaning(
        "a disk of the VM is the peer's to write", "the VM is at rest and locked", _GOES_ON
    ),
    StepKind.DEMOTE: Meaning(
        "the peer is primary with a later term, or the operator gave this site's up",
        "the image says that it is not primary",
        "a snapshot holds what only it has; onedr resume goes on",
    ),
    StepKind.KEEP: Meaning("the image is demoted", "the kept copy says what it is", _GOES_ON),
    StepKind.RESYNC: Meaning(
        "the peer is primary at this moment, and what only this image holds is kept",
        "Ceph has taken the request",
        "rbd-mirror goes on with it alone; onedr resume waits for it",
    ),
    StepKind.AWAIT: Meaning(
        "the image was given to Ceph, or replays",
        "the copy is complete and carries the peer's term",
        _GOES_ON,
    ),
}


def shown_steps(steps: Iterable[Step]) -> tuple[StepShown, ...]:
    """Steps as part of a plan's event."""
    return tuple(
        StepShown(step.kind.value, step.target, step.text, step.limit_s, **asdict(MEANINGS[step.kind]))
        for step in steps
    )
