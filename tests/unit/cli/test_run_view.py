"""What a person sees of a run: kinds of steps, progress, a line for each VM, the time it took; and a refusal."""
from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from onedr.cli import main, output, run_action, run_view, terminal
from onedr.cli.run_view import RunView
from onedr.model.text import pasteable
from onedr.runs.answer_events import CheckEvent, FindingShown, HistoryEvent
from onedr.runs.events import Event, ProgressEvent, StepEvent, VerdictEvent
from onedr.runs.journal_entry import JournalEntry, VmOutcome
from onedr.runs.plan_events import FailoverPlanEvent, FailoverVm, StepShown
from onedr.runs.request import Request
from onedr.runs.run import progress
from onedr.runs.steps import StepKind

VM = FailoverVm("f:7", "db", "a", 7, "ACTIVE", 5.0, None, True, 3, ("one-1",), "", ())
OUTCOMES = (
    VmOutcome("f:7", "db", "site-a", 12, rto_s=30.2, rpo_s=4.0, drill_rto_s=28.0, measured_s=2.1), VmOutcome("f:8", "web", "site-a", None, "no room"),
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(events: list[Event], *words: str) -> Any:
        monkeypatch.setattr(run_action, "_events", lambda *_: iter(events))
        return CliRunner().invoke(main, list(words))

    return run


def step(kind: str, target: str, result: str = "done") -> StepEvent:
    return StepEvent(kind, target, f"{kind} {target}", result, "is primary", 0.5)


def plan(*kinds: str, refusal: str = "") -> FailoverPlanEvent:
    steps = tuple(StepShown(kind, str(number), f"{kind} {number}", 5, "", "", "") for number, kind in enumerate(kinds))
    return FailoverPlanEvent("ceph", "move", refusal, True, vms=(VM,), steps=steps, digest="d")


def test_many_steps_of_a_kind_are_a_line_one_is_its_own_and_a_failure_is_always_told(shown: Any) -> None:
    events: list[Event] = [plan("promote", "promote", "promote", "cut")]
    events += [step("cut", "rbd-mirror"), step("promote", "one-1"), step("promote", "one-2", "failed"), step("promote", "one-3")]
    events.append(VerdictEvent("2 of 3 came.", "ACTIVE_UNPROTECTED", 41.3, outcomes=OUTCOMES))
    lines = shown(events, "move", "ceph").output.splitlines()
    told = [line for line in lines if line.startswith("  ") and "step" not in line]
    assert any(line.startswith("  ok     cut rbd-mirror: is primary (0.5 s)") for line in told)
    assert any(line.startswith("  FAILED promote one-2: is primary") for line in told)
    assert any(line.startswith("  ok     promote: 2 of 3 (") for line in told)
    assert not [line for line in told if line.startswith("  ok     promote one-1:")]


def test_each_vm_has_a_line_at_the_end_and_the_run_its_time(shown: Any) -> None:
    lines = shown([VerdictEvent("Done.", "PROTECTED", 41.3, outcomes=OUTCOMES)], "move", "ceph").output.splitlines()
    assert lines == [
        "  ok     VM db: is VM 12 here, from site-a, ran after 30.2 s (28.0 s in drills), lost at most 4.0 s, "
        "lost 2.1 s as measured",
        "  FAILED VM web: no room",
        "PROTECTED Done. (took 41.3 s)",
    ]


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_refused_plan_shows_what_it_has_so_far_and_the_reason_once_and_exits_2(shown: Any, dry: tuple[str, ...]) -> None:
    done = shown([plan(refusal="The peer is gone.")], "move", "ceph", *dry)
    assert done.exit_code == 2
    assert "db (7)" in done.output and "Confirmation" not in done.output
    assert done.output.count("The peer is gone.") == 1
    assert done.output.splitlines()[-1] == "The peer is gone. [plan-refused]"


def test_a_good_dry_run_exits_0(shown: Any) -> None:
    assert shown([plan("cut")], "move", "ceph", "--dry-run").exit_code == 0


def test_progress_says_done_of_all_rate_and_time_left() -> None:
    told = progress(StepKind.CHECK, 3, 8, 12.0)
    assert (told.kind, told.done, told.of, told.percent, told.left_s) == ("check", 3, 8, 37, 20.0)
    assert run_view.progress_text(told) == "check 3/8, 0.2/s, about 20.0 s left"
    assert progress(StepKind.CHECK, 0, 8, 12.0).left_s is None
    copied = ProgressEvent("m", 512 << 20, 1 << 30, 50, 9.0)
    assert run_view.progress_text(copied) == "50 %, 512.0 MiB of 1.0 GiB, about 9.0 s left"
    assert run_view.progress_text(ProgressEvent("looks at the peer")) == "looks at the peer"


@given(st.integers(0, 500), st.integers(1, 500), st.floats(0, 1e6))
def test_progress_never_goes_past_its_end(done: int, of: int, passed_s: float) -> None:
    told = progress(StepKind.START, min(done, of), of, passed_s)
    assert 0 <= told.percent <= 100 and (told.left_s is None or told.left_s >= 0)


def test_progress_comes_every_few_seconds_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 100))
    monkeypatch.setattr("onedr.cli.run_view.time.monotonic", lambda: float(next(clock)))
    run = RunView()
    for done in range(12):
        run.progress(progress(StepKind.CHECK, done, 12, 1.0))
    assert 2 <= len(capsys.readouterr().out.splitlines()) <= 4


