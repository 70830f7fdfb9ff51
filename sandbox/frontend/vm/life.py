"""The life-cycle machine: each transient state runs a plan, and its end leads to the next state."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.frontend.drivers.plans import Plan, Result, execute
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.capacity import give_capacity
from sandbox.frontend.vm.disks import release_images
from sandbox.frontend.vm.graphics import give_port
from sandbox.frontend.vm.nics import release_leases

LOG = logging.getLogger("LCM")
PlanMaker = Callable[[Frontend, VM], Plan]
End = Callable[[Frontend, VM, Result], None]


@dataclass(frozen=True)
class Stage:
    """A transient life-cycle state."""

    plan: PlanMaker
    done: End
    failed: End


STAGES: dict[str, Stage] = {}
RETRIES: dict[str, str] = {}
"""Failure state to the state that is tried again."""


def stage(name: str, plan: PlanMaker, done: End, failed: End, failure_state: str = "") -> None:
    """Register a transient state."""
    STAGES[name] = Stage(plan, done, failed)
    if failure_state:
        RETRIES[failure_state] = name


def enter(frontend: Frontend, vm: VM, name: str) -> None:
    """Go into a transient state and start its plan."""
    vm.enter("ACTIVE", name)
    frontend.save(vm)
    chosen = STAGES[name]
    plan = chosen.plan(frontend, vm)
    frontend.store.put(vm)
    oid = vm.oid

    def work() -> None:
        result = execute(frontend, plan)
        with frontend.lock:
            _end(frontend, oid, name, result)
    frontend.background(work, f"{name} {oid}")


def _end(frontend: Frontend, oid: int, name: str, result: Result) -> None:
    """A VM that was taken out of the state meanwhile (recover, terminate) goes its own way."""
    vm = frontend.store.find(VM, oid)
    if vm is None or vm.state_name != "ACTIVE" or vm.lcm_name != name:
        LOG.info("result for VM %s in %s comes too late", oid, name)
        return
    chosen = STAGES[name]
    if result.ok:
        chosen.done(frontend, vm, result)
    else:
        LOG.error("VM %s: %s", oid, result.message)
        vm.set_error(result.message)
        chosen.failed(frontend, vm, result)


def settle(frontend: Frontend, vm: VM, state: str, lcm_state: str = "LCM_INIT") -> None:
    """Come to rest in a state."""
    vm.enter(state, lcm_state)
    frontend.save(vm)


def to_state(state: str, lcm_state: str = "LCM_INIT") -> End:
    """An ending that just settles."""
    def end(frontend: Frontend, vm: VM, result: Result) -> None:
        settle(frontend, vm, state, lcm_state)
    return end


def to_stage(name: str) -> End:
    """An ending that enters another stage."""
    def end(frontend: Frontend, vm: VM, result: Result) -> None:
        enter(frontend, vm, name)
    return end


def running(frontend: Frontend, vm: VM, result: Result) -> None:
    """The domain runs."""
    now = int(time.time())
    if not vm.place.rstime:
        vm.place.rstime = now
    vm.operation = {}
    settle(frontend, vm, "ACTIVE", "RUNNING")


def still_running(frontend: Frontend, vm: VM, result: Result) -> None:
    """An action on a running domain failed: it runs on."""
    vm.place.retime = vm.place.etime = 0
    vm.note_action("none", None)
    running(frontend, vm, result)


def finish(frontend: Frontend, vm: VM, failed: bool = False) -> None:
    """DONE: everything the VM held is given back."""
    vm.etime = int(time.time())
    if vm.history and not vm.place.etime:
        vm.place.etime = vm.etime
    give_capacity(frontend, vm)
    give_port(vm)
    release_leases(frontend, vm)
    release_images(frontend, vm, failed)
    settle(frontend, vm, "DONE")


def back(frontend: Frontend, vm: VM, result: Result) -> None:
    """RUNNING or POWEROFF again, whichever it was."""
    off = vm.lcm_name.endswith("_POWEROFF")
    vm.operation = {}
    if off:
        settle(frontend, vm, "POWEROFF")
    else:
        running(frontend, vm, result)
