"""A list of snapshots is rebuilt by the actions that made it; the simulated oned counts as the real one does."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onedr.failover.snapshot_list_plan import (
    Action,
    ListPlan,
    Snapshot,
    SnapshotList,
    differences,
    follow,
    of_disk,
    plan_list,
    read_list,
    wanted,
)

EMPTY = SnapshotList()
TREE = SnapshotList({0: Snapshot("first"), 2: Snapshot("left", 0), 3: Snapshot("right", 0)}, 0, 4)


@st.composite
def lives(draw: st.DrawFn, begin: SnapshotList = EMPTY) -> SnapshotList:
    """What users may do to a disk's snapshots, by oned's rules."""
    found = begin
    for step in range(draw(st.integers(0, 12))):
        parents = {each.parent for each in found.snapshots.values()}
        free = [number for number in found.snapshots if number not in parents and number != found.base]
        verbs = ["create", *(["revert"] if found.snapshots else []), *(["delete"] if free else [])]
        verb = draw(st.sampled_from(verbs))
        if verb == "create":
            action = Action(verb, found.following, f"s{step}")
        else:
            action = Action(verb, draw(st.sampled_from(free if verb == "delete" else sorted(found.snapshots))))
        found = follow(found, [action])
    return found


@given(lives())
def test_any_list_comes_back_as_it_was(there: SnapshotList) -> None:
    made = plan_list(EMPTY, wanted(there, there.snapshots))
    if not there.snapshots:
        assert made.actions == ()
        return
    found = follow(EMPTY, made.actions)
    assert (found.snapshots, found.following) == (there.snapshots, there.following)
    assert made.unlisted == made.left == () and differences(found, there) == ""
    assert there.base == -1 or found.base == there.base


@given(st.data(), lives())
def test_what_was_done_at_the_other_site_is_done_here(data: st.DataObject, here: SnapshotList) -> None:
    there = data.draw(lives(here))
    made = plan_list(here, wanted(there, there.snapshots))
    found = follow(here, made.actions)
    assert made.unlisted == ()
    if here.snapshots or there.snapshots:
        assert found.following == max(here.following, there.following)
    assert found.snapshots.keys() - there.snapshots.keys() == set(made.left)
    assert {key: found.snapshots[key] for key in there.snapshots} == dict(there.snapshots)


@given(lives(), st.sets(st.integers(0, 12)))
def test_the_list_names_every_snapshot_that_exists_and_no_other(recorded: SnapshotList, existing: set[int]) -> None:
    aim = wanted(recorded, existing)
    assert set(aim.snapshots) == existing
    found = follow(EMPTY, plan_list(EMPTY, aim).actions)
    assert found.snapshots.keys() == existing


def test_a_number_that_oned_has_passed_cannot_be_listed_and_is_named() -> None:
    here = SnapshotList({5: Snapshot("mine")}, -1, 6)
    made = plan_list(here, wanted(TREE, {0, 2, 3, 5}))
    assert made == ListPlan((), (0, 2, 3))


def test_what_is_gone_is_taken_off_the_list_children_first_unless_it_was_reverted_to() -> None:
    here = SnapshotList({0: Snapshot("a"), 1: Snapshot("b", 0), 2: Snapshot("c", 1), 3: Snapshot("d")}, 3, 4)
    made = plan_list(here, wanted(here, {0}))
    assert made.actions == (Action("delete", 2), Action("delete", 1)) and made.left == (3,)


def test_numbers_far_apart_are_not_worth_the_time() -> None:
    assert plan_list(EMPTY, wanted(EMPTY, {5000})) == ListPlan((), (5000,))


def test_a_snapshot_without_a_record_is_listed_by_its_number() -> None:
    assert plan_list(EMPTY, wanted(EMPTY, {0})).actions == (Action("create", 0, "snapshot-0"),)


def test_a_list_is_read_from_what_oned_writes_and_nonsense_is_nothing() -> None:
    tree = (
        ("ALLOW_ORPHANS", "MIXED"), ("CURRENT_BASE", "0"), ("DISK_ID", "1"), ("NEXT_SNAPSHOT", "4"),
        ("SNAPSHOT", (("ACTIVE", "YES"), ("CHILDREN", "2,3"), ("ID", "0"), ("NAME", "first"), ("PARENT", "-1"))),
        ("SNAPSHOT", (("ID", "2"), ("NAME", "left"), ("PARENT", "0"))),
        ("SNAPSHOT", (("ID", "3"), ("NAME", "right"), ("PARENT", "0"))),
    )
    assert read_list(tree) == TREE
    assert of_disk((("SNAPSHOTS", tree),), 1) == TREE and of_disk((("SNAPSHOTS", tree),), 0) == EMPTY
    assert read_list((("SNAPSHOT", (("ID", "x"), ("PARENT", "²"))), ("NEXT_SNAPSHOT", "-7"))) == EMPTY
