"""Stages of boot, stop, move and end of a VM."""
from __future__ import annotations

import time

from sandbox.frontend.drivers import deployment, transfers, vmm
from sandbox.frontend.drivers.plans import TRANSFER, Plan, Result, Step
from sandbox.frontend.drivers.transfers import vm_folder
from sandbox.frontend.executor import encode
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.vms import VM, History
from sandbox.frontend.vm import context
from sandbox.frontend.vm.capacity import give_capacity, take_capacity
from sandbox.frontend.vm.graphics import give_port
from sandbox.frontend.vm.life import (
    End,
    enter,
    finish,
    running,
    settle,
    stage,
    still_running,
    to_stage,
    to_state,
)


def _now() -> int:
    return int(time.time())


# Boot: context, then the domain

def _boot(frontend: Frontend, vm: VM) -> Plan:
    context.fill_network(frontend, vm)
    context.write(frontend, vm)
    file = deployment.write(frontend, vm)
    return vmm.plan(vm, "DEPLOY", [*transfers.context(frontend, vm), vmm.deploy(frontend, vm, file)])


def _restore(frontend: Frontend, vm: VM) -> Plan:
    context.write(frontend, vm)
    deployment.write(frontend, vm)
    return vmm.plan(vm, "RESTORE", [*transfers.context(frontend, vm), vmm.restore(frontend, vm)])


def _booted(frontend: Frontend, vm: VM, result: Result) -> None:
    vm.deploy_id = result.output.split("\n")[0].strip() or vm.deploy_id or f"one-{vm.oid}"
    running(frontend, vm, result)


stage("BOOT", _boot, _booted, to_state("ACTIVE", "BOOT_FAILURE"), "BOOT_FAILURE")
stage("BOOT_POWEROFF", _boot, _booted, to_state("POWEROFF"))
stage("BOOT_UNKNOWN", _boot, _booted, to_state("ACTIVE", "UNKNOWN"))
stage("BOOT_UNDEPLOY", _boot, _booted, to_state("ACTIVE", "BOOT_UNDEPLOY_FAILURE"), "BOOT_UNDEPLOY_FAILURE")
stage("BOOT_SUSPENDED", _restore, _booted, to_state("SUSPENDED"))
stage("BOOT_STOPPED", _restore, _booted, to_state("ACTIVE", "BOOT_STOPPED_FAILURE"), "BOOT_STOPPED_FAILURE")
stage("BOOT_MIGRATE", _restore, _booted, to_state("ACTIVE", "BOOT_MIGRATE_FAILURE"), "BOOT_MIGRATE_FAILURE")


# Prolog: disks to the host

def _prolog(frontend: Frontend, vm: VM) -> Plan:
    vm.place.pstime = _now()
    return Plan(TRANSFER, transfers.prolog(frontend, vm))


def _prolog_done(frontend: Frontend, vm: VM, result: Result) -> None:
    vm.place.petime = vm.place.rstime = _now()
    enter(frontend, vm, "BOOT")


def _prolog_back(frontend: Frontend, vm: VM) -> Plan:
    vm.place.pstime = _now()
    return Plan(TRANSFER, transfers.from_frontend(frontend, vm, vm.history[-2]))


stage("PROLOG", _prolog, _prolog_done, to_state("ACTIVE", "PROLOG_FAILURE"), "PROLOG_FAILURE")
stage("PROLOG_RESUME", _prolog_back, to_stage("BOOT_STOPPED"), to_state("ACTIVE", "PROLOG_RESUME_FAILURE"),
      "PROLOG_RESUME_FAILURE")
stage("PROLOG_UNDEPLOY", _prolog_back, to_stage("BOOT_UNDEPLOY"),
      to_state("ACTIVE", "PROLOG_UNDEPLOY_FAILURE"), "PROLOG_UNDEPLOY_FAILURE")


# Shutdown and save

def _shutdown(frontend: Frontend, vm: VM) -> Plan:
    action = "cancel" if vm.operation.get("hard") else "shutdown"
    return vmm.plan(vm, action.upper(), [vmm.at_host(vm, action, vm.deploy_id)])


def _save(frontend: Frontend, vm: VM) -> Plan:
    return vmm.plan(vm, "SAVE", [vmm.save(frontend, vm)])


def _off(frontend: Frontend, vm: VM, result: Result) -> None:
    vm.place.retime = _now()
    vm.operation = {}
    settle(frontend, vm, "POWEROFF")


def _saved(frontend: Frontend, vm: VM, result: Result) -> None:
    vm.place.retime = _now()
    vm.operation = {}
    settle(frontend, vm, "SUSPENDED")


def _leave_host(next_stage: str) -> End:
    def end(frontend: Frontend, vm: VM, result: Result) -> None:
        vm.place.retime = vm.place.estime = _now()
        vm.operation = {}
        enter(frontend, vm, next_stage)
    return end


stage("SHUTDOWN_POWEROFF", _shutdown, _off, still_running)
stage("SAVE_SUSPEND", _save, _saved, still_running)
stage("SHUTDOWN", _shutdown, _leave_host("EPILOG"), still_running)
stage("SHUTDOWN_UNDEPLOY", _shutdown, _leave_host("EPILOG_UNDEPLOY"), still_running)
stage("SAVE_STOP", _save, _leave_host("EPILOG_STOP"), still_running)


