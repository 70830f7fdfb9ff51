"""Calls that attach or detach a network interface of a VM, or an alias of one."""
from __future__ import annotations

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.shared_calls import read_template
from sandbox.frontend.api.vm_requests import choose_stage, request_number, target
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, Code, action
from sandbox.frontend.objects.restrictions import demand_unrestricted
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.vm import nics
from sandbox.frontend.vm.hotplug_nics import renew_context
from sandbox.frontend.vm.life import enter


@api("one.vm.attachnic", "is")
def attachnic(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """Attach a NIC or a NIC_ALIAS; the guest gets a new context disk."""
    vm = target(frontend, who, oid)
    given = read_template(text)
    demand_unrestricted(who, given, frontend.config.names("VM_RESTRICTED_ATTR"), "NIC")
    name = choose_stage(vm, f"Could not add a new NIC to VM {oid}", "HOTPLUG_NIC", "HOTPLUG_NIC_POWEROFF")
    kind = next((kind for kind in ("NIC", "NIC_ALIAS") if given.vectors(kind)), None)
    if kind is None:
        raise action("Wrong format or missing NIC/NIC_ALIAS/PCI attribute")
    try:
        number = nics.add(frontend, who, vm, {**given.vectors(kind)[0], "ATTACH": "YES"}, kind)
    except ApiError as failure:
        raise failure if failure.code == Code.AUTHORIZATION else action(failure.text) from failure
    renew_context(frontend, vm)
    vm.next_record("nic-attach" if kind == "NIC" else "alias-attach", who, request_number())
    vm.operation = {"name": "attach", "nic": str(number)}
    enter(frontend, vm, name)
    return oid


@api("one.vm.detachnic", "ii")
def detachnic(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Detach a NIC with its aliases, or one alias."""
    vm = target(frontend, who, oid)
    nic = next((one for one in vm.interfaces if one["NIC_ID"] == str(number)), None)
    name = choose_stage(vm, f"Could not detach NIC from VM {oid}", "HOTPLUG_NIC", "HOTPLUG_NIC_POWEROFF")
    if nic is None:
        raise action(f"Could not detach NIC with NIC_ID {number}, it does not exist.")
    nic["ATTACH"] = "YES"
    vm.next_record("alias-detach" if "ALIAS_ID" in nic else "nic-detach", who, request_number())
    vm.operation = {"name": "detach", "nic": str(number)}
    enter(frontend, vm, name)
    return oid
