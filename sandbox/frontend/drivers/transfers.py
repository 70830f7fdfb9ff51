"""Lines of oned's transfer scripts: the commands of the TM driver for each disk."""
from __future__ import annotations

from sandbox.frontend.drivers.plans import Step
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.vms import VM, History


def vm_folder(frontend: Frontend, vm: VM, datastore: int | None = None) -> str:
    """Folder of a VM in its system datastore."""
    return f"{frontend.datastores_path}/{vm.place.ds_id if datastore is None else datastore}/{vm.oid}"


def disk_path(frontend: Frontend, vm: VM, disk: Vector | str, datastore: int | None = None) -> str:
    """File (or name) of a disk below the VM's folder."""
    number = disk if isinstance(disk, str) else disk["DISK_ID"]
    return f"{vm_folder(frontend, vm, datastore)}/disk.{number}"


def is_volatile(disk: Vector) -> bool:
    """A disk without an image."""
    return "IMAGE_ID" not in disk


def disk_mad(vm: VM, disk: Vector) -> str:
    """TM driver of a disk; volatile ones belong to the system datastore."""
    return vm.place.tm_mad if is_volatile(disk) else disk["TM_MAD"]


def disk_datastore(vm: VM, disk: Vector, system: int | None = None) -> str:
    """Datastore argument of a disk's commands."""
    return str(vm.place.ds_id if system is None else system) if is_volatile(disk) else disk["DATASTORE_ID"]


def _action(name: str, disk: Vector) -> str:
    """An action with the system's TM behind a dot when it is another one than the disk's."""
    return f"{name}.{disk['TM_MAD_SYSTEM']}" if disk.get("TM_MAD_SYSTEM") else name


def tm(mad: str, action: str, *arguments: str, stdin: str = "", optional: bool = False) -> Step:
    """A transfer command."""
    return Step("tm", mad, action, arguments, stdin, optional)


def make_disk(frontend: Frontend, vm: VM, disk: Vector) -> list[Step]:
    """Bring one disk to the host."""
    target = f"{vm.place.hostname}:{disk_path(frontend, vm, disk)}"
    tail = (str(vm.oid), disk_datastore(vm, disk))
    mad = disk_mad(vm, disk)
    if is_volatile(disk):
        if disk["TYPE"].upper() == "SWAP":
            return [tm(mad, "mkswap", disk["SIZE"], target, *tail)]
        return [tm(mad, "mkimage", disk["SIZE"], disk.get("FORMAT", "raw"), target, *tail)]
    source = f"{frontend.config.hostname}:{disk['SOURCE']}"
    if disk.get("CLONE") != "YES":
        return [tm(mad, _action("ln", disk), source, target, *tail)]
    steps = [tm(mad, _action("clone", disk), source, target, *tail)]
    if int(disk["SIZE"]) > int(disk.get("ORIGINAL_SIZE", disk["SIZE"])):
        steps.append(tm(mad, _action("resize", disk), target, disk["SIZE"], *tail))
    return steps


def prolog(frontend: Frontend, vm: VM) -> list[Step]:
    """All disks, before the first boot."""
    return [step for disk in vm.disks for step in make_disk(frontend, vm, disk)]


def drop_disk(frontend: Frontend, vm: VM, disk: Vector, host: str, keep: bool = True) -> Step:
    """Give a persistent disk back to its datastore, or delete the disk."""
    where = f"{host}:{disk_path(frontend, vm, disk)}"
    mad, datastore = disk_mad(vm, disk), disk_datastore(vm, disk)
    if keep and disk.get("SAVE") == "YES":
        return tm(mad, _action("mvds", disk), where, disk["SOURCE"], str(vm.oid), datastore)
    return tm(mad, _action("delete", disk), where, str(vm.oid), datastore)


def epilog(frontend: Frontend, vm: VM, keep: bool = True, at_frontend: bool = False) -> list[Step]:
    """All disks, after the last shutdown, and the VM's folder."""
    host = frontend.config.hostname if at_frontend else vm.place.hostname
    steps = [drop_disk(frontend, vm, disk, host, keep) for disk in vm.disks]
    return [*steps, tm(vm.place.tm_mad, "delete", f"{host}:{vm_folder(frontend, vm)}", str(vm.oid),
                       str(vm.place.ds_id))]


def move(frontend: Frontend, vm: VM, source: tuple[str, int], target: tuple[str, int]) -> list[Step]:
    """Every disk and the folder from one host and system datastore to another."""
    steps = []
    for disk in vm.disks:
        steps.append(tm(disk_mad(vm, disk), "mv", f"{source[0]}:{disk_path(frontend, vm, disk, source[1])}",
                        f"{target[0]}:{disk_path(frontend, vm, disk, target[1])}", str(vm.oid),
                        disk_datastore(vm, disk, target[1])))
    return [*steps, tm(vm.place.tm_mad, "mv", f"{source[0]}:{vm_folder(frontend, vm, source[1])}",
                       f"{target[0]}:{vm_folder(frontend, vm, target[1])}", str(vm.oid), str(target[1]))]


def to_frontend(frontend: Frontend, vm: VM) -> list[Step]:
    """Stop and undeploy: from the host to the front-end."""
    here = vm.place.ds_id
    return move(frontend, vm, (vm.place.hostname, here), (frontend.config.hostname, here))


def from_frontend(frontend: Frontend, vm: VM, old: History) -> list[Step]:
    """Resume: back to a host."""
    return move(frontend, vm, (frontend.config.hostname, old.ds_id), (vm.place.hostname, vm.place.ds_id))


def context(frontend: Frontend, vm: VM) -> list[Step]:
    """The context disk; it is written for each boot."""
    vector = vm.template.vector("CONTEXT")
    if vector is None:
        return []
    target = f"{vm.place.hostname}:{disk_path(frontend, vm, vector['DISK_ID'])}"
    return [tm(vm.place.tm_mad, "context", f"{frontend.var}/vms/{vm.oid}/context.sh", target, str(vm.oid),
               str(vm.place.ds_id))]


def on_disk(frontend: Frontend, vm: VM, disk: Vector, action: str, value: str) -> Step:
    """resize and the snapshot actions of one disk."""
    return tm(disk_mad(vm, disk), action, f"{vm.place.hostname}:{disk_path(frontend, vm, disk)}", value,
              str(vm.oid), disk_datastore(vm, disk))


def save_as(frontend: Frontend, vm: VM, disk: Vector, target: str, snapshot: str, at_frontend: bool) -> Step:
    """Copy a disk into the new image of a save-as."""
    host = frontend.config.hostname if at_frontend else vm.place.hostname
    return tm(disk_mad(vm, disk), "cpds", f"{host}:{disk_path(frontend, vm, disk)}", target, snapshot,
              str(vm.oid), disk_datastore(vm, disk))
