"""The template that recreates a VM at this site from its record."""
from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.records import VmRecord
from onedr.model.template import Pairs

ORIGIN = "DR_ORIGIN"  # `<cluster id>:<vm id>`: identifies a recovered VM
ORIGIN_SOURCE = "DR_ORIGIN_SOURCE"  # RBD name of an image at the site it came from
START_PENDING = "DR_START_PENDING"
DRILL = "DR_DRILL"  # on a drill's VM or image: its tag
HELD = "DR_HELD"  # on a VM at the site it moved away from: the state it had; it is locked there
FINISHED = "DR_FINISHED"  # set last: an object without it was left incomplete by an interrupted run
MARKS = (ORIGIN, START_PENDING, FINISHED, HELD, "DR_ORIGIN_SITE", "DR_ORIGIN_VM")  # of one site's object only
_DISK_KEEPS = re.compile(
    r"TARGET|DEV_PREFIX|CACHE|IO|DISCARD|ORDER|READONLY|IOTHREAD|SERIAL|VIRTIO_BLK_QUEUES|SIZE_IOPS_SEC"
    r"|(TOTAL|READ|WRITE)_(BYTES|IOPS)_SEC.*"
)
_VOLATILE_KEEPS = ("TYPE", "SIZE", "FORMAT", "FS", "DEV_PREFIX", "TARGET")
_NIC_KEEPS = re.compile(r"MODEL|NAME|PARENT|SSH|RDP|FILTER|VIRTIO_QUEUES|(IN|OUT)BOUND_.*")
_GENERATED_CONTEXT = re.compile(r"(ETH|PCI)\d+_.*|DISK_ID")
_OF_THE_SITE = {
    "PCI": "the device belongs to a host of the other site",
    "VMGROUP": "the VM group is the other site's",
}
_HANDLED = ("DISK", "NIC", "NIC_ALIAS", "CONTEXT", "GRAPHICS", "PCI", "VMGROUP", "NAME")
_NAMES_A_PLACE = re.compile(r"\b(ID|NAME|HOSTNAME|CLUSTER|CLUSTER_ID|CLUSTERS/ID)\b")


@dataclass(frozen=True)
class Network:
    """A virtual network of this site. Ranges are (first IPv4 address, size), MAC ranges (first MAC, size)."""

    network_id: int
    name: str
    ranges: tuple[tuple[str, int], ...]
    macs: tuple[tuple[str, int], ...] = ()

    def holds(self, address: str) -> bool:
        """Is the address in one of the ranges?"""
        wanted = int(ipaddress.IPv4Address(address))
        return any(0 <= wanted - int(ipaddress.IPv4Address(first)) < size for first, size in self.ranges)

    def holds_mac(self, mac: str) -> bool:
        """Is the MAC in one of the ranges?"""
        return any(0 <= _mac(mac) - _mac(first) < size for first, size in self.macs)


def _mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


@dataclass(frozen=True)
class Recreation:
    """The template, with warnings for the operator."""

    template: Pairs
    warnings: tuple[str, ...]


def recreate(
    record: VmRecord, origin: str, site: str, image_ids: Mapping[int, int], networks: Mapping[str, Network],
    network_map: Mapping[str, str], start: bool,
) -> Recreation:
    """Build the template. `image_ids`: image here by disk id; `networks`: by name.

    Raises RefusedError when a protected disk has no image here, or a network has no counterpart: such a VM
    would do more harm than none.
    """
    _must_have_its_disks(record, image_ids)
    warnings: list[str] = []
    built: list[tuple[str, object]] = [("NAME", record.name)]
    for key, value in record.template:
        if key == "GRAPHICS" and not isinstance(value, str):
            built.append((key, _graphics(value, record.vm_id)))
        elif key in _OF_THE_SITE:
            warnings.append(f"{key} was left out: {_OF_THE_SITE[key]}")
        elif key not in _HANDLED and not key.startswith("ONEDR_"):
            built.append((key, value))
    built += [made for disk in template.vectors(record.template, "DISK") for made in _disk(disk, image_ids)]
    for kind in ("NIC", "NIC_ALIAS"):
        for found in template.vectors(record.template, kind):
            built.append((kind, nic(found, networks, network_map, warnings)))
    context = next(template.vectors(record.template, "CONTEXT"), None)
    if context is not None:
        own = tuple((key, value) for key, value in context if not _GENERATED_CONTEXT.fullmatch(key))
        built.append(("CONTEXT", own))
    built += _user_template(record.user_template, warnings)
    built += [(ORIGIN, origin), ("DR_ORIGIN_SITE", site), ("DR_ORIGIN_VM", str(record.vm_id))]
    if start:
        built.append((START_PENDING, "YES"))
    return Recreation(tuple(built), tuple(warnings))


