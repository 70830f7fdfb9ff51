"""From a template to a VM: attributes are sorted, leases and images taken, all or none."""
from __future__ import annotations

import time
import uuid

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, internal, unauthorized
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.templates import Template
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm import context, disks, nics

MOVED = ("DISK", "NIC", "NIC_ALIAS", "NIC_DEFAULT", "PCI", "OS", "FEATURES", "CPU_MODEL", "TOPOLOGY",
         "NUMA_NODE", "INPUT", "GRAPHICS", "VIDEO", "RAW", "CONTEXT", "VMGROUP", "EMULATOR", "TEMPLATE_ID",
         "SUBMIT_ON_HOLD", "SPICE_OPTIONS", "HYPERV_OPTIONS", "TPM", "MEMORY_ENCRYPTION", "CPU_COST",
         "MEMORY_COST", "DISK_COST", "MEMORY_MAX", "MEMORY_SLOTS", "MEMORY_RESIZE_MODE", "VCPU_MAX")
_DROPPED = ("NAME", "TEMPLATE_NAME", "VMID", "AUTOMATIC_REQUIREMENTS", "AUTOMATIC_DS_REQUIREMENTS",
            "AUTOMATIC_NIC_REQUIREMENTS", "SECURITY_GROUP_RULE", "TM_MAD_SYSTEM")


def create(frontend: Frontend, who: Caller, template: Template, hold: bool, checked: bool = False) -> VM:
    """Make a VM. Calls no driver: the scheduler places it later."""
    restricted = template.restricted(frontend.config.names("VM_RESTRICTED_ATTR"))
    if restricted and not checked and not who.is_admin:
        raise unauthorized(who.uid, f"VM Template includes a restricted attribute {restricted}")
    vm = VM(**who.owner_of(frontend.store.peek_id("vm")), stime=int(time.time()))
    _sort_attributes(vm, template)
    nics.take_leases(frontend, who, vm)
    try:
        disks.take_images(frontend, who, vm)
    except ApiError:
        nics.release_leases(frontend, vm)
        raise
    try:
        _finish(frontend, who, vm)
    except ApiError:
        disks.release_images(frontend, vm, failed=False)
        nics.release_leases(frontend, vm)
        raise
    if hold:
        vm.template.put("SUBMIT_ON_HOLD", "YES")
    frontend.store.next_id("vm")
    frontend.store.put(vm)
    _begin(frontend, vm)
    return vm


def _begin(frontend: Frontend, vm: VM) -> None:
    if any(disk.get("CLONING") == "YES" for disk in vm.disks):
        vm.enter("CLONING")
    elif vm.template.text("SUBMIT_ON_HOLD").upper() == "YES":
        vm.enter("HOLD")
    else:
        vm.enter("PENDING")
    frontend.save(vm)
    frontend.wake_scheduler.set()


def _sort_attributes(vm: VM, template: Template) -> None:
    """What oned knows goes to TEMPLATE, the rest to USER_TEMPLATE."""
    name, prefix = template.text("NAME"), template.text("TEMPLATE_NAME", "one")
    vm.name = name or f"{prefix}-{vm.oid}"
    check_name(vm.name)
    for key in _DROPPED:
        template.pop(key, None)
    vm.template.put("VMID", str(vm.oid))
    _capacity(vm, template)
    for key in MOVED:
        if key in template:
            vm.template[key] = template.pop(key)
    vm.user_template = template
    os = vm.template.vector("OS") or {}
    os.setdefault("UUID", str(uuid.uuid4()))
    os.setdefault("MACHINE", "q35")
    vm.template["OS"] = [os]
    for features in vm.template.vectors("FEATURES"):
        for key, value in features.items():
            if value.lower() in ("yes", "no"):
                features[key] = value.upper()


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


def _finish(frontend: Frontend, who: Caller, vm: VM) -> None:
    for disk in vm.disks:
        boot = (vm.template.vector("OS") or {}).get("BOOT", "")
        order = [name.strip() for name in boot.split(",")]
        if f"disk{disk['DISK_ID']}" in order:
            disk["ORDER"] = str(order.index(f"disk{disk['DISK_ID']}") + 1)
    context.fill(frontend, who.uid, vm)
    vm.template.put("AUTOMATIC_REQUIREMENTS", "(CLUSTER_ID = 0) & !(PIN_POLICY = PINNED)")
    vm.template.put("AUTOMATIC_DS_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
    vm.template.put("AUTOMATIC_NIC_REQUIREMENTS", '("CLUSTERS/ID" @> 0)')
