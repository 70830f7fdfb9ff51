"""one.vm.recover, in its six ways."""
from __future__ import annotations

import time

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.vm_requests import request_number
from sandbox.frontend.drivers.plans import Result
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import action
from sandbox.frontend.objects.users import ADMIN, MANAGE, Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.cleanup import UNPLACED, delete, recreate
from sandbox.frontend.vm.life import RETRIES, STAGES, enter, finish, settle

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
        if operation == DELETE_DB or vm.state_name in UNPLACED:
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
        recreate(frontend, vm)
    elif vm.state_name in ("HOLD", "STOPPED", "UNDEPLOYED"):
        settle(frontend, vm, "PENDING")
        frontend.wake_scheduler.set()
