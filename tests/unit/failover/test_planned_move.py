"""A planned move decided: what comes before its first promotion, and when it must not begin."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from worlds import MOVE, ONE_DISK, ORIGIN, REQUESTS, WORLDS, confirmed, copy_of, facts, moves, steps

from onedr.failover import failback_plan, fence_plan, planned_move
from onedr.failover import plan as failover_plan
from onedr.failover import run as failover_run
from onedr.failover.facts import FailoverFacts, Fence
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm
from onedr.runs.request import Request
from onedr.runs.steps import StepKind

WAITING = copy_of("one-1")


@given(WORLDS, REQUESTS)
def test_a_planned_move_stops_every_vm_and_drains_every_disk_before_it_demotes_one(
    world: FailoverFacts, request_: Request
) -> None:
    plan = failover_plan.plan_failover(world, request_)
    found = steps(plan)
    promoted = {target for kind, target in found if kind is StepKind.PROMOTE}
    if not promoted or not request_.lossless:
        stops = set() if plan.fence is Fence.VMS else {StepKind.STOP}  # a failover's fence may be to stop them
        assert not {kind for kind, _ in found} & {StepKind.SYNC, StepKind.DRAIN, *stops}
        return
    first_fence = [kind for kind, _ in found].index(StepKind.FENCE)
    before = set(found[:first_fence])
    for vm in world.there or ():
        for name in vm.images & promoted:
            assert (StepKind.STOP, str(vm.vm_id)) in before and (StepKind.DRAIN, name) in before
            running = any(
                other.state in fence_plan.RUNS and other.images & promoted for other in world.there or ()
            )
            assert not running or (StepKind.SYNC, name) in before


@given(WORLDS, REQUESTS)
def test_a_planned_move_begins_only_when_everything_can_come(
    world: FailoverFacts, request_: Request
) -> None:
    if not request_.lossless or any(found.primary for found in world.images):
        return
    plan = failover_plan.plan_failover(world, request_)
    assert not plan.steps or not plan.left_out
    moved = {target for kind, target in steps(plan) if kind is StepKind.PROMOTE}
    known = {item.record.vm_id for item in plan.vms}
    stranded = [
        vm
        for vm in world.there or ()
        if vm.images & moved and vm.state in fence_plan.RUNS and vm.vm_id not in known
    ]
    assert not stranded


@given(moves(), REQUESTS)
def test_nothing_that_is_done_on_the_way_home_can_delete_a_disk(
    world: FailoverFacts, request_: Request
) -> None:
    """Unplugging a clone deletes it: only one that is gone already is unplugged."""
    plan = failover_plan.plan_failover(world, request_)
    images = {found.name: found for found in world.images}
    homes = failback_plan.homes(plan.vms, world.local)
    for item in plan.vms:
        if (StepKind.RETURN, item.origin) in steps(plan):
            home = homes[item.origin]
            assert (
                not failback_plan.disks(item, home, images, world.here).unplug & home.clones & images.keys()
            )


@given(moves(), REQUESTS)
def test_a_clone_of_a_vm_here_never_becomes_an_image_here(
    world: FailoverFacts, request_: Request
) -> None:
    """It would be deleted under that image's feet with its VM."""
    registered = {
        target
        for kind, target in steps(failover_plan.plan_failover(world, request_))
        if kind is StepKind.REGISTER
    }
    assert not registered & {name for vm in world.local.values() for name in vm.clones}


@given(moves(), REQUESTS)
def test_a_vm_is_started_once_and_not_while_it_runs_at_the_peer(
    world: FailoverFacts, request_: Request
) -> None:
    plan = failover_plan.plan_failover(world, request_)
    found = steps(plan)
    homes = failback_plan.homes(plan.vms, world.local)
    started = [
        homes[target].vm_id if target in homes else target for kind, target in found if kind is StepKind.START
    ]
    assert len(set(started)) == len(started)
    items = {item.origin: item for item in plan.vms}
    for at, (kind, target) in enumerate(found):
        if kind is StepKind.START and target in items:
            moved = {image.name for image in items[target].images if not image.primary}
            running = [vm for vm in world.there or () if vm.images & moved and vm.state in fence_plan.RUNS]
            demoted = {name for kind_, name in found[:at] if kind_ is StepKind.FENCE}
            for vm in running:
                stopped = (StepKind.STOP, str(vm.vm_id)) in found[:at]
                assert stopped or (vm.images & moved <= demoted and not request_.lossless)


