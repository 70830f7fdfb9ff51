"""one.vm.action, deploy, migrate and recover: what starts and ends the stages."""
from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable

from sandbox.frontend import scheduler, transfers, vmm
from sandbox.frontend.calls import api
from sandbox.frontend.context import Frontend
from sandbox.frontend.datastores import SYSTEM_DS, Datastore
from sandbox.frontend.errors import ApiError, action, internal, unsupported
from sandbox.frontend.hosts import Host, give_capacity, take_capacity
from sandbox.frontend.plans import Plan, Result, execute
from sandbox.frontend.users import ADMIN, MANAGE, Caller
from sandbox.frontend.vm_life import RETRIES, STAGES, enter, finish, settle
from sandbox.frontend.vms import VM, History

LOG = logging.getLogger("DiM")
Act = Callable[[Frontend, Caller, VM, str], None]
_requests = itertools.count(int(time.time()) % 10000)
_RESTING = ("POWEROFF", "SUSPENDED", "STOPPED", "UNDEPLOYED")
_UNPLACED = ("INIT", "PENDING", "HOLD", "CLONING", "CLONING_FAILURE")


def request_number() -> int:
    """A number like oned's request ids."""
    return next(_requests) % 10000


def _wrong_state(vm: VM) -> ApiError:
    return action(f"This action is not available for state {vm.state_text}")


def _is_on(vm: VM) -> bool:
    return vm.state_text in ("RUNNING", "UNKNOWN")


def _terminate(frontend: Frontend, who: Caller, vm: VM, name: str) -> None:
    if vm.state_name in _UNPLACED:
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


@api("one.vm.deploy", "ii?bis")
def deploy(frontend: Frontend, who: Caller, oid: int, host_id: int, enforce: bool = False, datastore: int = -1,
           extra: str = "") -> int:
    """Place a pending VM by hand."""
    vm, host = frontend.store.get(VM, oid), frontend.store.get(Host, host_id)
    who.demand(ADMIN, vm)
    if vm.state_name not in ("PENDING", "HOLD", "STOPPED", "UNDEPLOYED"):
        raise action(f"Deploy action is not available for state {vm.state_text}")
    if host.state_text == "OFFLINE":
        raise action("Host is offline, cannot use it to deploy VM")
    try:
        system = scheduler.choose_datastore(frontend, vm) if datastore == -1 else frontend.store.get(
            Datastore, datastore)
    except scheduler.NoPlace as failure:
        raise action(str(failure)) from failure
    if system.type != SYSTEM_DS:
        raise internal(f"Trying to use {system.name} as system datastore.")
    scheduler.deploy(frontend, vm, host, system)
    return oid


@api("one.vm.migrate", "iib?bii")
def migrate(frontend: Frontend, who: Caller, oid: int, host_id: int, live: bool, enforce: bool = False,
            datastore: int = -1, kind: int = 0) -> int:
    """Move to another host or system datastore."""
    vm, host = frontend.store.get(VM, oid), frontend.store.get(Host, host_id)
    who.demand(ADMIN, vm)
    if vm.state_text not in ("RUNNING", "POWEROFF", "SUSPENDED"):
        raise action(f"Migrate action is not available for state {vm.state_text}")
    if kind != 0:
        raise unsupported("migration by poweroff")
    old = vm.place
    system = frontend.store.get(Datastore, old.ds_id if datastore == -1 else datastore)
    _check_migration(vm, host, system, live, old)
    off = vm.state_text != "RUNNING"
    if not off:
        vm.note_action("live-migrate" if live else "migrate", who, request_number())
    now = int(time.time())
    old.etime = now
    old.retime = old.retime or now
    give_capacity(frontend, vm)
    vm.history.append(History(old.seq + 1, host.name, host.oid, host.cluster_id, host.vm_mad, system.tm_mad,
                              system.oid, stime=now))
    if off:
        vm.note_action("migrate", who, request_number())
    take_capacity(frontend, vm)
    stages = {"POWEROFF": "PROLOG_MIGRATE_POWEROFF", "SUSPENDED": "PROLOG_MIGRATE_SUSPEND"}
    enter(frontend, vm, stages.get(vm.state_text, "MIGRATE" if live else "SAVE_MIGRATE"))
    return oid


def _check_migration(vm: VM, host: Host, system: Datastore, live: bool, old: History) -> None:
    if host.state_text == "OFFLINE":
        raise action("Host is offline, cannot use it to deploy VM")
    same_datastore = system.oid == old.ds_id
    if host.oid == old.hid and same_datastore:
        raise action(f"VM is already running in host [{host.name}] and using system datastore [{system.oid}].")
    if live and host.oid != old.hid and not same_datastore:
        raise action("Cannot live migrate host and datastore at the same time.")
    if not same_datastore and system.template.text("DS_MIGRATE") != "YES":
        raise action("System datastore migration not supported by driver")
    if not same_datastore and system.tm_mad != old.tm_mad:
        raise action("Cannot migrate to a system datastore with a different driver")


