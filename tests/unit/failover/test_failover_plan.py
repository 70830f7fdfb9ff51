"""Failover decided: refusals row by row, and what must hold for every plan whatever the facts are."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from samples import HERE, OUR_TERM, THERE, disk, envelope, image, image_record, vm_record
from worlds import (
    MOVE,
    ONE_DISK,
    ORIGIN,
    REQUESTS,
    WORLDS,
    confirmed,
    copy_of,
    executed,
    facts,
    lasting,
    steps,
)

from onedr.failover import failback_plan, fence_plan
from onedr.failover import plan as failover_plan
from onedr.failover.facts import FailoverFacts, Fence, RunPlan
from onedr.model.records import Proof
from onedr.model.types import PeerState
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.runs.request import Request
from onedr.runs.steps import StepKind

WAITING = copy_of("one-1")
VM_THERE = PeerVm(42, "web", "ACTIVE", "", frozenset({"one-1"}))
TAKEN = copy_of("one-1", primary=True, complete=False, epoch=OUR_TERM)


@pytest.mark.parametrize(
    ("given_facts", "request_", "reason"),
    [
        (facts(WAITING, protected=False), Request("failover"), "DR_PROTECT=YES is missing"),
        (facts(WAITING), Request("failover", confirm="other"), "type ceph"),
        (facts(WAITING, peer=PeerState.ANSWERS), Request("failover", confirm="Ceph"), "type ceph"),
        (facts(), Request("failover"), "Nothing to take over in ceph"),
        (
            facts(image("one-1", mode=None, primary=True)),
            Request("failover"),
            "Nothing to take over in ceph",
        ),
        (
            facts(image("one-1", primary=True, vm=envelope(ONE_DISK, fsid=HERE))),
            Request("failover"),
            "Nothing to take over in ceph",
        ),
        (facts(WAITING), Request("failover", vms=("db",)), "No record of VM db"),
        (facts(WAITING), Request("failover"), "must be confirmed"),
        (facts(WAITING, peer=PeerState.ANSWERS), Request("failover"), "must be confirmed"),
        (
            facts(WAITING, peer=PeerState.ANSWERS, can_fence=False),
            Request("failover", confirm="ceph"),
            "cannot be fenced",
        ),
        (facts(WAITING, peer=PeerState.UNKNOWN), Request("failover"), "must be confirmed"),
        (facts(WAITING, peer=PeerState.UNKNOWN), Request("failover", vms=("web",)), "must be confirmed"),
        (facts(WAITING), Request("move", confirm="ceph"), "without loss is not possible"),
        (
            facts(
                TAKEN,
                registered=frozenset({"one-1"}),
                recovered={ORIGIN: Recovered(5, "ACTIVE", False, True)},
            ),
            Request("failover"),
            "nothing left to do",
        ),
        (
            facts(recovered={ORIGIN: Recovered(5, "ACTIVE", False, True)}),
            Request("failover"),
            "nothing left to do",
        ),
    ],
)
def test_it_is_refused_with_the_reason_and_without_steps(
    given_facts: FailoverFacts, request_: Request, reason: str
) -> None:
    plan = failover_plan.plan_failover(given_facts, request_)
    assert reason in plan.refusal
    assert plan.steps == ()


def test_a_run_that_died_after_its_last_step_is_ended_by_another_without_steps() -> None:
    plan = failover_plan.plan_failover(
        facts(recovered={ORIGIN: Recovered(5, "ACTIVE", False, True)}, interrupted=True), confirmed()
    )
    assert (plan.refusal, plan.steps) == ("", ())


def test_a_refusal_still_shows_the_vms_it_is_about() -> None:
    plan = failover_plan.plan_failover(facts(WAITING, peer=PeerState.UNKNOWN), confirmed())
    assert [item.record.name for item in plan.vms] == ["web"]


@pytest.mark.parametrize(
    ("peer", "first"),
    [
        (PeerState.GONE, (StepKind.CUT, "ceph")),
        (PeerState.UNKNOWN, (StepKind.CUT, "ceph")),
        (PeerState.ANSWERS, (StepKind.FENCE, "one-1")),
    ],
)
def test_a_vm_comes_back_in_the_one_safe_order(peer: PeerState, first: tuple[StepKind, str]) -> None:
    plan = failover_plan.plan_failover(facts(WAITING, peer=peer), Request("failover", confirm="ceph"))
    assert steps(plan) == [
        first, (StepKind.PROMOTE, "one-1"), (StepKind.TERM, "one-1"), (StepKind.REGISTER, "one-1"),
        (StepKind.CREATE, ORIGIN), (StepKind.START, ORIGIN),
    ]
    assert plan.left_out == {}
    assert all(step.limit_s > 0 and step.text for step in plan.steps)


def test_an_image_of_this_site_that_was_promoted_here_without_a_term_gets_one() -> None:
    """Its record is ours, its term is of the peer's time: a run died between the two."""
    ours = image(
        "one-2",
        primary=True,
        image=envelope(image_record(name="base"), fsid=HERE),
        epoch=replace(OUR_TERM, fsid=THERE),
    )
    plan = failover_plan.plan_failover(facts(WAITING, ours), confirmed())
    assert (StepKind.TERM, "one-2") in steps(plan)
    assert (StepKind.TERM, "one-2") not in steps(
        failover_plan.plan_failover(facts(WAITING, replace(ours, epoch=OUR_TERM)), confirmed())
    )
    assert steps(failover_plan.plan_failover(facts(ours, interrupted=True), confirmed())) == [
        (StepKind.TERM, "one-2")
    ]


