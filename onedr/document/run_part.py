"""RUN of a document, from the events of a run as they come. Pure; times are given."""
from __future__ import annotations

from collections import Counter
from dataclasses import replace

from onedr.document import action_rules, fit_rules
from onedr.document.action_rules import Situation
from onedr.document.form import FailedShown, RunPart
from onedr.model.types import PeerState, State
from onedr.runs.events import Event, ProgressEvent, StepEvent, VerdictEvent
from onedr.runs.plan_events import DrillPlanEvent, FailoverPlanEvent, ReprotectPlanEvent
from onedr.runs.request import Request

_FAILED = 20
_SHOWN_AGAIN_S = 60.0
_PLANS = (FailoverPlanEvent, DrillPlanEvent, ReprotectPlanEvent)


class RunTracker:
    """How far a run is. It begins with a plan that is not refused, and ends with its verdict; an abort has no
    plan.
    """

    def __init__(self, request: Request):
        self._request = request
        self.running = self.ended = False
        self._verb, self._began = "", 0.0
        self._planned: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._failed: list[FailedShown] = []
        self._failures = 0
        self._last = ProgressEvent("")
        self._kind, self._kind_began = "", 0.0

    def take(self, event: Event, now: float) -> None:
        """`now`: epoch seconds."""
        if isinstance(event, _PLANS) and not event.refusal:
            self.running, self._verb, self._began = True, event.verb, now
            self._planned = Counter(step.kind for step in event.steps)
        elif isinstance(event, StepEvent):
            self._begin_kind(event.kind, now)
            self._ended[event.kind] += 1
            if event.result != "done":
                self._failures += 1
                failed = FailedShown(fit_rules.short(event.text), fit_rules.short(event.detail))
                self._failed = [*self._failed, failed][:_FAILED]
        elif isinstance(event, ProgressEvent) and event.kind:
            self._begin_kind(event.kind, now)
            self._last = event
        elif isinstance(event, ProgressEvent):
            self._last = event
        elif isinstance(event, VerdictEvent):
            self.running, self.ended = False, True

    def _begin_kind(self, kind: str, now: float) -> None:
        if kind != self._kind:
            self._kind, self._kind_began, self._last = kind, now, ProgressEvent("")

    def part(self, now: float) -> RunPart:
        """How far it is at this moment."""
        done = max(self._last.done, self._ended[self._kind])
        passed_s, of = now - self._kind_began, max(self._planned[self._kind], self._last.of)
        left_s = self._last.left_s
        if left_s is None and 0 < done < of:
            left_s = passed_s * (of - done) / done
        return RunPart(
            as_of=now, verb=self._verb, by=fit_rules.short(self._request.by), trigger=self._request.trigger,
            request=fit_rules.short("".join(self._request.words("REQUEST"))), began=self._began,
            steps_total=sum(self._planned.values()), steps_done=sum(self._ended.values()),
            steps_failed=self._failures, kind=self._kind, done=done, of=of,
            rate_per_s=done / passed_s if done and passed_s > 0 else None, left_s=left_s,
            bytes=self._last.bytes, bytes_total=self._last.total, failed=tuple(self._failed),
            actions=action_rules.allowed(
                Situation(State.FAILING_OVER, PeerState.UNKNOWN, running=self._verb)),
        )


def is_news(before: RunPart, now: RunPart) -> bool:
    """Is there more to show than another moment? A run that waits is shown again now and then."""
    same = replace(before, as_of=now.as_of, rate_per_s=now.rate_per_s, left_s=now.left_s) == now
    return not same or not 0 <= now.as_of - before.as_of < _SHOWN_AGAIN_S
