"""Made-up reports of a datastore with all that a page shows."""
from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from onedr.model.rehearsed import Rehearsed, Result
from onedr.model.seen import AgeSeen
from onedr.runs.answer_events import (
    FindingShown,
    ReportEvent,
    StatusDisk,
    StatusEvent,
    StatusVm,
    UnprotectedItem,
)
from onedr.runs.events import PeerShown
from onedr.runs.journal_entry import JournalEntry, StepsDone, VmOutcome
from onedr.runs.request import Request

NOW = 1_800_000_300.0
WORD = "database_of_the_accounting_department_2026" * 3  # a name that no column is wide enough for


def vm(number: int = 7, name: str = "db", **changes: Any) -> StatusVm:
    seen = Rehearsed(f"fsid:{number}", name, number, "north", NOW - 40_000, Result.ACCEPTED, differences=("NIC 0: lan",))
    made = StatusVm(name, number, "north", False, "ACTIVE", ("one-1",), NOW - 6, 6.0, (), (), seen, 0.0)
    return replace(made, **changes)


def run(number: int, verb: str, result: str = "DONE", message: str = "") -> JournalEntry:
    began = NOW - 86_400 * (9 - number)
    done = [
        StepsDone("fence", began + 1, 1, {"peer": 2.5}, {"peer": "done"}),
        StepsDone("promote", began + 4, 40, {f"one-{at}": 3.0 + at for at in range(40)}),
        StepsDone("start", began + 50, 4, {f"fsid:{at}": 20.0 for at in range(4)}),
    ]
    entry = JournalEntry(f"{number}-{verb}", verb, "host:1:1", began, Request(verb, by="ada@front-end", trigger="onedr"))
    entry.steps, entry.result, entry.message, entry.took_s, entry.updated = done, result, message, 75.0, began + 75
    entry.vms = (VmOutcome("fsid:7", "db", "north", 12, rto_s=72.0, rpo_s=4.0),)
    return entry


def ages(days: float = 7.0) -> tuple[AgeSeen, ...]:
    """Every ten minutes; a night without a copy, and half a day in which nothing was noted."""
    found = []
    for at in range(int(days * 144)):
        if 300 <= at < 372:
            continue
        age = None if 500 <= at < 540 else 8 + 6 * math.sin(at / 9) + (1500 if 700 <= at < 706 else 0)
        found.append(AgeSeen(NOW - 600 * (days * 144 - at), age, 900, 5 if age is None else 6, 6))
    return tuple(found)


def status(**changes: Any) -> StatusEvent:
    made = StatusEvent(
        "gold", "STANDBY", "READY", "secondary", "All 6 copies here are complete; this site can take over.", 6, 6, "JOURNAL",
        PeerShown("", "answers", proven=True),
        (vm(), vm(8, WORD, age_s=4000.0), vm(9, "web", age_s=None, recovery_point=None, obstacles=("there is no network lan",))),
        (StatusDisk("one-1", 1 << 30, "JOURNAL", "secondary", True, NOW - 6, 6.0, 7, ()),),
        unprotected=(
            UnprotectedItem("one-9", "it has DR_PROTECT=NO", "by_choice"), UnprotectedItem("one-10", "it is LOCKED", "image_state"),
        ),
        objective_s=900,
    )
    return replace(made, **changes)


def report(**changes: Any) -> ReportEvent:
    runs = [run(1, "enable"), run(2, "drill"), run(3, "move", "PARTIAL", f"1 of 4 VMs failed: {WORD}"), run(4, "drill", "FAILED")]
    made = ReportEvent(
        "gold", "south", NOW, "ada@front-end (onedr)", status(),
        (
            FindingShown("gold", "PEERING", "ok", "the pools are peers", ""),
            FindingShown("gold", "SPACE", "warning", f"the pool is 81 % full ({WORD})", "add OSDs"),
            FindingShown("gold", "KEY", "problem", "the record key is missing", "onedr setup"),
        ),
        ages(), {one.run: json.loads(json.dumps(one.to_json())) for one in runs}, NOW - 40_000,
    )
    return replace(made, **changes)