def test_when_everything_is_promoted_the_peer_is_not_asked_about_any_more() -> None:
    for peer in PeerState:
        plan = failover_plan.plan_failover(facts(TAKEN, peer=peer, can_fence=False), confirmed())
        assert steps(plan) == [
            (StepKind.REGISTER, "one-1"),
            (StepKind.CREATE, ORIGIN),
            (StepKind.START, ORIGIN),
        ]


def test_a_copy_that_never_completed_is_left_out_and_the_others_are_not() -> None:
    other = vm_record(vm_id=7, name="db", disks=(disk(0, "one/one-2"),))
    plan = failover_plan.plan_failover(
        facts(copy_of("one-1", complete=False), copy_of("one-2", other)), confirmed()
    )
    assert {target for _, target in steps(plan)} == {"ceph", "one-2", f"{THERE}:7"}
    assert "never completed" in plan.left_out["one-1"]
    assert "never completed" in plan.left_out[ORIGIN]


def test_confirmation_does_not_make_an_incomplete_copy_promotable() -> None:
    for peer in PeerState:
        plan = failover_plan.plan_failover(
            facts(copy_of("one-1", complete=False), peer=peer), Request("failover", confirm="ceph")
        )
        assert plan.steps == ()
        assert "one-1" in plan.left_out


def test_a_clone_over_an_incomplete_parent_is_left_out_with_its_vm() -> None:
    """The clone's own copy is complete, and its data is not: it is read through the parent."""
    grandparent = copy_of("one-8", None, complete=False)
    parent = copy_of("one-9", None, parent="one-8")
    clone = copy_of("one-1", parent="one-9", known=False)
    plan = failover_plan.plan_failover(facts(clone, parent, grandparent), confirmed())
    assert plan.steps == ()
    assert set(plan.left_out) == {"one-1", "one-9", "one-8", ORIGIN}
    assert "one-9" in plan.left_out[ORIGIN]


def test_the_parent_of_a_chosen_vms_clone_is_promoted_too() -> None:
    images = (copy_of("one-1", parent="one-9", known=False), copy_of("one-9", None))
    plan = failover_plan.plan_failover(facts(*images), confirmed(vms=("web",)))
    assert (StepKind.PROMOTE, "one-9") in steps(plan)


def test_parents_in_a_circle_do_not_hang_it() -> None:
    plan = failover_plan.plan_failover(
        facts(copy_of("one-1", parent="one-2"), copy_of("one-2", None, parent="one-1")), confirmed()
    )
    assert (StepKind.PROMOTE, "one-2") in steps(plan)


def test_only_the_chosen_vms_are_touched_by_name_or_id() -> None:
    db = vm_record(vm_id=7, name="db", disks=(disk(0, "one/one-2"),))
    for chosen in ("db", "7"):
        plan = failover_plan.plan_failover(
            facts(copy_of("one-1"), copy_of("one-2", db)), confirmed(vms=(chosen,))
        )
        assert {target for _, target in steps(plan)} == {"ceph", "one-2", f"{THERE}:7"}


