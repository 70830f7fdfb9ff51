"""What each kind of step needs, how it is proven done, and what an interruption right after it leaves. Data
only.

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


_MOVE_BACK = "nothing is promoted; onedr resume continues, onedr abort gives the peer everything back"
_GOES_ON = "onedr resume continues; completed steps are found and not repeated"
_CLEANUP = "onedr drill cleanup removes it; production and replication are not affected"

MEANINGS = {
    StepKind.SYNC: Meaning(
        "the peer's image is primary, its VMs may run",
        "a mark written there after the step began is in the copy here",
        _MOVE_BACK,
    ),
    StepKind.STOP: Meaning(
        "of a move: everything that moves can start here; of a failover: the peer's Ceph cannot be reached",
        "the VM at the peer is stopped, marked DR_LOCKED_STATE and locked",
        _MOVE_BACK,
    ),
    StepKind.DRAIN: Meaning(
        "its VMs at the peer are stopped",
        "a mark written there after the last write is in the copy here",
        _MOVE_BACK,
    ),
    StepKind.FENCE_SITE: Meaning(
        "the failover is confirmed, and the peer's images cannot be demoted from here",
        "the fence command ended with 0",
        "nothing is promoted; onedr resume runs the command again",
    ),
    StepKind.FENCE: Meaning(
        "the peer's Ceph answers; in a planned move the last writes are here",
        "the peer's image says that it is not primary",
        f"no site is primary for it, and no VM can write to it; {_MOVE_BACK}",
    ),
    StepKind.CUT: Meaning(
        "the failover is confirmed",
        "Ceph has rbd-mirror's addresses on its blocklist",
        "rbd-mirror reconnects after 60 s; onedr resume blocklists it again",
    ),
    StepKind.PROMOTE: Meaning(
        "the copy is complete; the peer is fenced, or the operator confirmed that it is down",
        "the image says that it is primary here",
        _GOES_ON,
    ),
    StepKind.TERM: Meaning(
        "the image is primary here",
        "the epoch reads back from the image, which proves that it can be written",
        "without it a returned peer counts as equal and its image is not demoted automatically; onedr resume "
        "writes it",
    ),
    StepKind.REWIND: Meaning(
        "the disk, or the drill's clone of it, is here, and its copy has the point",
        "every piece that may differ was compared with the point and written where it did",
        "of a failover: the newer state is preserved, and onedr resume takes it back again; of a drill: "
        "onedr drill cleanup removes the clone",
    ),
    StepKind.REGISTER: Meaning(
        "the image is primary here", "oned shows an image with that SOURCE, READY", _GOES_ON
    ),
    StepKind.RETURN: Meaning(
        "the VM's disks are primary here, and it is the VM that moved away",
        "the VM is unlocked, with the disks and NICs of its record",
        _GOES_ON,
    ),
    StepKind.CREATE: Meaning(
        "its disks are registered, its networks are here",
        "the VM is there on hold with its origin, owner and permissions",
        _GOES_ON,
    ),
    StepKind.START: Meaning(
        "it ran at the other site, DR_START allows it, earlier groups run, failed or were waited for",
        "oned shows it RUNNING",
        "VMs not started yet stay on hold; onedr resume starts them",
    ),
    StepKind.GATE: Meaning(
        "the VMs of the group were started",
        "oned shows them RUNNING, and they answer at the port that the recovery plan names, if any",
        "VMs of later groups stay on hold; onedr resume tries a gate again that was not passed",
    ),
    StepKind.SNAPSHOT: Meaning("the peer's Ceph answers", "the snapshot is on the peer's image", _CLEANUP),
    StepKind.ARRIVE: Meaning(
        "the snapshot is on the peer's image", "the copy here has it, complete", _CLEANUP
    ),
    StepKind.CLONE: Meaning("the snapshot is here", "the clone carries the drill's mark", _CLEANUP),
    StepKind.CHECK: Meaning(
        "the drill's VM was started", "it runs, wrote to its disk, and passed the requested checks", _CLEANUP
    ),
    StepKind.PROVE: Meaning(
        "the checks are over", "a mark written at the peer since then is in the copy here", _CLEANUP
    ),
    StepKind.TERMINATE: Meaning(
        "the VM carries the drill's mark and uses only its clones", "oned no longer shows it", _CLEANUP
    ),
    StepKind.DELETE: Meaning("the image carries the drill's mark", "oned no longer shows it", _CLEANUP),
    StepKind.REMOVE: Meaning("the clone carries the drill's mark", "Ceph no longer shows it", _CLEANUP),
    StepKind.UNSNAP: Meaning(
        "no clone uses the snapshot", "Ceph no longer shows it, here and at the peer", _CLEANUP
    ),
    StepKind.LOCK: Meaning(
        "a disk of the VM is primary at the peer", "the VM is stopped and locked", _GOES_ON
    ),
    StepKind.DEMOTE: Meaning(
        "the peer is primary with a later epoch, or the operator gave this site's data up",
        "the image says that it is not primary",
        "a snapshot preserves what only it has; onedr resume continues",
    ),
    StepKind.KEEP: Meaning("the image is demoted", "the preserved copy is marked", _GOES_ON),
    StepKind.RESYNC: Meaning(
        "the peer is primary at this moment, and what only this image has is preserved",
        "Ceph accepted the request",
        "rbd-mirror continues by itself; onedr resume waits for it",
    ),
    StepKind.AWAIT: Meaning(
        "the resync was requested, or the image replays",
        "the copy is complete and carries the peer's epoch",
        _GOES_ON,
    ),
}


def shown_steps(steps: Iterable[Step]) -> tuple[StepShown, ...]:
    """Steps as part of a plan's event."""
    return tuple(
        StepShown(step.kind.value, step.target, step.text, step.limit_s, **asdict(MEANINGS[step.kind]))
        for step in steps
    )
