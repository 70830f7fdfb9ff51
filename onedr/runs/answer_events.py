"""What verbs answer that look or repair: status, reconcile, check, rehearse, history, kept,
snapshots, map, run book, report, drill report. Pure."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from onedr.model.json_form import Json, nested
from onedr.model.lag import Lag
from onedr.model.rehearsed import Rehearsed
from onedr.model.seen import AgeSeen, HookSeen, PassSeen
from onedr.runs.events import Event, PeerShown


@dataclass(frozen=True)
class StatusVm:
    """A VM of a status; `here`: it is this site's own. `obstacles`: why it could not start here. `skew_s`:
    between the recovery points of its disks; None when one of them is unknown. `starts`: whether the other
    site would start it, apart from obstacles; `priority`: its DR_PRIORITY.
    """

    name: str
    vm: int
    site: str
    here: bool
    state: str
    disks: tuple[str, ...]
    recovery_point: float | None
    age_s: float | None
    obstacles: tuple[str, ...]
    warnings: tuple[str, ...]
    rehearsal: Rehearsed | None = nested(Rehearsed, default=None)  # its last one, where it would go
    skew_s: float | None = None
    starts: bool = True
    priority: int = 3


@dataclass(frozen=True)
class StatusDisk:
    """An image or disk of a status. `title`: the image's name in OpenNebula, as its records say. `lag`: what
    rbd-mirror reports of the copy. `journal_bytes`: the most that its journal keeps, None without one.
    """

    name: str
    size: int
    mode: str | None
    role: str
    complete: bool
    recovery_point: float | None
    age_s: float | None
    vm: int | None
    problems: tuple[str, ...]
    title: str = ""
    lag: Lag | None = nested(Lag, default=None)
    journal_bytes: int | None = None


class Reason(str, Enum):
    """Why an item is not mirrored, for programs."""

    BY_CHOICE = "by_choice"  # DR_PROTECT=NO
    DATASTORE = "datastore"  # is not protected
    IMAGE_STATE = "image_state"  # ERROR, LOCKED
    NO_RBD_IMAGE = "no_rbd_image"
    NEVER_DEPLOYED = "never_deployed"  # and its base or record is not there
    OF_THE_DISK = "of_the_disk"  # its text says it
    NOT_MIRRORED = "not_mirrored"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class UnprotectedItem:
    """What is not mirrored, and why: a sentence, and a word of Reason."""

    name: str
    reason: str
    code: str = Reason.NOT_MIRRORED.value


@dataclass(frozen=True)
class StatusRun:
    """The run in progress, this site's (`here`) or the other's. `began`: by its host's clock."""

    verb: str
    run: str
    by: str
    host: str
    site: str
    datastore: str
    began: float
    here: bool
    text: str


@dataclass(frozen=True)
class StatusEvent(Event):
    """The whole status of a datastore (docs/status.md)."""

    event: ClassVar[str] = "status"
    datastore: str
    state: str
    code: str
    role: str
    message: str
    protected: int
    total: int
    mode: str
    peer: PeerShown = nested(PeerShown)
    vms: tuple[StatusVm, ...] = nested(StatusVm, default=())
    disks: tuple[StatusDisk, ...] = nested(StatusDisk, default=())
    stale: tuple[str, ...] = ()
    only_here: tuple[str, ...] = ()
    unprotected: tuple[UnprotectedItem, ...] = nested(UnprotectedItem, default=())
    run: StatusRun | None = nested(StatusRun, default=None)
    objective_s: int = 0  # DR_RPO
    paused: bool = False  # its replication (docs/pause.md)


@dataclass(frozen=True)
class RunSeen:
    """The newest run of a verb. `ended`: its last write, epoch seconds; `rto_s`, `rpo_s`: the worst VM's."""

    verb: str
    result: str
    ended: float
    took_s: float | None = None
    rto_s: float | None = None
    rpo_s: float | None = None


@dataclass(frozen=True)
class ObservedEvent(Event):
    """Everything that is measured of a datastore (docs/metrics.md). None: not known, or there was none.

    `good_drill`: end of the newest drill without a failure; `rehearsed`: begin of the newest rehearsal;
    `daemons`: rbd-mirror daemons that this site's cluster knows.
    """

    event: ClassVar[str] = "observed"
    datastore: str
    datastore_id: int
    status: StatusEvent = nested(StatusEvent)
    runs: tuple[RunSeen, ...] = nested(RunSeen, default=())
    good_drill: float | None = None
    rehearsed: float | None = None
    last_pass: PassSeen | None = nested(PassSeen, default=None)
    last_hook: HookSeen | None = nested(HookSeen, default=None)
    used_bytes: int | None = None
    free_bytes: int | None = None
    daemons: int | None = None


@dataclass(frozen=True)
class ReconcileEvent(Event):
    """What one turn of reconcile did, by RBD image name."""

    event: ClassVar[str] = "reconcile"
    recorded: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    mirrored: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()
    awaiting: Mapping[str, str] = field(default_factory=dict)
    to_flatten: tuple[str, ...] = ()
    flattened: tuple[str, ...] = ()
    demoted: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()


