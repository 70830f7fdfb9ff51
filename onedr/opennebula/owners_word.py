"""Whose DR_PROTECT=NO counts for a VM's disks. Pure but for `read_vm`.

oned hands an image's on to the disks that are made of it (INHERIT_IMAGE_ATTR), whoever owns the VM. It
decides about a VM's disk only where the image is the VM owner's or oneadmin's: other users take no protection
from a VM, whatever group their image is in. What is not known takes none either.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from lxml import etree

from onedr.opennebula.api import FrontEnd

_ONEADMIN = "0"  # its id
_SAYS = "DR_PROTECT"


def read_vm(frontend: FrontEnd, vm_id: int) -> etree._Element:
    """`<VM>` as FrontEnd.vm gives it, its disks as `heed_owners` leaves them. Raises FrontEndError."""
    vm = frontend.vm(vm_id)
    heed_owners([vm], frontend.images)
    return vm


def heed_owners(vms: Iterable[etree._Element], images: Callable[[], Iterable[etree._Element]]) -> None:
    """Take off disks of VMs each DR_PROTECT that is the word of neither the VM's owner nor oneadmin.

    `images`: every image; called only where a disk has one.
    """
    says = [(vm, disk) for vm in vms for disk in vm.iterfind("TEMPLATE/DISK") if disk.find(_SAYS) is not None]
    known = _by_id(images()) if says else {}
    for vm, disk in says:
        image = known.get(disk.findtext("IMAGE_ID") or "")
        if image is None or not _may_decide(image, vm):
            for said in disk.findall(_SAYS):
                disk.remove(said)


def used_by_others(images: Iterable[etree._Element], vms: Iterable[etree._Element]) -> frozenset[int]:
    """Ids of images that their owners left out, and that VMs of others, who did not, need: as a disk, or as
    the base of one.
    """
    left_out = {key: image for key, image in _by_id(images).items() if _says_no(image.find("TEMPLATE"))}
    return frozenset(
        int(key)
        for vm in vms if left_out and not _says_no(vm.find("USER_TEMPLATE"))
        for disk in vm.iterfind("TEMPLATE/DISK")
        for key in [disk.findtext("IMAGE_ID") or ""]
        if key in left_out and not _may_decide(left_out[key], vm)
    )


def _by_id(images: Iterable[etree._Element]) -> Mapping[str, etree._Element]:
    return {image.findtext("ID") or "": image for image in images}


def _may_decide(image: etree._Element, vm: etree._Element) -> bool:
    owner = image.findtext("UID")
    return bool(owner) and owner in (_ONEADMIN, vm.findtext("UID"))


def _says_no(attributes: etree._Element | None) -> bool:
    return attributes is not None and (attributes.findtext(_SAYS) or "").upper() == "NO"
