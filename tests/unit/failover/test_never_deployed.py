"""VMs that were never deployed, planned: they come, are locked where they were, and come home to their own objects."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from samples import HERE, THERE, disk, envelope, image, image_record, vm_record
from worlds import MOVE, confirmed, facts, steps

from onedr.drill import plan as drill_plan
from onedr.drill.plan import DrillFacts
from onedr.failover import failback_plan, placement, planned_move
from onedr.failover import plan as failover_plan
from onedr.failover.facts import FailoverFacts
from onedr.failover.placement import Placement
from onedr.model import template
from onedr.model.records import NOT_CLONED, NOT_COPIED, ImageFacts
from onedr.model.types import PeerState
from onedr.opennebula.nics import Counterparts, Network
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication import inventory
from onedr.runs.request import Request
from onedr.runs.steps import StepKind

ORIGIN = f"{THERE}:42"
AT_PEER = PeerVm(42, "web", "HOLD", "", frozenset({"one-7-42-0"}), frozenset({"one-7-42-0"}), bases=frozenset({"one-7"}))


def base(state: str = "HOLD", **changes: Any) -> ImageFacts:
    """The copy of a base with the record of a VM that will be made from it."""
    clone = disk(0, "one/one-7-42-0", clone=True, protected=False, reason=NOT_CLONED)
    text = (("CPU", "1"), ("MEMORY", "64"), ("DISK", (("DISK_ID", "0"), ("SIZE", "64"), ("ORIGINAL_SIZE", "32"))))
    body = vm_record(state=state, disks=(clone,), template=text, **changes)
    return image("one-7", image=envelope(image_record(persistent=False)), readers=(envelope(body),))


def world(state: str = "HOLD", **changes: Any) -> FailoverFacts:
    values = {"peer": PeerState.ANSWERS, "there": (replace(AT_PEER, state=state),), **changes}
    return facts(base(state), **values)


@pytest.mark.parametrize(("state", "starts"), [("HOLD", False), ("PENDING", True)])
def test_it_moves_with_its_base_and_is_locked_there_first(state: str, starts: bool) -> None:
    found = steps(failover_plan.plan_failover(world(state), MOVE))
    kinds = [kind for kind, _ in found]
    assert (StepKind.STOP, "42") in found and (StepKind.CREATE, ORIGIN) in found
    assert kinds.index(StepKind.STOP) < kinds.index(StepKind.FENCE) < kinds.index(StepKind.PROMOTE)
    assert kinds.index(StepKind.REGISTER) < kinds.index(StepKind.CREATE)
    assert ((StepKind.START, ORIGIN) in found) is starts


def test_in_a_failover_it_comes_too_and_loses_nothing() -> None:
    plan = failover_plan.plan_failover(facts(base()), confirmed())
    assert (StepKind.CREATE, ORIGIN) in steps(plan) and not plan.left_out


def test_in_a_failover_one_whose_image_is_still_being_copied_is_left_out_and_says_so() -> None:
    copying = disk(0, "one/one-7", protected=False, reason=NOT_COPIED)
    body = vm_record(state="CLONING", disks=(copying,))
    found = image("one-7", image=envelope(image_record(persistent=False)), readers=(envelope(body),))
    plan = failover_plan.plan_failover(facts(found), confirmed())
    assert "its image is still being copied" in plan.left_out[ORIGIN] and not plan.refusal


def test_one_that_does_not_come_is_not_locked_for_its_base() -> None:
    """Its disk can be made from what is left there."""
    other = vm_record(vm_id=9, name="other", disks=(disk(0, "one/one-7-9-0"),))
    clone = image("one-7-9-0", parent="one-7", vm=envelope(other))
    there = (AT_PEER, PeerVm(9, "other", "ACTIVE", "", frozenset({"one-7-9-0"})))
    known = facts(base(), clone, peer=PeerState.ANSWERS, there=there)
    found = steps(failover_plan.plan_failover(known, replace(MOVE, vms=("other",))))
    assert (StepKind.STOP, "9") in found and (StepKind.STOP, "42") not in found


def test_a_rollback_lets_it_go_and_a_finished_move_does_not() -> None:
    locked = replace(AT_PEER, locked_state="HOLD")
    assert planned_move.to_release((locked,), {"one-7"}, {"one-7"}) == []
    assert planned_move.to_release((locked,), {"one-7", "one-8"}, {"one-8"}) == [locked]


def test_a_disk_that_is_larger_than_its_base_is_asked_for_as_large() -> None:
    (item,) = inventory.vms([base()], HERE)
    (made,) = template.vectors(placement.preview(item, Counterparts()).template, "DISK")
    assert template.get(made, "SIZE") == "64"


HOME = PeerVm(5, "web", "HOLD", "PENDING", frozenset({"one-3-5-0"}), frozenset({"one-3-5-0"}), bases=frozenset({"one-3"}))


def back(**changes: Any) -> ImageFacts:
    """The base as the peer took it over, with the record of its VM there."""
    clone = disk(0, "one/one-500000003-12-0", clone=True, protected=False, reason=NOT_CLONED)
    body = vm_record(vm_id=12, state="PENDING", disks=(clone,), origin=f"{HERE}:5")
    own = envelope(image_record(persistent=False, origin=f"{HERE}:3", stands_for="one-3"))
    return image("one-500000003", image=own, readers=(envelope(body),), **changes)


def test_it_comes_home_to_the_object_it_left() -> None:
    (item,) = inventory.vms([back()], HERE)
    local = {f"{HERE}:5": HOME}
    images = {"one-500000003": back()}
    assert failback_plan.homes([item], local) == {item.origin: HOME}
    changes = failback_plan.disks(item, HOME, images, HERE)
    assert not changes.plug and not changes.unplug and failback_plan.obstacle(item, HOME, images, HERE) == ""
    there = PeerVm(12, "web", "PENDING", "", frozenset({"one-500000003-12-0"}), bases=frozenset({"one-500000003"}))
    found = steps(failover_plan.plan_failover(facts(back(), peer=PeerState.ANSWERS, there=(there,), local=local), MOVE))
    assert {(StepKind.RETURN, item.origin), (StepKind.START, item.origin), (StepKind.STOP, "12")} <= set(found)
    assert (StepKind.CREATE, item.origin) not in found


def test_one_that_only_reads_a_cdrom_comes_home_to_the_object_it_left() -> None:
    """The other site took the CDROM over under a name of its own."""
    body = vm_record(vm_id=12, state="HOLD", disks=(disk(0, "one/one-500000003", shared=True),), origin=f"{HERE}:5")
    taken = replace(back(), readers=(envelope(body),))
    (item,) = inventory.vms([taken], HERE)
    home = PeerVm(5, "web", "HOLD", "HOLD", frozenset({"one-3"}))
    assert failback_plan.homes([item], {f"{HERE}:5": home}) == {item.origin: home}
    changes = failback_plan.disks(item, home, {taken.name: taken}, HERE)
    assert not changes.plug and not changes.unplug
    assert failback_plan.homes([item], {f"{HERE}:5": replace(home, images=frozenset({"one-4"}))}) == {}


def test_one_that_only_reads_a_cdrom_finds_the_object_that_it_had_where_it_was_taken_over_before() -> None:
    body = vm_record(state="HOLD", disks=(disk(0, "one/one-3", shared=True),))
    cdrom = image("one-3", image=envelope(image_record(persistent=False)), readers=(envelope(body),))
    taken = envelope(image_record(persistent=False, origin=f"{THERE}:3", stands_for="one-3"), fsid=HERE)
    images = {"one-3": cdrom, "one-500000003": image("one-500000003", image=taken)}
    (item,) = inventory.vms([cdrom], HERE)
    home = PeerVm(5, "web", "HOLD", "HOLD", frozenset({"one-500000003"}), locked=True)
    assert failback_plan.homes([item], {item.origin: home}) == {item.origin: home}
    changes = failback_plan.disks(item, home, images, HERE)
    assert not changes.plug and not changes.unplug and failback_plan.obstacle(item, home, images, HERE) == ""


def test_once_started_there_it_comes_home_as_a_new_vm_and_the_old_object_is_named() -> None:
    body = vm_record(vm_id=12, disks=(disk(0, "one/one-500000003-12-0", clone=True),), origin=f"{HERE}:5")
    clone = image("one-500000003-12-0", parent="one-500000003", vm=envelope(body))
    there = PeerVm(12, "web", "ACTIVE", "", frozenset({clone.name}))
    known = facts(replace(back(), readers=()), clone, peer=PeerState.ANSWERS, there=(there,), local={f"{HERE}:5": HOME})
    found = steps(failover_plan.plan_failover(known, MOVE))
    assert (StepKind.CREATE, f"{THERE}:12") in found and (StepKind.RETURN, f"{HERE}:5") in found


def test_once_deployed_where_it_is_at_home_a_failover_brings_it_as_a_new_vm() -> None:
    """It was here before, on hold, and its disk here was never made."""
    clone = image("one-7-42-0", vm=envelope(vm_record(disks=(disk(0, "one/one-7-42-0", clone=True),))))
    (item,) = inventory.vms((clone,), HERE)
    waiting = frozenset({"one-500000007-4-0"})
    was = PeerVm(4, "web", "HOLD", "HOLD", waiting, waiting, True, frozenset({"one-500000007"}))
    local, made = {ORIGIN: was, f"{HERE}:4": was}, {ORIGIN: Recovered(4, "HOLD", False, True)}
    assert failback_plan.known_here([item], local, made) == ({f"{HERE}:4": was}, {})
    deployed = replace(was, state="POWEROFF", images=frozenset({"one-7-42-0"}), bases=frozenset())
    assert failback_plan.known_here([item], {ORIGIN: deployed}, made) == ({ORIGIN: deployed}, made)
    (waits,) = inventory.vms((base(),), HERE)
    assert failback_plan.known_here([waits], {ORIGIN: was}, made) == ({ORIGIN: was}, made), "its base has another name here"


def test_a_clone_whose_record_has_not_arrived_names_the_vm_by_its_disk() -> None:
    """The record of a VM comes at the end of its disk's first copy, and left the base when the disk was made."""
    found = image("one-7-42-0", complete=False)
    plan = failover_plan.plan_failover(facts(found, replace(base(), readers=())), confirmed())
    assert "(it is disk 0 of VM 42 at the other site)" in plan.left_out["one-7-42-0"]


def test_a_vm_of_another_base_is_another_vm() -> None:
    (item,) = inventory.vms([back()], HERE)
    other = replace(HOME, images=frozenset({"one-4-5-0"}), clones=frozenset({"one-4-5-0"}), bases=frozenset({"one-4"}))
    assert failback_plan.homes([item], {f"{HERE}:5": other}) == {}


def test_a_drill_leaves_it_out_with_the_reason() -> None:
    drill = DrillFacts(
        "ceph", HERE, True, (base(),), PeerState.ANSWERS, "", True, "drills",
        Placement(Counterparts({"drills": Network(1, "drills")})),
    )
    plan = drill_plan.plan_drill(drill, Request("drill"))
    assert "never deployed" in plan.left_out[ORIGIN]


def test_a_record_that_cannot_be_read_is_said() -> None:
    damaged = replace(base(), readers=(), bad_readers=("record onedr.reader.x.42 is damaged",))
    plan = failover_plan.plan_failover(facts(damaged), confirmed())
    assert "damaged" in plan.left_out["a VM that is read through one-7"]
