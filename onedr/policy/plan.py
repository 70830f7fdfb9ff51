"""What a run is made of: facts, a request, and ordered steps (DESIGN §6). Data only."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onedr.facts import ImageFacts
from onedr.model import Peer
from onedr.policy.inventory import VmItem
from onedr.policy.readiness import Ground


class Kind(str, Enum):
    """What a step does. In this order."""

    SYNC = "sync"  # the copy here catches up while the peer's VMs still run
    STOP = "stop"  # a VM at the peer, and hold it there
    DRAIN = "drain"  # the last writes arrive
    FENCE = "fence"  # demote the image at the peer
    CUT = "cut off rbd-mirror"
    PROMOTE = "promote"
    TERM = "term"  # left on a promoted image: of two primaries the one with the lower term is stale
    REGISTER = "register"  # an RBD image as an OpenNebula image
    RETURN = "return"  # a VM that left from here takes its disks back, and lets go of those that were given away there
    CREATE = "create"  # a VM, on hold
    START = "start"
    SNAPSHOT = "snapshot"  # of a drill, on the image at the peer
    ARRIVE = "arrive"  # that snapshot, here
    CLONE = "clone"
    CHECK = "check"
    PROVE = "prove"  # that replication goes on
    TERMINATE = "terminate"  # a drill's VM
    REMOVE = "remove"  # a drill's clone
    DELETE = "delete"  # a drill's image
    UNSNAP = "remove the snapshot"
    HOLD = "hold"  # reprotect: a VM here whose disks are written at the peer
    DEMOTE = "demote"  # a stale image here, after a snapshot of it
    KEEP = "keep"  # what only it holds, as a copy of its own
    RESYNC = "resync"  # let Ceph replace it by the peer's
    AWAIT = "await"  # its new copy


LIMITS_S = {
    Kind.SYNC: 90, Kind.STOP: 300, Kind.DRAIN: 60, Kind.FENCE: 30, Kind.CUT: 30, Kind.PROMOTE: 120, Kind.TERM: 60,
    Kind.REGISTER: 60, Kind.CREATE: 60, Kind.RETURN: 240, Kind.START: 180,
    Kind.SNAPSHOT: 60, Kind.ARRIVE: 150, Kind.CLONE: 60, Kind.CHECK: 330, Kind.PROVE: 90,
    Kind.TERMINATE: 150, Kind.REMOVE: 90, Kind.DELETE: 90, Kind.UNSNAP: 120,
    Kind.HOLD: 300, Kind.DEMOTE: 90, Kind.KEEP: 3600, Kind.RESYNC: 60, Kind.AWAIT: 7 * 86400,
}


@dataclass(frozen=True)
class Step:
    """One thing to do to one target: an image's name, or a VM's origin."""

    kind: Kind
    target: str
    text: str

    @property
    def limit_s(self) -> int:
        return LIMITS_S[self.kind]


@dataclass(frozen=True)
class Request:
    """What the operator asked for. `vms`: names or ids at the peer; empty means all."""

    confirm: str = ""
    vms: tuple[str, ...] = ()
    start: bool = True
    only_planned: bool = False  # refuse rather than lose anything


@dataclass(frozen=True)
class Recovered:
    """A VM at this site that carries DR_ORIGIN."""

    vm_id: int
    state: str
    start_pending: bool
    finished: bool  # False: its creation was interrupted before owner and permissions were set


@dataclass(frozen=True)
class PeerVm:
    """A VM on this pool, as its front-end shows it. `held`: the state in which a run of ours found it, empty when free."""

    vm_id: int
    name: str
    state: str
    held: str
    images: frozenset[str]  # RBD names of its disks in this pool
    clones: frozenset[str] = frozenset()  # those of them that go when they are unplugged
    locked: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything the decision rests on. `here` is this cluster's id."""

    datastore: str
    here: str
    protected: bool
    images: tuple[ImageFacts, ...]
    peer: Peer
    peer_detail: str
    can_fence: bool
    registered: frozenset[str] = frozenset()  # names of RBD images that are OpenNebula images here
    recovered: Mapping[str, Recovered] = field(default_factory=dict)  # by origin
    ground: Ground = field(default_factory=Ground)
    there: tuple[PeerVm, ...] | None = None  # None: the peer's front-end does not answer, or is not known
    there_detail: str = ""
    local: Mapping[str, PeerVm] = field(default_factory=dict)  # VMs here on this pool, by own origin and by DR_ORIGIN
    delay_s: int = 0  # the datastore's DR_DELAY
    interrupted: bool = False  # the last run did not end: another must, if only to say so


@dataclass(frozen=True)
class Plan:
    """`refusal` and no steps, or steps in order; `left_out` says why an item is not part of it."""

    refusal: str = ""
    steps: tuple[Step, ...] = ()
    vms: tuple[VmItem, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)  # by origin; nothing that stops a step
    delays: Mapping[int, int] = field(default_factory=dict)  # by priority: seconds between its group and the next
