"""The stages in which a snapshot of a disk is made, deleted or reverted to."""
from __future__ import annotations

from sandbox.frontend.drivers import transfers, vmm
from sandbox.frontend.drivers.plans import TRANSFER, Plan, Result
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.snapshots import Snapshots
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.disks import busy_disk
from sandbox.frontend.vm.life import back, stage


def tree_of(vm: VM, disk: Vector) -> Snapshots:
    mode = disk.get("ALLOW_ORPHANS", "NO").upper()
    if mode == "FORMAT":
        mode = "YES" if disk.get("FORMAT") == "qcow2" else "NO"
    return vm.snapshots.setdefault(disk["DISK_ID"], Snapshots(mode, int(disk["DISK_ID"])))


def _off(frontend: Frontend, vm: VM) -> Plan:
    action, number = f"snap_{vm.operation['name']}", vm.operation["snapshot"]
    return Plan(TRANSFER, [transfers.on_disk(frontend, vm, busy_disk(vm), action, number)])


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
    count(vm, disk)
    _keep(frontend, disk, tree)
    back(frontend, vm, result)


def _keep(frontend: Frontend, disk: Vector, tree: Snapshots) -> None:
    """Give a persistent image the snapshots and the size of its disk at once, not only when the VM ends."""
    image = frontend.store.find(Image, int(disk.get("IMAGE_ID", "-1")))
    if image is not None and disk.get("PERSISTENT") == "YES":
        image.snapshots = tree.copy(-1)
        image.size = int(disk["SIZE"])
        frontend.save(image)


def count(vm: VM, disk: Vector) -> None:
    tree = vm.snapshots.get(disk["DISK_ID"])
    disk["DISK_SNAPSHOT_TOTAL_SIZE"] = str(tree.total_size() if tree else 0)


for _name in ("DISK_SNAPSHOT_POWEROFF", "DISK_SNAPSHOT_REVERT_POWEROFF", "DISK_SNAPSHOT_DELETE_POWEROFF"):
    stage(_name, _off, _done, _done)
for _name in ("DISK_SNAPSHOT", "DISK_SNAPSHOT_DELETE"):
    stage(_name, _live, _done, _done)
