"""Disks, NICs and snapshots changed on an existing VM: calls and the stages behind them."""
from __future__ import annotations

import time

from sandbox.frontend import transfers, vm_create, vm_disks, vm_nics, vmm
from sandbox.frontend.calls import api
from sandbox.frontend.context import Frontend
from sandbox.frontend.datastores import Datastore
from sandbox.frontend.errors import ApiError, action
from sandbox.frontend.images import Image
from sandbox.frontend.plans import TRANSFER, Plan, Result, release_image
from sandbox.frontend.shared_calls import read_template
from sandbox.frontend.templates import Vector, leading_int
from sandbox.frontend.users import MANAGE, Caller
from sandbox.frontend.vm_actions import request_number
from sandbox.frontend.vm_life import enter, running, settle, stage
from sandbox.frontend.vms import VM


def target(frontend: Frontend, who: Caller, oid: int) -> VM:
    """The VM of a call."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    return vm


def disk_of(vm: VM, number: int) -> Vector:
    """A disk of a call."""
    disk = vm.disk(number)
    if disk is None:
        raise action("VM disk does not exist")
    return disk


def choose_stage(vm: VM, what: str, live: str, off: str) -> str:
    """The transient state for a running or a powered-off VM."""
    if vm.state_text == "RUNNING":
        return live
    if vm.state_name == "POWEROFF" and off:
        return off
    raise action(f"{what}, wrong state {vm.state_text}.")


def back(frontend: Frontend, vm: VM, result: Result) -> None:
    """RUNNING or POWEROFF again, whichever it was."""
    off = vm.lcm_name.endswith("_POWEROFF")
    vm.operation = {}
    if off:
        settle(frontend, vm, "POWEROFF")
    else:
        running(frontend, vm, result)


def busy_disk(vm: VM) -> Vector:
    """The disk an operation is about."""
    disk = vm.disk(int(vm.operation["disk"]))
    if disk is None:
        raise action("VM disk does not exist")
    return disk


# Disks

@api("one.vm.attach", "is")
def attach(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """Attach a disk."""
    vm = target(frontend, who, oid)
    given = read_template(text)
    disk = given.vector("DISK")
    if disk is None:
        raise action("Could not attach a new disk to VM, missing DISK attribute")
    if not who.is_admin and given.restricted(frontend.config.names("VM_RESTRICTED_ATTR")):
        restricted = given.restricted(frontend.config.names("VM_RESTRICTED_ATTR"))
        raise action(f"DISK includes a restricted attribute {restricted}")
    name = choose_stage(vm, f"Could not attach a new disk to VM {oid}", "HOTPLUG", "HOTPLUG_PROLOG_POWEROFF")
    try:
        made = vm_disks.attach(frontend, who, vm, dict(disk))
    except ApiError as failure:
        raise action(failure.text) from failure
    if transfers.is_volatile(made):
        vm_disks.fit_to_system(frontend, [made], frontend.store.get(Datastore, vm.place.ds_id))
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


# NICs

@api("one.vm.attachnic", "is")
def attachnic(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """Attach a network interface; the guest gets a new context disk."""
    vm = target(frontend, who, oid)
    nic = read_template(text).vector("NIC")
    if nic is None:
        raise action("No NIC attribute in template")
    name = choose_stage(vm, f"Could not add a new NIC to VM {oid}", "HOTPLUG_NIC", "HOTPLUG_NIC_POWEROFF")
    number = max((int(other["NIC_ID"]) for other in vm.nics), default=-1) + 1
    made = {**nic, "ATTACH": "YES"}
    vm_nics.connect(frontend, who, vm, made, number)
    vm.template.add("NIC", made)
    _renew(frontend, vm)
    vm.next_record("nic-attach", who, request_number())
    vm.operation = {"name": "attach", "nic": str(number)}
    enter(frontend, vm, name)
    return oid


@api("one.vm.detachnic", "ii")
def detachnic(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Detach a network interface."""
    vm = target(frontend, who, oid)
    nic = next((one for one in vm.nics if one["NIC_ID"] == str(number)), None)
    name = choose_stage(vm, f"Could not detach NIC from VM {oid}", "HOTPLUG_NIC", "HOTPLUG_NIC_POWEROFF")
    if nic is None:
        raise action(f"Could not detach NIC with NIC_ID {number}, it does not exist.")
    nic["ATTACH"] = "YES"
    vm.next_record("nic-detach", who, request_number())
    vm.operation = {"name": "detach", "nic": str(number)}
    enter(frontend, vm, name)
    return oid


def _renew(frontend: Frontend, vm: VM) -> None:
    vm_nics.set_security_rules(vm)
    vm_nics.fill_context(vm)
    vm_create.write_context(frontend, vm)


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
        vm_nics.release(frontend, vm, nic)
        vm.template["NIC"].remove(nic)
        if not vm.template["NIC"]:
            del vm.template["NIC"]
        _renew(frontend, vm)
    back(frontend, vm, result)


stage("HOTPLUG_NIC", _hotplug_nic, _nic_done, _nic_done)
stage("HOTPLUG_NIC_POWEROFF", _hotplug_nic, _nic_done, _nic_done)


# System snapshots

@api("one.vm.snapshotcreate", "i?s")
def snapshotcreate(frontend: Frontend, who: Caller, oid: int, name: str = "") -> int:
    """Snapshot of a running domain, kept by the hypervisor."""
    vm = target(frontend, who, oid)
    choose_stage(vm, f"Could not create a new snapshot for VM {oid}", "HOTPLUG_SNAPSHOT", "")
    number = max((int(one["SNAPSHOT_ID"]) for one in vm.template.vectors("SNAPSHOT")), default=-1) + 1
    for one in vm.template.vectors("SNAPSHOT"):
        one.pop("ACTIVE", None)
    size = sum(int(disk["SIZE"]) for disk in vm.disks if transfers.is_volatile(disk))
    vm.template.add("SNAPSHOT", {
        "SNAPSHOT_ID": str(number), "NAME": name or f"snapshot-{number}", "TIME": str(int(time.time())),
        "ACTION": "CREATE", "ACTIVE": "YES", "HYPERVISOR_ID": "", "SYSTEM_DISK_SIZE": str(size)})
    vm.operation = {"name": "snapshot", "snapshot": str(number)}
    enter(frontend, vm, "HOTPLUG_SNAPSHOT")
    return number


def _system_snapshot(frontend: Frontend, vm: VM) -> Plan:
    return vmm.plan(vm, "SNAPSHOTCREATE", [vmm.command(vm, "snapshot_create", vm.deploy_id, vm.operation["snapshot"])])


def _system_snapshot_done(frontend: Frontend, vm: VM, result: Result) -> None:
    made = next(one for one in vm.template.vectors("SNAPSHOT") if one["SNAPSHOT_ID"] == vm.operation["snapshot"])
    made.pop("ACTION", None)
    made["HYPERVISOR_ID"] = result.output or f"snap-{made['SNAPSHOT_ID']}"
    if not result.ok:
        vm.template["SNAPSHOT"].remove(made)
        if not vm.template["SNAPSHOT"]:
            del vm.template["SNAPSHOT"]
    back(frontend, vm, result)


stage("HOTPLUG_SNAPSHOT", _system_snapshot, _system_snapshot_done, _system_snapshot_done)
