"""What changed since the last report: everything that a person would want to know, and nothing that always does."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import reports

from onedr.model.rehearsed import Rehearsed, Result
from onedr.report.changes_rules import changes
from onedr.runs.answer_events import FindingShown, ReportEvent, UnprotectedItem


def with_status(**values: Any) -> ReportEvent:
    return reports.report(status=reports.status(**values))


REFUSED = Rehearsed("fsid:7", "db", 7, "north", reports.NOW, Result.REFUSED, "no network")


@pytest.mark.parametrize(("before", "now", "told"), [
    (with_status(state="DEGRADED"), reports.report(), "State: STANDBY; it was DEGRADED."),
    (with_status(role="primary"), reports.report(), "Role: secondary; it was primary."),
    (with_status(objective_s=60), reports.report(), "Objective (DR_RPO): 900 s; it was 60 s."),
    (with_status(protected=4), reports.report(), "Protected: 6 of 6; it was 4 of 6."),
    (with_status(unprotected=()), reports.report(), "Not protected now: one-10 (it is LOCKED)."),
    (reports.report(), with_status(unprotected=()), "Not in the list of what is not protected any more: one-10."),
    (with_status(vms=()), with_status(vms=(reports.vm(),)), "New: VM db (7 at north)."),
    (with_status(vms=(reports.vm(),)), with_status(vms=()), "Gone: VM db (7 at north)."),
    (with_status(vms=(reports.vm(rehearsal=REFUSED),)), with_status(vms=(reports.vm(),)),
     "Rehearsal of VM db (7 at north): accepted; it was refused."),
    (reports.report(findings=()), reports.report(findings=(FindingShown("gold", "KEY", "problem", "it is missing", ""),)),
     "New finding KEY: it is missing."),
    (reports.report(findings=(FindingShown("gold", "KEY", "problem", "it is missing", ""),)), reports.report(findings=()),
     "Solved: KEY (it is missing)."),
    (reports.report(runs={"1-move": {"result": "RUNNING"}}), reports.report(runs={"1-move": {"result": "DONE"}}),
     "Run 1-move is DONE; it was RUNNING."),
    (reports.report(runs={}), reports.report(runs={"1-move": {"result": "DONE"}}), "Run 1-move: DONE."),
])
def test_a_change_is_told_and_no_other(before: ReportEvent, now: ReportEvent, told: str) -> None:
    assert changes(before, now) == [told]


def test_time_alone_and_what_is_left_by_choice_change_nothing() -> None:
    later = reports.report(at=reports.NOW + 86400, ages=reports.ages(1))
    later = replace(later, status=reports.status(vms=tuple(replace(vm, age_s=7.0) for vm in later.status.vms)))
    assert not changes(reports.report(), later)
    chosen = UnprotectedItem("one-77", "it has DR_PROTECT=NO", "by_choice")
    assert not changes(reports.report(), with_status(unprotected=(*reports.status().unprotected, chosen)))
    louder = reports.report(findings=(replace(reports.report().findings[1], text="the pool is 82 % full"), *reports.report().findings[2:]))
    assert not changes(reports.report(), louder)
