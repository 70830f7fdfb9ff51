"""Removal of a placed VM: the drivers delete everything, persistent disks too."""
from __future__ import annotations

from sandbox.frontend.drivers import transfers, vmm
from sandbox.frontend.drivers.plans import Plan, execute
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.capacity import give_capacity
from sandbox.frontend.vm.graphics import give_port
from sandbox.frontend.vm.life import finish, settle

UNPLACED = ("INIT", "PENDING", "HOLD", "CLONING", "CLONING_FAILURE")
"""States of VMs that no driver has touched."""


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


def recreate(frontend: Frontend, vm: VM) -> None:
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
                give_port(found)
                found.deploy_id = ""
                settle(frontend, found, "PENDING")
                frontend.wake_scheduler.set()
    frontend.background(work, f"recreate {oid}")
