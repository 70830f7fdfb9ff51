"""Calls that attach or detach a network interface of a VM."""
from __future__ import annotations

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.shared_calls import read_template
from sandbox.frontend.api.vm_requests import choose_stage, request_number, target
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import action
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.vm import nics
from sandbox.frontend.vm.hotplug_nics import renew_context
from sandbox.frontend.vm.life import enter


@api("one.vm.attachnic", "is")
def attachnic(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """Attach a network interface; the guest gets a new context disk."""
    vm = target(frontend, who, oid)
    nic = read_template(text).vector("NIC")
    if nic is None:
        raise action("No NIC attribute in template")
    name = choose_stage(vm, f"Could not add a new NIC to VM {oid}", "HOTPLUG_NIC", "HOTPLUG_NIC_POWEROFF")
    number = max((int(other["NIC_ID"]) for other in vm.nics), default=-1) + 1
    made = {**nic, "ATTACH": "YES"}
    nics.connect(frontend, who, vm, made, number)
    vm.template.add("NIC", made)
    renew_context(frontend, vm)
    vm.next_record("nic-attach", who, request_number())
    vm.operation = {"name": "attach", "nic": str(number)}
    enter(frontend, vm, name)
    return oid


@api("one.vm.detachnic", "ii")
def detachnic(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Detach a network interface."""
    vm = target(frontend, who, oid)
    nic = next((one for one in vm.nics if one["NIC_ID"] == str(number)), None)
    name = choose_stage(vm, f"Could not detach NIC from VM {oid}", "HOTPLUG_NIC", "HOTPLUG_NIC_POWEROFF")
    if nic is None:
        raise action(f"Could not detach NIC with NIC_ID {number}, it does not exist.")
    nic["ATTACH"] = "YES"
    vm.next_record("nic-detach", who, request_number())
    vm.operation = {"name": "detach", "nic": str(number)}
    enter(frontend, vm, name)
    return oid
