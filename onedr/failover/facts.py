"""What a move or failover is made of: facts and ordered steps. Data only."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onedr.failover.placement import Placement
from onedr.failover.waves import Wave
from onedr.model.records import ImageFacts
from onedr.model.recovery_plan import Chosen
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication.inventory import VmItem
from onedr.replication.vm_points import VmPoint
from onedr.runs.steps import Step


class Fence(str, Enum):
    """What makes sure that the peer cannot write to the images any more, in the order of preference."""

    DEMOTE = "its images are demoted there"
    COMMAND = "the fence command of onedr.conf"
    VMS = "its VMs are stopped and locked through its front-end"
    NONE = "none: only the confirmation"


@dataclass(frozen=True)
class FailoverFacts:
    """Everything the decision rests on. `here` is this cluster's id."""

    datastore: str
    here: str
    protected: bool
    images: tuple[ImageFacts, ...]
    peer: PeerState
    peer_detail: str
    can_fence: bool  # the peer's images can be demoted from here
    registered: frozenset[str] = frozenset()  # names of RBD images that are OpenNebula images here
    recovered: Mapping[str, Recovered] = field(default_factory=dict)  # by origin
    ground: Placement = field(default_factory=Placement)
    there: tuple[PeerVm, ...] | None = None  # None: the peer's front-end does not answer, or is not known
    there_detail: str = ""
    # VMs here on this pool, by own origin and by DR_ORIGIN
    local: Mapping[str, PeerVm] = field(default_factory=dict)
    delay_s: int = 0  # the datastore's DR_DELAY
    delay_max_s: int = 60  # its DR_DELAY_MAX: the most that a VM's own DR_DELAY counts for
    # by image, the names of the clones that are read through it at the peer
    children: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # by image, bytes that were missing here when rbd-mirror last looked, as far as it says so
    behind: Mapping[str, int] = field(default_factory=dict)
    drilled: Mapping[str, float] = field(default_factory=dict)  # by origin, recovery time in the last drill
    split: frozenset[str] = frozenset()  # primary at both sites, and nothing says who is right
    osds: str = ""  # what is seen of the peer's OSDs; empty: nothing is known of them
    fence_command: tuple[str, ...] = ()  # of onedr.conf; empty: there is none
    fence_unknown: str = ""  # why onedr.conf does not tell whether there is one
    paused: bool = False  # the pool here takes nothing (docs/pause.md)
    recover_consistent: bool = False  # DR_RECOVER=CONSISTENT
    interrupted: bool = False  # the last run did not end: another must, if only to say so
    recovery: Chosen = field(default_factory=Chosen)  # the recovery plan
    # targets of its gates that the interrupted run has passed, by the same version
    gates_passed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunPlan:
    """A `refusal`, or steps in order; `left_out` says why an item is not part of it.

    `digest` names the facts and steps: a confirmation belongs to it.
    """

    refusal: str = ""
    steps: tuple[Step, ...] = ()
    vms: tuple[VmItem, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)  # by origin; nothing that stops a step
    vm_delays: Mapping[str, int] = field(default_factory=dict)  # by origin: seconds after its group began
    fence: Fence = Fence.NONE
    digest: str = ""
    points: Mapping[str, VmPoint] = field(default_factory=dict)  # by image, to which it is taken back
    waves: tuple[Wave, ...] = ()  # in which VMs start