def test_a_chosen_vm_that_is_not_there_is_named_and_the_others_come_back() -> None:
    plan = failover_plan.plan_failover(facts(WAITING), confirmed(vms=("web", "wbe")))
    assert (StepKind.START, ORIGIN) in steps(plan)
    assert plan.left_out == {"wbe": "no record of this VM has arrived here"}


def test_images_without_a_vm_are_promoted_and_registered_too() -> None:
    plan = failover_plan.plan_failover(facts(copy_of("one-1", None)), confirmed())
    assert steps(plan) == [
        (StepKind.CUT, "ceph"),
        (StepKind.PROMOTE, "one-1"),
        (StepKind.TERM, "one-1"),
        (StepKind.REGISTER, "one-1"),
    ]


def test_a_vms_clone_that_was_no_image_there_is_registered_as_its_disk() -> None:
    plan = failover_plan.plan_failover(facts(copy_of("one-1", known=False)), confirmed())
    assert (StepKind.REGISTER, "one-1") in steps(plan)


@pytest.mark.parametrize(
    ("state", "user_template", "start", "starts"),
    [
        ("ACTIVE", (), True, True),
        ("PENDING", (), True, True),
        ("POWEROFF", (), True, False),
        ("HOLD", (), True, False),
        ("SUSPENDED", (), True, False),
        ("UNDEPLOYED", (), True, False),
        ("ACTIVE", (("DR_START", "no"),), True, False),
        ("ACTIVE", (("DR_START", "YES"),), True, True),
        ("ACTIVE", (), False, False),
    ],
)
def test_a_vm_starts_here_if_it_ran_there_and_nobody_said_no(
    state: str, user_template: Any, start: bool, starts: bool
) -> None:
    body = replace(ONE_DISK, state=state, user_template=user_template)
    plan = failover_plan.plan_failover(facts(copy_of("one-1", body)), confirmed(start=start))
    assert (StepKind.CREATE, ORIGIN) in steps(plan)
    assert ((StepKind.START, ORIGIN) in steps(plan)) is starts


def test_vms_start_by_priority_then_by_name() -> None:
    wanted = [("z", "1"), ("b", "2"), ("a", ""), ("c", "3"), ("d", "many"), ("e", "0"), ("aa", "5")]
    images = [
        copy_of(f"one-{n}", vm_record(
            vm_id=n, name=name, disks=(disk(0, f"one/one-{n}"),), user_template=(("DR_PRIORITY", priority),)
        ))
        for n, (name, priority) in enumerate(wanted)
    ]
    plan = failover_plan.plan_failover(facts(*images[::-1]), confirmed())
    names = {f"{THERE}:{n}": name for n, (name, _) in enumerate(wanted)}
    started = [names[target] for kind, target in steps(plan) if kind is StepKind.START]
    assert started == ["z", "b", "a", "c", "d", "e", "aa"]


HALF = {ORIGIN: Recovered(5, "HOLD", start_pending=True, finished=False)}
HELD = {ORIGIN: Recovered(5, "HOLD", start_pending=True, finished=True)}


@pytest.mark.parametrize(("recovered", "request_", "expected"), [
    (HALF, confirmed(), [StepKind.CREATE, StepKind.START]),
    (HALF, confirmed(start=False), [StepKind.CREATE]),
    (HELD, confirmed(), [StepKind.START]),
    (HELD, confirmed(vms=("web",)), [StepKind.START]),
    (HELD, confirmed(start=False), []),
])
def test_what_an_interrupted_run_left_on_hold_is_finished(
    recovered: dict[str, Recovered], request_: Request, expected: list[StepKind]
) -> None:
    plan = failover_plan.plan_failover(
        facts(TAKEN, registered=frozenset({"one-1"}), recovered=recovered), request_
    )
    assert [(step.kind, step.target) for step in plan.steps] == [(kind, ORIGIN) for kind in expected]


def test_a_vm_left_on_hold_is_not_started_when_another_was_chosen() -> None:
    db = vm_record(vm_id=7, name="db", disks=(disk(0, "one/one-2"),))
    plan = failover_plan.plan_failover(
        facts(TAKEN, copy_of("one-2", db), recovered=HELD), confirmed(vms=("db",))
    )
    assert ORIGIN not in {target for _, target in steps(plan)}


