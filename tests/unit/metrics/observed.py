"""What the exporter sees of made-up datastores."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from onedr.model.lag import Lag
from onedr.model.rehearsed import Rehearsed, Result
from onedr.model.seen import HookSeen, PassSeen
from onedr.runs.answer_events import (
    ObservedEvent,
    RunSeen,
    StatusDisk,
    StatusEvent,
    StatusRun,
    StatusVm,
    UnprotectedItem,
)
from onedr.runs.events import PeerShown

NOW = 1_800_000_000.0


def disk(name: str = "one-1", **changes: Any) -> StatusDisk:
    made = StatusDisk(
        name, 1 << 30, "JOURNAL", "primary", True, NOW - 4, 4.0, 7, (), "db", Lag(entries=3, bytes_per_s=100.0),
        64 << 20,
    )
    return replace(made, **changes)


def vm(**changes: Any) -> StatusVm:
    made = StatusVm("db", 7, "north", True, "ACTIVE", ("one-1", "one-2"), NOW - 6, 6.0, (), (), skew_s=2.0)
    return replace(made, **changes)


def status(**changes: Any) -> StatusEvent:
    made = StatusEvent(
        "gold", "PROTECTED", "SAFE", "primary", "2 of 2 items have a complete copy at the peer.", 2, 2, "JOURNAL",
        PeerShown("", "answers", proven=True), (vm(),), (disk(), disk("one-2", age_s=6.0)), objective_s=900,
    )
    return replace(made, **changes)


def observed(**changes: Any) -> ObservedEvent:
    made = ObservedEvent(
        "gold", 100, status(), last_pass=PassSeen(NOW - 20, 0.4, 0, 12), used_bytes=10 << 30, free_bytes=90 << 30,
        daemons=1, last_hook=HookSeen(NOW - 9, 1.5, 8.0, NOW - 900),
    )
    return replace(made, **changes)


def standby(**changes: Any) -> ObservedEvent:
    """The other site of it: a VM that was rehearsed, a drill, a failover that went wrong, a run in progress."""
    why = Rehearsed("fsid:7", "db", 7, "north", NOW - 3600, Result.REFUSED, "there is no network lan")
    run = StatusRun("drill", "1-drill", "me@host", "host", "south", "silver", NOW, True, "drill by me")
    there = status(
        datastore="silver", state="STANDBY", role="secondary", run=run,
        vms=(vm(here=False, obstacles=("no copy",), rehearsal=why),),
        unprotected=(UnprotectedItem("one-9", "it has DR_PROTECT=NO", "by_choice"),),
    )
    made = observed(
        datastore="silver", datastore_id=101, status=there, good_drill=NOW - 100, rehearsed=NOW - 3600,
        runs=(RunSeen("failover", "PARTIAL", NOW - 50, 30.0, 25.0, 4.0), RunSeen("drill", "DONE", NOW - 100, 60.0, 40.0)),
    )
    return replace(made, **changes)
