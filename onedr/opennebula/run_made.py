"""VMs and images that a run made for a while: a drill's, and the small VMs that list snapshots.

They are never recorded, mirrored, moved or counted. Pure.
The mark on one is a text that its user may write, so it counts only with what oned itself sets: SOURCE, or
owner and name.
"""
from __future__ import annotations

from lxml import etree

from onedr.model import names, template
from onedr.opennebula.api import attributes
from onedr.opennebula.vm_template import CARRIER, DRILL

CARRIER_NAME = "onedr-snapshots"


def is_of_run(vm: etree._Element) -> bool:
    """Does this VM belong to a drill, or to a run that lists snapshots?"""
    return is_carrier(vm) or is_drills_vm(vm)


def is_drills_vm(vm: etree._Element) -> bool:
    """A drill's VM: it has the mark, and no disk with data but a drill's clones."""
    disks = [disk for disk in vm.iterfind("TEMPLATE/DISK") if disk.findtext("SOURCE")]
    return bool(template.get(attributes(vm, "USER_TEMPLATE"), DRILL)) and all(map(_is_clone, disks))


def is_drills_image(image: etree._Element) -> bool:
    """A drill's image: it has the mark, and a drill's clone for its data."""
    return bool(template.get(attributes(image), DRILL)) and _is_clone(image)


def is_carrier(vm: etree._Element) -> bool:
    """A VM that lists snapshots (failover.snapshot_carrier): oneadmin's, of that name, with the mark."""
    marked = template.get(attributes(vm, "USER_TEMPLATE"), CARRIER)
    return bool(marked) and vm.findtext("UID") == "0" and vm.findtext("NAME") == CARRIER_NAME


def _is_clone(place: etree._Element) -> bool:
    source = place.findtext("SOURCE") or ""
    return names.parse_drill(source.rpartition("/")[2]) is not None
