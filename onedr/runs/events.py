"""What a verb tells while it works: each event is one line of JSON, `{"event": ..., fields of its class}`.

Pure. Durations are seconds, moments epoch seconds, sizes bytes. A reader ignores keys it does not know. Plans
are in plan_events.py, the answers of verbs that only read in answer_events.py.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar

from onedr.model.json_form import Json, nested
from onedr.runs.journal_entry import VmOutcome


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    event: ClassVar[str]

    def to_json(self) -> Json:
        """The event as a JSON object."""
        return {"event": self.event, **asdict(self)}


Emit = Callable[[Event], None]


@dataclass(frozen=True)
class ErrorEvent(Event):
    """The error that ended a verb. `kind` is its class, `code` its stable word (docs/errors.md)."""

    event: ClassVar[str] = "error"
    kind: str
    message: str
    code: str = "error"


@dataclass(frozen=True)
class ProgressEvent(Event):
    """How far a long verb got. `bytes` of `total` in the copies of a reprotect, by image in `images`; or
    `done` of `of` steps of one `kind`, `passed_s` after the first of them began.
    """

    event: ClassVar[str] = "progress"
    message: str
    bytes: int = 0
    total: int = 0
    percent: int = 0
    left_s: float | None = None
    images: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    kind: str = ""
    done: int = 0
    of: int = 0
    passed_s: float = 0.0


@dataclass(frozen=True)
class StepEvent(Event):
    """A step of a run ended: `result` is done or failed, `detail` what came of it."""

    event: ClassVar[str] = "step"
    kind: str
    target: str
    text: str
    result: str
    detail: str
    seconds: float


@dataclass(frozen=True)
class ItemEvent(Event):
    """enable or disable is through with an image or disk: `number` of `total`."""

    event: ClassVar[str] = "item"
    name: str  # of the RBD image
    label: str
    result: str  # done, waiting, failed, left out
    detail: str
    number: int
    total: int


@dataclass(frozen=True)
class VerdictEvent(Event):
    """How a verb ended, in one form for all of them. What does not apply to a verb is empty.

    `state` is the DR_STATE that the verb left. `done`, `failed`, `waiting` and `left_out` say by item what
    came of it or why; `warnings` by item; `vms` are the ids here by origin.
    """

    event: ClassVar[str] = "verdict"
    message: str
    state: str = ""
    seconds: float = 0.0
    done: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vms: Mapping[str, int] = field(default_factory=dict)
    outcomes: tuple[VmOutcome, ...] = nested(VmOutcome, default=())  # of a move, failover, failback
    only_here: tuple[str, ...] = ()  # reprotect: images that the peer never took over
    changed: int = 0  # setup and teardown: how many changes were made
    drill: str = ""  # PASSED or FAILED
    rto_s: float | None = None  # of a drill
    report: str = ""  # path of a drill's report, and of the same as a page
    page: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class ChangeEvent(Event):
    """setup or teardown made a change and read it back."""

    event: ClassVar[str] = "step"
    kind: str
    text: str
    now: str
    then: str


@dataclass(frozen=True)
class NoteEvent(Event):
    """What setup saw when it verified its work. `level`: ok, warning, problem, unproven."""

    event: ClassVar[str] = "note"
    level: str
    text: str


@dataclass(frozen=True)
class PeerShown:
    """What is seen of the peer; `front_end` is empty where the verb does not ask it."""

    detail: str
    state: str = ""
    front_end: str = ""
    proven: bool | None = None  # status: its copies were read there
