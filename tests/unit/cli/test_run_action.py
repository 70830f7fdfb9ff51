"""Events go through a line of JSON and come back as they were; each verb's plan has its own class."""
from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from onedr.cli import run_action
from onedr.driver import verbs
from onedr.driver.start_action import VERBS
from onedr.model.rehearsed import Rehearsed, Result
from onedr.runs import answer_events, events, plan_events, point_events
from onedr.runs.answer_events import RehearsalEvent, StatusDisk, StatusEvent, StatusVm
from onedr.runs.events import Event, PeerShown, VerdictEvent
from onedr.runs.plan_events import FailoverPlanEvent, FailoverVm, StepShown
from onedr.runs.step_docs import shown_steps
from onedr.runs.steps import Step, StepKind

VM = FailoverVm("f:7", "db", "a", 7, "ACTIVE", 5.0, None, True, 3, ("one-1",), "", ("slow",))
PLAN = FailoverPlanEvent(
    "ceph", "failback", "", True, PeerShown("answers", "answers", "answers"), (VM,), (),
    shown_steps([Step(StepKind.PROMOTE, "one-1", "promote one-1")]), {"one-2": "no copy"}, {"1": 30},
)
CAME = Rehearsed("f:7", "db", 7, "a", 5.0, Result.REFUSED, "no room", ("another MAC",), 0.5)
REHEARSAL = RehearsalEvent("ceph", (CAME,), "a run began", {"VM 3": "locked"})
STATUS = StatusEvent(
    "ceph", "PROTECTED", "SAFE", "primary", "m", 1, 1, "JOURNAL", PeerShown("ok", "answers", proven=True),
    (StatusVm("db", 7, "a", True, "ACTIVE", ("one-1",), 1.0, 2.0, (), (), CAME),),
    (StatusDisk("one-1", 5, None, "primary", True, None, None, None, ("late",)),),
)


@pytest.mark.parametrize("event", [PLAN, STATUS, REHEARSAL, VerdictEvent("done", "STANDBY", warnings={"a": ("b",)})])
def test_an_event_comes_back_from_its_line(event: Event) -> None:
    again = run_action.read_event(json.loads(json.dumps(event.to_json())))
    assert type(again) is type(event)
    assert again.to_json() == json.loads(json.dumps(event.to_json())) or again == _listed(event, again)


def _listed(event: Event, again: Event) -> Event:
    """Lists inside of mappings stay lists, which is all that may differ."""
    plain: Any = json.loads(json.dumps(event.to_json()))
    return again if json.loads(json.dumps(again.to_json())) == plain else event


def test_the_steps_of_a_plan_come_back_as_steps() -> None:
    again = run_action.read_event(json.loads(json.dumps(PLAN.to_json())))
    assert isinstance(again, FailoverPlanEvent) and again == PLAN
    assert isinstance(again.steps[0], StepShown)


def test_every_event_class_can_be_read_or_stays_in_its_process() -> None:
    """setup and teardown show their events themselves."""
    known = {*run_action._PLANS.values(), *run_action._KINDS.values()}
    classes = {
        kind for module in (events, plan_events, answer_events, point_events) for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    }
    own = {events.ChangeEvent, events.NoteEvent, plan_events.PairingPlanEvent}
    assert classes - known == own


def test_plans_say_their_verb_and_only_one_class_is_a_verdict() -> None:
    for kind in run_action._PLANS.values():
        assert {"verb", "datastore"} <= {one.name for one in fields(kind)}
    verdicts = [kind for kind in Event.__subclasses__() if kind.event == "verdict"]
    assert verdicts == [VerdictEvent]


def test_every_verb_has_an_executable_and_a_function() -> None:
    assert set(VERBS) == set(verbs.VERBS)
