"""A run does at once what was tried, and less when onedr.conf says so."""
from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rados

from onedr.ceph import parallel
from onedr.model.errors import InterruptedRunError, OneDRError, PlanRefusedError, RunStoppedError
from onedr.model.text import Sentence
from onedr.model.types import State
from onedr.runs import datastore_message
from onedr.runs import run as runs_run
from onedr.runs.events import Event, ProgressEvent, StepEvent, VerdictEvent
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.plan_events import FailoverPlanEvent, ReprotectPlanEvent
from onedr.runs.request import Request
from onedr.runs.step_docs import shown_steps
from onedr.runs.steps import Later, Step, StepKind


@pytest.fixture(autouse=True)
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the pool holds to be shown beside the state."""
    found: list[str] = []
    monkeypatch.setattr(datastore_message, "refused", lambda *_: " ".join(found))
    monkeypatch.setattr(datastore_message, "run_began", lambda *_: found.clear())
    return found


@pytest.fixture
def at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """How many threads a run with this onedr.conf takes for steps of a kind for which the code asks 32."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    (tmp_path / "etc/onedr").mkdir(parents=True)
    taken: list[int] = []

    def each(items: Any, action: Any, limit_s: float, threads: int, watch: Any) -> dict[str, Any]:
        taken.append(threads)
        return {}

    monkeypatch.setattr(parallel, "each", each)

    def asked(kind: StepKind, conf: str) -> int:
        (tmp_path / "etc/onedr/onedr.conf").write_text(conf)
        run: Any = SimpleNamespace(
            id="r", verb="failover", pool=None, datastore="ceph", alone="", save=lambda log: None, look=lambda: None, check=lambda: None
        )
        frontend: Any = SimpleNamespace(update_datastore=lambda *_: None)
        made = runs_run.Running(run, 1, Request("failover"), lambda event: None, frontend, State.FAILING_OVER, "primary")
        made.total = 1
        made.do([Step(kind, "x", "x")], str, 32)
        return taken.pop()

    return asked


@pytest.mark.parametrize(
    ("kind", "conf", "expected"),
    [
        (StepKind.START, "", 32),
        (StepKind.START, "[limits]\nstarts_at_once = 3\n", 3),
        (StepKind.START, "[limits]\nrole_changes_at_once = 3\n", 32),
        (StepKind.PROMOTE, "[limits]\nrole_changes_at_once = 3\n", 3),
        (StepKind.DEMOTE, "[limits]\nrole_changes_at_once = 100\n", 32),
        (StepKind.FENCE, "[limits]\nrole_changes_at_once = 1\n", 1),
        (StepKind.AWAIT, "[limits]\nrole_changes_at_once = 1\n", 32),
        # a mistake must not keep a lost site's VMs down
        (StepKind.START, "[limits]\nstarts_at_once = 0\n", 32),
    ],
)
def test_how_many_at_once(at_once: Any, kind: StepKind, conf: str, expected: int) -> None:
    assert at_once(kind, conf) == expected


def test_a_step_that_comes_later_is_neither_done_nor_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    run: Any = SimpleNamespace(
        id="r", verb="failover", pool=None, datastore="ceph", alone="", save=lambda log: None, look=lambda: None, check=lambda: None
    )
    frontend: Any = SimpleNamespace(update_datastore=lambda *_: None)
    events: list[Event] = []
    made = runs_run.Running(run, 1, Request("failover"), events.append, frontend, State.FAILING_OVER, "primary")
    made.total, answers = 1, ["not yet", "runs"]

    def start(_: str) -> str:
        said = answers.pop(0)
        return Later(said) if said == "not yet" else said

    step = Step(StepKind.START, "v", "start v")
    made.do([step], start)
    assert not made.outcome.done and not made.outcome.failed and not made.ended and not events and not made.has_failed("v")
    made.do([step], start)
    assert made.outcome.done == {"v": "runs"} and "start v" in made.ended
    assert [entry.results for entry in made.log.steps] == [{"v": "not yet"}, {"v": "runs"}]
    assert [event.result for event in events if isinstance(event, StepEvent)] == ["done"]


def test_while_one_step_takes_long_it_is_told_how_many_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(runs_run, "_SAVE_EVERY_S", 0.0)
    run: Any = SimpleNamespace(
        id="r", verb="drill", pool=None, datastore="ceph", alone="", save=lambda log: None, look=lambda: None, check=lambda: None
    )
    frontend: Any = SimpleNamespace(update_datastore=lambda *_: None)
    told = threading.Event()

    def heard(event: Event) -> None:
        if isinstance(event, ProgressEvent) and (event.kind, event.done, event.of) == ("check", 0, 1):
            told.set()

    made = runs_run.Running(run, 1, Request("drill"), heard, frontend, State.DRILLING, "secondary")
    made.total = 1
    made.do([Step(StepKind.CHECK, "v", "check v")], lambda _: "told" if told.wait(60) else "nothing was told")
    assert made.outcome.done == {"v": "told"}