def test_a_vm_left_on_hold_is_not_started_on_a_disk_that_cannot_be_trusted() -> None:
    plan = failover_plan.plan_failover(
        facts(copy_of("one-1", complete=False), recovered=HELD), confirmed()
    )
    assert plan.steps == ()
    assert ORIGIN in plan.left_out


@given(WORLDS, REQUESTS)
def test_an_image_that_is_not_complete_is_never_promoted(
    world: FailoverFacts, request_: Request
) -> None:
    complete = {
        found.name
        for found in world.images
        if found.complete and not found.primary and found.mode is not None
    }
    plan = failover_plan.plan_failover(world, request_)
    assert {target for kind, target in steps(plan) if kind is StepKind.PROMOTE} <= complete


@given(WORLDS, REQUESTS)
def test_nothing_is_promoted_under_a_vm_that_still_runs_on_it(
    world: FailoverFacts, request_: Request
) -> None:
    running = {name for vm in world.local.values() if vm.state == "ACTIVE" for name in vm.images}
    assert (
        not {
            target
            for kind, target in steps(failover_plan.plan_failover(world, request_))
            if kind is StepKind.PROMOTE
        }
        & running
    )


@given(WORLDS, REQUESTS)
def test_nothing_is_promoted_over_a_parent_that_stays_behind(
    world: FailoverFacts, request_: Request
) -> None:
    images = {found.name: found for found in world.images}
    promoted = {
        target
        for kind, target in steps(failover_plan.plan_failover(world, request_))
        if kind is StepKind.PROMOTE
    }
    for name in promoted:
        parent = images.get(images[name].parent or "")
        assert parent is None or parent.primary or parent.name in promoted


@given(WORLDS, REQUESTS)
def test_a_peer_that_answers_is_fenced_image_by_image_before_each_promotion(
    world: FailoverFacts, request_: Request
) -> None:
    world = replace(world, peer=PeerState.ANSWERS, can_fence=True)
    found = steps(failover_plan.plan_failover(world, request_))
    for at, (kind, target) in enumerate(found):
        if kind is StepKind.PROMOTE:
            assert (StepKind.FENCE, target) in found[:at]
    assert (StepKind.CUT, "ceph") not in found


@given(WORLDS, REQUESTS, st.sampled_from(PeerState))
def test_without_confirmation_a_failover_takes_nothing(
    world: FailoverFacts, request_: Request, peer: PeerState
) -> None:
    unconfirmed = replace(request_, verb="failover", confirm="")
    plan = failover_plan.plan_failover(replace(world, peer=peer), unconfirmed)
    assert StepKind.PROMOTE not in {kind for kind, _ in steps(plan)}
    if any(not found.primary and found.mode is not None for found in world.images):
        assert plan.steps == ()


@given(WORLDS, REQUESTS)
def test_without_the_peer_the_line_is_cut_before_the_first_promotion(
    world: FailoverFacts, request_: Request
) -> None:
    found = steps(failover_plan.plan_failover(replace(world, peer=PeerState.GONE), request_))
    kinds = [kind for kind, _ in found]
    assert StepKind.FENCE not in kinds
    assert kinds.count(StepKind.CUT) == (StepKind.PROMOTE in kinds)
    assert StepKind.PROMOTE not in kinds[: kinds.index(StepKind.CUT)] if StepKind.CUT in kinds else True


@given(WORLDS, REQUESTS, st.sampled_from(PeerState))
def test_what_runs_at_the_peer_is_fenced_before_anything_is_promoted(
    world: FailoverFacts, request_: Request, peer: PeerState
) -> None:
    """A refused connection is no evidence: a front-end that shows a VM on these disks is believed."""
    world = replace(world, peer=peer)
    plan = failover_plan.plan_failover(world, request_)
    found = steps(plan)
    promoted = {target for kind, target in found if kind is StepKind.PROMOTE}
    for vm in world.there or ():
        if vm.images & promoted and vm.state in fence_plan.RUNS:
            before = found[: next(at for at, (kind, _) in enumerate(found) if kind is StepKind.PROMOTE)]
            demoted = all((StepKind.FENCE, name) in before for name in vm.images & promoted)
            assert demoted or (StepKind.STOP, str(vm.vm_id)) in before


@given(WORLDS, REQUESTS)
def test_a_move_is_lossless_or_nothing(world: FailoverFacts, request_: Request) -> None:
    plan = failover_plan.plan_failover(world, replace(request_, verb="move"))
    found = steps(plan)
    assert StepKind.CUT not in {kind for kind, _ in found}
    if StepKind.PROMOTE in {kind for kind, _ in found}:
        assert fence_plan.can_move(world) and plan.fence is Fence.DEMOTE


