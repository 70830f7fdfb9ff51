"""The journal of one run: what docs/history.md describes. Pure.

`from_json` also reads journals of earlier releases, which lack some fields. Fields that this release does not
know are kept and written back.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from onedr.model.json_form import Json, from_json, nested
from onedr.runs.request import Request

RUNNING = "RUNNING"
_ASKED = ("verb", "confirm", "vms", "start", "accept_unsigned", "attributes")


@dataclass
class StepsDone:
    """Steps of one kind: `of` were begun at `at`; seconds and results by target, as far as they ended."""

    kind: str
    at: float
    of: int | None = None  # None: a journal of an earlier release, all of them ended
    seconds: dict[str, float] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VmOutcome:
    """What became of a VM. `here`: its id at this site. `rto_s`: from the command until it ran; None: it does
    not run. `rpo_s`: seconds of writes that may be lost, at most; `loss_bytes`: bytes at most that were
    missing when rbd-mirror last looked (None: not known).

    `waited_s`: from the command to the end of the run, of a VM that was to run and does not. `drill_rto_s`:
    its recovery time in the last drill before. `measured_s`: seconds of writes that a reprotect found lost.
    """

    origin: str = ""
    name: str = ""
    site: str = ""
    here: int | None = None
    failed: str = ""
    rto_s: float | None = None
    rpo_s: float | None = None
    waited_s: float | None = None
    drill_rto_s: float | None = None
    measured_s: float | None = None
    loss_bytes: int | None = None


@dataclass(frozen=True)
class Aborted:
    """Who aborted the run, how and when (epoch seconds)."""

    by: str
    trigger: str
    at: float


@dataclass
class JournalEntry:
    """A run. Moments are epoch seconds, durations seconds; mappings are by item.

    `since`: when the first command was given, of several runs that continue each other. `then`: the run that
    continued this one. `plan`: the plan's event. `loss`, `loss_bytes`: expected loss by VM. `ended`: when
    `kind target` was done. `datastore_id`: whose run it is at this site; None in journals of releases before.
    """

    run: str
    verb: str
    owner: str  # host, process and its start time
    began: float
    request: Request = field(default_factory=lambda: Request(""))
    since: float | None = None
    steps: list[StepsDone] = nested(StepsDone, default_factory=list)
    result: str = RUNNING
    message: str = ""
    updated: float | None = None
    took_s: float | None = None
    plan: Json | None = None
    loss: dict[str, float | None] = field(default_factory=dict)
    loss_bytes: dict[str, int | None] = field(default_factory=dict)
    vms: tuple[VmOutcome, ...] = nested(VmOutcome, default=())
    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rollback: dict[str, str] = field(default_factory=dict)
    abort: Aborted | None = nested(Aborted, default=None)
    then: str = ""
    datastore_id: int | None = None
    unknown: Json = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """It says RUNNING. True of an interrupted run where no run is in progress."""
        return self.result == RUNNING

    def planned_targets(self, kind: str) -> list[str]:
        """Targets of the plan's steps of one kind."""
        return [str(step["target"]) for step in self.planned_steps if step["kind"] == kind]

    @property
    def planned_steps(self) -> list[Json]:
        """The plan's steps, as shown."""
        return list((self.plan or {}).get("steps", ()))

    @property
    def kinds(self) -> set[str]:
        """Kinds of steps that were begun."""
        return {done.kind for done in self.steps}

    def to_json(self) -> Json:
        """The journal as a JSON object; optional fields that are empty are left out."""
        values = asdict(self)
        asked, unknown = values.pop("request"), values.pop("unknown")
        optional = ("plan", "rollback", "abort", "then", "warnings", "vms", "loss", "loss_bytes")
        return {
            **unknown,
            **{key: value for key, value in values.items() if value or key not in optional},
            "request": {key: asked[key] for key in _ASKED},
            "by": asked["by"], "trigger": asked["trigger"], "asked": asked["at"], "resumes": asked["resumes"],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> JournalEntry:
        """The journal from a JSON object. Raises TypeError, ValueError, KeyError or AttributeError for one
        that is damaged.
        """
        if not isinstance(data, dict):
            raise TypeError("it is no JSON object")
        known = {one.name for one in fields(JournalEntry)} | {"by", "trigger", "asked", "resumes"}
        entry = from_json(JournalEntry, {key: data[key] for key in data if key not in ("request", "unknown")})
        entry.request = _request(data)
        entry.steps = list(entry.steps)
        entry.unknown = {key: value for key, value in data.items() if key not in known}
        _check_types(entry)
        return entry


_NO_MOMENT = 1e11  # epoch seconds, and more than any duration
_TEXT, _NUMBER = (str,), (int, float)
_MAYBE = (*_NUMBER, type(None))
_WHOLE = (int, type(None))
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("run", "verb", "owner", "result", "message", "then", "kind"), _TEXT),
    **dict.fromkeys(("origin", "name", "site", "by", "trigger"), _TEXT),
    **dict.fromkeys(("began", "at"), _NUMBER),
    **dict.fromkeys(("since", "updated", "took_s", "rto_s", "rpo_s", "waited_s"), _MAYBE),
    **dict.fromkeys(("drill_rto_s", "measured_s"), _MAYBE),
    **dict.fromkeys(("of", "here", "loss_bytes", "datastore_id"), _WHOLE),
    **dict.fromkeys(("done", "rollback", "results", "seconds", "ended", "loss", "warnings"), (dict,)),
    "plan": (dict, type(None)), "steps": (list,), "vms": (tuple,),
}
_VALUES: Mapping[str, tuple[type, ...]] = {  # of mappings by item
    **dict.fromkeys(("done", "failed", "rollback", "results"), (str, type(None))),
    **dict.fromkeys(("seconds", "ended", "loss"), _MAYBE), "loss_bytes": _WHOLE, "warnings": (list, tuple),
}


