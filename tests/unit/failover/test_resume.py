"""What stays confirmed of an interrupted run: never the plan of then, and nothing where no step was begun."""
from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from onedr.cli import main, run_action
from onedr.failover import resume
from onedr.runs.events import Event, VerdictEvent
from onedr.runs.journal_entry import JournalEntry, StepsDone
from onedr.runs.plan_events import FailoverPlanEvent
from onedr.runs.request import Request

TARGET: Any = SimpleNamespace(name="ceph", datastore_id=100)
BEGUN = [StepsDone("cut", 1.0, 1)]


def resumed(monkeypatch: pytest.MonkeyPatch, steps: list[StepsDone], **asked: Any) -> Request:
    then = Request("failover", confirm="ceph:aaaaaaaaaaaa", by="ada", trigger="onedr", at=1.0)
    entry = JournalEntry("1-failover", "failover", "h:1:2", 1.0, request=then, steps=steps)
    monkeypatch.setattr(resume, "find_interrupted", lambda _: entry)
    return resume.resumed_request(TARGET, Request("resume", by="bob", **asked))


@pytest.mark.parametrize(("steps", "trigger", "given", "stays"), [
    (BEGUN, "DR_ACTION", "", "ceph"), (BEGUN, "onedr", "", "ceph"), ([], "onedr", "", "ceph"),
    ([], "DR_ACTION", "", ""), ([], "DR_ACTION", "ceph", "ceph"), (BEGUN, "onedr", "ceph:bbbbbbbbbbbb", "ceph:bbbbbbbbbbbb"),
])
def test_the_plan_of_then_is_not_confirmed_any_more(
    monkeypatch: pytest.MonkeyPatch, steps: list[StepsDone], trigger: str, given: str, stays: str,
) -> None:
    found = resumed(monkeypatch, steps, trigger=trigger, confirm=given)
    assert (found.verb, found.confirm, found.by, found.resumes) == ("failover", stays, "bob", "1-failover")
    assert found.digest != "aaaaaaaaaaaa"


def test_who_is_asked_confirms_the_plan_that_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def events(_: str, request: Request) -> Iterator[Event]:
        asked.append(request)
        if request.dry_run:
            yield FailoverPlanEvent(datastore="ceph", digest="bbbbbbbbbbbb")
        else:
            yield VerdictEvent("done")

    monkeypatch.setattr(run_action, "events", events)
    # the package shows the command under the module's name
    monkeypatch.setattr(import_module("onedr.cli.resume"), "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    done = CliRunner().invoke(main, ["resume", "ceph"], input="y\n")
    assert done.exit_code == 0, done.output
    assert [(request.dry_run, request.confirm) for request in asked] == [(True, ""), (False, "ceph:bbbbbbbbbbbb")]
