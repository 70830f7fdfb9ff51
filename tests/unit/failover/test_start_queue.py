"""What does not come to run holds up no others for longer than the datastore's DR_DELAY_MAX allows."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.failover import start_queue
from onedr.failover.start_queue import StartQueue
from onedr.model.errors import OneDRError, TimedOutError
from onedr.runs.steps import LIMITS_S, Later, Step, StepKind

NEVER = math.inf
LIMIT_S = LIMITS_S[StepKind.START]
Vm = tuple[int, float]  # its priority, and how many seconds after its start it runs


class World:
    """A run with one place for starts, and VMs of which each runs so long after its start; a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, runs_after: dict[str, float]):
        self.now, self.runs_after = 1000.0, runs_after
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        monkeypatch.setattr(start_queue, "time", SimpleNamespace(monotonic=lambda: self.now))

    def start(self, origin: str, wait_s: float) -> str:
        begun = self.begun.setdefault(origin, self.now)
        if self.runs_after[origin] < 0:
            raise OneDRError("it cannot boot")
        left = max(0.0, begun + self.runs_after[origin] - self.now)
        self.now += min(wait_s, left)
        if left > wait_s:
            raise TimedOutError("still PENDING")
        return "runs"

    def do(self, steps: Sequence[Step], action: Callable[[str], str], threads: int) -> None:
        for step in steps:
            try:
                if isinstance(action(step.target), Later):
                    continue
            except OneDRError as error:
                self.failed[step.target] = str(error)
            self.ended[step.target] = self.now

    def wait(self, seconds: float, why: str) -> None:
        assert seconds >= 0
        self.now += seconds

    def at_once(self, kind: StepKind, threads: int) -> int:
        return 1

    def has_failed(self, target: str) -> bool:
        return target in self.failed


def ran(
    monkeypatch: pytest.MonkeyPatch, vms: dict[str, Vm], most_s: float = 60,
    delays: dict[int, int] | None = None, late_s: dict[str, float] | None = None,
) -> World:
    """Start them, each priority in the order of their names, and let it end."""
    world = World(monkeypatch, {origin: after for origin, (_, after) in vms.items()})
    groups: dict[int, list[Step]] = {}
    for origin, (priority, _) in sorted(vms.items()):
        groups.setdefault(priority, []).append(Step(StepKind.START, origin, ""))
    called = [(f"priority {priority}", steps) for priority, steps in sorted(groups.items())]
    between = {f"priority {priority}": seconds for priority, seconds in (delays or {}).items()}
    StartQueue(world, world.start, most_s, late_s or {}).run(called, between)
    assert world.ended.keys() == vms.keys(), "each VM has a result"
    return world


def test_a_group_waits_for_the_one_before_while_its_vms_come(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ran(monkeypatch, {"a": (1, 50.0), "b": (1, 55.0), "c": (2, 5.0)})
    assert world.begun == {"a": 1000.0, "b": 1050.0, "c": 1105.0} and not world.failed


def test_a_vm_that_never_runs_holds_the_next_group_for_delay_max_and_fails_at_its_own_limit(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ran(monkeypatch, {"a": (1, NEVER), "b": (2, 5.0)})
    assert world.begun["b"] == 1060.0
    assert list(world.failed) == ["a"] and world.ended["a"] == 1000.0 + LIMIT_S - 10


def test_one_that_runs_late_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ran(monkeypatch, {"a": (1, 150.0), "b": (2, 5.0)})
    assert not world.failed and world.ended["a"] == 1150.0 and world.begun["b"] == 1060.0


def test_of_many_that_never_run_the_others_of_their_group_wait_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ran(monkeypatch, {**{f"a{number:03}": (3, NEVER) for number in range(100)}, "b": (3, 5.0), "c": (4, 5.0)})
    assert world.begun["b"] == world.begun["c"] == 1060.0 and len(world.failed) == 100


def test_between_groups_the_datastores_delay_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran(monkeypatch, {"a": (1, NEVER), "b": (2, 5.0)}, delays={1: 30}).begun["b"] == 1090.0
    assert ran(monkeypatch, {"a": (1, -1.0), "b": (2, 5.0)}, delays={1: 30}).begun["b"] == 1000.0, "nothing of it runs"


def test_one_with_a_delay_of_its_own_is_never_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    vms = {"a": (1, NEVER), "b": (1, 5.0), "c": (2, 5.0), "d": (2, 5.0)}
    world = ran(monkeypatch, vms, late_s={"a": 4.0, "d": 30.0})
    assert world.begun == {"b": 1000.0, "a": 1005.0, "c": 1005.0, "d": 1035.0}


AFTER = st.sampled_from([0.0, 1.0, 9.0, -1.0])


@given(
    others=st.lists(st.tuples(st.integers(1, 5), AFTER), max_size=8),
    stuck=st.lists(st.tuples(st.integers(1, 5), st.sampled_from("mz"), st.sampled_from([0.0, 3.0, 40.0])), max_size=8),
    most_s=st.sampled_from([0.0, 10.0, 60.0]),
    delay_s=st.sampled_from([0, 7]),
)
def test_whatever_priority_a_vm_has_that_never_runs_the_others_lose_delay_max_a_group(
    others: list[Vm], stuck: list[tuple[int, str, float]], most_s: float, delay_s: int
) -> None:
    """The same VMs with and without them. Where a group is theirs alone, its delay is the datastore's too."""
    plain = {f"n{number}": vm for number, vm in enumerate(others)}
    bad = {f"{first}{number}": (priority, NEVER) for number, (priority, first, _) in enumerate(stuck)}
    late = {f"{first}{number}": after for number, (_, first, after) in enumerate(stuck) if after}
    delays = dict.fromkeys(range(1, 6), delay_s)
    with pytest.MonkeyPatch.context() as patch:
        without = ran(patch, plain, most_s, delays)
    with pytest.MonkeyPatch.context() as patch:
        both = ran(patch, {**plain, **bad}, most_s, delays, late)
    assert {origin: why for origin, why in both.failed.items() if origin in plain} == without.failed
    for origin, (priority, _) in plain.items():
        lost = both.begun[origin] - without.begun[origin]
        assert lost <= sum(most_s + delay_s for each in {vm[0] for vm in bad.values()} if each <= priority)
