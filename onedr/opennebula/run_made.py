"""VMs and images that a run made for a while: a drill, a rehearsal, or one that lists snapshots.

They are never recorded, mirrored, moved or counted. Pure.
The mark on one is a text that its user may write, so it counts only with what oned itself sets: SOURCE, or
owner and name.
"""
from __future__ import annotations

from lxml import etree

from onedr.model import names, template
from onedr.opennebula.api import attributes
from onedr.opennebula.vm_template import CARRIER, DRILL, REHEARSAL

CARRIER_NAME = "onedr-snapshots"


def is_of_run(element: etree._Element) -> bool:
    """Does this VM or image belong to a drill, to a rehearsal, or to a run that lists snapshots?"""
    return _is_made(element) or (element.tag == "VM" and is_carrier(element))


def is_carrier(vm: etree._Element) -> bool:
    """A VM that lists snapshots (failover.snapshot_carrier): oneadmin's, of that name, with the mark."""
    marked = template.get(attributes(vm, "USER_TEMPLATE"), CARRIER)
    return bool(marked) and vm.findtext("UID") == "0" and vm.findtext("NAME") == CARRIER_NAME


def _is_made(element: etree._Element) -> bool:
    """It has the mark, and for data nothing but a drill's clones, or stand-ins of its turn of a rehearsal."""
    image = element.tag == "IMAGE"
    marks = attributes(element, "TEMPLATE" if image else "USER_TEMPLATE")
    places = [element] if image else element.findall("TEMPLATE/DISK")
    sources = [place.findtext("SOURCE") or "" for place in places]
    found = [source.rpartition("/")[2] for source in sources if source or image]
    token = template.get(marks, REHEARSAL)
    return bool(template.get(marks, DRILL) and all(names.parse_drill(name) for name in found)) or bool(
        token and all(name.startswith(names.stand_in(token, "")) for name in found)
    )
