"""The stages in which a disk is attached, detached or resized."""
from __future__ import annotations

from sandbox.frontend.drivers import transfers, vmm
from sandbox.frontend.drivers.plans import TRANSFER, Plan, Result
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.disks import busy_disk, release_image
from sandbox.frontend.vm.life import back, stage


def _hotplug(frontend: Frontend, vm: VM) -> Plan:
    disk = busy_disk(vm)
    if vm.operation["name"] == "attach":
        steps = [*transfers.make_disk(frontend, vm, disk), vmm.attach_disk(frontend, vm, disk)]
        return vmm.plan(vm, "ATTACHDISK", steps)
    host = vm.place.hostname
    return vmm.plan(vm, "DETACHDISK", [vmm.detach_disk(frontend, vm, disk),
                                       transfers.drop_disk(frontend, vm, disk, host)])


def _prolog_off(frontend: Frontend, vm: VM) -> Plan:
    return Plan(TRANSFER, transfers.make_disk(frontend, vm, busy_disk(vm)))


def _epilog_off(frontend: Frontend, vm: VM) -> Plan:
    return Plan(TRANSFER, [transfers.drop_disk(frontend, vm, busy_disk(vm), vm.place.hostname)])


def _plugged(frontend: Frontend, vm: VM, result: Result) -> None:
    if vm.operation["name"] == "attach":
        busy_disk(vm).pop("ATTACH", None)
    else:
        _remove(frontend, vm)
    back(frontend, vm, result)


def _not_plugged(frontend: Frontend, vm: VM, result: Result) -> None:
    if vm.operation["name"] == "attach":
        _remove(frontend, vm)
    else:
        busy_disk(vm).pop("ATTACH", None)
    back(frontend, vm, result)


def _remove(frontend: Frontend, vm: VM) -> None:
    """Take a disk off the record; a persistent image keeps its snapshots and size."""
    disk = busy_disk(vm)
    snapshots = vm.snapshots.pop(disk["DISK_ID"], None)
    vm.template["DISK"].remove(disk)
    if not vm.template["DISK"]:
        del vm.template["DISK"]
    if "IMAGE_ID" not in disk:
        return
    image = frontend.store.find(Image, int(disk["IMAGE_ID"]))
    if image is not None and disk.get("PERSISTENT") == "YES":
        image.size = int(disk["SIZE"])
        if snapshots is not None:
            image.snapshots = snapshots.copy(-1)
    release_image(frontend, int(disk["IMAGE_ID"]), vm.oid)


stage("HOTPLUG", _hotplug, _plugged, _not_plugged)
stage("HOTPLUG_PROLOG_POWEROFF", _prolog_off, _plugged, _not_plugged)
stage("HOTPLUG_EPILOG_POWEROFF", _epilog_off, _plugged, _not_plugged)


def _resize(frontend: Frontend, vm: VM) -> Plan:
    disk = busy_disk(vm)
    step = transfers.on_disk(frontend, vm, disk, "resize", disk["SIZE"])
    if vm.lcm_name == "DISK_RESIZE":
        return vmm.plan(vm, "RESIZEDISK", [step, vmm.resize_disk(frontend, vm, disk)])
    return Plan(TRANSFER, [step])


def _resized(frontend: Frontend, vm: VM, result: Result) -> None:
    disk = busy_disk(vm)
    disk.pop("RESIZE", None)
    image = frontend.store.find(Image, int(disk.get("IMAGE_ID", "-1")))
    if image is not None and disk.get("PERSISTENT") == "YES":
        image.size = int(disk["SIZE"])
        frontend.save(image)
    back(frontend, vm, result)


def _not_resized(frontend: Frontend, vm: VM, result: Result) -> None:
    disk = busy_disk(vm)
    disk.pop("RESIZE", None)
    disk["SIZE"] = vm.operation["old"]
    back(frontend, vm, result)


stage("DISK_RESIZE", _resize, _resized, _not_resized)
stage("DISK_RESIZE_POWEROFF", _resize, _resized, _not_resized)
