"""Which VMs a rehearsal creates: each of the standby's once, and never from a record in doubt."""
from __future__ import annotations

from typing import Any

from hypothesis import given
from samples import HERE, THERE, envelope, image, vm_record
from worlds import ONE_DISK, ORIGIN, copy_of, worlds

from onedr.failover import failback_plan, start_order
from onedr.failover.facts import FailoverFacts
from onedr.failover.placement import Placement
from onedr.model.rehearsed import Result
from onedr.opennebula.nics import Counterparts, Network, Range
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.rehearsal.plan import RehearsalFacts, plan_rehearsal
from onedr.replication import inventory

LAN = Network(1, "lan", (Range("192.0.2.10", "", 10),))


def facts(*images: Any, **changes: Any) -> RehearsalFacts:
    return RehearsalFacts(HERE, images, **changes)


def of_world(world: FailoverFacts) -> RehearsalFacts:
    return RehearsalFacts(world.here, world.images, world.ground, world.local, world.recovered)


@given(worlds())
def test_every_vm_that_stands_by_is_created_or_settled_once(world: FailoverFacts) -> None:
    plan = plan_rehearsal(of_world(world), 9.0)
    standing = {item.origin for item in inventory.standing_by(world.images, world.here)}
    created = [item.origin for item in plan.create]
    assert plan.origins == standing and len(created) == len(set(created))
    assert not set(created) & plan.settled.keys()


@given(worlds())
def test_nothing_is_created_that_is_blocked_in_doubt_primary_or_here_already(world: FailoverFacts) -> None:
    plan = plan_rehearsal(of_world(world), 9.0)
    homes = failback_plan.homes(plan.create, world.local)
    for item in plan.create:
        assert not item.blockers and not item.envelope.doubt
        assert all(not copy.primary for copy in item.images)
        assert item.origin not in world.recovered and item.origin not in homes


@given(worlds())
def test_they_come_in_the_order_of_a_failover(world: FailoverFacts) -> None:
    created = plan_rehearsal(of_world(world), 9.0).create
    assert list(created) == start_order.by_priority(created)


def test_a_vm_with_a_home_here_returns_and_one_that_was_recovered_too() -> None:
    home = PeerVm(5, "web", "POWEROFF", "ACTIVE", frozenset({"one-1"}))
    for more in ({"local": {ORIGIN: home}}, {"recovered": {ORIGIN: Recovered(5, "HOLD", True, True)}}):
        plan = plan_rehearsal(facts(copy_of("one-1"), **more), 9.0)
        assert plan.create == () and plan.settled[ORIGIN].result is Result.RETURNS
        assert "VM 5" in plan.settled[ORIGIN].why


def test_what_a_failover_would_leave_out_is_refused_in_its_words() -> None:
    nic = ("NIC", (("NETWORK", "lan"), ("IP", "192.0.2.12")))
    body = vm_record(disks=ONE_DISK.disks, template=(("CPU", "1"), ("MEMORY", "512"), nic))
    taken = Placement(Counterparts({"lan": LAN}), {(1, "192.0.2.12"): "VM 7"})
    plan = plan_rehearsal(facts(copy_of("one-1", body), ground=taken), 9.0)
    assert plan.settled[ORIGIN].result is Result.REFUSED and "belongs to VM 7" in plan.settled[ORIGIN].why
    free = Placement(Counterparts({"lan": LAN}))
    assert [item.origin for item in plan_rehearsal(facts(copy_of("one-1", body), ground=free), 9.0).create] == [ORIGIN]


def test_a_copy_that_is_not_complete_is_no_refusal_of_oneds() -> None:
    plan = plan_rehearsal(facts(copy_of("one-1", complete=False)), 9.0)
    assert plan.settled[ORIGIN].result is Result.NOT_TRIED and "never completed" in plan.settled[ORIGIN].why


def test_what_this_site_writes_is_not_rehearsed() -> None:
    own = image("one-1", primary=True, vm=envelope(ONE_DISK, fsid=THERE))
    assert plan_rehearsal(facts(own), 9.0).origins == frozenset()