# Epilog: disks back

def _epilog(frontend: Frontend, vm: VM) -> Plan:
    vm.place.estime = vm.place.estime or _now()
    return Plan(TRANSFER, transfers.epilog(frontend, vm, at_frontend=bool(vm.operation.get("at_frontend"))))


def _epilog_done(frontend: Frontend, vm: VM, result: Result) -> None:
    vm.place.eetime = vm.place.etime = _now()
    keep_snapshots(frontend, vm)
    finish(frontend, vm)


def keep_snapshots(frontend: Frontend, vm: VM) -> None:
    """Persistent images take over snapshots and size of their disks."""
    for disk in vm.disks:
        if disk.get("PERSISTENT") != "YES" or "IMAGE_ID" not in disk:
            continue
        image = frontend.store.find(Image, int(disk["IMAGE_ID"]))
        if image is None:
            continue
        snapshots = vm.snapshots.get(disk["DISK_ID"])
        if snapshots is not None:
            image.snapshots = snapshots.copy(-1)
        image.size = int(disk["SIZE"])


def _leave(frontend: Frontend, vm: VM) -> Plan:
    return Plan(TRANSFER, transfers.to_frontend(frontend, vm))


def _left(state: str) -> End:
    def end(frontend: Frontend, vm: VM, result: Result) -> None:
        vm.place.eetime = vm.place.etime = _now()
        give_capacity(frontend, vm)
        if state == "UNDEPLOYED":
            give_port(vm)
        settle(frontend, vm, state)
    return end


stage("EPILOG", _epilog, _epilog_done, to_state("ACTIVE", "EPILOG_FAILURE"), "EPILOG_FAILURE")
stage("EPILOG_STOP", _leave, _left("STOPPED"), to_state("ACTIVE", "EPILOG_STOP_FAILURE"),
      "EPILOG_STOP_FAILURE")
stage("EPILOG_UNDEPLOY", _leave, _left("UNDEPLOYED"), to_state("ACTIVE", "EPILOG_UNDEPLOY_FAILURE"),
      "EPILOG_UNDEPLOY_FAILURE")


# Migration. vm.operation keeps the place of origin until the end.

def _migrate_live(frontend: Frontend, vm: VM) -> Plan:
    source, target = vm.history[-2].hostname, vm.place.hostname
    arguments = (source, target, vm_folder(frontend, vm), str(vm.oid), str(vm.place.ds_id))
    data = encode(vm.driver_xml())
    mad = vm.place.tm_mad
    steps = [transfers.tm(mad, "premigrate", *arguments, stdin=data), vmm.migrate(vm, source, target),
             transfers.tm(mad, "postmigrate", *arguments, stdin=data, optional=True)]
    return vmm.plan(vm, "MIGRATE", steps, [transfers.tm(mad, "failmigrate", *arguments, stdin=data)])


def _migrated(frontend: Frontend, vm: VM, result: Result) -> None:
    vm.place.rstime = _now()
    running(frontend, vm, result)


def back_home(frontend: Frontend, vm: VM) -> None:
    """Undo the history of a migration that failed."""
    give_capacity(frontend, vm)
    vm.history.pop()
    vm.place.etime = vm.place.retime = 0
    vm.note_action("none", None)
    take_capacity(frontend, vm)


def _not_migrated(frontend: Frontend, vm: VM, result: Result) -> None:
    back_home(frontend, vm)
    running(frontend, vm, result)


def _save_old_host(frontend: Frontend, vm: VM) -> Plan:
    old: History = vm.history[-2]
    file = f"{transfers.vm_folder(frontend, vm, old.ds_id)}/checkpoint"
    step = Step("vmm", old.vm_mad, "save", (vm.deploy_id, file, old.hostname, str(vm.oid), old.hostname))
    return vmm.plan(vm, "SAVE", [step])


def _move(frontend: Frontend, vm: VM) -> Plan:
    old = vm.history[-2]
    vm.place.pstime = _now()
    source, target = (old.hostname, old.ds_id), (vm.place.hostname, vm.place.ds_id)
    return Plan(TRANSFER, transfers.move(frontend, vm, source, target))


stage("MIGRATE", _migrate_live, _migrated, _not_migrated)
stage("SAVE_MIGRATE", _save_old_host, to_stage("PROLOG_MIGRATE"), _not_migrated)
stage("PROLOG_MIGRATE", _move, to_stage("BOOT_MIGRATE"), to_state("ACTIVE", "PROLOG_MIGRATE_FAILURE"),
      "PROLOG_MIGRATE_FAILURE")
stage("PROLOG_MIGRATE_POWEROFF", _move, to_state("POWEROFF"),
      to_state("ACTIVE", "PROLOG_MIGRATE_POWEROFF_FAILURE"), "PROLOG_MIGRATE_POWEROFF_FAILURE")
stage("PROLOG_MIGRATE_SUSPEND", _move, to_state("SUSPENDED"),
      to_state("ACTIVE", "PROLOG_MIGRATE_SUSPEND_FAILURE"), "PROLOG_MIGRATE_SUSPEND_FAILURE")