@dataclass(frozen=True)
class FindingShown:
    """The result of one check; `level`: ok, warning, problem; `todo`: what to type."""

    datastore: str
    code: str
    level: str
    text: str
    todo: str


@dataclass(frozen=True)
class CheckEvent(Event):
    """All findings of a datastore (docs/checks.md)."""

    event: ClassVar[str] = "check"
    datastore: str
    findings: tuple[FindingShown, ...] = nested(FindingShown, default=())


@dataclass(frozen=True)
class RehearsalEvent(Event):
    """What came of a rehearsal (docs/rehearsal.md). `stopped`: why it ended early, and `vms` lacks some of
    them. `left`: what could not be removed, and why.
    """

    event: ClassVar[str] = "rehearsal"
    datastore: str
    vms: tuple[Rehearsed, ...] = nested(Rehearsed, default=())
    stopped: str = ""
    left: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProbeEvent(Event):
    """What a probe of mirroring measured; None: not known. Fields as in model.records.ProbeResult."""

    event: ClassVar[str] = "probe"
    mode: str
    at: float
    here: str
    there: str
    releases: tuple[str, ...] = ()
    seconds: float = 0.0
    arrives: bool | None = None
    discards: bool | None = None
    clones: bool | None = None
    returns: bool | None = None
    why: str = ""


@dataclass(frozen=True)
class HistoryEvent(Event):
    """Journals of runs by run id, oldest first, in the form of docs/history.md."""

    event: ClassVar[str] = "history"
    datastore: str
    runs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class ChainEvent(Event):
    """Is the history as the runs left it (docs/history.md)? `links`: of the chain; `unlinked`: runs without
    one; `head`: digest of the newest link.
    """

    event: ClassVar[str] = "chain"
    datastore: str
    links: int
    problems: tuple[str, ...] = ()
    unlinked: tuple[str, ...] = ()
    head: str = ""


@dataclass(frozen=True)
class PreservedCopyShown:
    """A preserved copy. `look`: the command that maps it read-only; `point`: of a disk that was taken back to
    a point in time, whose newer state it is.
    """

    name: str
    image: str
    vm: str
    site: str
    taken: float
    expires: float
    loss_s: float | None
    size: int
    look: str
    point: str = ""


@dataclass(frozen=True)
class KeptEvent(Event):
    """The preserved copies in the datastore's pool."""

    event: ClassVar[str] = "kept"
    datastore: str
    copies: tuple[PreservedCopyShown, ...] = nested(PreservedCopyShown, default=())


@dataclass(frozen=True)
class SnapshotShown:
    """A snapshot of a disk. `called`: its name in OpenNebula here, None where it is not listed; `made` and
    `size` None: listed, and does not exist; `revert`: the command for one that is not listed.
    """

    disk: str
    whose: str
    number: int
    called: str | None
    made: float | None
    size: int | None
    revert: str


@dataclass(frozen=True)
class SnapshotsEvent(Event):
    """The snapshots of a datastore's disks (docs/operations.md)."""

    event: ClassVar[str] = "snapshots"
    datastore: str
    snapshots: tuple[SnapshotShown, ...] = nested(SnapshotShown, default=())
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapVersion:
    """A version of a mapping or recovery plan: when (epoch seconds), by whom and at which site it was set,
    and the lines changed.
    """

    number: int
    at: float
    by: str
    site: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class MapEvent(Event):
    """A datastore's mapping (docs/mapping.md): its file as it was given, or a draft. `version` 0: there is
    none.
    """

    event: ClassVar[str] = "map"
    datastore: str
    text: str
    version: int
    versions: tuple[MapVersion, ...] = nested(MapVersion, default=())
    warnings: tuple[str, ...] = ()
    draft: bool = False
    written: bool = False


@dataclass(frozen=True)
class RunBookEvent(Event):
    """A datastore's run book (docs/runbook.md): lines of Markdown; none with a `refusal`."""

    event: ClassVar[str] = "runbook"
    datastore: str
    lines: tuple[str, ...] = ()
    refusal: str = ""


@dataclass(frozen=True)
class ReportEvent(Event):
    """What a report is made from (docs/report.md), read at `at` (epoch seconds) for `by`. `site`: DR_SITE.
    `ages`: of the last days, oldest first; `runs`: journals of the newest ones by run id, oldest first.
    """

    event: ClassVar[str] = "report"
    datastore: str
    site: str
    at: float
    by: str
    status: StatusEvent = nested(StatusEvent)
    findings: tuple[FindingShown, ...] = nested(FindingShown, default=())
    ages: tuple[AgeSeen, ...] = nested(AgeSeen, default=())
    runs: Mapping[str, Json] = field(default_factory=dict)
    rehearsed: float | None = None


@dataclass(frozen=True)
class DrillReportEvent(Event):
    """The last drill's report at this front-end (docs/drill.md); `files`: json, page, sha256."""

    event: ClassVar[str] = "drill_report"
    report: Json
    files: Mapping[str, str] = field(default_factory=dict)
