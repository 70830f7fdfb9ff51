"""Calls that attach or detach a network interface of a VM, an alias of one, or their security groups."""
from __future__ import annotations

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.shared_calls import read_template
from sandbox.frontend.api.vm_requests import choose_stage, request_number, target
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, Code, action
from sandbox.frontend.objects.restrictions import demand_unrestricted
from sandbox.frontend.objects.security_groups import SecurityGroup
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.objects.vnets import group_ids
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


@api("one.vm.attachsg", "iii")
def attachsg(frontend: Frontend, who: Caller, oid: int, number: int, group: int) -> int:
    """Add a security group to a NIC or an alias."""
    vm = target(frontend, who, oid)
    nic, groups = _groups(vm, oid, number)
    if frontend.store.find(SecurityGroup, group) is None:
        raise action(f"Could not attach SG {group} to VM, SG does not exist")
    if group in groups:
        raise action(f"VM {oid} SG {group} already in NIC {number}")
    return _set_groups(frontend, vm, nic, [*groups, group])


@api("one.vm.detachsg", "iii")
def detachsg(frontend: Frontend, who: Caller, oid: int, number: int, group: int) -> int:
    """Take a security group off a NIC or an alias."""
    vm = target(frontend, who, oid)
    nic, groups = _groups(vm, oid, number)
    if group not in groups:
        raise action(f"VM {oid} SG {group} is not in NIC {number}")
    return _set_groups(frontend, vm, nic, [each for each in groups if each != group])


def _groups(vm: VM, oid: int, number: int) -> tuple[Vector, list[int]]:
    nic = next((one for one in vm.interfaces if one["NIC_ID"] == str(number)), None)
    if nic is None:
        raise action(f"VM {oid} doesn't have NIC id {number}")
    return nic, group_ids(nic.get("SECURITY_GROUPS", ""))


def _set_groups(frontend: Frontend, vm: VM, nic: Vector, groups: list[int]) -> int:
    nic["SECURITY_GROUPS"] = ",".join(str(each) for each in sorted(groups))
    nics.set_security_rules(frontend, vm)
    frontend.save(vm)
    return vm.oid
