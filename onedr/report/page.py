"""The report's page from what was read of each datastore. It reads nothing itself."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lxml.builder import E  # type: ignore[import-not-found]

from onedr.report import changes_rules, plots
from onedr.runs import history
from onedr.runs.answer_events import ReportEvent, StatusVm
from onedr.runs.html_parts import document, moment, table, text
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.state import NEEDS_A_PERSON

_DRILL = "drill"
_RUNS_SHOWN, _TIMED = 20, 5
_OF_PLOT = (
    "The age of the oldest recovery point, the worst of each part of the time, in UTC. The dashed red line "
    "is the objective (DR_RPO) of now. Red: an item had no complete copy, or the age of a copy could not be "
    "known. Grey: OneDR did not look, because its front-end was down or its keeper did not run."
)


@dataclass(frozen=True)
class Section:
    """A datastore of a report: what was read of it, and its last report; `error`: why nothing was read."""

    name: str
    report: ReportEvent | None = None
    before: ReportEvent | None = None
    error: str = ""
    number: int = -1  # of the datastore at this site


def page(sections: Sequence[Section], made: float, by: str) -> bytes:
    """The whole page, made at `made` (epoch seconds) for `by`."""
    intro = E.p(text(f"Made {moment(made)} by {by}. Times are UTC."), {"class": "small"})
    body = [part for section in sections for part in _section(section)]
    if not sections:
        body = [E.p("No datastore is protected.", {"class": "bad"})]
    return document("Disaster recovery report", intro, *body)


def _section(section: Section) -> list[Any]:
    report = section.report
    if report is None:
        return [E.h2(text(section.name)), E.p(text(f"It cannot be read: {section.error}"), {"class": "bad"})]
    return [
        *_head(report), *_changes(section), *_protected(report), *_unprotected(report), *_points(report),
        *_readiness(report), *_rehearsals(report), *_drills(report), *_runs(report),
    ]


def _head(report: ReportEvent) -> list[Any]:
    status = report.status
    bad = status.state in {state.value for state in NEEDS_A_PERSON}
    verdict = E.span(text(status.state), {"class": "verdict bad" if bad else "verdict good"})
    return [
        E.h2(text(f"Datastore {report.datastore} at {report.site}")), E.p(verdict), E.p(text(status.message)),
        table(None, [
            ("Role", status.role), ("Protected", f"{status.protected} of {status.total} images and disks"),
            ("Mode", status.mode), ("Objective (DR_RPO)", plots.age_text(status.objective_s)),
            ("Peer", f"{status.peer.state} {status.peer.detail}".strip()),
            ("In progress", status.run.text if status.run is not None else "nothing"),
        ]),
    ]


def _changes(section: Section) -> list[Any]:
    assert section.report is not None
    head = E.h3("Changes since the last report")
    if section.before is None:
        return [head, E.p("This is the first report that this front-end keeps.")]
    since = f"The last one was of {moment(section.before.at)}."
    found = changes_rules.changes(section.before, section.report)
    if not found:
        return [head, E.p(f"{since} Nothing changed.")]
    return [head, E.p(since), E.ul(*(E.li(text(one)) for one in found))]


def _protected(report: ReportEvent) -> list[Any]:
    rows = [
        (f"{vm.name} ({vm.vm} at {vm.site})", vm.state, len(vm.disks), _point(vm, report), _can_start(vm))
        for vm in report.status.vms
    ]
    head = ("VM", "state", "disks", "recovery point", "recovery")
    return [E.h3("Protected virtual machines"), table(head, rows) if rows else E.p("There is none.")]


def _point(vm: StatusVm, report: ReportEvent) -> Any:
    if vm.age_s is None:
        return E.span("not known", {"class": "bad"})
    late = report.status.objective_s and vm.age_s > report.status.objective_s
    words = f"{moment(vm.recovery_point)}, {plots.age_text(vm.age_s)} old"
    return E.span(f"{words}, LATE", {"class": "bad"}) if late else E.span(words)


def _can_start(vm: StatusVm) -> Any:
    if vm.obstacles:
        return E.span(text("; ".join(vm.obstacles)), {"class": "bad"})
    return E.span("no obstacle known", {"class": "good"})


def _unprotected(report: ReportEvent) -> list[Any]:
    rows = [(item.name, item.reason) for item in report.status.unprotected]
    head = E.h3("Not protected, and why")
    return [head, table(("item", "why"), rows) if rows else E.p("Everything in the datastore is protected.")]


def _points(report: ReportEvent) -> list[Any]:
    head = E.h3("Recovery points of the last days")
    if not report.ages:
        return [head, E.p("None is noted yet; OneDR's keeper notes them every ten minutes.")]
    objective = report.status.objective_s
    within = sum(1 for one in report.ages if one.age_s is not None and one.age_s <= objective)
    share = 100 * within / len(report.ages)
    told = f"Within the objective in {share:.1f} % of {len(report.ages)} parts of ten minutes."
    return [head, plots.ages(report.ages, objective, report.at), E.p(told), E.p(_OF_PLOT, {"class": "small"})]


def _readiness(report: ReportEvent) -> list[Any]:
    bad = [one for one in report.findings if one.level != "ok"]
    good = len(report.findings) - len(bad)
    rows = [
        (E.span(text(one.level), {"class": "bad"}), one.code, one.text, one.todo)
        for one in sorted(bad, key=lambda one: one.level)
    ]
    told = f"{good} of {len(report.findings)} checks found nothing to do."
    shown = [table(("level", "check", "found", "to do"), rows)] if rows else []
    return [E.h3("Readiness"), E.p(told), *shown]


def _rehearsals(report: ReportEvent) -> list[Any]:
    rows = [
        (vm.rehearsal.label, moment(vm.rehearsal.at), vm.rehearsal.result,
         "; ".join(filter(None, (vm.rehearsal.why, *vm.rehearsal.differences))))
        for vm in report.status.vms if vm.rehearsal is not None
    ]
    last = f"The last one here began {moment(report.rehearsed)}. " if report.rehearsed is not None else ""
    none = f"{last}No VM of this list was rehearsed."
    shown = table(("VM", "at", "result", "why, and what differs"), rows) if rows else E.p(none)
    return [E.h3("Rehearsals"), shown]


def _entries(report: ReportEvent) -> list[JournalEntry]:
    """Newest first; they come from this release's own journals."""
    return [JournalEntry.from_json(run) for run in reversed(list(report.runs.values()))]


