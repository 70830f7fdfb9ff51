"""What a run takes, what it leaves by name, and bases that are never demoted unasked."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import THERE, disk, vm_record
from worlds import MOVE, REQUESTS, WORLDS, but, confirmed, copy_of, facts, steps

from onedr.failover import plan as failover_plan
from onedr.failover import scope_plan
from onedr.failover.facts import FailoverFacts, Fence
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm
from onedr.runs.request import Request
from onedr.runs.steps import StepKind

WEB = vm_record(vm_id=1, name="web", disks=(disk(0, "one/one-7-1-0"),))
DB = vm_record(vm_id=2, name="db", disks=(disk(0, "one/one-7-2-0"),))
BASE = copy_of("one-7", None)
CLONES = (
    copy_of("one-7-1-0", WEB, known=False, parent="one-7"),
    copy_of("one-7-2-0", DB, known=False, parent="one-7"),
)
RUNNING = tuple(
    PeerVm(number, name, "ACTIVE", "", frozenset({f"one-7-{number}-0"})) for number, name in ((1, "web"), (2, "db"))
)


def alive(*images: object, **changes: object) -> FailoverFacts:
    values = {"peer": PeerState.ANSWERS, "there": RUNNING, **changes}
    return facts(*(images or (BASE, *CLONES)), **values)  # type: ignore[arg-type]


def fenced(world: FailoverFacts, request: Request) -> set[str]:
    plan = failover_plan.plan_failover(world, request)
    return {target for kind, target in steps(plan) if kind is StepKind.FENCE}


BOTH_VERBS = pytest.mark.parametrize("request_", [MOVE, confirmed()], ids=["move", "failover"])


@BOTH_VERBS
def test_a_base_moves_with_all_that_is_read_through_it(request_: Request) -> None:
    children = {"one-7": frozenset({"one-7-1-0", "one-7-2-0"})}
    assert fenced(alive(children=children), request_) == {"one-7", "one-7-1-0", "one-7-2-0"}


@BOTH_VERBS
@pytest.mark.parametrize("world", [
    alive(children={"one-7": frozenset({"one-7-1-0", "one-7-2-0", "one-7-9-0"})}),
    alive(BASE, *CLONES, copy_of("one-7-9-0", None, known=False, parent="one-7", primary=True)),
], ids=["a clone that has no copy", "one that is written here"])
def test_a_base_is_never_demoted_unasked_under_what_does_not_come(
    world: FailoverFacts, request_: Request
) -> None:
    images = {image.name for image in world.images}
    if "one-7-9-0" in images:
        return  # primary here: it comes along
    plan = failover_plan.plan_failover(world, request_)
    assert not plan.steps and "one-7-9-0" in plan.refusal
    assert f"onedr {request_.verb} ceph --take one-7" in plan.refusal
    assert "one-7" in fenced(world, but(request_, take=("one-7",)))


def test_a_clone_whose_copy_is_not_complete_keeps_its_base_there() -> None:
    world = alive(BASE, CLONES[0], replace(CLONES[1], complete=False))
    plan = failover_plan.plan_failover(world, confirmed())
    assert not plan.steps and "one-7-2-0" in plan.refusal and "--take one-7" in plan.refusal


def test_of_a_chosen_few_the_others_keep_the_base_there() -> None:
    plan = failover_plan.plan_failover(alive(), replace(MOVE, vms=("web",)))
    assert "--vm web --take one-7" in plan.refusal
    found = fenced(alive(), but(replace(MOVE, vms=("web",)), take=("one-7",)))
    assert found == {"one-7", "one-7-1-0"}


def test_without_a_demotion_there_is_no_base_in_the_way() -> None:
    world = alive(peer=PeerState.GONE, there=None, children={"one-7": frozenset({"one-7-9-0"})})
    assert failover_plan.plan_failover(world, confirmed()).steps


LATE = vm_record(vm_id=3, name="late one", disks=(disk(0, "one/one-3", protected=False, reason="it says no"),))
SOUND = vm_record(vm_id=4, name="sound", disks=(disk(0, "one/one-4"),))
MIXED = alive(
    copy_of("one-4", SOUND), copy_of("one-3", LATE, complete=False),
    there=(PeerVm(4, "sound", "ACTIVE", "", frozenset({"one-4"})), PeerVm(3, "late one", "ACTIVE", "", frozenset({"one-3"}))),
)


def test_a_vm_that_cannot_come_is_named_with_the_command_that_leaves_it() -> None:
    plan = failover_plan.plan_failover(MIXED, MOVE)
    assert not plan.steps and "VM late one" in plan.refusal
    assert "onedr move ceph --leave 3 --leave one-3" in plan.refusal


@pytest.mark.parametrize("leave", [("3",), ("late one",)])
def test_a_vm_left_behind_keeps_its_disks_and_runs_on(leave: tuple[str, ...]) -> None:
    plan = failover_plan.plan_failover(MIXED, but(MOVE, leave=leave))
    assert not plan.refusal and not plan.left_out
    assert {target for kind, target in steps(plan) if kind is StepKind.FENCE} == {"one-4"}
    assert {target for kind, target in steps(plan) if kind is StepKind.STOP} == {"4"}


def test_one_whose_record_has_not_arrived_can_be_left_too() -> None:
    stranger = PeerVm(9, "new", "ACTIVE", "", frozenset({"one-9"}))
    world = alive(copy_of("one-4", SOUND), copy_of("one-9", None), there=(*MIXED.there[:1], stranger))  # type: ignore[index]
    refused = failover_plan.plan_failover(world, MOVE)
    assert "--leave 9" in refused.refusal
    assert fenced(world, but(MOVE, leave=("9",))) == {"one-4"}


def test_a_base_that_only_left_vms_are_read_through_stays_with_them() -> None:
    world = alive(BASE, *CLONES, copy_of("one-4", SOUND), there=())
    assert fenced(world, but(MOVE, leave=("web", "db"))) == {"one-4"}


def test_the_command_quotes_what_a_shell_would_read() -> None:
    request_ = replace(MOVE, vms=("a b; rm",))
    assert scope_plan.command(MIXED, request_) == "onedr move ceph --vm 'a b; rm'"


@given(WORLDS, REQUESTS, st.dictionaries(
    st.integers(0, 5).map("one-{}".format), st.frozensets(st.sampled_from(["one-0", "one-1", "one-88"])), max_size=3,
))
def test_whatever_is_read_through_a_demoted_image_comes_along_or_was_asked_for(
    world: FailoverFacts, request_: Request, children: dict[str, frozenset[str]]
) -> None:
    world = replace(world, children=children)
    plan = failover_plan.plan_failover(world, request_)
    primary = {image.name for image in world.images if image.primary}
    demoted = {target for kind, target in steps(plan) if kind is StepKind.FENCE}
    for name in demoted - set(request_.take):
        assert scope_plan.readers(world, name) <= demoted | primary
    assert plan.fence is Fence.DEMOTE or not demoted


@given(WORLDS, REQUESTS, st.sampled_from([("vm0",), ("1",), ("one-0",), ("vm0", "vm1", "vm2")]))
def test_what_is_left_is_not_touched(
    world: FailoverFacts, request_: Request, leave: tuple[str, ...]
) -> None:
    plan = failover_plan.plan_failover(world, but(request_, leave=leave))
    left = {f"{THERE}:{number}" for number in range(3) if {f"vm{number}", str(number)} & set(leave)}
    kinds = (StepKind.CREATE, StepKind.RETURN)
    assert not left & {target for kind, target in steps(plan) if kind in kinds}