FENCES = [
    (facts(WAITING, peer=PeerState.ANSWERS), Fence.DEMOTE, StepKind.FENCE),
    (facts(WAITING, fence_command=("/bin/fence", "a")), Fence.COMMAND, StepKind.FENCE_SITE),
    (facts(WAITING, there=(VM_THERE,)), Fence.VMS, StepKind.STOP),
    (facts(WAITING, peer=PeerState.ANSWERS, can_fence=False, there=(VM_THERE,)), Fence.VMS, StepKind.STOP),
    (facts(WAITING), Fence.NONE, StepKind.CUT),
]


@pytest.mark.parametrize(("world", "fence", "kind"), FENCES)
def test_the_best_fence_there_is_is_in_the_plan(world: FailoverFacts, fence: Fence, kind: StepKind) -> None:
    plan = failover_plan.plan_failover(world, confirmed())
    assert plan.fence is fence and kind in {step.kind for step in plan.steps}


@pytest.mark.parametrize("confirm", [True, False])
def test_a_file_that_does_not_tell_whether_there_is_a_fence_command_stops_the_failover(confirm: bool) -> None:
    world = facts(WAITING, fence_unknown="onedr.conf: section [fenc] is unknown.")
    plan = failover_plan.plan_failover(world, confirmed() if confirm else Request("failover"))
    assert "[fenc] is unknown" in plan.refusal and "--skip-fence-command" in plan.refusal and not plan.steps
    without = confirmed(attributes=(("FENCE_COMMAND", "NO"),))
    assert failover_plan.plan_failover(world, without).steps


def test_a_peer_that_can_be_demoted_needs_no_fence_command() -> None:
    world = facts(WAITING, peer=PeerState.ANSWERS, can_fence=True, fence_unknown="onedr.conf: unreadable.")
    assert failover_plan.plan_failover(world, confirmed()).fence is Fence.DEMOTE


def test_a_fence_command_that_cannot_work_can_be_left_out() -> None:
    world = facts(WAITING, fence_command=("/bin/fence",))
    assert failover_plan.plan_failover(world, confirmed(attributes=(("FENCE_COMMAND", "NO"),))).fence is Fence.NONE


def test_the_refusal_tells_what_is_seen_of_the_peer() -> None:
    world = facts(WAITING, there=(VM_THERE,), osds="2 of the 3 OSDs last seen there answer")
    refusal = failover_plan.plan_failover(world, Request("failover")).refusal
    for words in ("it refuses", "2 of the 3 OSDs", "shows web (42) running on these disks"):
        assert words in refusal


@pytest.mark.parametrize(("trigger", "told"), [
    ("onedr", "onedr failover ceph --confirm ceph"), ("driver", "onedr failover ceph --confirm ceph"),
    ("DR_ACTION", "set DR_ACTION=FAILOVER and DR_CONFIRM=ceph in one update."),
])
def test_what_confirms_is_said_as_it_was_asked_for(trigger: str, told: str) -> None:
    refusal = failover_plan.plan_failover(facts(WAITING), Request("failover", trigger=trigger)).refusal
    assert refusal.endswith(f"To continue: {told}")


def test_a_confirmation_is_good_for_the_plan_that_was_shown_only() -> None:
    world = facts(WAITING)
    shown = failover_plan.plan_failover(world, confirmed()).digest
    good = Request("failover", confirm=f"ceph:{shown}")
    assert not failover_plan.plan_failover(world, good).refusal
    later = replace(WAITING, recovery_point=950.0)  # grows by itself
    assert not failover_plan.plan_failover(facts(later), good).refusal
    for changed in (
        facts(WAITING, peer=PeerState.ANSWERS), facts(WAITING, there=(VM_THERE,)),
        facts(WAITING, copy_of("one-2", None)), facts(WAITING, fence_command=("/bin/fence",)),
    ):
        plan = failover_plan.plan_failover(changed, good)
        assert "not the one that was shown" in plan.refusal and plan.digest in plan.refusal


