"""Saving a disk of a VM as a new image: the image is made first, then the TM driver copies into it."""
from __future__ import annotations

from sandbox.frontend import image_actions, images, transfers
from sandbox.frontend.calls import api
from sandbox.frontend.context import Frontend
from sandbox.frontend.datastores import Datastore
from sandbox.frontend.errors import action, internal
from sandbox.frontend.image_calls import create
from sandbox.frontend.images import Image
from sandbox.frontend.plans import TRANSFER, Plan, Result, execute
from sandbox.frontend.templates import Template
from sandbox.frontend.users import MANAGE, USE, Caller
from sandbox.frontend.vm_life import settle
from sandbox.frontend.vms import VM

_STAGES = {"RUNNING": "HOTPLUG_SAVEAS", "POWEROFF": "HOTPLUG_SAVEAS_POWEROFF",
           "SUSPENDED": "HOTPLUG_SAVEAS_SUSPENDED", "UNDEPLOYED": "HOTPLUG_SAVEAS_UNDEPLOYED",
           "STOPPED": "HOTPLUG_SAVEAS_STOPPED"}
_MARKS = ("HOTPLUG_SAVE_AS_ACTIVE", "HOTPLUG_SAVE_AS_SNAPSHOT_ID", "HOTPLUG_SAVE_AS_SOURCE", "HOTPLUG_SAVE_AS")


@api("one.vm.disksaveas", "iis?si")
def disksaveas(frontend: Frontend, who: Caller, oid: int, number: int, name: str, kind: str = "",
               snapshot: int = -1) -> int:
    """A new image with the content of a disk."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    if vm.state_text not in _STAGES:
        raise internal("VM has to be RUNNING, POWEROFF or SUSPENDED to save disks.")
    disk = vm.disk(number)
    if disk is None or "IMAGE_ID" not in disk:
        raise internal("Cannot use DISK. The disk is volatile or does not exist")
    original = frontend.store.get(Image, int(disk["IMAGE_ID"]))
    datastore = frontend.store.get(Datastore, int(disk["DATASTORE_ID"]))
    if original.type_text not in ("OS", "DATABLOCK"):
        raise internal(f"Cannot save an image of type {original.type_text}")
    available = datastore.available()
    if available is not None and int(disk["SIZE"]) > available:
        raise action("Not enough space in datastore")
    who.demand(USE, datastore)
    template = original.template.clone()
    for key in ("ERROR", "FORCE_DELETE", "DRIVER"):
        template.pop(key, None)
    template.merge(Template.of(
        NAME=name, SIZE=disk["SIZE"], SAVED_IMAGE_ID=disk["IMAGE_ID"], SAVED_DISK_ID=str(number),
        SAVED_VM_ID=str(oid), SAVE_AS_HOT="YES", TYPE=kind or original.type_text, FS=original.fs, PERSISTENT="NO",
        FORMAT=original.format))
    disk |= {"HOTPLUG_SAVE_AS_ACTIVE": "YES", "HOTPLUG_SAVE_AS_SNAPSHOT_ID": str(snapshot)}
    resting = vm.state_text
    vm.enter("ACTIVE", _STAGES[resting])
    vm.operation = {"name": "saveas", "disk": str(number), "snapshot": str(snapshot), "rest": resting}
    frontend.save(vm)
    made = create(frontend, who, template, datastore)
    who.extra = ""
    vm.operation["image"] = str(made.oid)
    frontend.store.put(vm)
    return made.oid


def target_made(frontend: Frontend, image: Image) -> None:
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


def target_failed(frontend: Frontend, image: Image) -> None:
    """The image could not even be made."""
    vm = frontend.store.find(VM, image.template.number("SAVED_VM_ID") or 0)
    if vm is not None and vm.operation.get("name") == "saveas":
        _rest(frontend, vm)
