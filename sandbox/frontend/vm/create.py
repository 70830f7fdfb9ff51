"""From a template to a VM: attributes are sorted, leases and images taken, all or none."""
from __future__ import annotations

import re
import time
import uuid

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, internal
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.restrictions import demand_unrestricted
from sandbox.frontend.objects.templates import Template, Vector
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm import context, disks, graphics, nics, topology, variables

# Attributes of the user's template that oned moves to the VM's.
_MOVED = ("DISK", "NIC", "NIC_ALIAS", "PCI", "FEATURES", "CPU_MODEL", "TOPOLOGY", "NUMA_NODE", "INPUT",
          "GRAPHICS", "VIDEO", "RAW", "CONTEXT", "VMGROUP", "EMULATOR", "TEMPLATE_ID", "SUBMIT_ON_HOLD",
          "SPICE_OPTIONS", "HYPERV_OPTIONS", "TPM", "MEMORY_ENCRYPTION", "CPU_COST", "MEMORY_COST",
          "DISK_COST", "MEMORY_MAX", "MEMORY_SLOTS", "MEMORY_RESIZE_MODE", "VCPU_MAX", "IOMMU", "VROUTER_ID",
          "VROUTER_KEEPALIVED_ID", "VROUTER_KEEPALIVED_PASSWORD", "CLONING_TEMPLATE_ID", "SCHED_ACTION")
_BACKUP = ("KEEP_LAST", "BACKUP_VOLATILE", "DISK_IDS", "FS_FREEZE", "INTERACTIVE")
_DROPPED = ("NAME", "TEMPLATE_NAME", "VMID")
_NO_NIC_DEFAULTS = ("NETWORK_ID", "NETWORK", "NETWORK_UID", "NETWORK_UNAME")
_DEVICE = re.compile(r"(DISK|NIC)(\d+)")


def create(frontend: Frontend, who: Caller, template: Template, hold: bool) -> VM:
    """Make a VM, pending or on hold. Calls no driver: the scheduler places it later."""
    demand_unrestricted(who, template, frontend.config.names("VM_RESTRICTED_ATTR"), "VM Template")
    topology.check(template)
    vm = VM(**who.owner_of(frontend.store.peek_id("vm")), stime=int(time.time()))
    _sort_attributes(vm, template)
    nics.take_leases(frontend, who, vm)
    try:
        disks.take_images(frontend, who, vm)
    except ApiError:
        nics.release_leases(frontend, vm)
        raise
    try:
        _finish(frontend, vm)
    except ApiError:
        disks.release_images(frontend, vm, failed=False)
        nics.release_leases(frontend, vm)
        raise
    if hold:
        vm.template.put("SUBMIT_ON_HOLD", "YES")
    frontend.store.next_id("vm")
    frontend.store.put(vm)
    cloning = any(disk.get("CLONING") == "YES" for disk in vm.disks)
    vm.enter("CLONING" if cloning else "HOLD" if hold else "PENDING")
    frontend.save(vm)
    frontend.wake_scheduler.set()
    return vm


def _sort_attributes(vm: VM, template: Template) -> None:
    """Move the attributes that oned knows to TEMPLATE; the others become USER_TEMPLATE."""
    name, prefix = template.text("NAME"), template.text("TEMPLATE_NAME", "one")
    vm.name = name or f"{prefix}-{vm.oid}"
    check_name(vm.name)
    for key in _DROPPED:
        template.pop(key, None)
    vm.template.put("VMID", str(vm.oid))
    _capacity(vm, template)
    for key in _MOVED:
        if key in template:
            vm.template[key] = template.pop(key)
    vm.user_template = template
    _number(vm)
    _backup(vm)
    for features in vm.template.vectors("FEATURES"):
        for key, value in features.items():
            if value.lower() in ("yes", "no"):
                features[key] = value.upper()
    os = _only(vm, "OS") or {}
    os.setdefault("UUID", str(uuid.uuid4()))
    os.setdefault("MACHINE", "q35")
    vm.template.put("OS", os)
    defaults = _only(vm, "NIC_DEFAULT")
    for key in _NO_NIC_DEFAULTS:
        if defaults is not None and defaults.get(key):
            raise internal(f"Attribute {key} is not allowed inside NIC_DEFAULT.")
    if defaults is not None:
        vm.template.put("NIC_DEFAULT", defaults)


