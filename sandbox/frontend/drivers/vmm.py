"""Commands of the hypervisor driver, with the arguments one_vmm_exec gives them."""
from __future__ import annotations

from sandbox.frontend.drivers import transfers
from sandbox.frontend.drivers.plans import Plan, Step
from sandbox.frontend.executor import encode
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.datastores import Datastore
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.vms import VM

DUMMY = "dummy"


def is_dummy(vm: VM) -> bool:
    """The dummy driver runs nothing and always succeeds, TM parts of its actions included."""
    return vm.place.vm_mad == DUMMY


def plan(vm: VM, label: str, steps: list[Step], undo: list[Step] | None = None) -> Plan:
    """A plan of hypervisor work."""
    return Plan(label) if is_dummy(vm) else Plan(label, steps, undo or [])


def command(vm: VM, action: str, *arguments: str) -> Step:
    """A command; VM id and host close the argument list."""
    return Step("vmm", vm.place.vm_mad, action, (*arguments, str(vm.oid), vm.place.hostname))


def at_host(vm: VM, action: str, *arguments: str) -> Step:
    """A command whose own arguments end with the host."""
    return command(vm, action, *arguments, vm.place.hostname)


def checkpoint(frontend: Frontend, vm: VM) -> str:
    """File of a saved VM."""
    return f"{transfers.vm_folder(frontend, vm)}/checkpoint"


def deploy(frontend: Frontend, vm: VM, file: str) -> Step:
    """Start a domain."""
    return at_host(vm, "deploy", file)


def save(frontend: Frontend, vm: VM) -> Step:
    """Save and stop a domain."""
    return at_host(vm, "save", vm.deploy_id, checkpoint(frontend, vm))


def restore(frontend: Frontend, vm: VM) -> Step:
    """Continue a saved domain."""
    return command(vm, "restore", checkpoint(frontend, vm), vm.place.hostname, vm.deploy_id)


def migrate(vm: VM, source: str, target: str) -> Step:
    """Move a running domain; the driver runs at the source."""
    return Step("vmm", vm.place.vm_mad, "migrate", (vm.deploy_id, target, source, str(vm.oid), source))


def _index(target: str) -> str:
    """Number of a device from its last letter."""
    return str(ord(target[-1]) - ord("a")) if target else "-"


def attach_disk(frontend: Frontend, vm: VM, disk: Vector) -> Step:
    """Plug a disk into a running domain."""
    path = transfers.disk_path(frontend, vm, disk)
    return command(vm, "attach_disk", vm.deploy_id, path, disk["TARGET"], _index(disk["TARGET"]),
                   action_data(frontend, vm, path))


def detach_disk(frontend: Frontend, vm: VM, disk: Vector) -> Step:
    """Unplug a disk."""
    return command(vm, "detach_disk", vm.deploy_id, transfers.disk_path(frontend, vm, disk), disk["TARGET"],
                   _index(disk["TARGET"]))


def resize_disk(frontend: Frontend, vm: VM, disk: Vector) -> Step:
    """Tell a running domain that a disk has grown."""
    return at_host(vm, "resize_disk", vm.deploy_id, disk["DISK_ID"], disk["SIZE"],
                   action_data(frontend, vm, ""))


def attach_nic(vm: VM, nic: Vector) -> Step:
    """Plug a network interface."""
    return command(vm, "attach_nic", vm.deploy_id, nic.get("MAC", "-"), nic.get("BRIDGE", "-"),
                   nic.get("MODEL", "-"), nic.get("VN_MAD", "-"), nic.get("TARGET", "-"))


def detach_nic(vm: VM, nic: Vector) -> Step:
    """Unplug a network interface."""
    return command(vm, "detach_nic", vm.deploy_id, nic.get("MAC", "-"))


def renew_context(frontend: Frontend, vm: VM) -> list[Step]:
    """Swap the context disk of a running domain for a new one."""
    vector = vm.template.vector("CONTEXT")
    if vector is None:
        return []
    path = transfers.disk_path(frontend, vm, vector["DISK_ID"])
    return [command(vm, "prereconfigure", vm.deploy_id, vector["TARGET"]), *transfers.context(frontend, vm),
            command(vm, "reconfigure", vm.deploy_id, vector["TARGET"], path)]


def action_data(frontend: Frontend, vm: VM, disk_path: str) -> str:
    """VMM_DRIVER_ACTION_DATA, base64."""
    datastore = frontend.store.find(Datastore, vm.place.ds_id)
    target = f"<DISK_TARGET_PATH>{disk_path}</DISK_TARGET_PATH>" if disk_path else "<DISK_TARGET_PATH/>"
    deployment = f"<DEPLOY_ID>{vm.deploy_id}</DEPLOY_ID>" if vm.deploy_id else "<DEPLOY_ID/>"
    return encode(
        f"<VMM_DRIVER_ACTION_DATA><HOST>{vm.place.hostname}</HOST><MIGR_HOST/>{deployment}"
        "<LOCAL_DEPLOYMENT_FILE/><REMOTE_DEPLOYMENT_FILE/><CHECKPOINT_FILE/><TM_COMMAND/><TM_COMMAND_ROLLBACK/>"
        f"{target}{vm.driver_xml()}{datastore.to_xml() if datastore else ''}</VMM_DRIVER_ACTION_DATA>")
