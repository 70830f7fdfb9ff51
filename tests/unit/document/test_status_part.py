"""STATUS: what needs a person comes first, and however many VMs there are, it stays small."""
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
from doubles import disk, rehearsed, status, vm
from hypothesis import given, settings
from hypothesis import strategies as st

from onedr.cli.document_schema import schema
from onedr.document import fit_rules
from onedr.document.form import DatastoreShown, StatusPart
from onedr.document.status_part import Around, status_part
from onedr.model.lag import ENTRY_BYTES, Lag
from onedr.model.rehearsed import Result
from onedr.runs.answer_events import StatusEvent, StatusRun
from onedr.runs.journal_entry import JournalEntry, StepsDone, VmOutcome
from onedr.runs.request import Request

NOW = 1764523800.04
RUN = StatusRun("failover", "9-failover", "ann", "fe", "south", "ceph", 90.0, True, "failover by ann")


def around(*journals: JournalEntry, away: bool = False) -> Around:
    return Around(DatastoreShown(100, "ceph", "south"), journals, away, "0123abcd-x", "/var/lib/one/onedr/drills", NOW)


def run(number: int, verb: str, result: str = "DONE", **changes: Any) -> JournalEntry:
    made = JournalEntry(f"{number}-{verb}", verb, "fe:1:2", float(number), Request(verb, by="ann"), result=result,
                        updated=number + 60.0, took_s=60.0, message=f"{verb} ended")
    return replace(made, **changes)


def part(event: StatusEvent, *journals: JournalEntry, away: bool = False) -> StatusPart:
    made = status_part(event, around(*journals, away=away))
    jsonschema.validate({"STATUS": json.loads(fit_rules.text_of(made))}, schema())
    return made


def test_a_vm_says_what_is_lost_and_whether_it_starts() -> None:
    event = status((vm(1, priority=2),), disks=(disk(1, lag=Lag(entries=3)),))
    (row,) = part(event).vms.rows
    assert (row.loss_s, row.loss_bytes, row.starts, row.obstacles, row.priority) == (5.0, 3 * ENTRY_BYTES, True, (), 2)


def test_bytes_are_not_guessed() -> None:
    two = vm(1, disks=("one-1", "one-2"))
    event = status((two,), disks=(disk(1, lag=Lag(entries=3)), disk(2, lag=Lag(percent=40))))
    assert part(event).vms.rows[0].loss_bytes is None


def test_an_obstacle_is_named_and_then_it_does_not_start() -> None:
    refused = vm(1, rehearsal=rehearsed(1, Result.REFUSED, "no host has the memory"))
    own = vm(2, here=True)
    blocked = vm(3, obstacles=("its disk has no copy",))
    event = status((refused, own, blocked), disks=(disk(1), disk(2, complete=False), disk(3)))
    found = {row.id: row for row in part(event).vms.rows}
    assert found[1].obstacles == ("no host has the memory",)
    assert "not complete" in found[2].obstacles[0]
    assert found[3].obstacles == ("its disk has no copy",)
    assert not any(row.starts for row in found.values())


def test_who_needs_a_person_comes_first() -> None:
    vms = (
        vm(1), vm(2, age_s=61.0), vm(3, recovery_point=None, age_s=None), vm(4, obstacles=("x",)),
        vm(5, priority=1), vm(6, rehearsal=rehearsed(6, Result.REFUSED)),
    )
    assert [row.id for row in part(status(vms)).vms.rows] == [4, 6, 3, 2, 5, 1]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3000), st.text(max_size=200), st.text(max_size=200))
def test_it_stays_small_and_says_how_many_there_are(count: int, name: str, why: str) -> None:
    event = status(tuple(vm(number, name=name, warnings=(why,) * 9) for number in range(count)))
    event = replace(event, unprotected=event.unprotected * count, message=why * 9)
    made = part(event)
    text = fit_rules.text_of(made)
    assert len(text) <= fit_rules.PART_BYTES
    assert text.isascii()
    assert (made.vms.total, made.unprotected.total) == (count, count)
    assert len(made.vms.rows) == count or len(made.vms.rows) > 30


@given(st.text())
def test_texts_of_users_hold_nothing_that_acts(text: str) -> None:
    made = part(status((vm(1, name=text, obstacles=(text,)),), message=text))
    for shown in (made.vms.rows[0].name, *made.vms.rows[0].obstacles, made.message):
        assert shown.isprintable()
        assert len(shown) <= 300


def test_the_run_in_progress_is_no_past_run() -> None:
    made = part(status((), run=RUN), run(9, "failover", "RUNNING"), run(8, "drill"))
    assert [row.run for row in made.runs] == ["8-drill"]
    assert made.run is not None
    assert (made.run.verb, made.run.here) == ("failover", True)
    assert [each.action for each in made.actions] == ["CANCEL"]


def test_a_run_that_died_is_interrupted_and_the_page_offers_what_ends_it() -> None:
    event = status((), state="INTERRUPTED", code="DIED")
    begun = run(9, "move", "RUNNING", steps=[StepsDone("sync", 9.0)])
    assert [each.action for each in part(event, begun).actions] == ["RESUME", "ABORT"]
    promoted = replace(begun, steps=[StepsDone("promote", 9.0)])
    made = part(event, promoted)
    assert [each.action for each in made.actions] == ["RESUME"]
    assert made.runs[0].result == "INTERRUPTED"


def test_past_runs_have_their_times_and_the_newest_ten_are_shown() -> None:
    slow = VmOutcome("f:1", "db", rto_s=30.0, rpo_s=4.0)
    runs = [run(number, "failover", vms=(slow,)) for number in range(40, 20, -1)]
    made = part(status(()), *runs, run(20, "map"))
    assert [row.run for row in made.runs] == [f"{number}-failover" for number in range(40, 30, -1)]
    assert (made.runs[0].rto_s, made.runs[0].rpo_s, made.runs[0].took_s, made.runs[0].by) == (30.0, 4.0, 60.0, "ann")


def test_the_last_drill_names_its_report() -> None:
    made = part(status(()), run(1764500000123, "drill", "PARTIAL"))
    assert made.drill is not None
    assert made.drill.result == "FAILED"
    assert made.drill.report == (
        "/var/lib/one/onedr/drills/100-onedr-drill-0123abcd-100-1764500000123.html")
    assert made.drill.host == "fe"
    assert "DRILL_CLEANUP" in [each.action for each in made.actions]


def test_a_drill_that_died_made_no_report() -> None:
    made = part(status(()), run(7, "drill", "RUNNING"))
    assert made.drill is not None
    assert (made.drill.result, made.drill.report) == ("INTERRUPTED", "")


def test_the_last_rehearsal_counts() -> None:
    results = (Result.ACCEPTED, Result.REFUSED, Result.ACCEPTED, Result.NOT_TRIED, Result.RETURNS)
    vms = tuple(vm(number, rehearsal=rehearsed(number, result)) for number, result in enumerate(results))
    found = part(status((*vms, vm(9)))).rehearsal
    assert found is not None
    assert (found.at, found.accepted, found.refused, found.returns, found.not_tried) == (900.0, 2, 1, 1, 1)
    assert part(status((vm(9),))).rehearsal is None


def test_vms_that_are_away_come_home_by_failback() -> None:
    assert "FAILBACK" in [each.action for each in part(status(()), away=True).actions]


def test_one_unknown_recovery_point_makes_the_oldest_unknown() -> None:
    event = status((vm(1), vm(2)))
    assert part(event).recovery_point == 1000.0
    assert part(replace(event, disks=(disk(1), disk(2, recovery_point=None)))).recovery_point is None
