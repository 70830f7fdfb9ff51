"""What a document holds: four attributes of JSON, each written by whoever knows it. Data only.

STATUS is the keeper's, RUN that of the run in progress, PLAN that of DR_ACTION=PLAN, REPORT a drill's.
Moments are epoch seconds, durations seconds, sizes bytes; null: not known. docs/document.schema.json is made
from these classes.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

SCHEMA = 1


@dataclass(frozen=True)
class DatastoreShown:
    """Which datastore of which site."""

    id: int
    name: str
    site: str


@dataclass(frozen=True)
class ActionShown:
    """An action that this state allows: its word for DR_ACTION, what it does, and what confirms it.

    `confirm`: `name`, the datastore's name typed by a person goes into DR_CONFIRM, with the plan's digest
    where there is one; `none`, DR_CONFIRM is left out unless it is the one of a plan. `plan`: DR_PLAN can be
    this word.
    """

    action: str
    text: str
    confirm: str = "none"
    plan: bool = False


@dataclass(frozen=True)
class UnprotectedShown:
    """What has no copy, and why; `code`: a word of docs/status.md."""

    item: str
    why: str
    code: str


@dataclass(frozen=True)
class UnprotectedList:
    """`total` of them, as many as there is room for."""

    total: int
    rows: tuple[UnprotectedShown, ...] = ()


@dataclass(frozen=True)
class RehearsedShown:
    """A VM's last rehearsal; `result`: accepted, refused, returns, not tried."""

    at: float
    result: str
    why: str = ""
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class VmShown:
    """A VM. `id` is its id at its site; `here`: it is this site's. `loss_s`, `loss_bytes`: what is lost at
    most if its site is lost now. `starts`: would it start at the other site (of a VM of the peer: here);
    `obstacles`: what is in the way.
    """

    id: int
    name: str
    site: str
    here: bool
    state: str
    recovery_point: float | None
    loss_s: float | None
    loss_bytes: int | None
    starts: bool
    obstacles: tuple[str, ...]
    warnings: tuple[str, ...]
    priority: int
    rehearsed: RehearsedShown | None = None


@dataclass(frozen=True)
class VmList:
    """`total` VMs; in `rows` as many as there is room for, those that need a person first."""

    total: int
    rows: tuple[VmShown, ...] = ()


@dataclass(frozen=True)
class PastRun:
    """A run that ended, as in `onedr history`. `rto_s`, `rpo_s`: of its worst VM."""

    run: str
    verb: str
    by: str
    trigger: str
    began: float
    took_s: float | None
    result: str
    rto_s: float | None
    rpo_s: float | None
    message: str


@dataclass(frozen=True)
class DrillShown:
    """The last drill here; `report`: its report's page on the front-end `host`, empty where there is none."""

    at: float
    result: str
    rto_s: float | None
    report: str
    host: str


@dataclass(frozen=True)
class RehearsalShown:
    """The last rehearsal: of the peer's VMs here, or of this site's VMs there."""

    at: float
    accepted: int
    refused: int
    returns: int
    not_tried: int


@dataclass(frozen=True)
class OtherRun:
    """The run in progress as its lease tells; `here`: it is this site's, and RUN tells more."""

    verb: str
    by: str
    host: str
    site: str
    began: float
    here: bool


@dataclass(frozen=True)
class StatusPart:
    """The attribute STATUS. `message`: the one sentence; `recovery_point`: the oldest of all copies; `hint`:
    where an action that is not in `actions` is started.
    """

    name: ClassVar[str] = "STATUS"
    as_of: float
    datastore: DatastoreShown
    state: str
    code: str
    role: str
    mode: str
    message: str
    peer_state: str
    peer_detail: str
    recovery_point: float | None
    objective_s: int
    protected: int
    total: int
    unprotected: UnprotectedList
    vms: VmList
    actions: tuple[ActionShown, ...]
    hint: str
    run: OtherRun | None = None
    runs: tuple[PastRun, ...] = ()
    drill: DrillShown | None = None
    rehearsal: RehearsalShown | None = None
    schema: int = SCHEMA


@dataclass(frozen=True)
class FailedShown:
    """A step that failed."""

    item: str
    why: str


@dataclass(frozen=True)
class RunPart:
    """The attribute RUN; it is `null` when no run is in progress here.

    `steps_done` of `steps_total` ended, `steps_failed` among them. Of the `kind` of step that is at work
    `done` of `of`, at `rate_per_s`, `left_s` to go; of copies `bytes` of `bytes_total`.
    """

    name: ClassVar[str] = "RUN"
    as_of: float
    verb: str
    by: str
    trigger: str
    request: str
    began: float
    steps_total: int
    steps_done: int
    steps_failed: int
    kind: str
    done: int
    of: int
    rate_per_s: float | None
    left_s: float | None
    bytes: int
    bytes_total: int
    failed: tuple[FailedShown, ...]
    actions: tuple[ActionShown, ...]
    schema: int = SCHEMA


@dataclass(frozen=True)
class PlanStep:
    """All steps of one kind: how many, what the first of them say, what each needs."""

    kind: str
    count: int
    texts: tuple[str, ...]
    needs: str


@dataclass(frozen=True)
class PlanVm:
    """A VM of a plan. `loss_s`, `loss_bytes`: at most; 0 of a move. `left_out`: why it is no part of it."""

    id: int
    name: str
    site: str
    recovery_point: float | None
    loss_s: float | None
    loss_bytes: int | None
    starts: bool
    priority: int | None
    left_out: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PlanVmList:
    """`total` VMs; in `rows` as many as there is room for, those left out first."""

    total: int
    rows: tuple[PlanVm, ...] = ()


@dataclass(frozen=True)
class PlanImage:
    """An image of a reprotect's plan: `kept`, what only this site has is preserved; `again`, it is copied
    again. `loss_s`: seconds of writes that only this site has; `bytes`: to be transferred.
    """

    image: str
    vm: str
    kept: bool
    again: bool
    loss_s: float | None
    bytes: int | None


@dataclass(frozen=True)
class PlanImageList:
    """`total` images, as many as there is room for."""

    total: int
    rows: tuple[PlanImage, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """What is no part of a plan, and why."""

    item: str
    why: str


@dataclass(frozen=True)
class LeftOutList:
    """`total` of them, as many as there is room for."""

    total: int
    rows: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class PlanPart:
    """The attribute PLAN: what `onedr VERB --dry-run` shows; `null` when there is none.

    `request`: the DR_REQUEST it answers. `confirm`: what DR_CONFIRM has to be for exactly this plan, empty
    where the verb takes none. `refusal`: why the run would be refused; `error`: why there is no plan.
    """

    name: ClassVar[str] = "PLAN"
    as_of: float
    datastore: DatastoreShown
    verb: str
    by: str
    request: str
    lossless: bool
    digest: str
    confirm: str
    refusal: str
    error: str
    peer: str
    seen: str
    fence: str
    network: str
    steps: tuple[PlanStep, ...]
    vms: PlanVmList
    images: PlanImageList
    left_out: LeftOutList
    schema: int = SCHEMA


@dataclass(frozen=True)
class ReportPart:
    """The attribute REPORT: the page of the last drill's report, for whoever may read the document.

    `file`: the page's name, with which `drill.report` of STATUS ends; `size`: its bytes; `page`: the page,
    gzip in Base64, empty where it is too long for a document.
    """

    name: ClassVar[str] = "REPORT"
    as_of: float
    datastore: DatastoreShown
    file: str
    size: int
    page: str
    schema: int = SCHEMA
