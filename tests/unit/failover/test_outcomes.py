"""What a run came to, VM by VM; and what a reprotect says of it later."""
from __future__ import annotations

from typing import Any

from onedr.failover import outcomes
from onedr.failover.outcomes import Measured
from onedr.runs import history
from onedr.runs.journal_entry import JournalEntry, VmOutcome


def measured(**changes: Any) -> Measured:
    values: dict[str, Any] = {
        "asked": 100.0, "now": 160.0, "ended": {"start x:1": 130.5}, "vm_ids": {"x:1": 7}, "failed": {}, "loss": {"x:1": 4.0},
        "loss_bytes": {"x:1": 32768},
        "starting": {"x:1", "x:2"}, "pending": set(), "drilled": {"x:1": 25.0},
    }
    return Measured(**{**values, **changes})


def test_a_vm_that_runs_has_a_recovery_time_and_one_that_does_not_the_time_so_far() -> None:
    ran = outcomes.vm_outcome("x:1", None, None, measured())
    assert (ran.rto_s, ran.waited_s, ran.rpo_s, ran.drill_rto_s, ran.here) == (30.5, None, 4.0, 25.0, 7)
    assert ran.loss_bytes == 32768
    late = outcomes.vm_outcome("x:2", None, None, measured(failed={"x:2": "start: no host"}))
    assert (late.rto_s, late.waited_s, late.failed, late.drill_rto_s) == (None, 60.0, "start: no host", None)


def test_a_vm_that_was_not_to_run_or_only_waits_for_a_host_has_neither() -> None:
    for seen in (measured(starting=set(), ended={}), measured(pending={"x:1"})):
        found = outcomes.vm_outcome("x:1", None, None, seen)
        assert (found.rto_s, found.waited_s) == (None, None)


def run(name: str, verb: str, *vms: VmOutcome) -> JournalEntry:
    return JournalEntry(name, verb, "host:1:1", 1.0, vms=vms)


def test_a_measured_loss_belongs_to_the_newest_failover_that_took_the_vm() -> None:
    runs = {
        "1": run("1", "failover", VmOutcome("x:1"), VmOutcome("x:2")),
        "2": run("2", "failover", VmOutcome("x:1")),
        "3": run("3", "failover", VmOutcome("x:2", failed="no disk")),
        "4": run("4", "move", VmOutcome("x:1"), VmOutcome("x:2")),
    }
    assert history.measured(runs, {"x:1": 3.0, "x:2": 5.0, "x:9": 1.0}) == {"2": {"x:1": 3.0}, "1": {"x:2": 5.0}}


def test_history_shows_it_beside_what_was_said_before() -> None:
    entry = run("1", "failover", VmOutcome("x:1", rpo_s=9.0), VmOutcome("x:2", rpo_s=1.0))
    shown = history.with_measured(entry, {"x:1": 3.5})
    assert [(vm.rpo_s, vm.measured_s) for vm in shown.vms] == [(9.0, 3.5), (1.0, None)]
    assert (history.row(shown).rpo_s, history.row(shown).measured_s) == (9.0, 3.5)
    assert [vm.measured_s for vm in entry.vms] == [None, None]
