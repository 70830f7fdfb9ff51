"""A run for people while it lasts: a line for each kind of step, a line of progress for what takes long, a
line for each VM at the end.
"""
from __future__ import annotations

import time
from collections import Counter
from typing import Any

from onedr.cli import output
from onedr.runs.events import Event, ProgressEvent, StepEvent, VerdictEvent
from onedr.runs.journal_entry import VmOutcome

_QUIET_S = 5.0  # between lines of progress


class RunView:
    """Shows the events of one run; `views` of it go to output.present."""

    def __init__(self) -> None:
        self._planned: Counter[str] = Counter()
        self._ended: list[StepEvent] = []  # of one kind, those that were done
        self._kind = ""
        self._begun = time.monotonic()
        self._told = -_QUIET_S
        self._copies = False  # bytes are told, which say more than how many images are through

    def plan(self, event: Any) -> None:
        """How many steps of each kind there will be."""
        self._planned = Counter(step.kind for step in event.steps)

    def step(self, event: StepEvent) -> None:
        """A step ended: a failure is shown at once, what was done when its kind is through."""
        if event.kind != self._kind:
            self.close()
            self._kind = event.kind
        if event.result != "done":
            text = f"{event.text}: {event.detail} ({event.seconds:.1f} s)"
            output.console().print(f"  FAILED {text}", soft_wrap=True)
        else:
            self._ended.append(event)

    def progress(self, event: ProgressEvent) -> None:
        """How far it is, at most every few seconds."""
        now = time.monotonic()
        if event.kind and event.kind != self._kind:
            self.close()
            self._kind = event.kind
        self._copies = bool(event.total) or (self._copies and event.kind == self._kind)
        if event.of and self._copies:
            return
        if now - self._told >= _QUIET_S:
            self._told = now
            output.console().print(f"  ...    {progress_text(event)}", soft_wrap=True)

    def close(self) -> None:
        """Show what was done of the kind of step that is through."""
        done, self._ended = self._ended, []
        seconds, self._begun = time.monotonic() - self._begun, time.monotonic()
        if len(done) == 1:
            (one,) = done
            text = f"{one.text}: {one.detail} ({one.seconds:.1f} s)"
            output.console().print(f"  ok     {text}", soft_wrap=True)
        elif done:
            kind = done[0].kind
            of = max(self._planned[kind], len(done))
            output.console().print(f"  ok     {kind}: {len(done)} of {of} ({seconds:.1f} s)", soft_wrap=True)

    def verdict(self, event: VerdictEvent) -> None:
        """How the run ended: each VM in a line, what failed, the state it leaves, and how long it took."""
        self.close()
        verdict(event)


def views(run: RunView) -> dict[type[Event], Any]:
    """What every run tells; the view of its plan is added by its verb."""
    return {StepEvent: run.step, ProgressEvent: run.progress, VerdictEvent: run.verdict}


def progress_text(event: ProgressEvent) -> str:
    """done/all, rate, time left."""
    left = f", about {output.seconds(event.left_s)} left" if event.left_s is not None else ""
    if event.of:
        rate = f", {event.done / event.passed_s:.1f}/s" if event.passed_s and event.done else ""
        return f"{event.kind} {event.done}/{event.of}{rate}{left}"
    if event.total:
        return f"{event.percent} %, {output.size(event.bytes)} of {output.size(event.total)}{left}"
    return event.message


def verdict(event: VerdictEvent) -> None:
    """What failed, each VM in a line, the state a run leaves, a sentence, the seconds it took."""
    out = output.console()
    for item, warnings in event.warnings.items():
        for warning in warnings:
            out.print(f"  note   {item}: {warning}", soft_wrap=True)
    for item, why in event.failed.items():
        out.print(f"  FAILED {item}: {why}", soft_wrap=True)
    for vm in event.outcomes:
        out.print(f"  {_mark(vm)} VM {vm.name or vm.origin}: {vm_text(vm)}", soft_wrap=True)
    took = f"(took {output.seconds(event.seconds)})" if event.seconds else ""
    out.print(output.styled(event.state), event.message, took, soft_wrap=True)


def _mark(vm: VmOutcome) -> str:
    return "FAILED" if vm.failed else "ok    "


def vm_text(vm: VmOutcome) -> str:
    """What became of a VM, in a line. `lost`: as a reprotect of the other site measured it."""
    parts = []
    if vm.failed:
        parts.append(vm.failed)
    if vm.here is not None:
        parts.append(f"is VM {vm.here} here{f', from {vm.site}' if vm.site else ''}")
    if vm.rto_s is not None:
        drills = f" ({output.seconds(vm.drill_rto_s)} in drills)" if vm.drill_rto_s is not None else ""
        parts.append(f"ran after {output.seconds(vm.rto_s)}{drills}")
    elif vm.waited_s is not None:
        parts.append(f"does not run, {output.seconds(vm.waited_s)} so far")
    if vm.rpo_s is not None:
        missing = f" ({output.size(vm.loss_bytes)} when rbd-mirror last looked)" if vm.loss_bytes else ""
        parts.append(f"lost at most {output.seconds(vm.rpo_s)}{missing}")
    if vm.measured_s is not None:
        parts.append(f"lost {output.seconds(vm.measured_s)} as measured")
    return ", ".join(parts) or "nothing was done"
