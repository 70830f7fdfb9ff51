"""A run under way: its steps are done, shown and journaled one by one. A step that fails is its item's
result, never the end of the others (DESIGN §6 rules 5 and 9).
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from onedr.ceph import parallel
from onedr.host import config as host_config
from onedr.model.errors import FrontEndError, InterruptedRunError, OneDRError, RefusedError
from onedr.model.types import State
from onedr.opennebula.api import FrontEnd
from onedr.runs import journal
from onedr.runs import lease as runs_lease
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
            "owner": runs_lease.me(),
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

        Results go to all who watch. Raises RunStoppedError, LeaseLostError: what was not begun by then is
        not done.
        """
        if not steps:
            return
        self.run.look()
        self.run.check()
        kind, ordered = steps[0].kind, {step.target: step for step in steps}
        entry: dict[str, Any] = {"kind": kind.value, "at": time.time(), "of": len(steps)}
        entry.update(seconds={}, results={})
        self.log["steps"].append(entry)
        # before the first of them: who finds this run dead knows how far it may have got
        self.save("RUNNING")
        message = f"A {self.run.verb} runs: {kind.value} {len(steps)} of {self.total} steps."
        self.tell(self.outcome.state, message, f"{kind.value} 0/{len(steps)}")
        seconds: dict[str, float] = {}
        said: dict[str, str] = {}

        def one(target: str) -> str:
            self.run.check()
            done, seconds[target] = self._timed(ordered[target], action)
            if isinstance(done, OneDRError):
                raise done
            said[target] = done
            return done

        def watch(through: int) -> None:
            if time.monotonic() - self._saved >= _SAVE_EVERY_S:
                entry.update(seconds=dict(seconds), results=dict(said))  # copies: the threads go on
                self.save("RUNNING")
                self.tell(self.outcome.state, message, f"{kind.value} {through}/{len(steps)}")

        at_once = min(threads, self._at_once.get(kind, threads))
        results = parallel.each(ordered, one, steps[0].limit_s, at_once, watch)
        stopped = self._sort_out(kind, results)
        entry.update(seconds=dict(seconds), results={target: str(said) for target, said in results.items()})
        self.save("RUNNING")
        if stopped:
            raise stopped[0]

    def _timed(self, step: Step, action: Callable[[str], str]) -> tuple[str | OneDRError, float]:
        """What came of a step, shown to all who watch, and its seconds."""
        begun = time.monotonic()
        try:
            done = action(step.target)
        except InterruptedRunError:
            raise
        except OneDRError as error:
            return error, self._show(step, "failed", str(error), begun)
        seconds = self._show(step, "done", done, begun)
        self.ended[f"{step.kind.value} {step.target}"] = time.time()
        return done, seconds

    def _sort_out(
        self, kind: StepKind, results: dict[str, str | OneDRError]
    ) -> list[InterruptedRunError]:
        """Sort results into done and failed. What was not begun because the run must stop is neither."""
        stopped = []
        for target, result in results.items():
            if isinstance(result, InterruptedRunError):
                stopped.append(result)
                results[target] = "not done: the run stopped"
            elif isinstance(result, OneDRError):
                self.outcome.failed.setdefault(target, f"{kind.value}: {result}")
            else:
                self.outcome.done[target] = result
        return stopped

    def wait(self, seconds: float, why: str) -> None:
        """Let time pass, with the journal kept and `why` shown.

        Raises RunStoppedError, LeaseLostError.
        """
        end = time.monotonic() + seconds
        self.log["steps"].append(
            {"kind": "wait", "at": time.time(), "of": 1, "seconds": {why: seconds}, "results": {}}
        )
        self.save("RUNNING")
        self.tell(self.outcome.state, f"A {self.run.verb} waits: {why}.", f"wait {seconds:g} s")
        while time.monotonic() < end:
            self.run.check()
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
        warnings = dict(more.pop("warnings", {}))
        if self.run.alone:
            warnings["the lease"] = [f"it was held at this site only: {self.run.alone}"]
        self.log["warnings"] = warnings
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
                "warnings": warnings,
                "vms": {},
                **more,
            }
        )
        return self.outcome

    def interrupt(self, stopped: InterruptedRunError, label: Callable[[str], str] = str) -> NoReturn:
        """End as INTERRUPTED, saying what is left. Raises InterruptedRunError."""
        left = max(0, self.total - len(self.outcome.done) - len(self.outcome.failed))
        again = "onedr drill cleanup" if self.run.verb in DRILLS else "onedr resume"
        text = f"{stopped} {left} of {self.total} steps are left; {again} goes on."
        self.outcome.failed.setdefault("the run", str(stopped))
        self.end(State.INTERRUPTED, "RUNNING", text, label)
        raise InterruptedRunError(text) from stopped

    def save(self, result: str, message: str = "") -> None:
        """Write the journal. Raises LeaseLostError when the run lost its lease at either site."""
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
