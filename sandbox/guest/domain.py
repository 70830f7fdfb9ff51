"""The data a VMM gets about a VM: the libvirt-style deployment file, and the driver data of an attach."""
from __future__ import annotations

import base64
import binascii
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

from sandbox.waiting import SandboxError


@dataclass(frozen=True)
class Disk:
    """`source` is `pool/image` for RBD (`kind` rbd) or a path (`kind` file); `target` as vda."""

    target: str
    kind: str
    source: str
    user: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Domain:
    """`name` is one-<vm id>; the disks are in the order of the definition, CD-ROMs left out."""

    name: str
    disks: tuple[Disk, ...]


def read_domain(deployment: Path) -> Domain:
    """Read a deployment file; SandboxError when it is none."""
    try:
        root = ElementTree.parse(deployment).getroot()
    except (OSError, ElementTree.ParseError) as e:
        raise SandboxError(f"deployment file {deployment}: {e}") from e
    name = root.findtext("name", "").strip()
    if not name:
        raise SandboxError(f"deployment file {deployment}: no domain name")
    return Domain(name, tuple(filter(None, map(_disk, root.iterfind("devices/disk")))))


def _disk(element: ElementTree.Element) -> Disk | None:
    source, target = element.find("source"), element.find("target")
    if element.get("device") == "cdrom" or source is None or target is None:
        return None
    user = element.find("auth")
    if source.get("protocol") == "rbd":
        return Disk(target.get("dev", ""), "rbd", source.get("name", ""),
                    "" if user is None else user.get("username", ""))
    path = source.get("file") or source.get("dev")
    return Disk(target.get("dev", ""), "file", path) if path else None


def read_disk(data: str, path: str, **wanted: str) -> Disk:
    """The disk of the VM with these attributes (as ATTACH="YES"), from base64 VMM_DRIVER_ACTION_DATA.

    The name of the RBD image follows OpenNebula's rules (get_disk_information in scripts_common.sh):
    SOURCE, with -<vm>-<disk> when it is a copy of the VM's own; one-sys-<vm>-<disk> for a volatile one.
    `path` is taken for a disk that is not on RBD. SandboxError when there is no such disk.
    """
    try:
        root = ElementTree.fromstring(base64.b64decode(data, validate=True))
    except (binascii.Error, ElementTree.ParseError) as e:
        raise SandboxError(f"the driver data cannot be read: {e}") from e
    vm = root.find("VM")
    disks = [] if vm is None else vm.findall("TEMPLATE/DISK")
    disk = next((d for d in disks if all(d.findtext(name) == value for name, value in wanted.items())), None)
    if vm is None or disk is None:
        raise SandboxError(f"the driver data names no disk with {wanted}")
    target = disk.findtext("TARGET", "")
    if "RBD" not in (disk.findtext("TYPE", "").upper(), disk.findtext("DISK_TYPE", "").upper()):
        return Disk(target, "file", path)
    source = disk.findtext("SOURCE") or f"{disk.findtext('POOL_NAME') or 'one'}/one-sys"
    if disk.findtext("CLONE") == "YES" or not disk.findtext("SOURCE"):
        source += f"-{vm.findtext('ID')}-{disk.findtext('DISK_ID')}"
    return Disk(target, "rbd", source, disk.findtext("CEPH_USER") or "")
