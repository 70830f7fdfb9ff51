"""A run in progress: its steps are done, shown, logged and journaled one by one. A step that fails is its
item's result and never ends the others.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, Union

import rados

from onedr.ceph import parallel
from onedr.host import config as host_config
from onedr.host import log
from onedr.model.errors import FrontEndError, InterruptedRunError, OneDRError, PlanRefusedError
from onedr.model.text import Sentence, pasteable, public_of
from onedr.model.types import State
from onedr.opennebula.api import FrontEnd
from onedr.runs import datastore_message, journal
from onedr.runs import lease as runs_lease
from onedr.runs.events import Emit, ProgressEvent, StepEvent, VerdictEvent
from onedr.runs.journal_entry import Aborted, JournalEntry, StepsDone
from onedr.runs.plan_events import DrillPlanEvent, FailoverPlanEvent, ReprotectPlanEvent
from onedr.runs.request import Request
from onedr.runs.state import DRILLS
from onedr.runs.steps import Later, Step, StepKind

RunPlanEvent = Union[FailoverPlanEvent, DrillPlanEvent, ReprotectPlanEvent]
_SAVE_EVERY_S = 2.0  # while steps of one kind are done: the journal and DR_PROGRESS
_PAUSE_S = 0.2
_ROLE_CHANGES = (StepKind.PROMOTE, StepKind.FENCE, StepKind.DEMOTE)


@dataclass
class Outcome:
    """How a run ended. `done`: target of a step -> its result; `failed`: item -> why."""

    state: State
    message: str
    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Running:
    """One run of one datastore. `state` and `role` are what the datastore shows while it lasts."""

    def __init__(
        self, run: journal.Run, datastore_id: int, request: Request, emit: Emit, frontend: FrontEnd,
        state: State, role: str,
    ):
        self.run, self.datastore_id, self.emit, self.frontend = run, datastore_id, emit, frontend
        self.outcome = Outcome(state, "")
        self._role = role
        self.began = time.time()
        self.asked_at = request.at or self.began  # a recovery time is measured from here
        self.log = JournalEntry(run.id, run.verb, runs_lease.me(), self.began, request, since=self.asked_at)
        self.log.datastore_id = datastore_id
        self.ended: dict[str, float] = {}  # `kind target` -> when it was done
        self.total = 0
        self._saved = time.monotonic()
        limits = host_config.limits()
        self._at_once = {
            StepKind.START: limits.starts_at_once,
            **dict.fromkeys(_ROLE_CHANGES, limits.role_changes_at_once),
        }
        log.bind(run=run.id)

    def begin(self, plan: RunPlanEvent) -> None:
        """Show the plan and journal it. Raises RefusedError with the plan's refusal, which is journaled too.
        """
        self.emit(plan)
        if plan.refusal:
            log.warning(f"refused: {plan.refusal}")
            self.save("REFUSED", plan.refusal)
            raise PlanRefusedError(plan.refusal)
        self.log.plan = plan.to_json()
        self.total = len(plan.steps)
        before = self.run.interrupted
        self.save("RUNNING")
        if before is not None and self.run.verb not in DRILLS:  # a drill continues nothing
            self._inherit(before)
            before.result, before.then = "INTERRUPTED", self.run.id
            self.run.amend(before)
        log.info(f"begins, {self.total} steps, asked by {self.log.request.by} ({self.log.request.trigger})")
        text = f"{self.run.verb} in progress since {utc_text(self.began)}: {self.total} steps."
        self._forget_refusals()
        self.tell(self.outcome.state, Sentence(text))

    def _forget_refusals(self) -> None:
        try:
            datastore_message.run_began(self.run.pool, self.datastore_id, self.began)
        except rados.Error as error:  # an old answer is shown for longer than needed
            log.warning(f"when the run began is not kept for DR_MESSAGE: {error}")

    def take_over(self, entry: JournalEntry, by: Request) -> None:
        """Write on in the journal of an interrupted run, which `by` aborts."""
        self.run.id = entry.run
        log.bind(run=entry.run)
        self.log = entry
        self.log.abort = Aborted(by.by, by.trigger, self.began)
        self.outcome.failed = dict(entry.failed)
        self._forget_refusals()
        log.info(f"abort of {entry.verb}, asked by {by.by} ({by.trigger})")

    def _inherit(self, before: JournalEntry) -> None:
        """An interrupted run of the same verb: what it did counts, from the moment it was asked for."""
        if before.verb != self.run.verb:
            return
        self.asked_at = min(self.asked_at, before.since or before.began)
        self.log.since = self.asked_at
        self.ended = dict(before.ended)

    def do(self, steps: Sequence[Step], action: Callable[[str], str], threads: int = 1) -> None:
        """Do steps of one kind, at most `threads` at once, or fewer if onedr.conf says so.

        Raises RunStoppedError, LeaseLostError: what was not begun by then is not done.
        """
        if not steps:
            return
        self.run.look()
        self.run.check()
        kind, ordered = steps[0].kind, {step.target: step for step in steps}
        entry = StepsDone(kind.value, time.time(), len(steps))
        self.log.steps.append(entry)
        # before the first of them: an interrupted run shows how far it may have got
        self.save("RUNNING")
        message = Sentence(
            f"{self.run.verb} in progress: {kind.value}, {len(steps)} of {self.total} steps."
        )
        self.tell(self.outcome.state, message, f"{kind.value} 0/{len(steps)}")
        begun, seconds = time.monotonic(), dict[str, float]()
        results: dict[str, str] = {}

        def one(target: str) -> str:
            self.run.check()
            done, seconds[target] = self._timed(ordered[target], action)
            if isinstance(done, OneDRError):
                raise done
            results[target] = done
            return done

        def watch(through: int) -> None:
            if time.monotonic() - self._saved >= _SAVE_EVERY_S:
                entry.seconds, entry.results = dict(seconds), dict(results)  # copies: the threads continue
                self.save("RUNNING")
                self.tell(self.outcome.state, message, f"{kind.value} {through}/{len(steps)}")
                self.emit(progress(kind, through, len(steps), time.monotonic() - begun))

        at_once = self.at_once(kind, threads)
        self._settle(kind, entry, seconds, parallel.each(ordered, one, steps[0].limit_s, at_once, watch))

    def at_once(self, kind: StepKind, threads: int) -> int:
        """How many steps of a kind are done at once: `threads`, or fewer if onedr.conf says so."""
        return min(threads, self._at_once.get(kind, threads))

    def has_failed(self, target: str) -> bool:
        """Did a step on this target fail?"""
        return target in self.outcome.failed

    def _timed(self, step: Step, action: Callable[[str], str]) -> tuple[str | OneDRError, float]:
        """What came of a step, shown to all who watch, and its seconds."""
        begun = time.monotonic()
        try:
            done = action(step.target)
        except InterruptedRunError:
            raise
        except OneDRError as error:
            return error, self._show(step, "failed", str(error), begun)
        if isinstance(done, Later):
            return done, round(time.monotonic() - begun, 3)
        seconds = self._show(step, "done", done, begun)
        self.ended[f"{step.kind.value} {step.target}"] = time.time()
        return done, seconds

    def _settle(
        self, kind: StepKind, entry: StepsDone, seconds: dict[str, float],
        results: Mapping[str, str | OneDRError],
    ) -> None:
        stopped = [result for result in results.values() if isinstance(result, InterruptedRunError)]
        for target, result in results.items():
            if isinstance(result, InterruptedRunError):
                continue  # it was not begun, because the run must stop
            if isinstance(result, OneDRError):
                self.outcome.failed.setdefault(target, f"{kind.value}: {result}")
            elif not isinstance(result, Later):
                self.outcome.done[target] = result
        entry.seconds = dict(seconds)
        entry.results = {
            target: "not done: the run stopped" if isinstance(result, InterruptedRunError) else str(result)
            for target, result in results.items()
        }
        self.save("RUNNING")
        if stopped:
            raise stopped[0]

    def wait(self, seconds: float, why: str) -> None:
        """Let time pass, with the journal kept and `why` shown.

        Raises RunStoppedError, LeaseLostError.
        """
        end = time.monotonic() + seconds
        self.log.steps.append(StepsDone("wait", time.time(), 1, {why: seconds}))
        self.save("RUNNING")
        self.tell(self.outcome.state, Sentence(f"{self.run.verb} waits: {why}."), f"wait {seconds:g} s")
        while time.monotonic() < end:  # no `waiting.attempts`: not a try, but a time that has to pass
            self.run.check()
            time.sleep(min(_PAUSE_S, max(0.0, end - time.monotonic())))
            if time.monotonic() - self._saved >= _SAVE_EVERY_S:
                self.save("RUNNING")

    def _show(self, step: Step, result: str, detail: str, begun: float) -> float:
        seconds = round(time.monotonic() - begun, 3)
        text = f"{step.kind.value} {step.target}: {detail} ({seconds:.1f} s)"
        if result == "done":
            log.info(text)
        else:
            log.error(f"FAILED {text}")
        self.emit(StepEvent(step.kind.value, step.target, step.text, result, detail, seconds))
        return seconds

    def end(
        self, state: State, result: str, verdict: VerdictEvent, label: Callable[[str], str] = str
    ) -> Outcome:
        """Journal how it ended, then show it on the datastore and to the reader of events.

        `verdict` holds the message and what only this verb has to say; `label` names a failed item.
        """
        message = pasteable(verdict.message, self.run.datastore)
        verdict = replace(verdict, message=message)
        if self.run.alone:
            said = (f"it was held at this site only: {self.run.alone}",)
            verdict = replace(verdict, warnings={**verdict.warnings, "the lease": said})
        self.outcome.state, self.outcome.message = state, message
        self.log.warnings = {item: tuple(texts) for item, texts in verdict.warnings.items()}
        self.save(result, message)
        self.tell(state, message)
        self.outcome.failed = {label(item): why for item, why in self.outcome.failed.items()}
        (log.warning if self.outcome.failed else log.info)(f"ends {result}: {message}")
        seconds = round(time.time() - self.began, 3)
        self.emit(replace(
            verdict, state=state.value, seconds=seconds, done=self.outcome.done, failed=self.outcome.failed,
        ))
        return self.outcome

    def interrupt(self, stopped: InterruptedRunError, label: Callable[[str], str] = str) -> NoReturn:
        """End as INTERRUPTED, saying what is left. Raises InterruptedRunError."""
        left = max(0, self.total - len(self.outcome.done) - len(self.outcome.failed))
        again = "onedr drill cleanup" if self.run.verb in DRILLS else "onedr resume"
        left_over = f" {left} of {self.total} steps are left; {again} goes on."
        text = Sentence(f"{stopped}{left_over}", f"{stopped.public or 'The run was interrupted.'}{left_over}")
        self.outcome.failed.setdefault("the run", str(stopped))
        self.end(State.INTERRUPTED, "RUNNING", VerdictEvent(text), label)
        raise InterruptedRunError(text) from stopped

    def save(self, result: str, message: str = "") -> None:
        """Write the journal. Raises LeaseLostError when the run lost its lease at either site."""
        now = time.time()
        entry = self.log
        entry.result, entry.message, entry.updated = result, message, now
        entry.took_s = round(now - self.began, 3)
        entry.failed, entry.done, entry.ended = self.outcome.failed, self.outcome.done, dict(self.ended)
        self.run.save(entry)
        self._saved = time.monotonic()

    def tell(self, state: State, message: str, progress: str = "") -> None:
        """Show it on the datastore: what is public of the message.

        A front-end that does not answer stops no run: the journal has it, the keeper shows it.
        """
        shown = (("DR_STATE", state.value), ("DR_ROLE", self._role), ("DR_PROGRESS", progress))
        text = public_of(message, f"{self.run.verb}: see onedr history {self.run.datastore}".strip() + ".")
        try:
            datastore_message.show(self.frontend, self.datastore_id, shown, text, self._refused)
        except (FrontEndError, rados.Error) as error:
            log.warn_oned(f"the datastore does not show {state.value}: {error}")

    def _refused(self) -> str:
        return datastore_message.refused(self.run.pool, self.datastore_id, time.time())


def progress(kind: StepKind, done: int, of: int, passed_s: float) -> ProgressEvent:
    """How far steps of one kind are; the time left at the pace so far, None before the first one is done."""
    left_s = round(passed_s * (of - done) / done, 1) if done else None
    return ProgressEvent(
        f"{kind.value} {done}/{of}", percent=100 * done // of, left_s=left_s, kind=kind.value, done=done,
        of=of, passed_s=round(passed_s, 1),
    )


def utc_text(at: float) -> str:
    """A moment for people, UTC; `at` in epoch seconds."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
