"""Calls on snapshots: of a disk of a VM, and of a running domain as a whole."""
from __future__ import annotations

import time

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.vm_requests import choose_stage, disk_of, request_number, target
from sandbox.frontend.drivers import transfers
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import action
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.disk_snapshots import count, tree_of
from sandbox.frontend.vm.life import enter

_NO_SNAPSHOTS = ("CDROM", "RBD_CDROM", "SWAP")


def _prepare(frontend: Frontend, who: Caller, oid: int, number: int) -> tuple[VM, Vector]:
    vm = target(frontend, who, oid)
    disk = disk_of(vm, number)
    if transfers.is_volatile(disk) or disk.get("TYPE", "").upper() in _NO_SNAPSHOTS:
        raise action(f"Cannot make snapshots on disks of type: {disk.get('TYPE', '')}")
    return vm, disk


def _begin(
    frontend: Frontend, who: Caller, vm: VM, name: str, stage_name: str, disk: Vector, number: int
) -> None:
    disk |= {"DISK_SNAPSHOT_ACTIVE": "YES"}
    vm.next_record(f"disk-snapshot-{name}", who, request_number())
    vm.operation = {"name": name, "disk": disk["DISK_ID"], "snapshot": str(number)}
    enter(frontend, vm, stage_name)


@api("one.vm.disksnapshotcreate", "ii?s")
def create(frontend: Frontend, who: Caller, oid: int, number: int, name: str = "") -> int:
    """Snapshot a disk; on a running VM only where vmm_execrc allows it."""
    vm, disk = _prepare(frontend, who, oid, number)
    stage_name = choose_stage(vm, f"Could not create a new snapshot for VM {oid}", "DISK_SNAPSHOT",
                              "DISK_SNAPSHOT_POWEROFF")
    made = tree_of(vm, disk).create(name, int(disk["SIZE"]))
    count(vm, disk)
    _begin(frontend, who, vm, "create", stage_name, disk, made)
    return made


@api("one.vm.disksnapshotdelete", "iii")
def delete(frontend: Frontend, who: Caller, oid: int, number: int, snapshot: int) -> int:
    """Delete a snapshot of a disk."""
    vm, disk = _prepare(frontend, who, oid, number)
    tree_of(vm, disk).check_delete(snapshot, disk=True, persistent=disk.get("PERSISTENT") == "YES")
    stage_name = choose_stage(vm, f"Could not delete disk snapshot from VM {oid}", "DISK_SNAPSHOT_DELETE",
                              "DISK_SNAPSHOT_DELETE_POWEROFF")
    _begin(frontend, who, vm, "delete", stage_name, disk, snapshot)
    return snapshot


@api("one.vm.disksnapshotrevert", "iii")
def revert(frontend: Frontend, who: Caller, oid: int, number: int, snapshot: int) -> int:
    """Take a disk back to a snapshot; the VM must be off."""
    vm, disk = _prepare(frontend, who, oid, number)
    if vm.state_name != "POWEROFF":
        raise action(f"Could not revert to disk snapshot for VM {oid}, wrong state {vm.state_text}.")
    if tree_of(vm, disk).find(snapshot) is None:
        raise action("Snapshot does not exist")
    _begin(frontend, who, vm, "revert", "DISK_SNAPSHOT_REVERT_POWEROFF", disk, snapshot)
    return snapshot


@api("one.vm.disksnapshotrename", "iiis")
def rename(frontend: Frontend, who: Caller, oid: int, number: int, snapshot: int, name: str) -> int:
    """Give a snapshot of a disk another name; its image learns of it with the next change."""
    vm, disk = _prepare(frontend, who, oid, number)
    tree = vm.snapshots.get(disk["DISK_ID"])
    if tree is None:
        raise action("The VM does not have any snapshot")
    found = tree.find(snapshot)
    if found is None:
        raise action("Snapshot does not exist")
    found["NAME"] = name
    frontend.save(vm)
    return oid


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
