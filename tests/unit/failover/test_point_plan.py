"""To which point each VM goes back: all its disks to one, after they are promoted and before anything starts."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import disk, vm_record
from worlds import MOVE, ORIGIN, confirmed, copy_of, facts, steps

from onedr.failover.plan import plan_failover
from onedr.failover.point_plan import choose
from onedr.model.errors import InputError
from onedr.model.records import ImageFacts, PointNote
from onedr.model.types import PeerState
from onedr.opennebula.vms import Recovered
from onedr.replication import inventory
from onedr.replication.vm_points import moment_name
from onedr.runs.request import Request
from onedr.runs.steps import StepKind

TWO_DISKS = vm_record(disks=(disk(0, "one/one-1"), disk(1, "one/one-2")))
NOTES = {"old": PointNote(1000.5, 0.1), "new": PointNote(2000.5, 0.1), "half": PointNote(3000.5, 0.1)}
ORDER = list(StepKind)


def copies(**changes: Any) -> tuple[ImageFacts, ImageFacts]:
    """Two disks; both have the points old and new, only the first has half."""
    both = frozenset({"old", "new"})
    return (
        copy_of("one-1", TWO_DISKS, points=NOTES, group_snapshots=both | {"half"}, **changes),
        copy_of("one-2", TWO_DISKS, points=NOTES, group_snapshots=both, **changes),
    )


def at(moment: str, **changes: Any) -> Request:
    return confirmed(attributes=(("POINT", moment),), **changes)


def taken_back(plan: Any) -> dict[str, str]:
    assert not plan.refusal, plan.refusal
    targets = [target for kind, target in steps(plan) if kind is StepKind.REWIND]
    return {target: plan.points[target].snapshot for target in targets}


@pytest.mark.parametrize(("moment", "snapshot"), [
    ("newest", "new"), (moment_name(2000), "new"), (moment_name(1999), "old"), (moment_name(1000), "old"),
])
def test_all_disks_go_to_the_newest_point_that_all_have(moment: str, snapshot: str) -> None:
    plan = plan_failover(facts(*copies()), at(moment))
    assert taken_back(plan) == {"one-1": snapshot, "one-2": snapshot}
    kinds = [kind for kind, _ in steps(plan)]
    assert kinds == sorted(kinds, key=ORDER.index)
    assert kinds.index(StepKind.REWIND) > kinds.index(StepKind.TERM)
    assert kinds.index(StepKind.REWIND) < kinds.index(StepKind.REGISTER)
    assert [item.recovery_point for item in plan.vms] == [NOTES[snapshot].at]


def test_without_asking_the_newest_data_comes() -> None:
    plan = plan_failover(facts(*copies()), confirmed())
    assert taken_back(plan) == {} and [item.recovery_point for item in plan.vms] == [900.0]


def test_dr_recover_consistent_takes_what_has_a_point() -> None:
    plan = plan_failover(facts(*copies(), recover_consistent=True), confirmed())
    assert taken_back(plan) == {"one-1": "new", "one-2": "new"}
    bare = plan_failover(facts(copy_of("one-1"), recover_consistent=True), confirmed())
    assert taken_back(bare) == {} and not bare.left_out
    assert "newest data" in bare.warnings[ORIGIN]


def test_a_vm_without_a_point_is_left_out_when_one_was_asked_for() -> None:
    plan = plan_failover(facts(*copies()), at(moment_name(999)))
    assert f"no point at or before {moment_name(999)}" in (plan.left_out.get(ORIGIN) or plan.refusal)
    assert StepKind.PROMOTE not in [kind for kind, _ in steps(plan)]


@pytest.mark.parametrize("bad", [{"complete": False}, {"stale": True}])
def test_a_copy_that_cannot_be_promoted_has_no_point(bad: dict[str, Any]) -> None:
    first, second = copies()
    plan = plan_failover(facts(first, replace(second, **bad)), at("newest"))
    kinds = {kind for kind, _ in steps(plan)}
    assert not kinds & {StepKind.REWIND, StepKind.CREATE, StepKind.START}


def test_a_move_brings_everything() -> None:
    given = facts(*copies(), peer=PeerState.ANSWERS, there=(), recover_consistent=True)
    plan = plan_failover(given, MOVE)
    assert taken_back(plan) == {}


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_a_run_before_promoted_without_its_vm_is_taken_back_too(interrupted: bool) -> None:
    first, second = copies()
    given = facts(replace(first, primary=True), second, interrupted=interrupted)
    assert taken_back(plan_failover(given, at("newest"))) == {"one-1": "new", "one-2": "new"}


@pytest.mark.parametrize("interrupted", [False, True])
def test_disks_of_a_vm_that_runs_here_are_not(interrupted: bool) -> None:
    given = facts(
        *copies(primary=True), interrupted=interrupted, recovered={ORIGIN: Recovered(5, "ACTIVE", False, True)},
        registered=frozenset({"one-1", "one-2"}),
    )
    plan = plan_failover(given, at("newest"))
    assert StepKind.REWIND not in [kind for kind, _ in steps(plan)]


def test_what_is_no_moment_is_bad_input() -> None:
    with pytest.raises(InputError, match="no moment"):
        plan_failover(facts(*copies()), at("yesterday"))


@given(st.dictionaries(
    st.sampled_from("abcd"), st.tuples(st.floats(1, 4e9), st.booleans(), st.booleans()), max_size=4
), st.none() | st.floats(1, 4e9))
def test_the_chosen_point_is_the_newest_complete_one_in_time(
    found: dict[str, tuple[float, bool, bool]], until: float | None
) -> None:
    notes = {name: PointNote(moment, 0.1) for name, (moment, *_) in found.items()}
    images = [
        copy_of(
            f"one-{number}", TWO_DISKS, points=notes,
            group_snapshots=frozenset(name for name, each in found.items() if each[number]),
        )
        for number in (1, 2)
    ]
    request = at("newest" if until is None else moment_name(until))
    chosen = choose(inventory.vms(images, "fsid-here"), request)
    whole = {
        name: moment for name, (moment, one, two) in found.items()
        if one and two and (until is None or int(moment) <= int(until))
    }
    if not whole:
        assert not chosen.points and chosen.left_out.keys() == {ORIGIN, "one-1", "one-2"}
    else:
        assert {point.note.at for point in chosen.points.values()} == {max(whole.values())}
        assert chosen.points.keys() == {"one-1", "one-2"}
