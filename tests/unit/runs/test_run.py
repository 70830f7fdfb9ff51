"""A run does at once what was tried, and less when onedr.conf says so."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onedr.ceph import parallel
from onedr.model.types import State
from onedr.runs import run as runs_run
from onedr.runs.request import Request
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
        run: Any = SimpleNamespace(id="r", verb="failover", save=lambda log: None)
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
