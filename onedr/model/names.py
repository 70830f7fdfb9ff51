"""RBD image names: OpenNebula's own, shifted by the site's index so that two sites never collide
(docs/design.md, "Names and site indexes").
"""
from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from onedr.model.types import INDEX_STRIDE

_IMAGE = re.compile(r"one-([0-9]{1,18})")
_CLONE = re.compile(r"(one-[0-9]{1,18})-([0-9]{1,18})-([0-9]{1,18})")
_VOLATILE = re.compile(r"one-sys-([0-9]{1,18})-([0-9]{1,18})")
_LEFTOVER = re.compile(r"(one-[0-9]{1,18}(?:-[0-9]{1,18}-[0-9]{1,18})?)-[0-9]{1,9}(?::[0-9]{1,9})*")
_DRILL = re.compile(r"(onedr-drill-([0-9a-f]{8})-([0-9]{1,18})-[0-9]{1,18})(?:-(one-[0-9-]{1,60}))?")
_TAKEN = INDEX_STRIDE // 2
REHEARSAL = "onedr-rehearsal-"  # how the names of everything begin that a rehearsal makes
BASE_SNAPSHOT = "snap"  # the protected snapshot from which VM disks are cloned, as in the stock driver


class VmDisk(NamedTuple):
    """The VM and disk id that a clone's or volatile disk's name carries."""

    vm_id: int
    disk_id: int


class DrillName(NamedTuple):
    """What the name of a drill's snapshot or clone contains.

    `tag` names the drill; `image` is empty for a snapshot.
    """

    tag: str
    cluster: str  # first 8 of the drilling site's cluster id
    datastore_id: int  # of the drilling site
    image: str = ""


def image(image_id: int, site_index: int) -> str:
    """Name of an OpenNebula image's RBD image; site 0 keeps the stock names."""
    return f"one-{site_index * INDEX_STRIDE + image_id}"


def taken_base(name: str, site_index: int) -> str:
    """Name at this site for a base image taken over from the peer.

    Its number is above all ids that OpenNebula assigns here.
    """
    match = _IMAGE.fullmatch(name)
    number = int(match[1]) % INDEX_STRIDE if match else zlib.crc32(name.encode()) % _TAKEN
    return f"one-{site_index * INDEX_STRIDE + _TAKEN + number}"


def vm_disk(source: str, vm_id: int, disk_id: int) -> str:
    """Name of a VM's clone of `source`; oned builds the same text itself (docs/opennebula-facts.md O4)."""
    return f"{source}-{vm_id}-{disk_id}"


def base_of(clone: str, vm_id: int, disk_id: int) -> str:
    """Name of the image that a VM's disk is a clone of: `vm_disk` backwards."""
    return clone.removesuffix(f"-{vm_id}-{disk_id}")


def volatile(vm_id: int, disk_id: int) -> str:
    """Name of a volatile disk."""
    return f"one-sys-{vm_id}-{disk_id}"


def parse_vm_disk(name: str) -> VmDisk | None:
    """The VM disk that has this RBD name; None for an image."""
    match = _CLONE.fullmatch(name)
    if match:
        return VmDisk(int(match[2]), int(match[3]))
    match = _VOLATILE.fullmatch(name)
    return VmDisk(int(match[1]), int(match[2])) if match else None


def index_of(name: str) -> int | None:
    """Index of the site that numbered an image of this name; None for any other name, VM disks included."""
    match = _IMAGE.fullmatch(name)
    return int(match[1]) // INDEX_STRIDE if match else None


def stock_volume_owner(name: str) -> str | None:
    """The image whose older snapshots are on volume `name`,
    which the stock driver's revert left behind: `<image>-<id>:<id>…`.
    """
    match = _LEFTOVER.fullmatch(name)
    return match[1] if match else None


def is_managed(name: str) -> bool:
    """Is this a name that OpenNebula or OneDR assigns? Anything else in a pool is left alone."""
    return bool(
        _IMAGE.fullmatch(name)
        or _CLONE.fullmatch(name)
        or _VOLATILE.fullmatch(name)
        or _LEFTOVER.fullmatch(name)
    )


def drill_tag(fsid: str, datastore_id: int, moment_ms: int) -> str:
    """A drill's tag: part of the name of everything it creates, and the name of its snapshots at both sites.
    """
    return f"onedr-drill-{fsid[:8]}-{datastore_id}-{moment_ms}"


def drill_clone(tag: str, name: str) -> str:
    """Name of a drill's clone of an image.

    It is not a name of OpenNebula's, so it is never mistaken for a disk to protect.
    """
    return f"{tag}-{name}"


def parse_drill(name: str) -> DrillName | None:
    """The drill that made the snapshot or clone of this name; None for any other name."""
    match = _DRILL.fullmatch(name)
    return DrillName(match[1], match[2], int(match[3]), match[4] or "") if match else None


def stand_in(token: str, name: str) -> str:
    """Name of the image that stands for a copy in a rehearsal, and of its RBD image, which does not exist."""
    return f"{REHEARSAL}{token}-{name}"
