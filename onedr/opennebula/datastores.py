"""The datastores that this front-end protects, with what is needed to work on them."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from onedr.model import settings as model_settings
from onedr.model import template
from onedr.model.errors import InputError
from onedr.model.types import DRIVER, CephAccess, Settings
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.ceph_access import ceph_access

_IMAGE_DATASTORE = "0"


@dataclass(frozen=True)
class Datastore:
    """A datastore with OneDR's driver."""

    datastore_id: int
    name: str
    access: CephAccess
    settings: Settings
    bridges: str = ""  # BRIDGE_LIST


def from_element(element: etree._Element) -> Datastore:
    """Read a `<DATASTORE>`. Raises InputError that names every bad attribute."""
    name = element.findtext("NAME") or ""
    pairs = attributes(element)
    bridges = template.get(pairs, "BRIDGE_LIST")
    return Datastore(
        number(element, "ID"), name, ceph_access(pairs), model_settings.read_settings(pairs, name), bridges
    )


def rbd_names(datastore_id: int, images: Iterable[etree._Element], vms: Iterable[etree._Element]) -> set[str]:
    """RBD names of what this front-end keeps in a datastore: its images, and the clones of VMs on them."""
    from onedr.opennebula import objects as opennebula_objects  # hooks and `status` do without it

    own = str(datastore_id)
    found = {
        (image.findtext("SOURCE") or "").partition("/")[2]
        for image in images if image.findtext("DATASTORE_ID") == own
    }
    for vm in vms:
        for disk in opennebula_objects.vm_disks(vm, ()):
            if disk.rbd and disk.datastore_id == datastore_id:
                found.add(disk.rbd.partition("/")[2])
    return found - {""}


def elements(frontend: FrontEnd) -> list[etree._Element]:
    """Every image datastore with driver ceph_dr, protected or not. Raises FrontEndError."""
    return [
        element for element in frontend.datastores()
        if element.findtext("DS_MAD") == DRIVER and element.findtext("TYPE") == _IMAGE_DATASTORE
    ]


def all_of(frontend: FrontEnd) -> dict[int, Datastore]:
    """Every image datastore with driver ceph_dr and DR_PROTECT=YES, by id.

    One with bad attributes protects nothing.
    """
    found = {}
    for element in elements(frontend):
        try:
            datastore = from_element(element)
        except InputError:
            continue  # its hook and `onedr status` report that
        if datastore.settings.protect:
            found[datastore.datastore_id] = datastore
    return found


def protected(frontend: FrontEnd) -> dict[str, str | InputError]:
    """Ids of the datastores with DR_PROTECT=YES, by name; what is wrong with the attributes of those that
    protect nothing because of them.
    """
    found: dict[str, str | InputError] = {}
    for element in elements(frontend):
        try:
            datastore = from_element(element)
        except InputError as error:
            found[str(element.findtext("NAME"))] = error
            continue
        if datastore.settings.protect:
            found[datastore.name] = str(datastore.datastore_id)
    return found
