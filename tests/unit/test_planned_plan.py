"""A planned move decided: what comes before its first promotion, and when it must not begin."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from worlds import ONE_DISK, ORIGIN, REQUESTS, copy_of, facts, steps, worlds

from onedr.model import Peer
from onedr.policy import failover, planned
from onedr.policy.plan import Facts, Kind, PeerVm, Request

WAITING = copy_of("one-1")


@given(worlds(), REQUESTS)
def test_a_planned_move_stops_every_vm_and_drains_every_disk_before_it_demotes_one(world: Facts, request_: Request) -> None:
    found = steps(failover.plan(world, request_))
    promoted = {target for kind, target in found if kind is Kind.PROMOTE}
    if not promoted or not planned.is_planned(world):
        assert not {kind for kind, _ in found} & {Kind.SYNC, Kind.STOP, Kind.DRAIN}
        return
    first_fence = [kind for kind, _ in found].index(Kind.FENCE)
    before = set(found[:first_fence])
    for vm in world.there or ():
        for name in vm.images & promoted:
            assert (Kind.STOP, str(vm.vm_id)) in before and (Kind.DRAIN, name) in before
            running = any(other.state in planned.RUNS and other.images & promoted for other in world.there or ())
            assert not running or (Kind.SYNC, name) in before


@given(worlds(), REQUESTS)
def test_a_planned_move_begins_only_when_everything_can_come(world: Facts, request_: Request) -> None:
    if not planned.is_planned(world) or any(found.primary for found in world.images):
        return
    plan = failover.plan(world, request_)
    assert not plan.steps or not plan.left_out
    moved = {target for kind, target in steps(plan) if kind is Kind.PROMOTE}
    known = {item.record.vm_id for item in plan.vms}
    stranded = [vm for vm in world.there or () if vm.images & moved and vm.state in planned.RUNS and vm.vm_id not in known]
    assert not stranded


def test_a_vm_at_the_peer_whose_record_has_not_arrived_keeps_everything_there() -> None:
    late = PeerVm(9, "new", "ACTIVE", "", frozenset({"one-1"}))
    plan = failover.plan(facts(WAITING, peer=Peer.ANSWERS, there=(late,)), Request())
    assert "new (9)" in plan.refusal and not plan.steps
    off = replace(late, state="POWEROFF")
    assert failover.plan(facts(WAITING, peer=Peer.ANSWERS, there=(off,)), Request()).steps


def test_only_vms_that_did_not_move_are_let_go() -> None:
    stays, moved, free = (
        PeerVm(1, "stays", "POWEROFF", "ACTIVE", frozenset({"one-1"})),
        PeerVm(2, "moved", "POWEROFF", "ACTIVE", frozenset({"one-2"})),
        PeerVm(3, "free", "ACTIVE", "", frozenset({"one-1"})),
    )
    assert planned.to_release((stays, moved, free), {"one-2"}) == [stays]


@pytest.mark.parametrize(("held", "state", "starts"), [
    ("ACTIVE", "POWEROFF", True), ("POWEROFF", "POWEROFF", False), ("", "ACTIVE", True),
])
def test_a_vm_stopped_by_the_move_starts_as_it_was_before(held: str, state: str, starts: bool) -> None:
    user = (("DR_HELD", held),) if held else ()
    plan = failover.plan(facts(copy_of("one-1", replace(ONE_DISK, state=state, user_template=user))), Request())
    assert ((Kind.START, ORIGIN) in steps(plan)) is starts
