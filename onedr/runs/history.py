"""The journal of runs for people: how each run ended, how long recovery took, what may have been lost.

Pure.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from onedr.runs.journal_entry import JournalEntry

INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True)
class Row:
    """A run in one line. `rto_s`, `rpo_s`, `measured_s`: the worst of its VMs, seconds; None: no VM started,
    or not known.
    """

    run: str
    began: float
    by: str
    trigger: str
    result: str
    took_s: float | None
    rto_s: float | None
    rpo_s: float | None
    message: str
    measured_s: float | None = None


def judged(entry: JournalEntry, in_progress: str) -> JournalEntry:
    """The entry with its true result: one that says RUNNING and is not
    the run in progress (its id) was interrupted.
    """
    died = entry.interrupted and entry.run != in_progress
    return replace(entry, result=INTERRUPTED) if died else entry


def row(entry: JournalEntry) -> Row:
    """A run in one line."""
    message = entry.message
    if entry.then:
        message = f"Run {entry.then} continued it. {message}".rstrip()
    return Row(
        run=entry.run,
        began=entry.began,
        by=entry.request.by or entry.owner.split(":")[0],
        trigger=entry.request.trigger,
        result=entry.result,
        took_s=entry.took_s,
        rto_s=_worst(vm.rto_s for vm in entry.vms),
        rpo_s=_worst(vm.rpo_s for vm in entry.vms),
        message=message,
        measured_s=_worst(vm.measured_s for vm in entry.vms),
    )


def with_measured(entry: JournalEntry, loss: Mapping[str, float]) -> JournalEntry:
    """For a reader: the entry with what a reprotect found to be lost, by origin."""
    return replace(
        entry, vms=tuple(replace(vm, measured_s=loss.get(vm.origin, vm.measured_s)) for vm in entry.vms)
    )


def measured(runs: Mapping[str, JournalEntry], loss: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """By run, the loss by origin that belongs to it: that of the newest failover which the VM was in."""
    found: dict[str, dict[str, float]] = {}
    for origin, lost in loss.items():
        for name, run in reversed(list(runs.items())):
            if run.verb == "failover" and any(vm.origin == origin and not vm.failed for vm in run.vms):
                found.setdefault(name, {})[origin] = lost
                break
    return found


def with_earlier(
    found: Mapping[str, Mapping[str, float]], earlier: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """What a reprotect found, by run and origin, and what one before it had found. A resumed one no longer
    sees what images held that are already replaced, so the larger loss of a VM stays.
    """
    merged: dict[str, dict[str, float]] = {}
    for run, loss in found.items():
        known = dict(earlier.get(run, {}))
        for origin, lost in loss.items():
            known[origin] = max(lost, known.get(origin, 0.0))
        merged[run] = known
    return merged


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def steps(entry: JournalEntry) -> list[tuple[str, str, float | None, str]]:
    """Kind, target, seconds and result of every step; a step that was begun and did not end says so."""
    rows: list[tuple[str, str, float | None, str]] = []
    for done in entry.steps:
        targets = list(dict.fromkeys([*done.seconds, *done.results]))
        rows += [
            (done.kind, target, done.seconds.get(target), done.results.get(target, "")) for target in targets
        ]
        missing = (len(targets) if done.of is None else done.of) - len(targets)
        if missing > 0:
            rows.append((done.kind, f"{missing} more", None, "begun, its end was not journaled"))
    return rows
