"""The libvirt-like deployment file of a VM, as the KVM driver of oned writes it."""
from __future__ import annotations

import time
from xml.sax.saxutils import escape, quoteattr

from sandbox.frontend import VERSION
from sandbox.frontend.drivers import transfers
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.templates import Vector, cdata
from sandbox.frontend.objects.vms import VM

EMULATOR = "/usr/bin/qemu-kvm-one"
DEFAULT_CEPH_PORT = "6789"
_BUSES = {"vd": "virtio", "sd": "scsi", "hd": "ide"}


def write(frontend: Frontend, vm: VM) -> str:
    """Write var/vms/ID/deployment.N and give its path."""
    folder = frontend.var / "vms" / str(vm.oid)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"deployment.{vm.place.seq}"
    path.write_text(document(frontend, vm))
    return str(path)


def document(frontend: Frontend, vm: VM) -> str:
    """The whole file."""
    os = vm.template.vector("OS") or {}
    devices = [f"\t\t<emulator>{cdata(EMULATOR)}</emulator>"]
    boot = _boot_order(os.get("BOOT", ""))
    devices += [_disk(frontend, vm, disk, boot) for disk in vm.disks]
    devices += _context_disk(frontend, vm)
    devices += [_nic(nic, boot) for nic in vm.nics if nic.get("MAC")]
    devices += [_graphics(one) for one in vm.template.vectors("GRAPHICS")]
    vcpu = vm.template.text("VCPU", "1")
    lines = [
        "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
        f"\t<name>one-{vm.oid}</name>", f"\t<title>{escape(vm.name)}</title>",
        f"\t<uuid>{os.get('UUID', '')}</uuid>",
        f"\t<vcpu>{cdata(vcpu)}</vcpu>", "\t<cputune>",
        f"\t\t<shares>{int(float(vm.template.text('CPU', '1')) * 1024)}</shares>", "\t</cputune>",
        f"\t<memory>{(vm.template.number('MEMORY') or 0) * 1024}</memory>", *_os(os),
        "\t<devices>", *devices, "\t</devices>", *_metadata(frontend, vm), "</domain>"]
    return "\n".join(lines) + "\n"


def _os(os: Vector) -> list[str]:
    attributes = "".join(f" {key.lower()}='{os[key]}'" for key in ("ARCH", "MACHINE") if os.get(key))
    lines = ["\t<os>", f"\t\t<type{attributes}>hvm</type>"]
    for tag, keys in (("kernel", ("KERNEL", "KERNEL_DS")), ("initrd", ("INITRD", "INITRD_DS")),
                      ("cmdline", ("KERNEL_CMD",))):
        value = next((os[key] for key in keys if os.get(key)), "")
        if value:
            lines.append(f"\t\t<{tag}>{cdata(value)}</{tag}>")
    return [*lines, "\t</os>"]


def _boot_order(boot: str) -> dict[str, int]:
    return {name.strip(): place for place, name in enumerate(boot.split(","), 1) if name.strip()}


def rbd_name(vm: VM, disk: Vector) -> str:
    """POOL/NAME of a disk on RBD; clones are named after their base image."""
    if transfers.is_volatile(disk):
        return f"{disk.get('POOL_NAME', '')}/one-sys-{vm.oid}-{disk['DISK_ID']}"
    if disk.get("CLONE") == "YES":
        return f"{disk['SOURCE']}-{vm.oid}-{disk['DISK_ID']}"
    return disk["SOURCE"]


def is_rbd(disk: Vector) -> bool:
    """Whether qemu reads the disk from RBD."""
    return disk.get("DISK_TYPE", disk.get("TYPE", "")).upper() == "RBD"


