"""one.vm.action: actions without parameters, by name."""
from __future__ import annotations

import logging
from collections.abc import Callable

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.vm_requests import request_number
from sandbox.frontend.drivers import vmm
from sandbox.frontend.drivers.plans import Result, execute
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import quotas
from sandbox.frontend.objects.errors import ApiError, action
from sandbox.frontend.objects.users import MANAGE, Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.cleanup import UNPLACED, delete
from sandbox.frontend.vm.life import RETRIES, enter, finish, settle

LOG = logging.getLogger("DiM")
Act = Callable[[Frontend, Caller, VM, str], None]
_RESTING = ("POWEROFF", "SUSPENDED", "STOPPED", "UNDEPLOYED")


def _wrong_state(vm: VM) -> ApiError:
    return action(f"This action is not available for state {vm.state_text}")


def _is_on(vm: VM) -> bool:
    return vm.state_text in ("RUNNING", "UNKNOWN")


def _terminate(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
    if vm.state_name in UNPLACED:
        vm.note_action(name, who, request_number())
        finish(frontend, vm)
    elif vm.state_name in _RESTING:
        vm.note_action(name, who, request_number())
        vm.operation = {"at_frontend": "yes"} if vm.state_name in ("STOPPED", "UNDEPLOYED") else {}
        enter(frontend, vm, "EPILOG")
    elif _is_on(vm) or name == "terminate-hard" and vm.state_text == "SHUTDOWN":
        vm.note_action(name, who, request_number())
        vm.operation = {"hard": "yes"} if name == "terminate-hard" else {}
        enter(frontend, vm, "SHUTDOWN")
    elif vm.state_text in RETRIES:
        delete(frontend, vm)
    elif vm.state_name != "DONE":
        raise action(f"Could not terminate VM {vm.oid}, wrong state {vm.state_text}.")


def _stop_domain(stage_name: str) -> Act:
    def act(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
        if not _is_on(vm):
            raise _wrong_state(vm)
        vm.note_action(name, who, request_number())
        vm.operation = {"hard": "yes"} if name.endswith("-hard") else {}
        enter(frontend, vm, stage_name)
    return act


def _hold(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
    if vm.state_name not in ("PENDING", "CLONING"):
        raise _wrong_state(vm)
    settle(frontend, vm, "HOLD")


def _release(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
    if vm.state_name != "HOLD":
        raise _wrong_state(vm)
    settle(frontend, vm, "PENDING")
    frontend.wake_scheduler.set()


def _resume(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
    needs = quotas.of_object(vm, running_only=True)
    refused = quotas.demand(frontend.store, needs, vm.uid, vm.gid)
    if refused:
        raise action(refused)
    if vm.state_name in ("STOPPED", "UNDEPLOYED"):
        settle(frontend, vm, "PENDING")
        frontend.wake_scheduler.set()
    elif vm.state_name in ("POWEROFF", "SUSPENDED"):
        vm.next_record("", None)
        vm.note_action("resume", who, request_number())
        enter(frontend, vm, f"BOOT_{vm.state_name}")
    elif vm.state_text == "UNKNOWN":
        vm.next_record("", None)
        vm.note_action("resume", who, request_number())
        enter(frontend, vm, "BOOT_UNKNOWN")
    else:
        raise _wrong_state(vm)


def _reboot(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
    if vm.state_text != "RUNNING":
        raise _wrong_state(vm)
    verb = "reset" if name.endswith("-hard") else "reboot"
    vm.note_action(name, who, request_number())
    frontend.save(vm)
    plan = vmm.plan(vm, verb.upper(), [vmm.at_host(vm, verb, vm.deploy_id)])
    frontend.background(lambda: _log_failure(execute(frontend, plan), vm.oid), f"{verb} {vm.oid}")


def _log_failure(result: Result, oid: int) -> None:
    if not result.ok:
        LOG.error("VM %s: %s", oid, result.message)


def _resched(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
    vm.resched = int(name == "resched")
    frontend.save(vm)


ACTS: dict[str, Act] = {
    "terminate": _terminate, "terminate-hard": _terminate, "poweroff": _stop_domain("SHUTDOWN_POWEROFF"),
    "poweroff-hard": _stop_domain("SHUTDOWN_POWEROFF"), "suspend": _stop_domain("SAVE_SUSPEND"),
    "stop": _stop_domain("SAVE_STOP"), "undeploy": _stop_domain("SHUTDOWN_UNDEPLOY"),
    "undeploy-hard": _stop_domain("SHUTDOWN_UNDEPLOY"), "hold": _hold, "release": _release, "resume": _resume,
    "reboot": _reboot, "reboot-hard": _reboot, "resched": _resched, "unresched": _resched}


@api("one.vm.action", "si")
def vm_action(frontend: Frontend, who: Caller, name: str, oid: int) -> int:
    """Actions without parameters."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    if name not in ACTS:
        raise action(f'Action "{name}" is not supported')
    try:
        ACTS[name](frontend, who, vm, name)
    except ApiError as failure:
        raise action(f'Error performing action "{name}": {failure.text}') from failure
    return oid
