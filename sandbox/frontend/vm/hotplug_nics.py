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
    """Bring security rules and context up to date with the NICs."""
    nics.set_security_rules(frontend, vm)
    context.fill_network(frontend, vm)
    context.write(frontend, vm)


def _busy_nic(vm: VM) -> Vector:
    return next(one for one in vm.interfaces if one["NIC_ID"] == vm.operation["nic"])


def _hotplug_nic(frontend: Frontend, vm: VM) -> Plan:
    attaching, nic = vm.operation["name"] == "attach", _busy_nic(vm)
    if vm.lcm_name == "HOTPLUG_NIC_POWEROFF":
        return Plan("ATTACHNIC")
    steps = vmm.renew_context(frontend, vm)
    if "ALIAS_ID" not in nic:
        steps = [vmm.attach_nic(vm, nic) if attaching else vmm.detach_nic(vm, nic), *steps]
    return vmm.plan(vm, "ATTACHNIC" if attaching else "DETACHNIC", steps)


def _nic_done(frontend: Frontend, vm: VM, result: Result) -> None:
    nic = _busy_nic(vm)
    nic.pop("ATTACH", None)
    if (vm.operation["name"] == "attach") != result.ok:
        for one in nics.with_aliases(vm, nic):
            nics.drop(frontend, vm, one)
        renew_context(frontend, vm)
    back(frontend, vm, result)


stage("HOTPLUG_NIC", _hotplug_nic, _nic_done, _nic_done)
stage("HOTPLUG_NIC_POWEROFF", _hotplug_nic, _nic_done, _nic_done)
