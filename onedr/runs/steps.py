"""The steps that runs are made of: what kinds there are, and how long one may take."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class StepKind(str, Enum):
    """What a step does. In this order."""

    SYNC = "sync"  # the copy here catches up while the peer's VMs still run
    STOP = "stop"  # a VM at the peer, and lock it there
    DRAIN = "drain"  # the last writes arrive
    FENCE_SITE = "fence the site"  # the site's own fence command
    FENCE = "fence"  # demote the image at the peer
    CUT = "cut off rbd-mirror"
    PROMOTE = "promote"
    TERM = "term"  # the epoch of a promoted image: of two primaries the one with the lower epoch is stale
    REWIND = "take back"  # a disk to a point in time; what is newer is preserved
    REGISTER = "register"  # an RBD image as an OpenNebula image
    # a VM that moved away gets its disks back, and releases those it got there
    RETURN = "return"
    CREATE = "create"  # a VM, on hold
    START = "start"
    GATE = "gate"  # of a group of the recovery plan, between starts
    SNAPSHOT = "snapshot"  # of a drill, on the image at the peer
    ARRIVE = "arrive"  # that snapshot, here
    CLONE = "clone"
    CHECK = "check"
    PROVE = "prove"  # that replication continues
    TERMINATE = "terminate"  # a drill's VM
    REMOVE = "remove"  # a drill's clone
    DELETE = "delete"  # a drill's image
    UNSNAP = "remove the snapshot"
    LOCK = "lock"  # reprotect: a VM here whose disks are written at the peer
    DEMOTE = "demote"  # a stale image here, after a snapshot of it
    KEEP = "keep"  # preserve what only it has
    RESYNC = "resync"  # let Ceph replace it by the peer's
    AWAIT = "await"  # its new copy


LIMITS_S = {
    StepKind.SYNC: 90,
    StepKind.STOP: 300,
    StepKind.DRAIN: 60,
    StepKind.FENCE_SITE: 330,
    StepKind.FENCE: 30,
    StepKind.CUT: 30,
    StepKind.PROMOTE: 120,
    StepKind.TERM: 60,
    StepKind.REWIND: 3600,
    StepKind.REGISTER: 240,  # with the list of its snapshots, action by action
    StepKind.CREATE: 60,
    StepKind.RETURN: 240,
    StepKind.START: 180,
    StepKind.GATE: 3720,  # a gate's own limit is an hour at most
    StepKind.SNAPSHOT: 60,
    StepKind.ARRIVE: 150,
    StepKind.CLONE: 60,
    StepKind.CHECK: 330,
    StepKind.PROVE: 90,
    StepKind.TERMINATE: 150,
    StepKind.REMOVE: 90,
    StepKind.DELETE: 90,
    StepKind.UNSNAP: 120,
    StepKind.LOCK: 300,
    StepKind.DEMOTE: 90,
    StepKind.KEEP: 3600,
    StepKind.RESYNC: 60,
    StepKind.AWAIT: 7 * 86400,
}


@dataclass(frozen=True)
class Step:
    """One thing to do to one target: an image's name, or a VM's origin."""

    kind: StepKind
    target: str
    text: str

    @property
    def limit_s(self) -> int:
        return LIMITS_S[self.kind]


class Later(str):
    """What came of a step that is neither done nor failed: whoever asked for it does it again."""
