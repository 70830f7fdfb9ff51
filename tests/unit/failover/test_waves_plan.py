"""The order of starts: each VM once, groups after those they need, gates between them, the rest by priority."""
from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from samples import disk, vm_record
from worlds import copy_of

from onedr.failover import start_order, waves_plan
from onedr.failover.waves import Wave
from onedr.failover.waves_plan import Order
from onedr.model import recovery_plan
from onedr.model.recovery_plan import Gate, Group, RecoveryPlan
from onedr.replication import inventory
from onedr.replication.inventory import VmItem
from onedr.runs.steps import Step, StepKind


def vm(number: int, name: str, labels: str = "", **changes: object) -> VmItem:
    user = (("LABELS", labels), *changes.pop("user_template", ()))
    body = vm_record(vm_id=number, name=name, disks=(disk(0, f"one/one-{number}"),), user_template=user, **changes)
    (item,) = inventory.vms([copy_of(f"one-{number}", body)], "fsid-here")
    return item


def order(*items: VmItem, **more: object) -> Order:
    return Order(tuple(item.origin for item in items), {item.origin: item for item in items}, **more)  # type: ignore[arg-type]


def names(found: tuple[Wave, ...], items: tuple[VmItem, ...]) -> list[tuple[str, list[str]]]:
    called = {item.origin: item.record.name for item in items}
    return [(wave.called, [called[origin] for origin in wave.origins]) for wave in found]


DB1, DB2, APP = vm(1, "db1"), vm(2, "db2"), vm(3, "app1", "app, prod")
WEB, LAST = vm(4, "web", group="web"), vm(5, "last", user_template=(("DR_PRIORITY", "5"),))
ALL = (APP, DB1, DB2, LAST, WEB)
PLAN = RecoveryPlan((
    Group("databases", ("db1", "db2"), depends={"db1": ("db2",)}, gate=Gate(5432, 60), delay_s=9),
    Group("app", labels=("app",), after=("databases",)), Group("web", groups=("web",), after=("databases",)),
))


def test_groups_dependencies_gates_and_the_rest() -> None:
    found = waves_plan.waves(PLAN, order(*ALL), {5: 3})
    assert names(found, ALL) == [
        ("group databases", ["db2"]), ("group databases (2)", ["db1"]), ("group app, web", ["app1", "web"]),
        ("priority 5", ["last"]),
    ]
    assert [wave.delay_s for wave in found] == [0, 9, 0, 3]
    assert [[gate.origins for gate in wave.gates] for wave in found] == [[], [(DB1.origin, DB2.origin)], [], []]


def test_without_a_plan_priority_alone_decides() -> None:
    assert names(waves_plan.waves(None, order(*ALL), {3: 7}), ALL) == [
        ("priority 3", ["app1", "db1", "db2", "web"]), ("priority 5", ["last"]),
    ]


def test_a_gate_is_waited_for_although_its_vms_run_already_and_not_again_once_passed() -> None:
    running = [item.origin for item in ALL]
    (databases, rest) = waves_plan.waves(PLAN, Order((LAST.origin,), order(*ALL).items, running), {})
    assert databases.origins == () and [gate.group for gate in databases.gates] == ["databases"]
    passed = Order((LAST.origin,), order(*ALL).items, running, passed={"group databases"})
    assert not any(wave.gates for wave in waves_plan.waves(PLAN, passed, {})) and rest.origins == (LAST.origin,)


def test_no_gate_waits_for_a_vm_with_a_delay_of_its_own() -> None:
    found = waves_plan.waves(PLAN, order(*ALL, late={DB1.origin}), {})
    assert [gate.origins for wave in found for gate in wave.gates] == [(DB2.origin,)]
    assert not any(wave.gates for wave in waves_plan.waves(PLAN, order(*ALL, late={DB1.origin, DB2.origin}), {}))


