"""Priority groups: who starts after whom, and how long is waited between them."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import THERE, disk, vm_record
from worlds import confirmed, copy_of, facts, steps

from onedr.failover import plan as failover_plan
from onedr.failover.facts import RunPlan
from onedr.model import settings
from onedr.model.errors import InputError
from onedr.model.records import ImageFacts
from onedr.runs.request import Request
from onedr.runs.steps import StepKind


def vm(number: int, priority: str, delay: str = "", **changes: object) -> ImageFacts:
    user = tuple((key, value) for key, value in (("DR_PRIORITY", priority), ("DR_DELAY", delay)) if value)
    body = vm_record(
        vm_id=number,
        name=f"vm{number}",
        disks=(disk(0, f"one/one-{number}"),),
        **{"user_template": user, **changes},
    )
    return copy_of(f"one-{number}", body)


def planned(*images: ImageFacts, delay_s: int = 0, request: Request | None = None) -> RunPlan:
    return failover_plan.plan_failover(facts(*images, delay_s=delay_s), request or confirmed())


def delays(plan: RunPlan) -> dict[int, int]:
    """Seconds between a priority and the next."""
    return {int(wave.called.removeprefix("priority ")): wave.delay_s for wave in plan.waves if wave.delay_s}


@pytest.mark.parametrize(("images", "default", "expected"), [
    ([vm(1, "1"), vm(2, "2")], 0, {}),
    ([vm(1, "1"), vm(2, "2")], 7, {1: 7}),
    ([vm(1, "1"), vm(2, "2"), vm(3, "4")], 7, {1: 7, 2: 7}),
    ([vm(1, "1")], 7, {}),
    ([vm(1, "1"), vm(2, "2", state="POWEROFF")], 7, {}),
    ([vm(1, "1", state="POWEROFF"), vm(2, "2"), vm(3, "3")], 7, {2: 7}),
])
def test_groups_wait_for_the_datastores_delay(
    images: list[ImageFacts], default: int, expected: dict[int, int]
) -> None:
    assert delays(planned(*images, delay_s=default)) == expected


def test_a_vms_own_delay_holds_up_that_vm_only() -> None:
    plan = planned(vm(1, "1", "1h"), vm(2, "1"), vm(3, "2", "30s"), vm(4, "3", "0"), delay_s=5)
    assert delays(plan) == {1: 5}
    assert plan.vm_delays == {f"{THERE}:1": 60, f"{THERE}:3": 30}
    assert "cut to the 60 s of DR_DELAY_MAX" in plan.warnings[f"{THERE}:1"]


PRIORITY = st.sampled_from(["", "1", "2", "5", "9", "first"])
OWN = st.sampled_from(["", "0", "1", "30s", "15m", "1h", "365d", "9" * 5000, "soon", "-1"]) | st.text("0123456789smhd ", max_size=6)


@given(st.lists(st.tuples(PRIORITY, OWN), max_size=5), st.lists(PRIORITY, max_size=3), st.integers(0, 3600), st.integers(0, 3600))
def test_whatever_users_write_it_holds_up_their_own_vms_only(
    late: list[tuple[str, str]], others: list[str], group_s: int, most_s: int
) -> None:
    """The same VMs with and without those that have a delay of their own."""
    count = len(others)
    plain = [vm(number, priority) for number, priority in enumerate(others)]
    delayed = [vm(count + number, priority, own or "1") for number, (priority, own) in enumerate(late)]

    def plan(*images: ImageFacts) -> RunPlan:
        return failover_plan.plan_failover(facts(*images, delay_s=group_s, delay_max_s=most_s), confirmed())

    without, both = plan(*plain), plan(*plain, *delayed)
    waiting = set(both.vm_delays)
    assert waiting <= {f"{THERE}:{count + number}" for number in range(len(late))}
    assert all(0 < seconds <= most_s for seconds in both.vm_delays.values()), "so long the run is open for them at most"
    if len(waiting) == len(late):
        assert delays(both) == delays(without), "the others wait for the datastore's word only"
    starts = [target for kind, target in steps(both) if kind is StepKind.START and target not in waiting]
    own = {f"{THERE}:{number}" for number in range(count)}
    assert [each for each in starts if each in own] == [target for kind, target in steps(without) if kind is StepKind.START]


@pytest.mark.parametrize("bad", ["soon", "-3", "1.5m"])
def test_a_delay_that_cannot_be_read_is_named_and_not_used(bad: str) -> None:
    plan = planned(vm(1, "1", bad), vm(2, "2"), delay_s=11)
    assert delays(plan) == {1: 11} and plan.vm_delays == {}
    assert "DR_DELAY" in plan.warnings[f"{THERE}:1"] and not plan.left_out


def test_nothing_is_waited_for_where_nothing_starts() -> None:
    plan = planned(vm(1, "1", "30s"), vm(2, "2"), request=confirmed(start=False))
    assert delays(plan) == {} and plan.vm_delays == {} and StepKind.START not in {kind for kind, _ in steps(plan)}


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("45", 45), ("2m", 120), ("1h", 3600)])
def test_the_datastores_delay_is_a_duration(text: str, seconds: int) -> None:
    assert settings.read_settings((("DR_DELAY", text),), "ds").delay_s == seconds


@pytest.mark.parametrize("text", ["2h", "x", "-1"])
def test_a_bad_delay_of_a_datastore_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="DR_DELAY"):
        settings.read_settings((("DR_DELAY", text),), "ds")