def test_a_confirmation_is_good_for_the_verb_that_was_shown_only() -> None:
    """Where no VM runs at the peer, a move and a failover have the same steps, and do not end the same."""
    idle = facts(WAITING, peer=PeerState.ANSWERS, there=())
    shown = failover_plan.plan_failover(idle, MOVE)
    as_failover = Request("failover", confirm=f"ceph:{shown.digest}")
    assert shown.steps and not shown.refusal
    assert "not the one that was shown" in failover_plan.plan_failover(idle, as_failover).refusal


def test_a_move_confirmed_while_the_peers_front_end_answered_does_not_become_a_failover() -> None:
    alive = facts(WAITING, peer=PeerState.ANSWERS, there=(VM_THERE,))
    shown = failover_plan.plan_failover(alive, MOVE)
    assert shown.steps
    confirmed_move = replace(MOVE, confirm=f"ceph:{shown.digest}")
    plan = failover_plan.plan_failover(replace(alive, there=None, there_detail="stopped"), confirmed_move)
    assert not plan.steps
    assert "not the one that was shown" in plan.refusal and "without loss is not possible" in plan.refusal


@given(WORLDS, REQUESTS, WORLDS)
def test_a_digest_of_other_facts_confirms_nothing(
    world: FailoverFacts, request_: Request, other: FailoverFacts
) -> None:
    shown = failover_plan.plan_failover(other, replace(request_, confirm="ceph"))
    plan = failover_plan.plan_failover(world, replace(request_, confirm=f"ceph:{shown.digest}"))
    assert plan.refusal or plan.digest == shown.digest


@given(WORLDS, REQUESTS)
def test_a_vm_is_created_and_started_only_on_disks_that_are_promoted_and_registered(
    world: FailoverFacts, request_: Request
) -> None:
    plan = failover_plan.plan_failover(world, request_)
    items = {item.origin: item for item in plan.vms}
    images = {found.name: found for found in world.images}
    homes = failback_plan.homes(plan.vms, world.local)
    at_home = {origin: home.images for origin, home in homes.items()}
    for at, (kind, target) in enumerate(steps(plan)):
        if kind not in (StepKind.CREATE, StepKind.RETURN, StepKind.START) or target not in items:
            continue
        before = steps(plan)[:at]
        assert not items[target].blockers
        for reference in items[target].record.disks:
            if reference.protected:
                name = str(reference.rbd).partition("/")[2]
                assert images[name].primary or (StepKind.PROMOTE, name) in before
                assert (
                    name in world.registered
                    or (StepKind.REGISTER, name) in before
                    or name in at_home.get(target, ())
                )
        created = target in world.recovered and world.recovered[target].finished
        # a run died after it
        back = target in homes and not failback_plan.waits(items[target], homes[target], images, world.here)
        made = created or back or {(StepKind.CREATE, target), (StepKind.RETURN, target)} & set(before)
        assert kind in (StepKind.CREATE, StepKind.RETURN) or made


@given(WORLDS, REQUESTS)
def test_no_step_comes_twice_and_kinds_keep_their_order(
    world: FailoverFacts, request_: Request
) -> None:
    found = steps(failover_plan.plan_failover(world, request_))
    assert len(set(found)) == len(found)
    order = list(StepKind)
    assert [order.index(kind) for kind, _ in found] == sorted(order.index(kind) for kind, _ in found)


@given(WORLDS, REQUESTS)
def test_a_plan_is_a_refusal_or_has_steps(
    world: FailoverFacts, request_: Request
) -> None:
    plan = failover_plan.plan_failover(world, request_)
    assert bool(plan.refusal) != bool(plan.steps)


@given(WORLDS, REQUESTS)
def test_what_is_left_out_is_not_touched(world: FailoverFacts, request_: Request) -> None:
    plan = failover_plan.plan_failover(world, request_)
    assert not {target for _, target in steps(plan)} & set(plan.left_out)