def test_steps_follow_the_waves() -> None:
    steps = [Step(StepKind.CREATE, "x", ""), *(Step(StepKind.START, item.origin, "") for item in ALL)]
    found = waves_plan.in_order(steps, waves_plan.waves(PLAN, order(*ALL), {}))
    assert [(step.kind.value, step.target) for step in found] == [
        ("create", "x"), ("start", DB2.origin), ("start", DB1.origin), ("gate", "group databases"),
        ("start", APP.origin), ("start", WEB.origin), ("start", LAST.origin),
    ]
    assert "port 5432; after 60 s the next ones start all the same" in found[3].text


def test_a_move_stops_them_in_reverse_and_without_a_plan_all_at_once() -> None:
    steps = [Step(StepKind.STOP, str(item.record.vm_id), "") for item in (*ALL, vm(9, "off"))]
    known = order(*ALL).items
    found = waves_plan.stops_in_order(PLAN, steps, waves_plan.waves(PLAN, order(*ALL), {}), known)
    assert [[step.target for step in group] for group in found] == [["9"], ["5"], ["3", "4"], ["1"], ["2"]]
    assert waves_plan.stops_in_order(None, steps, waves_plan.waves(None, order(*ALL), {}), known) == [steps]
    assert waves_plan.stops_in_order(PLAN, [], (), {}) == waves_plan.stops_in_order(None, [], (), {}) == []


WORDS = st.sampled_from(["a", "b", "c", "d"])
GROUP = st.builds(
    Group, name=WORDS, vms=st.lists(WORDS, unique=True, max_size=3).map(tuple), labels=st.lists(WORDS, unique=True, max_size=2).map(tuple),
    after=st.lists(WORDS, max_size=2).map(tuple), gate=st.none() | st.just(Gate(22, 5)),
    depends=st.dictionaries(WORDS, st.lists(WORDS, max_size=2).map(tuple), max_size=2),
)
VM = st.tuples(WORDS, st.lists(WORDS, max_size=2).map(",".join), st.sampled_from(["", "1", "5", "x"]))


@given(groups=st.lists(GROUP, max_size=4), vms=st.lists(VM, max_size=6), lost=st.sets(st.integers(0, 5)))
def test_each_vm_starts_once_and_after_all_that_it_needs(
    groups: list[Group], vms: list[tuple[str, str, str]], lost: set[int]
) -> None:
    plan = RecoveryPlan(tuple(groups))
    assume(not recovery_plan.problems(plan))
    items = tuple(
        vm(number, name, labels, user_template=(("DR_PRIORITY", priority),))
        for number, (name, labels, priority) in enumerate(vms)
    )
    targets = [item.origin for number, item in enumerate(items) if number not in lost]
    known = {item.origin: item for item in items}
    found = waves_plan.waves(plan, Order((*targets, "unknown:1"), known, tuple(known)), {})
    flat = [origin for wave in found for origin in wave.origins]
    assert sorted(flat) == sorted([*targets, "unknown:1"])
    assert len({wave.called for wave in found}) == len(found), "a wave is known by what it is called"
    at = {origin: number for number, wave in enumerate(found) for origin in wave.origins}
    level = {group.name: number for number, wave in enumerate(plan.waves()) for group in wave}
    for one in targets:
        own = waves_plan.group_of(plan, known[one])
        for other in targets:
            before = waves_plan.group_of(plan, known[other])
            if own is None and before is None:
                assert (at[one] < at[other]) == (start_order.priority(known[one]) < start_order.priority(known[other]))
                continue
            earlier = before is not None and (own is None or level[before.name] < level[own.name])
            needed = own is not None and own is before and known[other].record.name in own.depends.get(known[one].record.name, ())
            assert at[other] < at[one] or not (earlier or needed)
    gates = [gate for wave in found for gate in wave.gates]
    assert len({gate.step.target for gate in gates}) == len(gates)
    assert all(at[origin] <= number for number, wave in enumerate(found) for gate in wave.gates for origin in gate.origins if origin in at)


@pytest.mark.parametrize("text", ["", " , ,", "a,,b ", "A/b"])
def test_labels_are_words_between_commas(text: str) -> None:
    assert waves_plan.labels(vm(1, "x", text)) == tuple(word.strip() for word in text.split(",") if word.strip())
