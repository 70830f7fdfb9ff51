"""The order of a recovery plan: each group once, after what it needs; a circle is named."""
from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model import recovery_plan
from onedr.model.errors import InputError
from onedr.model.recovery_plan import Gate, Group, RecoveryPlan, levels

NAMES = st.sampled_from("abcdefg")
NEEDS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4).map(tuple), max_size=7)


def has_circle(needs: dict[str, tuple[str, ...]]) -> bool:
    left = dict(needs)
    while free := [name for name, needed in left.items() if not set(needed) & left.keys()]:
        left = {name: needed for name, needed in left.items() if name not in free}
    return bool(left)


@given(needs=NEEDS)
def test_each_name_comes_once_and_after_what_it_needs_or_a_circle_is_named(needs: dict[str, tuple[str, ...]]) -> None:
    try:
        found = levels(needs)
    except InputError as error:
        circle = str(error).partition(":")[0].split(" needs ")
        assert has_circle(needs) and circle[0] == circle[-1] and len(circle) > 1
        assert all(later in needs[name] for name, later in zip(circle, circle[1:])), "it is one of the file"
        return
    assert not has_circle(needs)
    flat = [name for level in found for name in level]
    assert sorted(flat) == sorted(needs) and len(set(flat)) == len(flat)
    level_of = {name: number for number, level in enumerate(found) for name in level}
    for name, needed in needs.items():
        assert all(level_of[other] < level_of[name] for other in needed if other in level_of)


GROUPS = st.lists(
    st.builds(
        Group, name=NAMES, vms=st.lists(st.sampled_from(["v1", "v2", "v3"]), unique=True).map(tuple),
        labels=st.lists(st.sampled_from(["l1", "l2"]), unique=True).map(tuple),
        groups=st.lists(st.sampled_from(["g1"]), unique=True).map(tuple),
        owners=st.lists(st.sampled_from(["o1"]), unique=True).map(tuple), after=st.lists(NAMES, max_size=2).map(tuple),
        gate=st.none() | st.builds(Gate, st.integers(0, 65535), st.integers(0, 3600), st.booleans(), st.sampled_from(["", "/ok"])), line=st.integers(1, 99),
    ), min_size=1, max_size=5,
)
VM = st.tuples(
    st.sampled_from(["v1", "v2", "v9"]), st.lists(st.sampled_from(["l1", "l9"])).map(tuple),
    st.sampled_from(["g1", "g9"]), st.sampled_from(["o1", "o9"]),
)


@given(groups=GROUPS, vm=VM)
def test_a_plan_without_problems_has_waves_and_survives_the_pool(
    groups: list[Group], vm: tuple[str, tuple[str, ...], str, str]
) -> None:
    plan = RecoveryPlan(tuple(groups))
    stored = json.loads(json.dumps(recovery_plan.to_json(plan)))
    if recovery_plan.problems(plan):
        with pytest.raises(ValueError):
            recovery_plan.from_json(stored)
        return
    assert recovery_plan.from_json(stored) == plan
    assert sorted(group.name for wave in plan.waves() for group in wave) == sorted(group.name for group in groups)
    found = plan.group_of(*vm)
    if found is not None:
        assert not found.owners or vm[3] in found.owners
        assert found == next(group for group in groups if group.selects(*vm))


@given(name=st.text(), labels=st.lists(st.text()), group=st.text(), owner=st.text())
def test_a_vm_that_the_author_did_not_name_is_selected_by_nothing_of_its_own(
    name: str, labels: list[str], group: str, owner: str
) -> None:
    plan = RecoveryPlan((Group("a", ("db1",), ("prod",), ("team",), ("dba",)),))
    if owner != "dba" or not ({name} & {"db1"} or {group} & {"team"} or "prod" in labels):
        assert plan.group_of(name, labels, group, owner) is None


def test_a_group_that_stops_says_whose_vms_it_selects() -> None:
    stops = Gate(stops=True)
    for group in (Group("a", vms=("x",), gate=stops), Group("a", labels=("x",), gate=stops)):
        ((_, said),) = recovery_plan.problems(RecoveryPlan((group,)))
        assert re.search("owners: .USER.", said)
    for group in (Group("a", groups=("x",), gate=stops), Group("a", vms=("x",), owners=("dba",), gate=stops)):
        assert not recovery_plan.problems(RecoveryPlan((group,)))