def _drills(report: ReportEvent) -> list[Any]:
    drills = [entry for entry in _entries(report) if entry.verb == _DRILL]
    shown = _table_of_runs(drills) if drills else E.p("There was none among the last runs.")
    return [E.h3("Drills"), shown]


def _runs(report: ReportEvent) -> list[Any]:
    found = [entry for entry in _entries(report) if entry.verb != _DRILL]
    timed = [entry for entry in _entries(report) if entry.steps][:_TIMED]
    made = [E.h3("Runs"), _table_of_runs(found[:_RUNS_SHOWN]) if found else E.p("There was none.")]
    for entry in timed:
        took = f", {plots.age_text(entry.took_s)}" if entry.took_s is not None else ""
        made += [
            E.h3(text(f"Steps of {entry.run}: {entry.result}{took}")),
            plots.steps(entry.steps, entry.began, entry.took_s),
        ]
    return made


def _table_of_runs(entries: Sequence[JournalEntry]) -> Any:
    rows = []
    for entry in entries:
        row = history.row(entry)
        times = [
            f"{name} {plots.age_text(value)}"
            for name, value in (("took", row.took_s), ("RTO", row.rto_s), ("RPO at most", row.rpo_s))
            if value is not None
        ]
        by = f"{row.by} ({row.trigger})"
        rows.append((row.run, moment(row.began), by, row.result, ", ".join(times), row.message))
    return table(("run", "began", "by", "result", "times", "what it says"), rows)
