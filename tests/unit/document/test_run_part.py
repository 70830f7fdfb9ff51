"""RUN: how far a run is, from the events that it tells."""
from __future__ import annotations

import json

import jsonschema
import pytest

from onedr.cli.document_schema import schema
from onedr.document import fit_rules
from onedr.document.form import RunPart
from onedr.document.run_part import RunTracker, is_news
from onedr.runs.events import ProgressEvent, StepEvent, VerdictEvent
from onedr.runs.plan_events import FailoverPlanEvent, StepShown
from onedr.runs.request import Request

STEPS = tuple(
    StepShown(kind, f"one-{at}", f"{kind} one-{at}", 60, "", "", "") for kind in ("fence", "promote") for at in range(10)
)
PLAN = FailoverPlanEvent("ceph", steps=STEPS)


@pytest.fixture
def tracker() -> RunTracker:
    return RunTracker(Request("failover", by="ann", trigger="DR_ACTION", attributes=(("REQUEST", "page-1"),)))


def done(kind: str, result: str = "done") -> StepEvent:
    return StepEvent(kind, "one-1", f"{kind} one-1", result, "said", 0.1)


def part(tracker: RunTracker, now: float) -> RunPart:
    made = tracker.part(now)
    jsonschema.validate({"RUN": json.loads(fit_rules.text_of(made))}, schema())
    return made


def test_a_refused_plan_begins_no_run(tracker: RunTracker) -> None:
    tracker.take(FailoverPlanEvent("ceph", refusal="no"), 10.0)
    assert not tracker.running


def test_it_counts_and_tells_the_time_left(tracker: RunTracker) -> None:
    tracker.take(PLAN, 10.0)
    for _ in range(10):
        tracker.take(done("fence"), 11.0)
    tracker.take(done("promote"), 12.0)
    tracker.take(done("promote", "failed"), 14.0)
    made = part(tracker, 16.0)
    assert (made.verb, made.by, made.request, made.began) == ("failover", "ann", "page-1", 10.0)
    assert (made.steps_total, made.steps_done, made.steps_failed) == (20, 12, 1)
    assert (made.kind, made.done, made.of) == ("promote", 2, 10)
    assert made.rate_per_s == pytest.approx(0.5)
    assert made.left_s == pytest.approx(16.0)
    assert [(each.item, each.why) for each in made.failed] == [("promote one-1", "said")]
    assert [each.action for each in made.actions] == ["CANCEL"]


def test_copies_tell_bytes(tracker: RunTracker) -> None:
    tracker.take(PLAN, 10.0)
    tracker.take(ProgressEvent("copying", 1 << 20, 1 << 30, 1, left_s=90.0), 12.0)
    made = part(tracker, 13.0)
    assert (made.bytes, made.bytes_total, made.left_s) == (1 << 20, 1 << 30, 90.0)


def test_it_ends_with_its_verdict(tracker: RunTracker) -> None:
    tracker.take(PLAN, 10.0)
    assert tracker.running
    tracker.take(VerdictEvent("done"), 20.0)
    assert not tracker.running


def test_failures_do_not_make_it_grow(tracker: RunTracker) -> None:
    tracker.take(PLAN, 10.0)
    for _ in range(3000):
        tracker.take(done("promote", "failed"), 11.0)
    made = part(tracker, 12.0)
    assert made.steps_failed == 3000
    assert len(fit_rules.text_of(made)) < 16 * 1024


def test_time_alone_is_no_news_for_a_minute(tracker: RunTracker) -> None:
    tracker.take(PLAN, 10.0)
    tracker.take(done("promote"), 12.0)
    first = tracker.part(13.0)
    assert not is_news(first, tracker.part(70.0))
    assert is_news(first, tracker.part(74.0))
    tracker.take(done("promote"), 14.0)
    assert is_news(first, tracker.part(14.0))