def _check_types(entry: JournalEntry) -> None:
    """Raises TypeError: a damaged journal is found here, not where it is shown or continued."""
    _check(entry, failed=(dict,), loss_bytes=(dict,))
    for vm in entry.vms:
        _check(vm, failed=_TEXT)
    for part in (*entry.steps, *filter(None, [entry.abort])):
        _check(part)
    steps = (entry.plan or {}).get("steps", ())
    if not isinstance(steps, (list, tuple)) or not all(
        isinstance(step, dict) and {"kind", "target"} <= step.keys() for step in steps
    ):
        raise TypeError("its plan has steps of another form")


def _check(part: Any, **other: tuple[type, ...]) -> None:
    """Every field of one that is listed. `other`: kinds of the fields that have two meanings."""
    for one in fields(part):
        value, kinds = getattr(part, one.name), other.get(one.name) or _KINDS.get(one.name)
        if kinds and not _is_one(value, kinds):
            raise TypeError(f"{one.name} is {value!r:.80}")
        if isinstance(value, dict) and one.name in _VALUES:
            wrong = [each for each in value.values() if not _is_one(each, _VALUES[one.name])]
            if wrong:
                raise TypeError(f"{one.name} has {wrong[0]!r:.80}")


def _is_one(value: Any, kinds: tuple[type, ...]) -> bool:
    """Is it of these kinds, and a moment or duration where it is such a number?"""
    if float in kinds and isinstance(value, (int, float)):
        return abs(value) < _NO_MOMENT
    return isinstance(value, kinds)


def _request(data: Mapping[str, Any]) -> Request:
    """What was asked for; a run of a release that did not journal it asked for the plain verb."""
    asked = data.get("request") or {}
    return Request(
        verb=str(data["verb"]),
        confirm=str(asked.get("confirm", "")),
        vms=tuple(map(str, asked.get("vms", ()))),
        start=bool(asked.get("start", True)),
        accept_unsigned=asked.get("accept_unsigned") is True,
        attributes=tuple((str(key), str(value)) for key, value in asked.get("attributes", ())),
        by=str(data.get("by", "")),
        trigger=str(data.get("trigger", "")),
        at=float(data.get("asked") or 0.0),
        resumes=str(data.get("resumes", "")),
    )


def asked_again(entry: JournalEntry, by: str, trigger: str) -> Request:
    """The request of an interrupted run, asked again by another person.
    Recovery is measured from the first command, so `at` stays.
    """
    at = entry.request.at or entry.began
    return replace(entry.request, by=by, trigger=trigger, at=at, resumes=entry.run)


def started_steps(entries: Iterable[JournalEntry | None]) -> set[str]:
    """Kinds of steps that any of these runs began."""
    return set().union(*(entry.kinds for entry in entries if entry is not None))
