"""A run does at once what was tried, and less when onedr.conf says so."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onedr.ceph import parallel
from onedr.model.errors import InterruptedRunError, RunStoppedError
from onedr.model.types import State
from onedr.runs import run as runs_run
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.plan_events import ReprotectPlanEvent
from onedr.runs.request import Request
from onedr.runs.step_docs import shown_steps
from onedr.runs.steps import Step, StepKind


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
            id="r", verb="failover", alone="", save=lambda log: None, look=lambda: None, check=lambda: None
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


class Stoppable:
    """A run that is asked to stop after so many looks before a step."""

    id, verb, alone, interrupted = "r", "reprotect", "", None

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
