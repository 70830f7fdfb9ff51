"""Plans as events: what a person sees before anything is changed. Pure."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from onedr.model.json_form import nested
from onedr.runs.events import Event, PeerShown


@dataclass(frozen=True)
class StepShown:
    """A step of a plan; the last three explain its kind (docs/steps.md)."""

    kind: str
    target: str
    text: str
    limit_s: int
    needs: str
    proof: str
    interrupted: str


@dataclass(frozen=True)
class FailoverVm:
    """A VM of a failover's or failback's plan. `left_out` says why it is no part of it.

    Seconds that may be lost: `expected_loss_s` at most, if its site went on until now; `seen_loss_s` if it
    stopped when it was last seen; `seen_loss_bytes`: at most, if it stopped when rbd-mirror here last saw it
    (None: unknown). `drill_rto_s`: its recovery time in the last drill
    (None: it was in none).
    """

    origin: str
    name: str
    site: str
    vm: int
    state_there: str
    recovery_point: float | None
    expected_loss_s: float | None
    starts: bool
    priority: int
    disks: tuple[str, ...]
    left_out: str
    warnings: tuple[str, ...]
    delay_s: int = 0  # its own DR_DELAY
    seen_loss_s: float | None = None
    seen_loss_bytes: int | None = None
    drill_rto_s: float | None = None
    group: str = ""  # of the recovery plan
    newest_point: float | None = None  # moment of its newest point in time here; None: it has none


@dataclass(frozen=True)
class FailoverImage:
    """An image of a failover's plan."""

    image: str
    recovery_point: float | None
    complete: bool
    primary: bool


@dataclass(frozen=True)
class FailoverPlanEvent(Event):
    """The plan of a move, failback or failover. `planned`: nothing is lost. `delays`: seconds by priority, or
    group of the recovery plan.

    `seen`: what is seen of the peer, a sentence; `last_seen`: its last sign of life, epoch seconds.
    `digest`: a confirmation `name:digest` is good for this plan only.
    """

    event: ClassVar[str] = "plan"
    datastore: str
    verb: str = "failover"
    refusal: str = ""
    planned: bool = False
    peer: PeerShown = nested(PeerShown, default=PeerShown(""))
    vms: tuple[FailoverVm, ...] = nested(FailoverVm, default=())
    images: tuple[FailoverImage, ...] = nested(FailoverImage, default=())
    steps: tuple[StepShown, ...] = nested(StepShown, default=())
    left_out: Mapping[str, str] = field(default_factory=dict)
    delays: Mapping[str, int] = field(default_factory=dict)
    fence: str = ""
    seen: str = ""
    last_seen: float | None = None
    digest: str = ""
    recovery_plan: str = ""  # name and version; empty: VMs start by DR_PRIORITY


@dataclass(frozen=True)
class DrillVm:
    """A VM of a drill's plan; `age_s`: of its recovery point."""

    origin: str
    name: str
    site: str
    vm: int
    recovery_point: float | None
    age_s: float | None
    starts: bool
    disks: tuple[str, ...]
    left_out: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class DrillPlanEvent(Event):
    """The plan of a drill, or of its cleanup (which names no VMs)."""

    event: ClassVar[str] = "plan"
    datastore: str
    verb: str = "drill"
    refusal: str = ""
    network: str = ""
    peer: PeerShown = nested(PeerShown, default=PeerShown(""))
    vms: tuple[DrillVm, ...] = nested(DrillVm, default=())
    steps: tuple[StepShown, ...] = nested(StepShown, default=())
    left_out: Mapping[str, str] = field(default_factory=dict)
    recovery_plan: str = ""  # name and version; empty: VMs start by DR_PRIORITY


@dataclass(frozen=True)
class ReprotectImage:
    """An image of a reprotect's plan.

    `kept`: a copy of what only this site has is preserved; `again`: it is resynchronised; `loss_s`: seconds
    of writes that only this site has; `bytes`: to be transferred. None: not known.
    """

    image: str
    kept: bool
    again: bool
    vm: str
    loss_s: float | None
    bytes: int | None


@dataclass(frozen=True)
class ReprotectPlanEvent(Event):
    """The plan of a reprotect."""

    event: ClassVar[str] = "plan"
    datastore: str
    verb: str = "reprotect"
    refusal: str = ""
    peer: PeerShown = nested(PeerShown, default=PeerShown(""))
    images: tuple[ReprotectImage, ...] = nested(ReprotectImage, default=())
    steps: tuple[StepShown, ...] = nested(StepShown, default=())
    left_out: Mapping[str, str] = field(default_factory=dict)
    only_here: tuple[str, ...] = ()
    note: str = ""  # what DR_COPY_WINDOW costs


@dataclass(frozen=True)
class ConversionItemShown:
    """An image or disk of the plan of enable or disable. `what`: act, done, wait, leave."""

    name: str
    label: str
    size: int
    what: str
    reason: str


@dataclass(frozen=True)
class ConversionPlanEvent(Event):
    """The plan of enable or disable. `changes`: attributes of the datastore."""

    event: ClassVar[str] = "plan"
    datastore: str
    verb: str = "enable"
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    changes: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    items: tuple[ConversionItemShown, ...] = nested(ConversionItemShown, default=())


@dataclass(frozen=True)
class ChangeShown:
    """A change that setup or teardown plans: from `now` to `then`, and what it costs."""

    kind: str
    text: str
    now: str
    then: str
    cost: str = ""


@dataclass(frozen=True)
class PairingPlanEvent(Event):
    """The plan of setup or teardown."""

    event: ClassVar[str] = "plan"
    pool: str
    verb: str = "setup"
    dry_run: bool = False
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    steps: tuple[ChangeShown, ...] = nested(ChangeShown, default=())
