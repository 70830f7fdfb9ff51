"""What is not as it was in the last report of a datastore. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from onedr.runs.answer_events import FindingShown, ReportEvent, StatusVm

_BY_CHOICE = "by_choice"
_OK = "ok"
Value = TypeVar("Value")


def changes(before: ReportEvent, now: ReportEvent) -> list[str]:
    """Sentences, what matters most first; empty when nothing changed but the time."""
    return [*_state(before, now), *_unprotected(before, now), *_vms(before, now), *_findings(before, now),
            *_runs(before, now)]


def _state(before: ReportEvent, now: ReportEvent) -> Iterator[str]:
    for what, old, new in (
        ("State", before.status.state, now.status.state), ("Role", before.status.role, now.status.role),
        ("Mode", before.status.mode, now.status.mode),
        ("Objective (DR_RPO)", f"{before.status.objective_s} s", f"{now.status.objective_s} s"),
        ("Protected", _count(before), _count(now)),
    ):
        if old != new:
            yield f"{what}: {new}; it was {old}."


def _count(report: ReportEvent) -> str:
    return f"{report.status.protected} of {report.status.total}"


def _unprotected(before: ReportEvent, now: ReportEvent) -> Iterator[str]:
    old, new = _reasons(before), _reasons(now)
    for name in new.keys() - old.keys():
        yield f"Not protected now: {name} ({new[name]})."
    for name in old.keys() - new.keys():
        yield f"Not in the list of what is not protected any more: {name}."


def _reasons(report: ReportEvent) -> dict[str, str]:
    return {item.name: item.reason for item in report.status.unprotected if item.code != _BY_CHOICE}


def _vms(before: ReportEvent, now: ReportEvent) -> Iterator[str]:
    old, new = _by_key(before.status.vms), _by_key(now.status.vms)
    yield from (f"New: {_named(new[key])}." for key in _added(old, new))
    yield from (f"Gone: {_named(old[key])}." for key in _added(new, old))
    for key in old.keys() & new.keys():
        was, came = _rehearsal(old[key]), _rehearsal(new[key])
        if was != came:
            yield f"Rehearsal of {_named(new[key])}: {came}; it was {was}."


def _added(old: Mapping[Value, object], new: Mapping[Value, object]) -> list[Value]:
    return [key for key in new if key not in old]


def _by_key(vms: Iterable[StatusVm]) -> dict[tuple[str, int], StatusVm]:
    return {(vm.site, vm.vm): vm for vm in vms}


def _named(vm: StatusVm) -> str:
    return f"VM {vm.name} ({vm.vm} at {vm.site})"


def _rehearsal(vm: StatusVm) -> str:
    return str(vm.rehearsal.result) if vm.rehearsal is not None else "none"


def _findings(before: ReportEvent, now: ReportEvent) -> Iterator[str]:
    """By code: a text may have numbers in it that change all the time."""
    old, new = _bad(before.findings), _bad(now.findings)
    for code in sorted(new.keys() - old.keys()):
        yield f"New finding {code}: {new[code].text}."
    for code in sorted(old.keys() - new.keys()):
        yield f"Solved: {code} ({old[code].text})."


def _bad(findings: Iterable[FindingShown]) -> dict[str, FindingShown]:
    return {one.code: one for one in findings if one.level != _OK}


def _runs(before: ReportEvent, now: ReportEvent) -> Iterator[str]:
    """Of a run that was in progress then, how it ended."""
    for name in now.runs:
        ended = str(now.runs[name].get("result", ""))
        if name not in before.runs:
            yield f"Run {name}: {ended}."
        elif ended != str(before.runs[name].get("result", "")):
            yield f"Run {name} is {ended}; it was {before.runs[name].get('result', '')}."
