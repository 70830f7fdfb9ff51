"""What a run is made of: facts, a request, and ordered steps (docs/design.md, "Rules of failover"). Data
only.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onedr.failover.placement import Placement
from onedr.model.records import ImageFacts
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication.inventory import VmItem
from onedr.runs.steps import Step


@dataclass(frozen=True)
class FailoverFacts:
    """Everything the decision rests on. `here` is this cluster's id."""

    datastore: str
    here: str
    protected: bool
    images: tuple[ImageFacts, ...]
    peer: PeerState
    peer_detail: str
    can_fence: bool
    registered: frozenset[str] = frozenset()  # names of RBD images that are OpenNebula images here
    recovered: Mapping[str, Recovered] = field(default_factory=dict)  # by origin
    ground: Placement = field(default_factory=Placement)
    there: tuple[PeerVm, ...] | None = None  # None: the peer's front-end does not answer, or is not known
    there_detail: str = ""
    # VMs here on this pool, by own origin and by DR_ORIGIN
    local: Mapping[str, PeerVm] = field(default_factory=dict)
    delay_s: int = 0  # the datastore's DR_DELAY
    interrupted: bool = False  # the last run did not end: another must, if only to say so


@dataclass(frozen=True)
class RunPlan:
    """`refusal` and no steps, or steps in order; `left_out` says why an item is not part of it."""

    refusal: str = ""
    steps: tuple[Step, ...] = ()
    vms: tuple[VmItem, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)  # by origin; nothing that stops a step
    # by priority: seconds between its group and the next
    delays: Mapping[int, int] = field(default_factory=dict)
