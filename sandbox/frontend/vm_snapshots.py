"""Snapshots of a VM's disks."""
from __future__ import annotations

from sandbox.frontend import transfers, vmm
from sandbox.frontend.calls import api
from sandbox.frontend.context import Frontend
from sandbox.frontend.errors import action
from sandbox.frontend.images import Image
from sandbox.frontend.plans import TRANSFER, Plan, Result
from sandbox.frontend.snapshots import Snapshots
from sandbox.frontend.templates import Vector
from sandbox.frontend.users import Caller
from sandbox.frontend.vm_actions import request_number
from sandbox.frontend.vm_hotplug import back, busy_disk, choose_stage, disk_of, target
from sandbox.frontend.vm_life import enter, stage
from sandbox.frontend.vms import VM

_NO_SNAPSHOTS = ("CDROM", "RBD_CDROM", "SWAP")


def _prepare(frontend: Frontend, who: Caller, oid: int, number: int) -> tuple[VM, Vector]:
    vm = target(frontend, who, oid)
    disk = disk_of(vm, number)
    if transfers.is_volatile(disk) or disk.get("TYPE", "").upper() in _NO_SNAPSHOTS:
        raise action(f"Cannot make snapshots on disks of type: {disk.get('TYPE', '')}")
    return vm, disk


def _tree(vm: VM, disk: Vector) -> Snapshots:
    mode = disk.get("ALLOW_ORPHANS", "NO").upper()
    if mode == "FORMAT":
        mode = "YES" if disk.get("FORMAT") == "qcow2" else "NO"
    return vm.snapshots.setdefault(disk["DISK_ID"], Snapshots(mode, int(disk["DISK_ID"])))


def _begin(frontend: Frontend, who: Caller, vm: VM, name: str, stage_name: str, disk: Vector, number: int) -> None:
    disk |= {"DISK_SNAPSHOT_ACTIVE": "YES"}
    logged = {"create": "disk-snapshot-create", "delete": "disk-snapshot-delete", "revert": "disk-snapshot-revert"}
    vm.next_record(logged[name], who, request_number())
    vm.operation = {"name": name, "disk": disk["DISK_ID"], "snapshot": str(number)}
    enter(frontend, vm, stage_name)


@api("one.vm.disksnapshotcreate", "ii?s")
def create(frontend: Frontend, who: Caller, oid: int, number: int, name: str = "") -> int:
    """Snapshot a disk; on a running VM only where vmm_execrc allows it."""
    vm, disk = _prepare(frontend, who, oid, number)
    stage_name = choose_stage(vm, f"Could not create a new snapshot for VM {oid}", "DISK_SNAPSHOT",
                              "DISK_SNAPSHOT_POWEROFF")
    made = _tree(vm, disk).create(name, int(disk["SIZE"]))
    _count(vm, disk)
    _begin(frontend, who, vm, "create", stage_name, disk, made)
    return made


@api("one.vm.disksnapshotdelete", "iii")
def delete(frontend: Frontend, who: Caller, oid: int, number: int, snapshot: int) -> int:
    """Delete a snapshot of a disk."""
    vm, disk = _prepare(frontend, who, oid, number)
    _tree(vm, disk).check_delete(snapshot, disk=True, persistent=disk.get("PERSISTENT") == "YES")
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
    if _tree(vm, disk).find(snapshot) is None:
        raise action("Snapshot does not exist")
    _begin(frontend, who, vm, "revert", "DISK_SNAPSHOT_REVERT_POWEROFF", disk, snapshot)
    return snapshot


def _off(frontend: Frontend, vm: VM) -> Plan:
    step = transfers.on_disk(frontend, vm, busy_disk(vm), f"snap_{vm.operation['name']}", vm.operation["snapshot"])
    return Plan(TRANSFER, [step])


def _live(frontend: Frontend, vm: VM) -> Plan:
    """Which way a live snapshot goes is decided by vmm_execrc: pairs of VMM driver and TM driver."""
    disk = busy_disk(vm)
    mad = transfers.disk_mad(vm, disk)
    verb = f"DISKSNAPSHOT{vm.operation['name'].upper()}"
    if not vmm.is_dummy(vm) and f"{vm.place.vm_mad}-{mad}" not in frontend.config.live_disk_snapshots():
        return Plan(f"{verb}: Cannot perform a live {verb} operation", [transfers.tm("", "none")])
    live = f"snap_{vm.operation['name']}_live" if vm.operation["name"] == "create" else "snap_delete"
    return vmm.plan(vm, verb, [transfers.on_disk(frontend, vm, disk, live, vm.operation["snapshot"])])


def _done(frontend: Frontend, vm: VM, result: Result) -> None:
    disk, number, name = busy_disk(vm), int(vm.operation["snapshot"]), vm.operation["name"]
    tree = vm.snapshots[disk["DISK_ID"]]
    disk.pop("DISK_SNAPSHOT_ACTIVE", None)
    if (name == "create") != result.ok and name != "revert":
        tree.drop(number)
    elif name == "create":
        tree.activate(number, revert=False)
    elif name == "revert" and result.ok:
        tree.activate(number, revert=True)
        disk["SIZE"] = tree.size_of(number)
    if not tree.items and not result.ok:
        vm.snapshots.pop(disk["DISK_ID"])
    _count(vm, disk)
    _keep(frontend, disk, tree)
    back(frontend, vm, result)


def _keep(frontend: Frontend, disk: Vector, tree: Snapshots) -> None:
    """A persistent image has the snapshots and the size of its disk at once, not only when the VM ends."""
    image = frontend.store.find(Image, int(disk.get("IMAGE_ID", "-1")))
    if image is not None and disk.get("PERSISTENT") == "YES":
        image.snapshots = tree.copy(-1)
        image.size = int(disk["SIZE"])
        frontend.save(image)


def _count(vm: VM, disk: Vector) -> None:
    tree = vm.snapshots.get(disk["DISK_ID"])
    disk["DISK_SNAPSHOT_TOTAL_SIZE"] = str(tree.total_size() if tree else 0)


for _name in ("DISK_SNAPSHOT_POWEROFF", "DISK_SNAPSHOT_REVERT_POWEROFF", "DISK_SNAPSHOT_DELETE_POWEROFF"):
    stage(_name, _off, _done, _done)
for _name in ("DISK_SNAPSHOT", "DISK_SNAPSHOT_DELETE"):
    stage(_name, _live, _done, _done)