def _must_have_its_disks(record: VmRecord, image_ids: Mapping[int, int]) -> None:
    missing = [str(disk.disk_id) for disk in record.disks if disk.protected and disk.disk_id not in image_ids]
    if missing:
        raise RefusedError(
            f"Its disk {', '.join(missing)} is not registered as an image here yet; run onedr failover again."
        )


def _disk(disk: Pairs, image_ids: Mapping[int, int]) -> list[tuple[str, object]]:
    disk_id = int(template.get(disk, "DISK_ID", "0"))
    if disk_id in image_ids:
        return [("DISK", (("IMAGE_ID", str(image_ids[disk_id])), *disk_settings(disk)))]
    if template.get(disk, "SOURCE"):
        return []  # named in the record's warnings
    return [("DISK", tuple((key, value) for key, value in disk if key in _VOLATILE_KEEPS and value))]


def disk_settings(disk: Pairs) -> Pairs:
    """The settings of a disk that are kept with its image: target, cache, limits and so on."""
    return tuple((key, value) for key, value in disk if _DISK_KEEPS.fullmatch(key) and value)


def _graphics(value: Pairs, vm_id: int) -> Pairs:
    # The port that oned derived from the VM's id at the other site could collide with another VM's here.
    return tuple((key, text) for key, text in value if not (key == "PORT" and text == str(5900 + vm_id)))


def nic(
    found: Pairs, networks: Mapping[str, Network], network_map: Mapping[str, str], warnings: list[str]
) -> Pairs:
    """A NIC of the other site in the form requested here.

    Raises RefusedError when its network has no counterpart.
    """
    there = template.get(found, "NETWORK")
    here = network_map.get(there, there)
    network = networks.get(here)
    if network is None:
        raise RefusedError(
            f"Its network {there!r} has no counterpart here: there is no virtual network {here!r}. "
            f"Create it, or name another in DR_NETWORK_MAP ({there}=<network here>)."
        )
    built: list[tuple[str, object]] = [("NETWORK_ID", str(network.network_id))]
    built += [(key, value) for key, value in found if _NIC_KEEPS.fullmatch(key) and value]
    address, mac = template.get(found, "IP"), template.get(found, "MAC")
    if address and network.holds(address):
        # never together with MAC: oned 7.4.0 accepts one of them, and the range determines the MAC
        built.append(("IP", address))
    elif mac and not address and network.holds_mac(mac):
        built.append(("MAC", mac))
    elif address:
        warnings.append(f"network {here!r} does not contain {address}: the VM gets a new address there")
    return tuple(built)


def _user_template(attributes: Pairs, warnings: list[str]) -> list[tuple[str, object]]:
    kept: list[tuple[str, object]] = []
    for key, value in attributes:
        if key.startswith("ONEDR_") or key in MARKS:
            continue
        if key in ("SCHED_REQUIREMENTS", "SCHED_DS_REQUIREMENTS") and _NAMES_A_PLACE.search(str(value)):
            warnings.append(
                f"{key} names hosts, clusters or datastores of the other site; kept as DR_ORIGIN_{key}"
            )
            key = f"DR_ORIGIN_{key}"
        kept.append((key, value))
    return kept


def is_half_made(attributes: Pairs) -> bool:
    """Was this VM or image taken over by a run that has not finished it?

    The peer's record is then still needed.
    """
    return bool(template.get(attributes, ORIGIN)) and template.get(attributes, FINISHED) != "YES"


def is_of_drill(attributes: Pairs) -> bool:
    """Does this VM or image belong to a drill?

    Such objects are never recorded, mirrored, moved or counted.
    """
    return bool(template.get(attributes, DRILL))


IMAGE_TYPES = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT")
_IMAGE_LOCAL = ("DR_MESSAGE", "ERROR", "PATH", "MD5", "SHA1", "FS", ORIGIN, ORIGIN_SOURCE, FINISHED)
# a user's attribute must not override them
_IMAGE_GIVEN = ("NAME", "TYPE", "SOURCE", "SIZE", "FORMAT", "PERSISTENT")


def image_type(number: int) -> str:
    """TYPE in the form that oned accepts."""
    return IMAGE_TYPES[number] if 0 <= number < len(IMAGE_TYPES) else "DATABLOCK"


def portable_image(attributes: Pairs) -> Pairs:
    """The user's attributes of an image, without those that belong to one site's object."""
    return tuple((key, value) for key, value in attributes if key not in (*_IMAGE_LOCAL, *_IMAGE_GIVEN))


def image_description(
    name: str, kind: str, persistent: bool, source: str, size_mib: int, attributes: Pairs, origin: str
) -> Pairs:
    """The template that registers an existing RBD image (docs/opennebula-facts.md O1: SIZE and FORMAT are
    required).
    """
    return (
        ("NAME", name), ("TYPE", kind), ("SOURCE", source), ("SIZE", str(size_mib)), ("FORMAT", "raw"),
        ("PERSISTENT", "YES" if persistent else "NO"), (ORIGIN, origin),
        *portable_image(attributes),
    )