@given(WORLDS, REQUESTS, st.data())
def test_an_interrupted_plan_goes_on_without_doing_anything_twice(
    world: FailoverFacts, request_: Request, data: st.DataObject
) -> None:
    whole = failover_plan.plan_failover(world, request_)
    done = whole.steps[: data.draw(st.integers(0, len(whole.steps)))]
    between = executed(world, done, request_)
    # An image without any record of ours looks like one made here, once it is primary: its term is not made
    # up for.
    assume(
        not any(
            found.primary and found.epoch is None and found.vm is None and found.image is None
            for found in between.images
        )
    )
    rest = failover_plan.plan_failover(between, request_)
    left = set(lasting(whole)) - set(lasting(RunPlan(steps=done)))
    # nothing was promoted yet: it is taken back, not gone on with
    if rest.refusal and request_.lossless and left:
        assert StepKind.PROMOTE not in {step.kind for step in done}
        return
    begun = lasting(RunPlan(steps=done))
    assert not set(begun) & set(lasting(rest))
    assert set(begun) | set(lasting(rest)) == set(lasting(whole))
    assert executed(between, rest.steps, request_) == executed(world, whole.steps, request_)
    promoted = {target for kind, target in begun if kind is StepKind.PROMOTE}
    assert not {target for kind, target in steps(rest) if kind is StepKind.FENCE} & promoted


@given(WORLDS, REQUESTS)
def test_after_a_whole_plan_nothing_is_left_to_do(world: FailoverFacts, request_: Request) -> None:
    end = executed(world, failover_plan.plan_failover(world, request_).steps, request_)
    assert failover_plan.plan_failover(end, request_).steps == ()


@given(WORLDS, REQUESTS)
def test_a_creation_that_was_cut_off_is_gone_on_with(world: FailoverFacts, request_: Request) -> None:
    """The VM exists and its owner, permissions or mark are missing."""
    plan = failover_plan.plan_failover(world, request_)
    for at, step in enumerate(plan.steps):
        if step.kind is StepKind.CREATE:
            made = executed(world, plan.steps[: at + 1], request_).recovered[step.target]
            between = executed(world, plan.steps[:at], request_)
            half = {**between.recovered, step.target: replace(made, finished=False)}
            rest = failover_plan.plan_failover(replace(between, recovered=half), request_)
            assert lasting(rest) == lasting(RunPlan(steps=plan.steps[at:]))


UNSIGNED: dict[str, Any] = {"proof": Proof.UNSIGNED, "doubt": "it is not signed"}


@pytest.mark.parametrize("own", [
    {"vm": envelope(ONE_DISK, **UNSIGNED)}, {"image": envelope(image_record(name="one-1"), **UNSIGNED)},
], ids=["the VM's record", "the image's record"])
def test_a_record_in_doubt_is_recovered_by_the_operators_word_only(own: dict[str, Any]) -> None:
    given_facts = facts(replace(WAITING, **own))
    silent = failover_plan.plan_failover(given_facts, confirmed())
    assert "it is not signed" in silent.left_out[ORIGIN]
    assert not {StepKind.CREATE, StepKind.START} & {step.kind for step in silent.steps}
    said = failover_plan.plan_failover(given_facts, confirmed(accept_unsigned=True))
    assert said.left_out == {} and (StepKind.CREATE, ORIGIN) in steps(said)
    assert "it is not signed" in str(said.vms[0].warnings)


def test_an_image_whose_own_record_is_in_doubt_stays_as_it_is_and_what_is_read_through_it() -> None:
    base = image("one-9", image=envelope(image_record(), **UNSIGNED))
    plan = failover_plan.plan_failover(facts(base, replace(WAITING, parent="one-9")), confirmed())
    assert set(plan.left_out) == {"one-9", "one-1", ORIGIN} and plan.steps == ()


@pytest.mark.parametrize("bad", [
    {"bad_vm": "record onedr.vm is damaged", "problems": ("record onedr.vm is damaged",)},
    {"vm": envelope(vm_record(vm_id=8, name="theirs"), fsid=HERE, **UNSIGNED)},
], ids=["damaged", "of another site"])
def test_a_vm_of_which_no_record_can_be_used_is_said_and_the_others_come(bad: dict[str, Any]) -> None:
    given_facts = facts(WAITING, replace(copy_of("one-2", None), **bad))
    plan = failover_plan.plan_failover(given_facts, confirmed())
    assert set(plan.left_out) == {"the VM of one-2"}
    assert {(StepKind.CREATE, ORIGIN), (StepKind.PROMOTE, "one-2")} <= set(steps(plan))


def test_a_planned_move_does_not_begin_while_a_record_is_in_doubt() -> None:
    given_facts = facts(
        replace(WAITING, vm=envelope(ONE_DISK, **UNSIGNED)), peer=PeerState.ANSWERS, there=()
    )
    assert "it is not signed" in failover_plan.plan_failover(given_facts, MOVE).refusal
