"""VMs that come home take their disks back under their old ids; what cannot come as it is says why."""
from __future__ import annotations

from dataclasses import replace

import pytest
from samples import HERE, OUR_TERM, THERE, disk, envelope, image, image_record, vm_record
from worlds import MOVE, confirmed, copy_of, facts, steps

from onedr.failover import failback_plan
from onedr.failover import plan as failover_plan
from onedr.failover.facts import FailoverFacts
from onedr.model.records import VmRecord
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication import inventory
from onedr.runs.request import Request
from onedr.runs.steps import StepKind

AWAY = vm_record(
    vm_id=12, name="web", disks=(disk(0, "one/one-1"),), origin=f"{HERE}:7"
)
HOME = PeerVm(7, "web", "POWEROFF", "ACTIVE", frozenset({"one-1"}))
ORIGIN = f"{THERE}:12"


def coming(body: VmRecord = AWAY, home: PeerVm | None = HOME, **changes: object) -> FailoverFacts:
    local = {f"{HERE}:7": home} if home else {}
    there = (PeerVm(12, "web", "ACTIVE", "", frozenset({"one-1"})),)
    values = {"peer": PeerState.ANSWERS, "there": there, "local": local, **changes}
    return facts(copy_of("one-1", body, known=False), **values)


def test_a_vm_that_left_from_here_comes_back_as_itself() -> None:
    found = steps(failover_plan.plan_failover(coming(), MOVE))
    assert found[-4:] == [
        (StepKind.PROMOTE, "one-1"),
        (StepKind.TERM, "one-1"),
        (StepKind.RETURN, ORIGIN),
        (StepKind.START, ORIGIN),
    ]
    assert not {StepKind.CREATE, StepKind.REGISTER} & {kind for kind, _ in found}


def test_one_that_did_not_run_there_is_not_started() -> None:
    assert (StepKind.START, ORIGIN) not in steps(
        failover_plan.plan_failover(coming(replace(AWAY, state="POWEROFF")), MOVE)
    )


def test_a_vm_that_came_here_once_and_was_left_here_held_takes_its_disks_too() -> None:
    """Its record at the peer knows nothing of here: it was made there."""
    made_there = replace(AWAY, user_template=())
    local = {ORIGIN: replace(HOME, vm_id=3), f"{HERE}:3": replace(HOME, vm_id=3)}
    recovered = {ORIGIN: Recovered(3, "POWEROFF", False, True)}
    found = steps(
        failover_plan.plan_failover(coming(made_there, local=local, recovered=recovered), MOVE)
    )
    assert (StepKind.RETURN, ORIGIN) in found and (StepKind.CREATE, ORIGIN) not in found


def test_a_vm_at_home_that_has_its_disks_is_left_alone() -> None:
    home = {f"{HERE}:7": replace(HOME, locked_state="", state="ACTIVE")}
    taken = facts(copy_of("one-1", AWAY, known=False, primary=True, epoch=OUR_TERM), local=home)
    assert not failover_plan.plan_failover(taken, MOVE).steps


OURS = image("one-1", primary=True, epoch=OUR_TERM, vm=envelope(replace(AWAY, vm_id=7), fsid=HERE))


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_vm_whose_run_died_before_its_start_is_started_also_when_this_site_has_recorded_it_meanwhile(
    interrupted: bool,
) -> None:
    back = facts(OURS, local={f"{HERE}:7": HOME}, interrupted=interrupted)
    assert steps(failover_plan.plan_failover(back, MOVE)) == [(StepKind.START, f"{HERE}:7")]
    assert steps(failover_plan.plan_failover(back, replace(MOVE, vms=("web",)))) == [
        (StepKind.START, f"{HERE}:7")
    ]
    assert not failover_plan.plan_failover(back, replace(MOVE, start=False)).steps
    assert not failover_plan.plan_failover(back, replace(MOVE, vms=("other",))).steps


@pytest.mark.parametrize("home", [
    replace(HOME, locked=True), replace(HOME, locked_state=""), replace(HOME, state="HOLD"), replace(HOME, vm_id=8),
    replace(HOME, images=frozenset({"one-1", "one-2"})), replace(HOME, locked_state="POWEROFF"),
])
def test_a_vm_that_waits_for_something_else_is_not(home: PeerVm) -> None:
    assert not failover_plan.plan_failover(facts(OURS, local={f"{HERE}:7": home}), MOVE).steps


