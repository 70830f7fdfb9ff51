"""Calls that attach, detach, resize or save a disk of a VM."""
from __future__ import annotations

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.shared_calls import read_template
from sandbox.frontend.api.vm_requests import choose_stage, disk_of, request_number, target
from sandbox.frontend.drivers import image_create, transfers
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.datastores import Datastore
from sandbox.frontend.objects.errors import ApiError, action, internal
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.restrictions import demand_unrestricted
from sandbox.frontend.objects.templates import Template, leading_int
from sandbox.frontend.objects.users import MANAGE, USE, Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm import disks, saveas
from sandbox.frontend.vm.life import enter


@api("one.vm.attach", "is")
def attach(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """Attach a disk."""
    vm = target(frontend, who, oid)
    given = read_template(text)
    disk = given.vector("DISK")
    if disk is None:
        raise action("Could not attach a new disk to VM, missing DISK attribute")
    demand_unrestricted(who, given, frontend.config.names("VM_RESTRICTED_ATTR"), "DISK")
    name = choose_stage(vm, f"Could not attach a new disk to VM {oid}", "HOTPLUG", "HOTPLUG_PROLOG_POWEROFF")
    try:
        made = disks.attach(frontend, who, vm, dict(disk))
    except ApiError as failure:
        raise action(failure.text) from failure
    if transfers.is_volatile(made):
        disks.fit_to_system(frontend, [made], frontend.store.get(Datastore, vm.place.ds_id))
    vm.next_record("disk-attach", who, request_number())
    vm.operation = {"name": "attach", "disk": made["DISK_ID"]}
    enter(frontend, vm, name)
    return oid


@api("one.vm.detach", "ii")
def detach(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Detach a disk: persistent ones go back to their datastore, others are deleted."""
    vm = target(frontend, who, oid)
    disk = disk_of(vm, number)
    name = choose_stage(vm, f"Could not detach disk from VM {oid}", "HOTPLUG", "HOTPLUG_EPILOG_POWEROFF")
    disk["ATTACH"] = "YES"
    vm.next_record("disk-detach", who, request_number())
    vm.operation = {"name": "detach", "disk": str(number)}
    enter(frontend, vm, name)
    return oid


@api("one.vm.diskresize", "iis")
def diskresize(frontend: Frontend, who: Caller, oid: int, number: int, text: str) -> int:
    """Grow a disk."""
    size = leading_int(text)
    if size is None:
        raise action("Disk SIZE is not a valid integer")
    vm = target(frontend, who, oid)
    disk = disk_of(vm, number)
    if size <= int(disk["SIZE"]):
        raise action("New disk size has to be greater than current one")
    name = choose_stage(vm, f"Could not resize disk for VM {oid}", "DISK_RESIZE", "DISK_RESIZE_POWEROFF")
    vm.next_record("disk-resize", who, request_number())
    vm.operation = {"name": "resize", "disk": str(number), "old": disk["SIZE"]}
    disk |= {"SIZE": str(size), "RESIZE": "YES"}
    enter(frontend, vm, name)
    return oid


@api("one.vm.disksaveas", "iis?si")
def disksaveas(frontend: Frontend, who: Caller, oid: int, number: int, name: str, kind: str = "",
               snapshot: int = -1) -> int:
    """A new image with the content of a disk."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    if vm.state_text not in saveas.STAGES:
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
        SAVED_VM_ID=str(oid), SAVE_AS_HOT="YES", TYPE=kind or original.type_text, FS=original.fs,
        PERSISTENT="NO", FORMAT=original.format))
    disk |= {"HOTPLUG_SAVE_AS_ACTIVE": "YES", "HOTPLUG_SAVE_AS_SNAPSHOT_ID": str(snapshot)}
    resting = vm.state_text
    vm.enter("ACTIVE", saveas.STAGES[resting])
    vm.operation = {"name": "saveas", "disk": str(number), "snapshot": str(snapshot), "rest": resting}
    frontend.save(vm)
    made = image_create.create(frontend, who, template, datastore)
    who.extra = ""
    vm.operation["image"] = str(made.oid)
    frontend.store.put(vm)
    return made.oid
