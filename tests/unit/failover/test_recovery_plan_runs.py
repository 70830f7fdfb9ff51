"""A run by a recovery plan: the order of its steps, what holds it, what stops it, what a resume does not repeat."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import THERE, disk, vm_record
from worlds import confirmed, copy_of, facts, worlds

from onedr.failover import describe, plan_choice, resume, start_waves, waves_plan
from onedr.failover import plan as failover_plan
from onedr.failover.facts import FailoverFacts, RunPlan
from onedr.failover.start_queue import StartQueue
from onedr.failover.waves import GroupGate
from onedr.model.errors import OneDRError, RunStoppedError, StorageError
from onedr.model.records import ImageFacts
from onedr.model.recovery_plan import Chosen, Gate, Group, RecoveryPlan
from onedr.model.types import Settings
from onedr.replication import plan_store
from onedr.replication.signed_versions import Stored, Version
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind


def copy(number: int, name: str, **changes: object) -> ImageFacts:
    return copy_of(f"one-{number}", vm_record(vm_id=number, name=name, disks=(disk(0, f"one/one-{number}"),), **changes))


IMAGES = (copy(1, "app"), copy(2, "db"), copy(3, "other"))
PLAN = RecoveryPlan((
    Group("databases", ("db",), owners=("oneadmin", "alice"), gate=Gate(5432, 60, True), line=1),
    Group("app", ("app",), after=("databases",), gate=Gate(0, 30), delay_s=7, line=2),
))
CHOSEN = Chosen("tiers", 3, PLAN)


def owned(chosen: Chosen = CHOSEN, **changes: Any) -> FailoverFacts:
    return facts(*IMAGES, recovery=chosen, **changes)


def starts(plan: RunPlan) -> list[str]:
    return [f"{step.kind.value} {step.target.removeprefix(THERE + ':')}" for step in plan.steps if step.kind in (StepKind.START, StepKind.GATE)]


ANYBODY = Chosen("tiers", 3, RecoveryPlan((Group("databases", ("db",), gate=Gate(5432, 60)), *PLAN.groups[1:])))


def test_vms_start_by_the_plan_with_its_gates_between() -> None:
    plan = failover_plan.plan_failover(owned(ANYBODY), confirmed())
    assert not plan.refusal
    assert starts(plan) == ["start 2", "gate group databases", "start 1", "gate group app", "start 3"]
    shown = describe.describe_failover(plan, owned(ANYBODY), confirmed(), 2e9)
    assert shown.recovery_plan == "tiers, version 3" and shown.delays == {"group app": 7}
    assert {vm.name: vm.group for vm in shown.vms} == {"app": "app", "db": "databases", "other": ""}


def test_a_vm_of_another_owner_is_not_the_plans() -> None:
    other = Chosen("tiers", 3, RecoveryPlan((Group("databases", ("db",), owners=("somebody",), gate=Gate(1, 60, True)),)))
    plan = failover_plan.plan_failover(owned(other), confirmed())
    assert sorted(starts(plan)) == ["start 1", "start 2", "start 3"], "nothing waits for it"


def test_the_confirmation_is_of_this_order() -> None:
    with_plan, without = (failover_plan.plan_failover(owned(chosen), confirmed()) for chosen in (ANYBODY, Chosen()))
    assert with_plan.digest != without.digest
    asked = Request("failover", confirm=f"{owned().datastore}:{without.digest}")
    assert failover_plan.plan_failover(owned(ANYBODY), asked).refusal


def test_a_plan_that_cannot_be_used_holds_the_run_and_says_the_way() -> None:
    plan = failover_plan.plan_failover(owned(Chosen("tiers", doubt="version 3 is forged.")), confirmed())
    assert not plan.steps and "version 3 is forged." in plan.refusal and "--plan none" in plan.refusal
    assert "forged" not in plan.refusal.public  # type: ignore[attr-defined]


def test_what_an_interrupted_run_has_passed_is_not_waited_for_again() -> None:
    passed = owned(ANYBODY, interrupted=True, gates_passed=frozenset({"group databases"}))
    assert "gate group databases" not in starts(failover_plan.plan_failover(passed, confirmed()))
    again = owned(ANYBODY, interrupted=True)
    assert "gate group databases" in starts(failover_plan.plan_failover(again, confirmed()))


@given(world=worlds(), gate=st.none() | st.just(Gate(22, 5)))
def test_a_plan_changes_the_order_of_starts_and_nothing_else(world: FailoverFacts, gate: Gate | None) -> None:
    names = sorted({image.vm.body.name for image in world.images if image.vm is not None})
    plan = RecoveryPlan(tuple(
        Group(f"g{number}", (name,), after=(f"g{number - 1}",) if number else (), gate=gate)
        for number, name in enumerate(reversed(names))
    ))
    asked = confirmed()
    by_plan, plain = (
        failover_plan.plan_failover(waves_replace(world, chosen), asked) for chosen in (Chosen("p", 1, plan), Chosen())
    )
    assert by_plan.refusal == plain.refusal and by_plan.left_out == plain.left_out
    kinds = [step for step in by_plan.steps if step.kind is not StepKind.GATE]
    assert sorted(map(str, kinds)) == sorted(map(str, plain.steps))
    assert [step for step in kinds if step.kind is not StepKind.START] == [
        step for step in plain.steps if step.kind is not StepKind.START
    ]


def waves_replace(world: FailoverFacts, chosen: Chosen) -> FailoverFacts:
    return FailoverFacts(**{**vars(world), "recovery": chosen})


class Runner:
    """Does steps and notes them; those of `bad` fail."""

    def __init__(self, bad: Sequence[str] = ()):
        self.bad, self.done = bad, list[str]()
        self.outcome = SimpleNamespace(failed={})

    def do(self, steps: Sequence[Step], action: Callable[[str], str], threads: int = 1) -> None:
        for step in steps:
            try:
                action(step.target)
                self.done.append(f"{step.kind.value} {step.target}")
            except OneDRError as error:
                self.outcome.failed[step.target] = f"{step.kind.value}: {error}"

    def wait(self, seconds: float, why: str) -> None:
        self.done.append(f"wait {seconds} {why}")

    def at_once(self, kind: StepKind, threads: int) -> int:
        return threads

    def has_failed(self, target: str) -> bool:
        return target in self.outcome.failed


def run(runner: Any, chosen: Chosen, may_stop: bool = True) -> None:
    plan = failover_plan.plan_failover(owned(chosen), confirmed())

    def pass_gate(gate: GroupGate) -> str:
        if gate.group in runner.bad:
            raise OneDRError("not passed")
        return "passed"

    queue = StartQueue(runner, lambda origin, wait_s: "runs", 60, {})
    steps = [step for step in plan.steps if step.kind is StepKind.START]
    start_waves.start_waves(runner, queue, plan.waves, steps, pass_gate, may_stop)


def test_gates_are_between_the_starts_and_delays_behind_them() -> None:
    runner = Runner()
    run(runner, ANYBODY)
    assert [word.replace(f"{THERE}:", "") for word in runner.done] == [
        "start 2", "gate group databases", "start 1", "gate group app",
        "wait 7 7 s between group app and priority 3", "start 3",
    ]


def test_a_closed_gate_holds_nothing_up_where_the_plan_says_so() -> None:
    runner = Runner(bad=["databases"])
    run(runner, ANYBODY)
    assert f"start {THERE}:1" in runner.done and runner.outcome.failed == {"group databases": "gate: not passed"}


def test_a_closed_gate_stops_the_run_where_the_plan_says_so_but_no_drill() -> None:
    stops = Chosen("t", 1, RecoveryPlan((Group("databases", ("db",), owners=(vm_record().owner,), gate=Gate(1, 5, True)),)))
    runner = Runner(bad=["databases"])
    with pytest.raises(RunStoppedError, match="group databases: gate: not passed.*--plan none"):
        run(runner, stops)
    assert runner.done == [f"start {THERE}:2"]
    drill = Runner(bad=["databases"])
    run(drill, stops, may_stop=False)
    assert f"start {THERE}:1" in drill.done


TARGET: Any = SimpleNamespace(name="ceph", settings=Settings(recovery_plan="tiers"))
VERSION = Version(3, 1.0, "ann", "a", "version: 1\n", PLAN, ("ceph/tiers",))


def chosen(monkeypatch: pytest.MonkeyPatch, stored: Any, asked: str = "", target: Any = TARGET) -> Chosen:
    def newest(pool: Any, datastore: str, settings: Any, name: str, peer: Any) -> Stored[RecoveryPlan]:
        if isinstance(stored, Exception):
            raise stored
        assert name == (asked or "tiers")
        return Stored(stored)

    monkeypatch.setattr(plan_store, "newest", newest)
    attributes = (("RECOVERY_PLAN", asked),) if asked else ()
    return plan_choice.read(None, target, Request("move", attributes=attributes), None)  # type: ignore[arg-type]


def test_the_request_goes_before_the_datastores_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, (VERSION,)) == Chosen("tiers", 3, PLAN)
    assert chosen(monkeypatch, (VERSION,), "night").name == "night"
    assert chosen(monkeypatch, AssertionError("not asked for"), "none") == Chosen()
    plain: Any = SimpleNamespace(name="ceph", settings=Settings())
    assert chosen(monkeypatch, AssertionError("not asked for"), target=plain) == Chosen()


@pytest.mark.parametrize(("stored", "why"), [
    ((), "the plan tiers is not there; onedr recovery-plan show ceph"),
    ((VERSION, Version(4, 1.0, "ann", "a", "", RecoveryPlan(), ("ceph/tiers",))), "the plan tiers was removed"),
    (StorageError("version 3 is unsigned"), "version 3 is unsigned"),
])
def test_what_is_not_known_or_in_doubt_is_said(monkeypatch: pytest.MonkeyPatch, stored: Any, why: str) -> None:
    found = chosen(monkeypatch, stored)
    assert found.plan is None and why in found.doubt
    assert "is no name of a plan" in chosen(monkeypatch, (), "Web;rm").doubt


def test_only_gates_of_an_interrupted_run_by_the_same_version_count() -> None:
    entry = JournalEntry("1-move", "move", "", 1.0, plan={"recovery_plan": "tiers, version 3", "steps": []})
    entry.result, entry.ended = "RUNNING", {"gate group databases": 1.0, "start x:1": 2.0}
    assert plan_choice.gates_passed(entry, CHOSEN) == {"group databases"}
    assert not plan_choice.gates_passed(entry, Chosen("tiers", 4, PLAN))
    assert not plan_choice.gates_passed(entry, Chosen()) and not plan_choice.gates_passed(None, CHOSEN)
    entry.result = "DONE"
    assert not plan_choice.gates_passed(entry, CHOSEN)


def test_who_resumes_may_choose_another_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Request("failover", attributes=(("LEAVE", "5"), ("RECOVERY_PLAN", "tiers")))
    monkeypatch.setattr(resume, "find_interrupted", lambda _: JournalEntry("1-failover", "failover", "", 1.0, asked))
    kept = resume.resumed_request(TARGET, Request("resume"))
    assert kept.attributes == asked.attributes
    other = resume.resumed_request(TARGET, Request("resume", attributes=(("RECOVERY_PLAN", "none"),)))
    assert other.attributes == (("LEAVE", "5"), ("RECOVERY_PLAN", "none"))


def test_waves_of_a_plan_for_no_vm_at_all() -> None:
    assert waves_plan.waves(PLAN, waves_plan.Order((), {}), {}) == ()
