"""Priority groups: who starts after whom, and how long is waited between them."""
from __future__ import annotations

import pytest
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
    assert planned(*images, delay_s=default).delays == expected


def test_a_vms_own_delay_holds_up_that_vm_only() -> None:
    plan = planned(vm(1, "1", "1h"), vm(2, "1"), vm(3, "2", "30s"), vm(4, "3", "0"), delay_s=5)
    assert plan.delays == {1: 5, 2: 5}
    assert plan.vm_delays == {f"{THERE}:1": 900, f"{THERE}:3": 30}
    assert "cut to the 900 s of DR_DELAY_MAX" in plan.warnings[f"{THERE}:1"]


@pytest.mark.parametrize("bad", ["soon", "-3", "1.5m"])
def test_a_delay_that_cannot_be_read_is_named_and_not_used(bad: str) -> None:
    plan = planned(vm(1, "1", bad), vm(2, "2"), delay_s=11)
    assert plan.delays == {1: 11} and plan.vm_delays == {}
    assert "DR_DELAY" in plan.warnings[f"{THERE}:1"] and not plan.left_out


def test_nothing_is_waited_for_where_nothing_starts() -> None:
    plan = planned(vm(1, "1", "30s"), vm(2, "2"), request=confirmed(start=False))
    assert plan.delays == {} and plan.vm_delays == {} and StepKind.START not in {kind for kind, _ in steps(plan)}


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("45", 45), ("2m", 120), ("1h", 3600)])
def test_the_datastores_delay_is_a_duration(text: str, seconds: int) -> None:
    assert settings.read_settings((("DR_DELAY", text),), "ds").delay_s == seconds


@pytest.mark.parametrize("text", ["2h", "x", "-1"])
def test_a_bad_delay_of_a_datastore_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="DR_DELAY"):
        settings.read_settings((("DR_DELAY", text),), "ds")