def test_an_interrupted_move_of_which_nothing_is_left_to_do_can_be_ended() -> None:
    home = {f"{HERE}:7": replace(HOME, locked_state="", state="ACTIVE")}
    plan = failover_plan.plan_failover(facts(OURS, local=home, interrupted=True), MOVE)
    assert (plan.refusal, plan.steps) == ("", ())


@pytest.mark.parametrize(("home", "reason"), [
    (replace(HOME, images=frozenset({"one-1", "one-2"}), state="HOLD"), "is HOLD: power it off"),
    (replace(HOME, locked_state="", state="ACTIVE"), "still runs on it here although the peer has taken it over"),
])
def test_one_that_cannot_come_as_it_is_keeps_everything_where_it_is(home: PeerVm, reason: str) -> None:
    plan = failover_plan.plan_failover(coming(home=home), MOVE)
    assert reason in plan.refusal and not plan.steps


def test_a_failback_wants_the_peer_alive() -> None:
    plan = failover_plan.plan_failover(
        coming(there=None, there_detail="no peer.endpoint"),
        Request("failback", confirm="ceph"),
    )
    assert "no peer.endpoint" in plan.refusal and "onedr failover" in plan.refusal and not plan.steps


def test_what_the_peer_made_of_an_image_of_ours_is_not_registered_here_again() -> None:
    taken = copy_of("one-1500000000", None, known=False)
    made = image_record(name="base", origin=f"{HERE}:0")
    ours = replace(taken, image=envelope(made))
    assert failback_plan.is_ours_there(ours, HERE) and not failback_plan.is_ours_there(taken, HERE)
    found = steps(failover_plan.plan_failover(facts(ours), confirmed()))
    assert (StepKind.PROMOTE, "one-1500000000") in found and (
        StepKind.REGISTER,
        "one-1500000000",
    ) not in found


def test_homes_are_found_by_where_a_vm_left_from_first() -> None:
    items = inventory.vms([copy_of("one-1", AWAY)], HERE)
    other = replace(HOME, vm_id=9)
    assert failback_plan.homes(items, {f"{HERE}:7": HOME, ORIGIN: other}) == {ORIGIN: HOME}
    assert failback_plan.homes(items, {ORIGIN: replace(other, locked_state="")}) == {}


def test_a_locked_vm_of_another_datastore_is_not_given_up() -> None:
    """Several datastores may share a pool: what became of its VMs is their own runs' business."""
    def locked(vm_id: int, *datastores: str) -> PeerVm:
        shown = tuple(("DISK", (("DISK_ID", "0"), ("DATASTORE", name))) for name in datastores)
        return PeerVm(vm_id, f"vm{vm_id}", "POWEROFF", "ACTIVE", frozenset({f"one-{vm_id}"}), template=shown)

    local = {f"{HERE}:{vm.vm_id}": vm for vm in (locked(1, "ceph"), locked(2, "other"), locked(3, "other", "ceph"), locked(4))}
    assert set(failback_plan.left_behind(local, [], [], "ceph")) == {1, 3, 4}


def test_a_vm_is_given_up_though_another_still_writes_to_a_disk_that_both_had() -> None:
    disks = tuple(("DISK", (("DISK_ID", str(n)), ("SOURCE", f"one/one-{n}"), ("SHAREABLE", "YES" if n == 5 else ""))) for n in (1, 5))
    gone = PeerVm(7, "web", "POWEROFF", "ACTIVE", frozenset({"one-1", "one-5"}), template=disks)
    there = PeerVm(12, "other", "ACTIVE", "", frozenset({"one-5"}))
    assert set(failback_plan.left_behind({f"{HERE}:7": gone}, [], [there], "ceph")) == {7}
    assert not failback_plan.left_behind({f"{HERE}:7": gone}, [], [replace(there, images=frozenset({"one-1"}))], "ceph")


def test_a_vm_with_a_cdrom_that_a_killed_run_brought_home_is_found_again() -> None:
    home = PeerVm(7, "web", "POWEROFF", "ACTIVE", frozenset({"one-1", "one-9"}))
    own = image("one-1", vm=envelope(vm_record(vm_id=7), fsid=HERE), primary=True)
    cdrom = replace(own, name="one-9", vm=None)
    assert set(failback_plan.taken_back({ORIGIN: home}, [own, cdrom], HERE)) == {f"{HERE}:7"}
    assert not failback_plan.taken_back({ORIGIN: home}, [own], HERE)
    assert not failback_plan.taken_back({ORIGIN: home}, [own, replace(cdrom, primary=False)], HERE)
