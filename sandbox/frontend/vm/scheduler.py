"""Placing pending VMs: the first host and system datastore that meet what the VM asks for."""
from __future__ import annotations

import logging
import threading
import time

from sandbox.frontend.drivers.transfers import is_volatile
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.datastores import SYSTEM_DS, Datastore
from sandbox.frontend.objects.errors import ApiError
from sandbox.frontend.objects.hosts import TOTAL_CPU, TOTAL_MEMORY_KB, Host
from sandbox.frontend.objects.states import ACTIONS
from sandbox.frontend.objects.vms import VM, History
from sandbox.frontend.vm import cloning
from sandbox.frontend.vm.capacity import take_capacity
from sandbox.frontend.vm.disks import fit_to_system
from sandbox.frontend.vm.expressions import BadExpression, matches
from sandbox.frontend.vm.graphics import take_port
from sandbox.frontend.vm.life import enter

LOG = logging.getLogger("SCH")
LONGEST_WAIT = 1.0


class NoPlace(Exception):
    """Nothing meets the VM's requirements."""


def run(frontend: Frontend, ended: threading.Event) -> None:
    """Look for pending VMs whenever something changed, and once a second."""
    while not ended.is_set():
        frontend.wake_scheduler.wait(LONGEST_WAIT)
        frontend.wake_scheduler.clear()
        with frontend.lock:
            for vm in reversed(frontend.store.all(VM)):
                if vm.state_name == "CLONING":
                    cloning.check(frontend, vm)
                if vm.state_name == "PENDING":
                    _try_place(frontend, vm)


def _try_place(frontend: Frontend, vm: VM) -> None:
    try:
        host = choose_host(frontend, vm)
        deploy(frontend, vm, host, choose_datastore(frontend, vm))
    except (NoPlace, BadExpression) as failure:
        _explain(frontend, vm, str(failure))
    except ApiError as failure:
        _explain(frontend, vm, failure.text)


def _explain(frontend: Frontend, vm: VM, reason: str) -> None:
    """SCHED_MESSAGE, written only when the reason is a new one."""
    old = vm.user_template.text("SCHED_MESSAGE")
    if not old.endswith(reason):
        LOG.info("VM %s stays pending: %s", vm.oid, reason)
        vm.user_template.put("SCHED_MESSAGE", f"{time.strftime('%a %b %e %H:%M:%S %Y')}: {reason}")
        frontend.save(vm)


def choose_host(frontend: Frontend, vm: VM) -> Host:
    """The host with the most free CPU among those that fit."""
    usable = [host for host in frontend.store.all(Host) if host.usable]
    if not usable:
        raise NoPlace("No hosts enabled to run VMs")
    wanted = vm.user_template.text("SCHED_REQUIREMENTS")
    fitting = [host for host in usable if matches(wanted, _host_values(host))]
    if not fitting:
        raise NoPlace(f"No host meets capacity and SCHED_REQUIREMENTS: {wanted}")
    memory = (vm.template.number("MEMORY") or 0) * 1024
    cpu = float(vm.template.text("CPU", "0")) * 100
    free = [host for host in fitting
            if host.memory_kb + memory <= TOTAL_MEMORY_KB and host.cpu + cpu <= TOTAL_CPU]
    if not free:
        raise NoPlace("No host with enough capacity to deploy the VM")
    return min(free, key=lambda host: (host.cpu, host.oid))


def _host_values(host: Host) -> dict[str, str]:
    values = {key: host.template.text(key) for key in host.template}
    return {**values, "ID": str(host.oid), "NAME": host.name, "CLUSTER_ID": str(host.cluster_id),
            "CLUSTER": host.cluster, "VM_MAD": host.vm_mad, "FREE_CPU": str(TOTAL_CPU - host.cpu),
            "FREE_MEMORY": str(TOTAL_MEMORY_KB - host.memory_kb), "RUNNING_VMS": str(len(host.vms))}


def choose_datastore(frontend: Frontend, vm: VM) -> Datastore:
    """The system datastore with the most free space among those that fit."""
    wanted = vm.user_template.text("SCHED_DS_REQUIREMENTS")
    need = sum(int(disk["SIZE"]) for disk in vm.disks
               if is_volatile(disk) or disk.get("CLONE_TARGET") == "SYSTEM" and disk.get("CLONE") == "YES")
    fitting = [found for found in frontend.store.all(Datastore)
               if found.type == SYSTEM_DS and found.state == 0 and found.free_mb > need
               and matches(wanted, _datastore_values(found)) and _disks_fit(frontend, vm, found)]
    if not fitting:
        raise NoPlace(f"No system datastore meets SCHED_DS_REQUIREMENTS: {wanted}")
    return max(fitting, key=lambda found: (found.free_mb, -found.oid))


def _datastore_values(found: Datastore) -> dict[str, str]:
    values = {key: found.template.text(key) for key in found.template}
    return {**values, "ID": str(found.oid), "NAME": found.name, "TM_MAD": found.tm_mad,
            "FREE_MB": str(found.free_mb), "CLUSTERS/ID": ",".join(str(one) for one in found.clusters)}


def _disks_fit(frontend: Frontend, vm: VM, system: Datastore) -> bool:
    try:
        fit_to_system(frontend, [dict(disk) for disk in vm.disks], system)
    except ApiError:
        return False
    return True


def deploy(frontend: Frontend, vm: VM, host: Host, system: Datastore) -> None:
    """Bind a VM to a place and start it; raises when the disks do not fit."""
    fit_to_system(frontend, vm.disks, system)
    take_port(frontend, vm)
    vm.template.put("TM_MAD_SYSTEM", system.tm_mad)
    vm.user_template.pop("SCHED_MESSAGE", None)
    reason = vm.place.action if vm.history else 0
    LOG.info("Deploying VM %s", vm.oid)
    now = int(time.time())
    vm.history.append(History(
        len(vm.history), host.name, host.oid, host.cluster_id, host.vm_mad, system.tm_mad, system.oid,
        stime=now))
    take_capacity(frontend, vm)
    if reason == ACTIONS["stop"]:
        enter(frontend, vm, "PROLOG_RESUME")
    elif reason in (ACTIONS["undeploy"], ACTIONS["undeploy-hard"]):
        enter(frontend, vm, "PROLOG_UNDEPLOY")
    else:
        enter(frontend, vm, "PROLOG")
