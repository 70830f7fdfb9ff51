"""The stages in which a disk is saved as an image: an empty image is made, then the TM driver fills it."""
from __future__ import annotations

from sandbox.frontend.drivers import image_actions, transfers
from sandbox.frontend.drivers.plans import TRANSFER, Plan, Result, execute
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import images
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.life import settle

STAGES = {"RUNNING": "HOTPLUG_SAVEAS", "POWEROFF": "HOTPLUG_SAVEAS_POWEROFF",
          "SUSPENDED": "HOTPLUG_SAVEAS_SUSPENDED", "UNDEPLOYED": "HOTPLUG_SAVEAS_UNDEPLOYED",
          "STOPPED": "HOTPLUG_SAVEAS_STOPPED"}
"""From the state in which a VM rests to the stage in which its disk is saved."""
_MARKS = ("HOTPLUG_SAVE_AS_ACTIVE", "HOTPLUG_SAVE_AS_SNAPSHOT_ID", "HOTPLUG_SAVE_AS_SOURCE",
          "HOTPLUG_SAVE_AS")


def _target_made(frontend: Frontend, image: Image) -> None:
    """The empty image exists: copy the disk into it."""
    vm = frontend.store.find(VM, image.template.number("SAVED_VM_ID") or 0)
    disk = vm.disk(image.template.number("SAVED_DISK_ID") or 0) if vm else None
    if vm is None or disk is None:
        image_actions.fail(frontend, image, "Error saving as", None)
        return
    image.format = disk.get("FORMAT") or disk.get("DRIVER", "raw")
    frontend.save(image)
    away = vm.operation.get("rest") in ("UNDEPLOYED", "STOPPED")
    step = transfers.save_as(frontend, vm, disk, image.source, vm.operation.get("snapshot", "-1"), away)
    vm_id, image_id = vm.oid, image.oid

    def work() -> None:
        result = execute(frontend, Plan(TRANSFER, [step]))
        with frontend.lock:
            _copied(frontend, vm_id, image_id, result)
    frontend.background(work, f"saveas {vm.oid}")


def _copied(frontend: Frontend, vm_id: int, image_id: int, result: Result) -> None:
    vm, image = frontend.store.find(VM, vm_id), frontend.store.find(Image, image_id)
    if vm is not None and vm.operation.get("name") == "saveas":
        if not result.ok:
            vm.set_error(result.message)
        _rest(frontend, vm)
    if image is None:
        return
    image.template.pop("SAVE_AS_HOT", None)
    if result.ok:
        image.unlock()
    else:
        image.state = images.ERROR
    frontend.save(image)


def _rest(frontend: Frontend, vm: VM) -> None:
    disk = vm.disk(int(vm.operation["disk"]))
    for mark in _MARKS:
        if disk is not None:
            disk.pop(mark, None)
    resting = vm.operation["rest"]
    vm.operation = {}
    if resting == "RUNNING":
        settle(frontend, vm, "ACTIVE", "RUNNING")
    else:
        settle(frontend, vm, resting)


def _target_failed(frontend: Frontend, image: Image) -> None:
    """The image could not even be made."""
    vm = frontend.store.find(VM, image.template.number("SAVED_VM_ID") or 0)
    if vm is not None and vm.operation.get("name") == "saveas":
        _rest(frontend, vm)


image_actions.COMPLETIONS[images.SAVE_AS] = image_actions.Completion(_target_made, _target_failed)
