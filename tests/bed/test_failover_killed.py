"""A failover that is killed at any moment and started again ends, with nothing done twice (docs/design.md,
"Every prefix of a plan is safe").
"""
from __future__ import annotations

import json
import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.ceph.connection import Pool
from onedr.replication.mirror_image import parent_of
from onedr.runs.request import Request
from onedr.runs.steps import StepKind
from sandbox.cloud import DATASTORE, NETWORK, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

_RUNS = 40
_DICE = random.Random(20261122)


@pytest.mark.long  # tests/faults/test_every_step.py
def test_a_run_killed_again_and_again_ends_with_every_vm_and_image_there_once(sites: Sites) -> None:
    a, b = sites.a, sites.b
    images = {name: w.create_image(a, name, wait=False) for name in ("one", "two", "three")}
    images["base"] = w.create_image(a, "base", persistent=False, wait=False)
    for image in images.values():
        a.wait_image(image)
    nic = f'NIC=[NETWORK="{NETWORK}"]\n'
    vms = [
        w.create_vm(a, "first", [images["one"], images["base"]], f"{nic}DR_PRIORITY=1\n", wait=False),
        w.create_vm(a, "second", [images["two"]], nic, wait=False),
        w.create_vm(a, "off", [images["three"]], wait=False),
    ]
    for vm in vms:
        a.wait_vm(vm)
    a.api.vm.action("poweroff-hard", vms[2])
    a.wait_vm(vms[2], "POWEROFF")
    with w.open_pool(b) as there:
        for vm in vms:
            w.wait_recorded(a, vm, there)
    w.wait_complete(a, [name for vm in vms for name in w.vm_disks(a, vm)])
    _flatten(a, b, w.vm_disks(a, vms[0])[1])
    sites.kill_a()
    killed = _kill_until_it_ends(b)
    print(f"\nended by itself after {len(killed)} kills: {killed}")
    assert killed, "the first run must have been killed for this test to say anything"
    _there_once(b, images)


def _flatten(a: Cloud, b: Cloud, clone: str) -> None:
    """As a user might: the copy at site B keeps the metadata of the base that it was cloned from, and no
    parent tells.
    """
    with w.open_pool(a) as here, here.image(clone) as image:
        image.flatten()
    with w.open_pool(b) as there:
        until("the flattened copy", lambda: _stands_alone(there, clone), 60, 0.2)
        assert w.image_record(there, clone), "Ceph handed the base's record on"


def _stands_alone(pool: Pool, name: str) -> bool:
    with pool.image(name, read_only=True) as image:
        return parent_of(image) is None


def _kill_until_it_ends(b: Cloud) -> list[str]:
    killed: list[str] = []
    while len(killed) < _RUNS:
        at_step = len(killed) % 2 == 0
        child = w.start_action(b, Request("failover", confirm=DATASTORE))
        try:
            died = _at_a_step(child) if at_step else _at_some_moment(child)
        finally:
            child.kill()
            child.wait()
        if not died:
            return killed
        killed.append(died)
    raise AssertionError(f"no run ended by itself in {_RUNS}: {killed}")


def _at_a_step(child: subprocess.Popen[str]) -> str:
    """Kill after the first step that changes something; empty when the run ended before."""
    for event in _events(child):
        # the cut comes first in each run
        if event["event"] == "step" and event["kind"] != StepKind.CUT.value:
            child.kill()
            return f"{event['kind']} {event['target']}"
    assert child.wait(60) in (0, 2), "done, or nothing left to do"
    return ""


def _at_some_moment(child: subprocess.Popen[str]) -> str:
    """Kill some time after the plan was shown, wherever the run stands then."""
    events = _events(child)
    plan = next(events)
    try:
        moment = _DICE.uniform(0.0, 0.8)
        code = child.wait(moment)
    except subprocess.TimeoutExpired:
        child.kill()
        return f"{moment:.2f} s after the plan of {len(plan['steps'])} steps"
    assert code in (0, 2), list(events)
    return ""


def _events(child: subprocess.Popen[str]) -> Any:
    assert child.stdout is not None
    return (json.loads(line) for line in child.stdout)


def _there_once(b: Cloud, images: dict[str, int]) -> None:
    found = b.api.vmpool.infoextended(-2, -1, -1, -1).VM
    assert sorted(vm.NAME for vm in found) == ["first", "off", "second"]
    registered = b.api.imagepool.info(-2, -1, -1).IMAGE
    assert sorted(image.NAME for image in registered) == sorted([*images, "first-disk-1"])
    for vm in found:
        assert vm.USER_TEMPLATE["DR_FINISHED"] == "YES"
        if vm.NAME == "off":
            assert not vm.HISTORY_RECORDS.HISTORY
            continue
        b.wait_vm(vm.ID)
        w.wait_writing(b, vm.ID)
    with w.open_pool(b) as pool:
        assert all(w.primaries(pool).values())
    ended = until("a named end", lambda: _ended(w.status(b)), 60, 0.5)
    assert ended is not None and ended["state"] == "ACTIVE_UNPROTECTED"


def _ended(status: dict[str, Any]) -> dict[str, Any] | None:
    return status if status["state"] not in ("FAILING_OVER",) else None
