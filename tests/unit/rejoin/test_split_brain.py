"""A returned site: whose images are stale, and what a reprotect may do to them, whatever the facts are."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, THERE, image

from onedr.failover import plan as failover_plan
from onedr.model.records import Epoch, ImageFacts
from onedr.opennebula.vms import PeerVm
from onedr.rejoin import reprotect_plan
from onedr.replication.split_brain import Claim, Known, There, judge_claim, number
from onedr.runs.steps import StepKind

TERMS = st.none() | st.builds(
    Epoch,
    st.integers(-1, 4),
    st.sampled_from([HERE, THERE]),
    st.just("x"),
    st.just(1.0),
    st.none() | st.floats(0, 1000),
)
COPIES = st.none() | st.builds(There, st.booleans(), TERMS)
KNOWN = st.builds(Known, st.booleans(), TERMS, st.booleans(), COPIES)


def epoch(count: int, fsid: str = THERE) -> Epoch:
    return Epoch(count, fsid, "north", 1000.0, 900.0)


@given(KNOWN)
def test_only_a_primary_with_a_lower_readable_term_than_a_primary_at_the_peer_is_stale(known: Known) -> None:
    if judge_claim(known) is Claim.STALE:
        assert known.primary and known.readable and known.there is not None and known.there.primary
        here, there = number(known.epoch), number(known.there.epoch)
        assert here is not None and there is not None and here < there


@given(TERMS, TERMS)
def test_of_two_primaries_at_most_one_gives_up_and_then_the_other_goes_on(
    here: Epoch | None, there: Epoch | None
) -> None:
    own = judge_claim(Known(True, here, True, There(True, there)))
    other = judge_claim(Known(True, there, True, There(True, here)))
    assert {own, other} in ({Claim.STALE, Claim.MINE}, {Claim.SPLIT})
    assert (own is Claim.SPLIT) == (other is Claim.SPLIT)


@given(KNOWN)
def test_what_is_not_known_never_demotes(known: Known) -> None:
    assert judge_claim(replace(known, readable=False)) in (Claim.UNKNOWN, Claim.COPY)


@given(KNOWN)
def test_a_primary_whose_peer_is_none_goes_on(known: Known) -> None:
    for there, wanted in ((None, Claim.ONLY_HERE), (There(False, epoch(9)), Claim.MINE)):
        assert judge_claim(replace(known, primary=True, readable=True, there=there)) is wanted


IMAGES = st.builds(
    lambda primary, complete, stale, found, parent: dict(
        primary=primary, complete=complete, stale=stale and not primary, epoch=found, parent=parent
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    TERMS,
    st.none() | st.sampled_from(["one-0", "one-1", "one-2"]),
)
NAMES = ("one-0", "one-1", "one-2", "one-3")


@st.composite
def worlds(draw: st.DrawFn) -> reprotect_plan.ReprotectFacts:
    def side() -> dict[str, ImageFacts]:
        return {name: image(name, **draw(IMAGES)) for name in draw(st.sets(st.sampled_from(NAMES)))}

    vms = [
        PeerVm(1, "web", "ACTIVE", "", frozenset({"one-0", "one-1"})),
        PeerVm(2, "db", "POWEROFF", "", frozenset({"one-3"})),
    ]
    return reprotect_plan.ReprotectFacts(
        "ceph",
        draw(st.booleans()) or draw(st.booleans()),
        side(),
        draw(st.just(None) | st.builds(side)),
        "it answers",
        draw(st.frozensets(st.sampled_from(NAMES), max_size=2)),
        draw(st.frozensets(st.sampled_from(NAMES), max_size=1)),
        tuple(draw(st.lists(st.sampled_from(vms), unique=True))),
        draw(st.dictionaries(st.sampled_from(NAMES), st.just("cannot be read"), max_size=1)),
        draw(st.booleans()),
    )


CONFIRMED = st.sampled_from(["", "ceph"])


@given(worlds(), CONFIRMED)
def test_nothing_is_resynced_unless_the_peer_is_primary_with_a_later_term_or_the_operator_gave_up(
    world: reprotect_plan.ReprotectFacts, confirm: str
) -> None:
    for step in reprotect_plan.plan_reprotect(world, confirm).steps:
        if step.kind not in (StepKind.RESYNC, StepKind.DEMOTE):
            continue
        assert world.there is not None and world.there[step.target].primary
        here, there = number(world.here[step.target].epoch), number(world.there[step.target].epoch)
        through = (
            step.target not in reprotect_plan.plan_reprotect(world, confirm).kept
            and not world.here[step.target].primary
        )
        assert confirm == "ceph" or through or (here is not None and there is not None and here < there)
        assert step.target not in world.unread


@given(worlds(), CONFIRMED)
def test_every_resync_comes_after_its_demotion_and_its_kept_copy_and_is_awaited(
    world: reprotect_plan.ReprotectFacts, confirm: str
) -> None:
    steps = [(step.kind, step.target) for step in reprotect_plan.plan_reprotect(world, confirm).steps]
    for at, (kind, name) in enumerate(steps):
        if kind is StepKind.RESYNC:
            found = world.here[name]
            diverged = found.primary or found.stale or name in world.split_brain
            assert not diverged or (StepKind.KEEP, name) in steps[:at]
            assert not world.here[name].primary or (StepKind.DEMOTE, name) in steps[:at]
            assert (StepKind.AWAIT, name) in steps[at:]
            assert all(kind is not StepKind.LOCK for kind, _ in steps[at:])


@given(worlds(), CONFIRMED)
def test_an_image_that_follows_or_that_only_this_site_has_is_left_alone(
    world: reprotect_plan.ReprotectFacts, confirm: str
) -> None:
    plan = reprotect_plan.plan_reprotect(world, confirm)
    changed = {
        step.target for step in plan.steps if step.kind in (StepKind.DEMOTE, StepKind.KEEP, StepKind.RESYNC)
    }
    for name, found in world.here.items():
        if (
            not found.primary
            and not found.stale
            and name not in world.split_brain | world.on_old_base
            and not found.parent
        ):
            assert name not in changed
        if found.primary and name not in (world.there or {}):
            assert name not in changed and (plan.refusal and not plan.only_here or name in plan.only_here)


@given(worlds(), CONFIRMED)
def test_a_base_is_there_before_the_clones_that_are_read_through_it(
    world: reprotect_plan.ReprotectFacts, confirm: str
) -> None:
    steps = [(step.kind, step.target) for step in reprotect_plan.plan_reprotect(world, confirm).steps]
    there = world.there or {}
    circle = {name for name in there if _leads_to_itself(name, there)}
    for at, (kind, name) in enumerate(steps):
        parent = there[name].parent if kind is StepKind.RESYNC and name in there else None
        if parent and (StepKind.AWAIT, parent) in steps and not {name, parent} & circle:
            assert (StepKind.AWAIT, parent) in steps[:at]


def _leads_to_itself(name: str, there: Mapping[str, ImageFacts]) -> bool:
    seen: set[str] = set()
    at: str | None = name
    while at is not None and at in there and at not in seen:
        seen.add(at)
        at = there[at].parent
    return at in seen


STALE = image("one-1", stale=True, epoch=None)
ACTIVE = image("one-1", primary=True, complete=False, epoch=epoch(1))


def facts(
    here: ImageFacts | None, there: ImageFacts | None, **changes: Any
) -> reprotect_plan.ReprotectFacts:
    values: dict[str, Any] = {"datastore": "ceph", "protected": True, "peer_detail": "10.0.0.1 answers"}
    return reprotect_plan.ReprotectFacts(
        here={here.name: here} if here else {},
        there={there.name: there} if there else {},
        **{**values, **changes},
    )


@pytest.mark.parametrize(
    ("given_facts", "confirm", "reason"),
    [
        (facts(STALE, ACTIVE, protected=False), "", "DR_PROTECT=YES is missing"),
        (facts(STALE, ACTIVE), "other", "type ceph"),
        (replace(facts(STALE, None), there=None), "", "cannot be read"),
        (facts(replace(ACTIVE, epoch=epoch(1, HERE)), replace(STALE, stale=False)), "", "is the active one"),
        (facts(image("one-1", epoch=epoch(1)), ACTIVE), "", "nothing left to do"),
    ],
)
def test_it_is_refused_with_the_reason_and_without_steps(
    given_facts: reprotect_plan.ReprotectFacts, confirm: str, reason: str
) -> None:
    plan = reprotect_plan.plan_reprotect(given_facts, confirm)
    assert reason in plan.refusal and not plan.steps


def test_a_copy_that_was_demoted_in_good_order_is_only_awaited() -> None:
    plan = reprotect_plan.plan_reprotect(facts(image("one-1"), ACTIVE), "")
    assert [step.kind for step in plan.steps] == [StepKind.AWAIT]


def test_a_copy_that_is_read_through_a_replaced_image_is_made_anew_and_not_kept() -> None:
    through = image("one-9", parent="one-1", epoch=None)
    world = facts(STALE, ACTIVE)
    world = replace(world, here={**world.here, "one-9": through}, there={
        **(world.there or {}), "one-9": image("one-9", parent="one-1", primary=True, complete=False)})
    plan = reprotect_plan.plan_reprotect(world, "")
    assert plan.kept == ("one-1",) and plan.resync == ("one-1", "one-9")
    again = replace(
        world,
        here={"one-1": image("one-1", epoch=ACTIVE.epoch), "one-9": through},
        on_old_base=frozenset({"one-9"}),
    )
    assert reprotect_plan.plan_reprotect(again, "").resync == ("one-9",)


def test_what_only_this_site_holds_is_kept_before_it_is_replaced() -> None:
    assert [step.kind for step in reprotect_plan.plan_reprotect(facts(STALE, ACTIVE), "").steps] == [
        StepKind.KEEP,
        StepKind.RESYNC,
        StepKind.AWAIT,
    ]


def test_a_stale_copy_is_not_replaced_by_one_of_the_same_term_unless_the_operator_says_so() -> None:
    same = facts(replace(STALE, epoch=ACTIVE.epoch), ACTIVE)
    plan = reprotect_plan.plan_reprotect(same, "")
    assert not plan.resync and "nothing proves" in plan.left_out["one-1"]
    assert reprotect_plan.plan_reprotect(same, "ceph").resync == ("one-1",)


def test_an_image_that_is_gone_for_the_moment_is_awaited() -> None:
    plan = reprotect_plan.plan_reprotect(facts(None, ACTIVE), "")
    assert [step.kind for step in plan.steps] == [StepKind.AWAIT]


def test_a_peer_that_is_not_primary_gets_nothing_deleted_for_it() -> None:
    plan = reprotect_plan.plan_reprotect(facts(STALE, replace(ACTIVE, primary=False)), "ceph")
    assert not plan.steps and "could leave no copy" in plan.left_out["one-1"]


def test_of_two_primaries_without_terms_the_operator_decides() -> None:
    both = facts(replace(STALE, primary=True, stale=False), replace(ACTIVE, epoch=None))
    assert "--confirm ceph" in reprotect_plan.plan_reprotect(both, "").left_out["one-1"]
    assert [step.kind for step in reprotect_plan.plan_reprotect(both, "ceph").steps] == [
        StepKind.DEMOTE,
        StepKind.KEEP,
        StepKind.RESYNC,
        StepKind.AWAIT,
    ]


def test_a_stale_copy_is_never_promoted_by_a_failover() -> None:
    from worlds import confirmed, copy_of
    from worlds import facts as failover_facts

    plan = failover_plan.plan_failover(failover_facts(copy_of("one-1", stale=True)), confirmed())
    assert not plan.steps and "onedr reprotect" in plan.left_out["one-1"]


def lost_site(count: int) -> reprotect_plan.ReprotectFacts:
    names = [f"one-{number}" for number in range(count)]
    world = facts(None, None, window="22:00-06:00")
    return replace(
        world, here={name: replace(STALE, name=name) for name in names}, there={name: replace(ACTIVE, name=name) for name in names}
    )


@pytest.mark.parametrize(("at_once", "turns"), [(None, [5]), (2, [2, 2, 1]), (1, [1, 1, 1, 1, 1]), (9, [5])])
def test_outside_the_window_so_many_are_replaced_at_once_and_awaited(at_once: int | None, turns: list[int]) -> None:
    world = replace(lost_site(5), at_once=at_once)
    plan = reprotect_plan.plan_reprotect(world, "")
    kinds = [step.kind for step in plan.steps if step.kind in (StepKind.RESYNC, StepKind.AWAIT)]
    assert kinds == [kind for count in turns for kind in (*[StepKind.RESYNC] * count, *[StepKind.AWAIT] * count)]
    targets = [step.target for step in plan.steps if step.kind is StepKind.AWAIT]
    assert sorted(targets) == sorted(world.here), "each once"
    assert ("at once" in reprotect_plan.note(world, plan)) is (len(turns) > 1)


def test_with_none_at_once_a_resync_is_refused_until_the_window_and_a_copy_in_good_order_is_not() -> None:
    plan = reprotect_plan.plan_reprotect(replace(lost_site(2), at_once=0), "")
    assert not plan.steps and "22:00-06:00" in plan.refusal and "not protected" in plan.refusal
    awaited = reprotect_plan.plan_reprotect(replace(facts(image("one-1"), ACTIVE), at_once=0), "")
    assert [step.kind for step in awaited.steps] == [StepKind.AWAIT]


def test_nothing_is_given_to_ceph_for_a_resync_that_a_pause_would_hold_up() -> None:
    plan = reprotect_plan.plan_reprotect(replace(facts(image("one-1"), ACTIVE), paused=True), "")
    assert not plan.steps and "onedr resume-protection" in plan.refusal