@given(moves(), REQUESTS)
def test_only_vms_of_which_the_other_site_has_nothing_are_left_behind(
    world: FailoverFacts, request_: Request
) -> None:
    plan = failover_plan.plan_failover(world, request_)
    items = {item.origin for item in plan.vms}
    used = {name for vm in world.there or () for name in vm.images}
    for kind, target in steps(plan):
        if kind is StepKind.RETURN and target not in items:
            assert world.local[target].locked_state and not world.local[target].images & used


def test_a_vm_at_the_peer_whose_record_has_not_arrived_keeps_everything_there() -> None:
    late = PeerVm(9, "new", "ACTIVE", "", frozenset({"one-1"}))
    plan = failover_plan.plan_failover(
        facts(WAITING, peer=PeerState.ANSWERS, there=(late,)), MOVE
    )
    assert "new (9)" in plan.refusal and not plan.steps
    off = replace(late, state="POWEROFF")
    assert failover_plan.plan_failover(
        facts(WAITING, peer=PeerState.ANSWERS, there=(off,)), MOVE
    ).steps


def test_only_vms_that_did_not_move_are_let_go() -> None:
    stays, moved, free = (
        PeerVm(1, "stays", "POWEROFF", "ACTIVE", frozenset({"one-1"})),
        PeerVm(2, "moved", "POWEROFF", "ACTIVE", frozenset({"one-2"})),
        PeerVm(3, "free", "ACTIVE", "", frozenset({"one-1"})),
    )
    assert planned_move.to_release((stays, moved, free), {"one-1", "one-2"}, {"one-2"}) == [stays]


def test_a_vm_that_another_datastores_run_locked_is_not_let_go() -> None:
    """It moved here before, or waits for its own abort: it would run there on disks that are demoted."""
    own = PeerVm(1, "own", "POWEROFF", "ACTIVE", frozenset({"one-1"}))
    others = PeerVm(4, "of another datastore", "POWEROFF", "ACTIVE", frozenset({"one-9"}), locked=True)
    assert planned_move.to_release((own, others), {"one-1"}, ()) == [own]


@pytest.mark.parametrize("key", ["DR_LOCKED_STATE", "DR_HELD"], ids=["", "of an earlier release"])
@pytest.mark.parametrize(("before", "state", "starts"), [
    ("ACTIVE", "POWEROFF", True), ("POWEROFF", "POWEROFF", False), ("", "ACTIVE", True),
])
def test_a_vm_stopped_by_the_move_starts_as_it_was_before(
    before: str, state: str, starts: bool, key: str
) -> None:
    user = ((key, before),) if before else ()
    plan = failover_plan.plan_failover(
        facts(copy_of("one-1", replace(ONE_DISK, state=state, user_template=user))), confirmed()
    )
    assert ((StepKind.START, ORIGIN) in steps(plan)) is starts


@pytest.mark.parametrize("verb", ["move", "failback"])
def test_nothing_moves_to_a_site_whose_replication_is_paused(verb: str) -> None:
    world = facts(copy_of("one-1"), peer=PeerState.ANSWERS, can_fence=True, there=())
    assert not failover_plan.plan_failover(world, Request(verb)).refusal
    plan = failover_plan.plan_failover(replace(world, paused=True), Request(verb))
    assert "onedr resume-protection ceph" in plan.refusal and not plan.steps


def test_a_failover_to_it_is_not_refused() -> None:
    world = facts(copy_of("one-1"), paused=True, fence_command=("/bin/fence",))
    assert failover_plan.plan_failover(world, confirmed()) == failover_plan.plan_failover(replace(world, paused=False), confirmed())


def test_a_guest_that_ignores_its_shutdown_holds_up_no_other() -> None:
    """It has two minutes: where VMs are stopped one after the other, everybody's move waits for them."""
    assert failover_run._THREADS[StepKind.STOP] >= 32
