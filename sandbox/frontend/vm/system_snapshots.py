"""The stage in which the hypervisor makes a snapshot of a running domain."""
from __future__ import annotations

from sandbox.frontend.drivers import vmm
from sandbox.frontend.drivers.plans import Plan, Result
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.life import back, stage


def _system_snapshot(frontend: Frontend, vm: VM) -> Plan:
    step = vmm.command(vm, "snapshot_create", vm.deploy_id, vm.operation["snapshot"])
    return vmm.plan(vm, "SNAPSHOTCREATE", [step])


def _system_snapshot_done(frontend: Frontend, vm: VM, result: Result) -> None:
    made = next(one for one in vm.template.vectors("SNAPSHOT")
                if one["SNAPSHOT_ID"] == vm.operation["snapshot"])
    made.pop("ACTION", None)
    made["HYPERVISOR_ID"] = result.output or f"snap-{made['SNAPSHOT_ID']}"
    if not result.ok:
        vm.template["SNAPSHOT"].remove(made)
        if not vm.template["SNAPSHOT"]:
            del vm.template["SNAPSHOT"]
    back(frontend, vm, result)


stage("HOTPLUG_SNAPSHOT", _system_snapshot, _system_snapshot_done, _system_snapshot_done)
