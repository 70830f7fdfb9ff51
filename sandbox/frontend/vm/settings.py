"""Settings of a VM that one.vm.updateconf changes: boot order, features, graphics, context and the like."""
from __future__ import annotations

from collections.abc import Collection

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.templates import Template, Vector
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm import context, create, graphics

# What oned takes of each section; of CONTEXT it takes everything.
SETTABLE = {
    section: frozenset(names.split()) for section, names in {
        "OS": "ARCH MACHINE KERNEL INITRD BOOTLOADER BOOT KERNEL_CMD ROOT SD_DISK_BUS UUID FIRMWARE "
              "FIRMWARE_FORMAT",
        "FEATURES": "PAE ACPI APIC LOCALTIME HYPERV GUEST_AGENT VIRTIO_SCSI_QUEUES VIRTIO_BLK_QUEUES "
                    "IOTHREADS GIC RAS MIGRATE_AUTO_CONVERGE MIGRATE_COMPRESSED",
        "INPUT": "TYPE BUS",
        "GRAPHICS": "TYPE LISTEN PASSWD KEYMAP COMMAND",
        "VIDEO": "IOMMU ATS TYPE VRAM RESOLUTION",
        "RAW": "TYPE DATA VALIDATE DATA_VMX",
        "CPU_MODEL": "MODEL FEATURES",
    }.items()
}
_OF_BACKUPS = {
    "FS_FREEZE", "KEEP_LAST", "BACKUP_VOLATILE", "INCREMENT_MODE", "MODE", "DISK_IDS", "INTERACTIVE",
}


def update(frontend: Frontend, vm: VM, given: Template, append: bool) -> None:
    """Change what is given. Without `append` sections that are not given go, but for CONTEXT and
    BACKUP_CONFIG.
    """
    for name, keys in SETTABLE.items():
        section = given.vector(name)
        _update(vm, name, None if section is None else _taken(section, keys), append)
    create.set_boot_order(vm)
    wanted = given.vector("CONTEXT")
    if wanted is not None:
        _update_context(frontend, vm, wanted, append)
    backup = given.vector("BACKUP_CONFIG")
    if backup is not None:
        vm.backup.update(_taken(backup, _OF_BACKUPS))
    graphics.check(vm)


def _taken(section: Vector, keys: Collection[str]) -> Vector:
    return {key: value for key, value in section.items() if key in keys and value}


def _update(vm: VM, name: str, given: Vector | None, append: bool) -> None:
    old = vm.template.vector(name)
    if not given:
        if not append:
            vm.template.pop(name, None)
    elif old is None:
        vm.template.put(name, given)
    else:
        for key in () if append else SETTABLE[name] & old.keys() - given.keys():
            del old[key]
        old.update(given)


def _update_context(frontend: Frontend, vm: VM, given: Vector, append: bool) -> None:
    old = vm.template.vector("CONTEXT")
    if old is None:
        raise internal("Virtual machine does not have context, cannot add a new one.")
    place: Vector = {key: old[key] for key in ("DISK_ID", "TARGET") if key in old}
    kept: Vector = old if append else {}
    vm.template.put("CONTEXT", {**kept, **given, **place})
    context.fill(frontend, vm, old)