# Recover

def delete(frontend: Frontend, vm: VM) -> None:
    """Delete a placed VM: the record goes at once, the drivers clean up behind it."""
    active = vm.state_name == "ACTIVE"
    plan = _cleanup_plan(frontend, vm)
    if active:
        vm.enter("ACTIVE", "CLEANUP_DELETE")
        frontend.save(vm)
    finish(frontend, vm, failed=active)
    frontend.background(lambda: _run_all(frontend, plan), f"cleanup {vm.oid}")


def _cleanup_plan(frontend: Frontend, vm: VM) -> Plan:
    """Every disk is deleted, persistent ones too: nothing is moved back."""
    away = vm.state_name in ("STOPPED", "UNDEPLOYED")
    disks = transfers.epilog(frontend, vm, keep=False, at_frontend=away)
    if not _has_domain(vm):
        return Plan("CLEANUP", disks)
    return vmm.plan(vm, "CLEANUP", [vmm.at_host(vm, "cancel", vm.deploy_id), *disks])


def _has_domain(vm: VM) -> bool:
    """Whether a guest may be at the host in this life-cycle state."""
    name = vm.lcm_name
    at_rest = name.startswith(("HOTPLUG_", "DISK_")) and name.endswith(("_POWEROFF", "_SUSPENDED", "_STOPPED",
                                                                        "_UNDEPLOYED"))
    return vm.state_name == "ACTIVE" and not at_rest and not name.startswith(("PROLOG", "EPILOG", "CLEANUP"))


def _run_all(frontend: Frontend, plan: Plan) -> None:
    for step in plan.steps:
        execute(frontend, Plan(plan.label, [step]))


def _recreate(frontend: Frontend, vm: VM) -> None:
    plan = _cleanup_plan(frontend, vm)
    vm.enter("ACTIVE", "CLEANUP_RESUBMIT")
    frontend.save(vm)
    oid = vm.oid

    def work() -> None:
        _run_all(frontend, plan)
        with frontend.lock:
            found = frontend.store.find(VM, oid)
            if found is not None and found.lcm_name == "CLEANUP_RESUBMIT":
                give_capacity(frontend, found)
                found.deploy_id = ""
                settle(frontend, found, "PENDING")
                frontend.wake_scheduler.set()
    frontend.background(work, f"recreate {oid}")


FAILURE, SUCCESS, RETRY, DELETE, RECREATE, DELETE_DB = range(6)


@api("one.vm.recover", "ii?i")
def recover(frontend: Frontend, who: Caller, oid: int, operation: int, datastore: int = -1) -> int:
    """Get a VM out of a state it hangs in."""
    vm = frontend.store.get(VM, oid)
    if operation not in range(6):
        raise action("Wrong recovery operation code")
    who.demand(ADMIN if operation != RETRY else MANAGE, vm)
    if operation in (FAILURE, SUCCESS):
        _pretend(frontend, vm, operation == SUCCESS)
    elif operation == RETRY:
        _retry(frontend, vm)
    elif operation == RECREATE:
        _start_over(frontend, who, vm)
    elif vm.state_name != "DONE":
        vm.note_action("delete", who, request_number())
        if operation == DELETE_DB or vm.state_name in _UNPLACED:
            finish(frontend, vm)
        else:
            delete(frontend, vm)
    return oid


def _pretend(frontend: Frontend, vm: VM, success: bool) -> None:
    """Act as if the driver had answered. States without a pending answer stay as they are."""
    if vm.state_name != "ACTIVE":
        raise action(f"Could not perform a recover operation on VM {vm.oid}, wrong state {vm.state_text}.")
    name = RETRIES.get(vm.lcm_name, vm.lcm_name)
    if name not in STAGES:
        return
    if success:
        STAGES[name].done(frontend, vm, Result(True, "", vm.deploy_id))
    elif vm.lcm_name not in RETRIES:
        STAGES[name].failed(frontend, vm, Result(False, "Recovered as failure"))


def _retry(frontend: Frontend, vm: VM) -> None:
    name = RETRIES.get(vm.lcm_name, vm.lcm_name)
    if vm.state_name != "ACTIVE" or name not in STAGES:
        raise action(f"Could not perform a retry operation on VM {vm.oid}, wrong state {vm.state_text}.")
    enter(frontend, vm, name)


def _start_over(frontend: Frontend, who: Caller, vm: VM) -> None:
    if vm.state_name == "DONE":
        raise action("Cannot delete-recreate a VM already in DONE state")
    vm.note_action("delete-recreate", who, request_number())
    if vm.state_name in ("ACTIVE", "POWEROFF", "SUSPENDED"):
        vm.place.etime = int(time.time())
        _recreate(frontend, vm)
    elif vm.state_name in ("HOLD", "STOPPED", "UNDEPLOYED"):
        settle(frontend, vm, "PENDING")
        frontend.wake_scheduler.set()

