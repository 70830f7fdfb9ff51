"""The stages in which a network interface is attached or detached."""
from __future__ import annotations

from sandbox.frontend.drivers import vmm
from sandbox.frontend.drivers.plans import Plan, Result
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm import context, nics
from sandbox.frontend.vm.life import back, stage


def renew_context(frontend: Frontend, vm: VM) -> None:
    nics.set_security_rules(vm)
    nics.fill_context(vm)
    context.write(frontend, vm)


def _busy_nic(vm: VM) -> Vector:
    return next(one for one in vm.nics if one["NIC_ID"] == vm.operation["nic"])


def _hotplug_nic(frontend: Frontend, vm: VM) -> Plan:
    attaching = vm.operation["name"] == "attach"
    if vm.lcm_name == "HOTPLUG_NIC_POWEROFF":
        return Plan("ATTACHNIC")
    step = vmm.attach_nic(vm, _busy_nic(vm)) if attaching else vmm.detach_nic(vm, _busy_nic(vm))
    return vmm.plan(vm, "ATTACHNIC" if attaching else "DETACHNIC", [step, *vmm.renew_context(frontend, vm)])


def _nic_done(frontend: Frontend, vm: VM, result: Result) -> None:
    nic = _busy_nic(vm)
    nic.pop("ATTACH", None)
    if (vm.operation["name"] == "attach") != result.ok:
        nics.release(frontend, vm, nic)
        vm.template["NIC"].remove(nic)
        if not vm.template["NIC"]:
            del vm.template["NIC"]
        renew_context(frontend, vm)
    back(frontend, vm, result)


stage("HOTPLUG_NIC", _hotplug_nic, _nic_done, _nic_done)
stage("HOTPLUG_NIC_POWEROFF", _hotplug_nic, _nic_done, _nic_done)
