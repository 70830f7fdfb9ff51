"""A run under way: its steps are done, shown and journaled one by one. A step that fails is its item's
result, never the end of the others (docs/design.md, "One failure stops nothing else").
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from onedr.ceph import parallel
from onedr.host import config as host_config
from onedr.model.errors import FrontEndError, OneDRError, RefusedError
from onedr.model.types import State
from onedr.opennebula.api import FrontEnd
from onedr.runs import journal
from onedr.runs import request as runs_request
from onedr.runs.state import DRILLS
from onedr.runs.steps import Step, StepKind

Emit = Callable[[dict[str, Any]], None]
_SAVE_EVERY_S = 2.0  # while steps of one kind are done: the journal and DR_PROGRESS
_PAUSE_S = 0.2
_ROLE_CHANGES = (StepKind.PROMOTE, StepKind.FENCE, StepKind.DEMOTE)


@dataclass
class Outcome:
    """How a run ended. `done`: target of a step -> what came of it; `failed`: item -> why."""

    state: State
    message: str
    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Running:
    """One run of one datastore. `state` and `role` are what the datastore shows while it lasts."""

    def __init__(
        self, run: journal.Run, datastore_id: int, emit: Emit, frontend: FrontEnd, state: State, role: str
    ):
        self.run, self.datastore_id, self.emit, self.frontend = run, datastore_id, emit, frontend
        self.outcome = Outcome(state, "")
        self._role = role
        self.began = time.time()
        asked = runs_request.served()
        self.asked_at = asked.at or self.began  # a recovery time is measured from here
        self.log: dict[str, Any] = {
            "run": run.id,
            "verb": run.verb,
            "owner": journal.me(),
            "began": self.began,
            **runs_request.journaled(asked),
            "since": self.asked_at,
            "steps": [],
        }
        self.ended: dict[str, float] = {}  # `kind target` -> when it was done
        self._saved = time.monotonic()
        limits = host_config.limits()
        self._at_once = {
            StepKind.START: limits.starts_at_once,
            **dict.fromkeys(_ROLE_CHANGES, limits.role_changes_at_once),
        }

    def begin(self, described: dict[str, Any], refusal: str) -> None:
        """Show the plan and journal it. Raises RefusedError with `refusal`, which is journaled too."""
        self.emit(described)
        if refusal:
            self.save("REFUSED", refusal)
            raise RefusedError(refusal)
        self.log["plan"] = described
        self.total = len(described["steps"])
        before = self.run.interrupted
        self.save("RUNNING")
        if before is not None and self.run.verb not in DRILLS:  # a drill goes on with nothing
            self._inherit(before)
            self.run.amend({**before, "result": "INTERRUPTED", "then": self.run.id})
        self.tell(
            self.outcome.state, f"A {self.run.verb} runs since {utc_text(self.began)}: {self.total} steps."
        )

    def _inherit(self, before: dict[str, Any]) -> None:
        """An interrupted run of the same verb: what it did counts, from the moment it was asked for."""
        if before["verb"] != self.run.verb:
            return
        self.asked_at = min(self.asked_at, float(before.get("since") or before["began"]))
        self.log["since"] = self.asked_at
        self.ended = dict(before.get("ended", {}))

    def do(self, steps: Sequence[Step], action: Callable[[str], str], threads: int = 1) -> None:
        """Do one kind of step to many targets, `threads` at once or fewer, as onedr.conf says.

        Results go to all who watch.
        """
        if not steps:
            return
        kind, ordered = steps[0].kind, {step.target: step for step in steps}
        entry: dict[str, Any] = {
            "kind": kind.value,
            "at": time.time(),
            "of": len(steps),
            "seconds": {},
            "results": {},
        }
        self.log["steps"].append(entry)
        # before the first of them: who finds this run dead knows how far it may have got
        self.save("RUNNING")
        message = f"A {self.run.verb} runs: {kind.value} {len(steps)} of {self.total} steps."
        self.tell(self.outcome.state, message, f"{kind.value} 0/{len(steps)}")
        seconds: dict[str, float] = {}
        said: dict[str, str] = {}

        def one(target: str) -> str:
            begun = time.monotonic()
            try:
                done = action(target)
            except OneDRError as error:
                seconds[target] = self._show(ordered[target], "failed", str(error), begun)
                raise
            seconds[target] = self._show(ordered[target], "done", done, begun)
            said[target] = done
            self.ended[f"{kind.value} {target}"] = time.time()
            return done

        def watch(through: int) -> None:
            if time.monotonic() - self._saved >= _SAVE_EVERY_S:
                entry.update(seconds=dict(seconds), results=dict(said))  # copies: the threads go on
                self.save("RUNNING")
                self.tell(self.outcome.state, message, f"{kind.value} {through}/{len(steps)}")

        results = parallel.each(
            ordered, one, steps[0].limit_s, min(threads, self._at_once.get(kind, threads)), watch
        )
        for target, result in results.items():
            if isinstance(result, OneDRError):
                self.outcome.failed.setdefault(target, f"{kind.value}: {result}")
            else:
                self.outcome.done[target] = result
        entry.update(
            seconds=dict(seconds), results={target: str(result) for target, result in results.items()}
        )
        self.save("RUNNING")

    def wait(self, seconds: float, why: str) -> None:
        """Let time pass, with the journal kept and `why` shown.

        Raises RefusedError when the run lost its lease.
        """
        end = time.monotonic() + seconds
        self.log["steps"].append(
            {"kind": "wait", "at": time.time(), "of": 1, "seconds": {why: seconds}, "results": {}}
        )
        self.save("RUNNING")
        self.tell(self.outcome.state, f"A {self.run.verb} waits: {why}.", f"wait {seconds:g} s")
        while time.monotonic() < end:
            time.sleep(min(_PAUSE_S, max(0.0, end - time.monotonic())))
            if time.monotonic() - self._saved >= _SAVE_EVERY_S:
                self.save("RUNNING")

    def _show(self, step: Step, result: str, detail: str, begun: float) -> float:
        seconds = round(time.monotonic() - begun, 3)
        self.emit(
            {
                "event": "step",
                "kind": step.kind.value,
                "target": step.target,
                "text": step.text,
                "result": result,
                "detail": detail,
                "seconds": seconds,
            }
        )
        return seconds

    def end(
        self, state: State, result: str, message: str, label: Callable[[str], str] = str, **more: Any
    ) -> Outcome:
        """Journal how it ended, then tell the datastore and whoever watches.

        `label` names a failed item for people.
        """
        self.outcome.state, self.outcome.message = state, message
        self.log.update({key: value for key, value in more.items() if key == "warnings"})
        self.save(result, message)
        self.tell(state, message)
        self.outcome.failed = {label(item): why for item, why in self.outcome.failed.items()}
        self.emit(
            {
                "event": "verdict",
                "state": state.value,
                "message": message,
                "seconds": round(time.time() - self.began, 3),
                "done": self.outcome.done,
                "failed": self.outcome.failed,
                "warnings": {},
                "vms": {},
                **more,
            }
        )
        return self.outcome

    def save(self, result: str, message: str = "") -> None:
        """Write the journal. Raises RefusedError when the run lost its lease."""
        now = time.time()
        self.log.update(
            result=result,
            message=message,
            updated=now,
            took_s=round(now - self.began, 3),
            failed=self.outcome.failed,
            done=self.outcome.done,
            ended=dict(self.ended),
        )
        self.run.save(self.log)
        self._saved = time.monotonic()

    def tell(self, state: State, message: str, progress: str = "") -> None:
        """Show it on the datastore.

        A front-end that does not answer stops no run: the journal has it, the keeper shows it.
        """
        shown = (
            ("DR_STATE", state.value),
            ("DR_ROLE", self._role),
            ("DR_MESSAGE", message),
            ("DR_PROGRESS", progress),
        )
        try:
            self.frontend.update_datastore(self.datastore_id, shown)
        except FrontEndError as error:
            print(f"WARN: the datastore does not show {state.value}: {error}", file=sys.stderr)


def utc_text(at: float) -> str:
    """A moment for people, UTC; `at` in epoch seconds."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