def test_a_run_tells_and_journals_its_plan_its_steps_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    saved: list[dict[str, Any]] = []
    dead = JournalEntry("0-failover", "failover", "h:1:2", 5.0, Request("failover"), since=4.0)
    dead.ended = {"start v": 6.0}
    run: Any = SimpleNamespace(
        id="1-failover", verb="failover", pool=None, datastore="ceph", interrupted=dead, alone="", check=lambda: None, look=lambda: None,
        amend=lambda entry: saved.append(entry.to_json()),
        save=lambda entry: saved.append(json.loads(json.dumps(entry.to_json()))),
    )
    frontend: Any = SimpleNamespace(update_datastore=lambda *_: None)
    events: list[Event] = []
    request = Request("failover", confirm="ceph", by="olga@desk", trigger="onedr", at=50.0)
    made = runs_run.Running(run, 1, request, events.append, frontend, State.FAILING_OVER, "primary")
    steps = [Step(StepKind.PROMOTE, name, f"promote {name}") for name in ("one-1", "one-2")]
    made.begin(FailoverPlanEvent("ceph", steps=shown_steps(steps)))

    def promote(name: str) -> str:
        if name == "one-2":
            raise OneDRError("it is locked")
        return "promoted"

    made.do(steps, promote, 2)
    verdict = VerdictEvent("One of two.", vms={"v": 3}, warnings={"v": ("slow",)})
    outcome = made.end(State.ACTIVE_UNPROTECTED, "PARTIAL", verdict)
    assert outcome.failed == {"one-2": "promote: it is locked"} and outcome.done == {"one-1": "promoted"}
    plan, *done, last = events
    assert isinstance(plan, FailoverPlanEvent) and isinstance(last, VerdictEvent)
    assert sorted((one.target, one.result) for one in done if isinstance(one, StepEvent)) == [
        ("one-1", "done"), ("one-2", "failed")]
    assert (last.state, last.failed, last.vms) == ("ACTIVE_UNPROTECTED", outcome.failed, {"v": 3})
    assert [entry["result"] for entry in saved if entry["run"] == "0-failover"] == ["INTERRUPTED"]
    journal = saved[-1]
    assert (journal["result"], journal["since"], journal["by"]) == ("PARTIAL", 4.0, "olga@desk")
    assert journal["request"]["confirm"] == "ceph" and journal["plan"]["event"] == "plan"
    assert {"start v", "promote one-1"} <= journal["ended"].keys()
    assert journal["steps"][0]["results"] == {"one-1": "promoted", "one-2": "it is locked"}
    assert JournalEntry.from_json(journal).planned_targets("promote") == ["one-1", "one-2"]


def test_a_refused_plan_is_journaled_and_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    saved: list[JournalEntry] = []
    run: Any = SimpleNamespace(id="1-failover", verb="failover", pool=None, datastore="ceph", save=saved.append)
    frontend: Any = None
    made = runs_run.Running(run, 1, Request("failover"), lambda _: None, frontend, State.FAILING_OVER, "primary")
    with pytest.raises(PlanRefusedError, match="no way"):
        made.begin(FailoverPlanEvent("ceph", refusal="no way"))
    assert (saved[-1].result, saved[-1].message) == ("REFUSED", "no way")


class Stoppable:
    """A run that is asked to stop after so many looks before a step."""

    id, verb, alone, interrupted, pool, datastore = "r", "reprotect", "", None, None, "ceph"

    def __init__(self, looks: int):
        self.left = looks
        self.saved: list[str] = []

    def save(self, log: JournalEntry) -> None:
        self.saved.append(log.result)

    def look(self) -> None:
        pass

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RunStoppedError("ada asked the reprotect to stop.")


@pytest.mark.parametrize("looks", range(6))
def test_a_run_that_is_asked_to_stop_begins_no_further_step_and_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    run: Any = Stoppable(looks)
    shown: list[Any] = []
    done: list[str] = []
    frontend: Any = SimpleNamespace(update_datastore=lambda *_: None)
    made = runs_run.Running(
        run, 1, Request("reprotect"), shown.append, frontend, State.REPROTECTING, "secondary"
    )
    steps = [Step(StepKind.KEEP, str(n), "keep it") for n in range(5)]
    made.begin(ReprotectPlanEvent("ceph", "reprotect", steps=shown_steps(steps)))

    def keep(target: str) -> str:
        done.append(target)
        return "kept"

    with pytest.raises(RunStoppedError) as stopped:
        made.do(steps, keep, 1)
    assert done == [step.target for step in steps[: max(0, looks - 1)]]
    assert not made.outcome.failed, "what was not begun did not fail"
    with pytest.raises(InterruptedRunError, match=f"{5 - len(done)} of 5 steps are left"):
        made.interrupt(stopped.value)
    assert shown[-1].state == "INTERRUPTED" and run.saved[-1] == "RUNNING"


@pytest.mark.parametrize(("message", "shown"), [
    (Sentence("Ready."), "Ready."), (Sentence("VM db failed.", "1 VM failed."), "1 VM failed."),
    ("VM db failed.", "failover: see onedr history ceph."),
])
def test_the_datastore_shows_what_is_public_and_a_refusal_that_came_during_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: list[str], message: str, shown: str
) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    run: Any = SimpleNamespace(id="r", verb="failover", pool=None, datastore="ceph")
    written: list[dict[str, Any]] = []

    def update(_: int, pairs: Any) -> None:
        written.append(dict(pairs))
        refusals[:] = ["Refused at noon."]

    made = runs_run.Running(
        run, 1, Request("failover"), lambda _: None, SimpleNamespace(update_datastore=update),  # type: ignore[arg-type]
        State.FAILING_OVER, "secondary",
    )
    made.tell(State.FAILING_OVER, message)
    assert [each["DR_MESSAGE"] for each in written] == [shown, f"{shown} Refused at noon."]


def test_a_pool_that_does_not_answer_stops_no_run_that_tells_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> str:
        raise rados.TimedOut("silence")

    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(datastore_message, "refused", silent)
    run: Any = SimpleNamespace(id="r", verb="failover", pool=None, datastore="ceph")
    frontend: Any = SimpleNamespace(update_datastore=lambda *_: None)
    made = runs_run.Running(run, 1, Request("failover"), lambda _: None, frontend, State.FAILING_OVER, "secondary")
    made.tell(State.FAILING_OVER, "x")