def _disk(frontend: Frontend, vm: VM, disk: Vector, boot: dict[str, int]) -> str:
    cdrom = disk.get("TYPE", "").upper() in ("CDROM", "RBD_CDROM")
    device = "cdrom" if cdrom else "disk"
    if is_rbd(disk):
        lines = [f"\t\t<disk type='network' device='{device}'>",
                 f"\t\t\t<source protocol='rbd' name={quoteattr(rbd_name(vm, disk))}>", *_monitors(disk),
                 "\t\t\t</source>", *_auth(disk)]
    else:
        lines = [f"\t\t<disk type='file' device='{device}'>",
                 f"\t\t\t<source file={quoteattr(transfers.disk_path(frontend, vm, disk))}/>"]
    lines.append(_target(disk["TARGET"]))
    order = boot.get(f"disk{disk['DISK_ID']}")
    lines += [f"\t\t\t<boot order='{order}'/>"] if order else []
    lines += ["\t\t\t<readonly/>"] if disk.get("READONLY") == "YES" else []
    lines.append(f"\t\t\t<driver name='qemu' type='{disk.get('DRIVER', disk.get('FORMAT', 'raw'))}'"
                 f" cache='{disk.get('CACHE', 'none')}' discard='{disk.get('DISCARD', 'unmap')}'/>")
    return "\n".join([*lines, "\t\t</disk>"])


def _monitors(disk: Vector) -> list[str]:
    lines = []
    for monitor in disk.get("CEPH_HOST", "").split():
        host, _, port = monitor.rpartition(":") if ":" in monitor else (monitor, "", DEFAULT_CEPH_PORT)
        lines.append(f"\t\t\t\t<host name='{host}' port='{port}'/>")
    return lines


def _auth(disk: Vector) -> list[str]:
    if not disk.get("CEPH_USER"):
        return []
    return [f"\t\t\t<auth username={quoteattr(disk['CEPH_USER'])}>",
            f"\t\t\t\t<secret type='ceph' uuid={quoteattr(disk.get('CEPH_SECRET', ''))}/>", "\t\t\t</auth>"]


def _target(target: str, bus: str = "") -> str:
    return f"\t\t\t<target dev='{target}' bus='{bus or _BUSES.get(target[:2], 'virtio')}'/>"


def _context_disk(frontend: Frontend, vm: VM) -> list[str]:
    vector = vm.template.vector("CONTEXT")
    if vector is None:
        return []
    path = transfers.disk_path(frontend, vm, vector["DISK_ID"])
    bus = "sata" if vector["TARGET"].startswith("sd") else ""
    return ["\t\t<disk type='file' device='cdrom'>", f"\t\t\t<source file={quoteattr(path)}/>",
            _target(vector["TARGET"], bus), "\t\t\t<readonly/>",
            "\t\t\t<driver name='qemu' type='raw' cache='none'/>", "\t\t</disk>"]


def _nic(nic: Vector, boot: dict[str, int]) -> str:
    lines = ["\t\t<interface type='bridge'>", f"\t\t\t<source bridge={quoteattr(nic.get('BRIDGE', ''))}/>",
             f"\t\t\t<mac address='{nic['MAC']}'/>", f"\t\t\t<target dev='{nic['TARGET']}'/>",
             f"\t\t\t<model type='{nic.get('MODEL', 'virtio')}'/>"]
    order = boot.get(f"nic{nic['NIC_ID']}")
    lines += [f"\t\t\t<boot order='{order}'/>"] if order else []
    return "\n".join([*lines, "\t\t</interface>"])


def _graphics(graphics: Vector) -> str:
    attributes = "".join(f" {name}={quoteattr(graphics[key])}" for name, key in
                         (("listen", "LISTEN"), ("port", "PORT"), ("keymap", "KEYMAP")) if graphics.get(key))
    return f"\t\t<graphics type='{graphics.get('TYPE', 'vnc').lower()}'{attributes}/>"


def _metadata(frontend: Frontend, vm: VM) -> list[str]:
    folder = transfers.vm_folder(frontend, vm)
    return ["\t<metadata>", '\t\t<one:vm xmlns:one="http://opennebula.org/xmlns/libvirt/1.0">',
            f"\t\t\t<one:system_datastore>{cdata(folder)}</one:system_datastore>",
            f"\t\t\t<one:name>{cdata(vm.name)}</one:name>", f"\t\t\t<one:uname>{cdata(vm.uname)}</one:uname>",
            f"\t\t\t<one:uid>{vm.uid}</one:uid>", f"\t\t\t<one:gname>{cdata(vm.gname)}</one:gname>",
            f"\t\t\t<one:gid>{vm.gid}</one:gid>",
            f"\t\t\t<one:opennebula_version>{VERSION}</one:opennebula_version>",
            f"\t\t\t<one:stime>{vm.stime}</one:stime>",
            f"\t\t\t<one:deployment_time>{int(time.time())}</one:deployment_time>",
            "\t\t</one:vm>", "\t</metadata>"]
