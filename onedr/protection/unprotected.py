"""What of a datastore is not mirrored, and why."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from onedr.model import names
from onedr.model.records import ImageFacts, VmRecord
from onedr.model.settings import wants_protection
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula import owners_word
from onedr.opennebula.api import attributes, number
from onedr.opennebula.datastores import Datastore
from onedr.runs.answer_events import Reason

_FAILED = ("ERROR", "LOCKED", "DELETE", "INIT")


@dataclass(frozen=True)
class Unprotected:
    """Why an item is not mirrored: one of a closed list, and the sentence."""

    reason: Reason
    text: str

    @property
    def is_problem(self) -> bool:
        """Is it unprotected for another reason than DR_PROTECT=NO?"""
        return self.reason is not Reason.BY_CHOICE


def from_ceph(facts: Iterable[ImageFacts]) -> dict[str, Unprotected]:
    """Without a front-end the answer is based on Ceph alone."""
    return {fact.name: _not_mirrored(fact, "not mirrored") for fact in facts if fact.mode is None}


def unprotected(
    datastore: Datastore, images: Iterable[etree._Element], vms: Iterable[etree._Element],
    protected: frozenset[int], facts: Iterable[ImageFacts],
) -> dict[str, Unprotected]:
    """Images of the datastore, and disks on it of VMs, that are not mirrored, by RBD name; nothing of other
    datastores. `protected`: ids of all protected datastores.
    """
    by_name = {fact.name: fact for fact in facts}
    found: dict[str, Unprotected] = {}
    images, vms = list(images), list(vms)
    needed = owners_word.used_by_others(images, vms)
    for image in images:
        if image.findtext("DATASTORE_ID") != str(datastore.datastore_id):
            continue
        name = (image.findtext("SOURCE") or "").partition("/")[2]
        label, state = name or f"image {image.findtext('ID')}", opennebula_objects.image_state(image)
        own = () if number(image, "ID") in needed else attributes(image)
        found.update(_why(datastore, label, by_name.get(name), own, state))
    for vm in vms:
        found.update(_disks(datastore, vm, by_name, protected))
    return found


def _disks(
    datastore: Datastore, vm: etree._Element, facts: Mapping[str, ImageFacts], protected: frozenset[int]
) -> dict[str, Unprotected]:
    """Of a VM. Volatile disks start empty everywhere: they are no items."""
    found: dict[str, Unprotected] = {}
    for disk in opennebula_objects.vm_disks(vm, protected | {datastore.datastore_id}):
        name = (disk.rbd or "").rpartition("/")[2]
        if disk.datastore_id != datastore.datastore_id or (not name and disk.image_id is None):
            continue
        label, fact = name or f"disk {disk.disk_id} of VM {vm.findtext('ID')}", facts.get(name)
        if disk.clone and fact is None and opennebula_objects.vm_state(vm) in opennebula_objects.WAITING:
            found.update(_not_deployed(vm, disk.disk_id, name, facts))
        elif not disk.protected:
            if not name or fact is None or fact.mode is None:
                text = f"VM {vm.findtext('ID')}: {disk.reason}"
                found[label] = Unprotected(Reason.OF_THE_DISK, text)
        elif names.parse_vm_disk(name):
            found.update(_why(datastore, name, fact, attributes(vm, "USER_TEMPLATE"), "USED"))
    return found


def _not_deployed(
    vm: etree._Element, disk_id: int, name: str, facts: Mapping[str, ImageFacts]
) -> dict[str, Unprotected]:
    """A clone that is made when its VM is first deployed needs no copy; the VM needs its record somewhere."""
    vm_id = int(vm.findtext("ID") or "-1")
    base = facts.get(names.base_of(name, vm_id, disk_id))
    recorded = {
        record.body.vm_id for fact in facts.values() for record in (fact.vm, *fact.readers)
        if record is not None and isinstance(record.body, VmRecord) and fact.primary
    }
    if base is not None and base.mode is not None and vm_id in recorded:
        return {}
    what = f"VM {vm_id} ({vm.findtext('NAME')}) was never deployed"
    if base is None or base.mode is None:
        text = f"{what}, and the image that this disk will be cloned from is not mirrored"
    else:
        text = f"{what}, and its record is not written yet; run onedr reconcile"
    return {name: Unprotected(Reason.NEVER_DEPLOYED, text)}


def _why(
    datastore: Datastore, name: str, fact: ImageFacts | None, own: Any, image_state: str
) -> dict[str, Unprotected]:
    if fact is not None and fact.mode is not None:
        return {}
    if not wants_protection(datastore.settings, own):
        if datastore.settings.protect:
            return {name: Unprotected(Reason.BY_CHOICE, "it has DR_PROTECT=NO")}
        return {name: Unprotected(Reason.DATASTORE, "its datastore is not protected")}
    if image_state in _FAILED:
        return {name: Unprotected(Reason.IMAGE_STATE, f"image is {image_state}")}
    if fact is None:
        return {name: Unprotected(Reason.NO_RBD_IMAGE, "there is no RBD image of this name")}
    return {name: _not_mirrored(fact, f"mirroring has not started; run onedr reconcile {datastore.name}")}


def _not_mirrored(fact: ImageFacts, otherwise: str) -> Unprotected:
    return Unprotected(Reason.NOT_MIRRORED, "; ".join(fact.problems) or otherwise)