def _number(vm: VM) -> None:
    """What oned counts itself: PCI devices and planned actions."""
    for number, device in enumerate(vm.template.vectors("PCI")):
        device["PCI_ID"] = str(number)
    for number, planned in enumerate(vm.template.vectors("SCHED_ACTION")):
        planned |= {"ID": str(number), "PARENT_ID": str(vm.oid), "TYPE": "VM", "DONE": "-1", "MESSAGE": ""}


def _backup(vm: VM) -> None:
    """The settings of backups, which oned keeps outside of the template; its drivers here make full ones."""
    given = next(iter(vm.user_template.pop("BACKUP_CONFIG", [])), None)
    if isinstance(given, dict):
        kept = {key: value for key, value in given.items() if key in _BACKUP}
        vm.backup = {"BACKUP_VOLATILE": "NO", "FS_FREEZE": "NONE", **kept, "INCREMENTAL_BACKUP_ID": "-1",
                     "LAST_INCREMENT_ID": "-1", "MODE": "FULL"}


def _only(vm: VM, key: str) -> Vector | None:
    """Take a vector that may be there only once out of the user's template."""
    values = vm.user_template.pop(key, [])
    if len(values) > 1:
        raise internal(f"Only one {key} attribute can be defined.")
    return values[0] if values and isinstance(values[0], dict) else None


def _capacity(vm: VM, template: Template) -> None:
    memory = template.number("MEMORY")
    if memory is None or memory <= 0:
        raise internal("MEMORY attribute must be a positive integer value.")
    cpu = positive(template.text("CPU"))
    if cpu is None:
        raise internal("CPU attribute must be a positive float or integer value.")
    vm.template.put("MEMORY", str(memory))
    vm.template.put("CPU", f"{cpu:g}")
    if template.text("VCPU"):
        vcpu = template.number("VCPU")
        if vcpu is None or vcpu <= 0:
            raise internal("VCPU attribute must be a positive integer value.")
        vm.template.put("VCPU", str(vcpu))
    for key in ("MEMORY", "CPU", "VCPU"):
        template.pop(key, None)


def positive(text: str) -> float | None:
    """A number above zero, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None


def _finish(frontend: Frontend, vm: VM) -> None:
    set_boot_order(vm)
    context.fill(frontend, vm)
    _read_requirements(frontend, vm)
    vm.template.put("AUTOMATIC_REQUIREMENTS", "(CLUSTER_ID = 0) & !(PIN_POLICY = PINNED)")
    vm.template.put("AUTOMATIC_DS_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
    vm.template.put("AUTOMATIC_NIC_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
    graphics.check(vm)


def set_boot_order(vm: VM) -> None:
    """ORDER of the devices that OS/BOOT names by DISK_ID or NIC_ID."""
    devices = {"DISK": vm.disks, "NIC": vm.nics}
    for device in (*vm.disks, *vm.nics):
        device.pop("ORDER", None)
    boot = (vm.template.vector("OS") or {}).get("BOOT", "")
    for order, name in enumerate((part for part in boot.split(",") if part), 1):
        match = _DEVICE.fullmatch(name.upper())
        if match is None:
            raise internal(f'Wrong OS/BOOT value: "{boot}" should be a comma-separated list of disk# or nic#')
        key = f"{match[1]}_ID"
        found = next((one for one in devices[match[1]] if one[key] == str(int(match[2]))), None)
        if found is None:
            raise internal(f"Wrong OS/BOOT value. Device with {key} {int(match[2])} not found")
        found["ORDER"] = str(order)


def _read_requirements(frontend: Frontend, vm: VM) -> None:
    values = vm.user_template.get("SCHED_REQUIREMENTS", [])
    if len(values) > 1:
        raise internal("Only one SCHED_REQUIREMENTS attribute can be defined.")
    if values:
        if not isinstance(values[0], str):
            raise internal("Wrong format for SCHED_REQUIREMENTS attribute.")
        vm.user_template.put("SCHED_REQUIREMENTS", variables.replace(frontend, vm, values[0]))