def test_where_bytes_are_told_the_count_of_images_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("onedr.cli.run_view.time.monotonic", lambda: float(next(clock)))
    run = RunView()
    for event in (progress(StepKind.AWAIT, 0, 3, 1.0), ProgressEvent("m", 1 << 20, 2 << 20, 50), progress(StepKind.AWAIT, 1, 3, 1.0)):
        run.progress(event)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2 and "await 0/3" in told[0] and "1.0 MiB of 2.0 MiB" in told[1]


def test_the_history_fits_80_columns_and_names_people_and_vms(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = JournalEntry(
        "1764497583123-failover", "failover", "fe1:1:2", 1764497583.1, Request("failover", by="alice@fe1", trigger="onedr"),
        result="PARTIAL", message="1 of 2 VM(s) run here.", took_s=41.3, vms=OUTCOMES,
    )
    event = HistoryEvent("ceph", {entry.run: json.loads(json.dumps(entry.to_json()))})
    monkeypatch.setattr(output, "console", lambda: terminal.PlainConsole(width=80))
    for words in (("history", "ceph"), ("history", "ceph", entry.run)):
        text = shown([event], *words).output
        assert max(map(len, text.splitlines())) <= 80
        assert "1764497583123-failover PARTIAL by alice@fe1 (onedr)" in text
        flat = " ".join(text.split())
        assert "began 2025-11-30 10:13:03Z, took 41.3 s, RTO 30.2 s, RPO at most 4.0 s, lost 2.1 s" in flat
        assert "VMs: db, web (failed)" in flat and "1 of 2 VM(s) run here." in flat
    assert shown([HistoryEvent("ceph")], "history", "ceph").output == "There was no run.\n"


def test_check_can_leave_out_what_is_ok(shown: Any) -> None:
    event = CheckEvent("ceph", (
        FindingShown("ceph", "RPO", "ok", "is kept", ""), FindingShown("ceph", "FENCE", "problem", "none", "do it"),
    ))
    every, some = shown([event], "check", "ceph").output, shown([event], "check", "ceph", "--problems").output
    assert "RPO" in every and "RPO" not in some and "FENCE" in some
    assert every.splitlines()[-1] == some.splitlines()[-1] == "1 problem(s), 0 warning(s), 1 ok"
    told = json.loads(shown([event], "check", "ceph", "--problems", "--json").output)
    assert [finding["code"] for finding in told["findings"]] == ["FENCE"]


@pytest.mark.parametrize(("text", "name", "told"), [
    ("Run onedr resume to continue it, or onedr abort.", "ceph", "Run onedr resume ceph to continue it, or onedr abort ceph."),
    ("onedr history ceph shows it", "ceph", "onedr history ceph shows it"),
    ("onedr drill cleanup removes it; onedr drill is a group", "ceph",
     "onedr drill cleanup ceph removes it; onedr drill is a group"),
    ("onedr status lists all.", "gold data", "onedr status 'gold data' lists all."),
    ("onedr-reconcile.timer and onedr.conf", "ceph", "onedr-reconcile.timer and onedr.conf"),
    ("onedr status", "", "onedr status"),
    ("draft one with onedr map DATASTORE --draft.", "gold data", "draft one with onedr map 'gold data' --draft."),
    ("see onedr points; onedr point recover copies one", "ceph", "see onedr points ceph; onedr point recover ceph copies one"),
    ("onedr recovery-plan show lists them, onedr recovery-plan is a group", "ceph",
     "onedr recovery-plan show ceph lists them, onedr recovery-plan is a group"),
])
def test_hints_can_be_pasted(text: str, name: str, told: str) -> None:
    assert pasteable(text, name) == told
    assert pasteable(told, name) == told, "once is enough"
