"""The VMs that the records of a pool describe, and what blocks their start here."""
from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from onedr.model import template
from onedr.model.records import Envelope, ImageFacts, ImageRecord, VmRecord
from onedr.opennebula.objects import CDROM


@dataclass(frozen=True)
class VmItem:
    """A VM found in records: its newest record, the images of its protected disks here, and what blocks its
    start.
    """

    origin: str  # `<cluster id>:<vm id>`, which identifies a recovered VM
    envelope: Envelope
    record: VmRecord
    images: tuple[ImageFacts, ...]
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its name for people."""
        return f"VM {self.record.name} ({self.record.vm_id} at {self.envelope.site})"

    @property
    def recovery_point(self) -> float | None:
        """The oldest recovery point of its disks; None when one of them is unknown."""
        points = [image.recovery_point for image in self.images]
        return min(points) if points and None not in points else None  # type: ignore[type-var]


def vms(images: Iterable[ImageFacts], here: str, own: bool = False) -> list[VmItem]:
    """The VMs of clusters other than `here` (a Ceph cluster's id), or with `own` those of `here`, sorted by
    name and origin.
    """
    by_name = {image.name: image for image in images}
    newest: dict[str, Envelope] = {}
    for image in by_name.values():
        if image.vm is None or (image.vm.fsid == here) != own or not isinstance(image.vm.body, VmRecord):
            continue
        if template.get(image.vm.body.user_template, "DR_PROTECT").upper() == "NO":
            continue
        origin = f"{image.vm.fsid}:{image.vm.body.vm_id}"
        if origin not in newest or image.vm.generation > newest[origin].generation:
            newest[origin] = image.vm
    items = [_item(origin, envelope, by_name) for origin, envelope in newest.items()]
    return sorted(items, key=lambda item: (item.record.name, item.origin))


def _item(origin: str, envelope: Envelope, by_name: dict[str, ImageFacts]) -> VmItem:
    record = envelope.body
    assert isinstance(record, VmRecord)
    found: list[ImageFacts] = []
    blockers: list[str] = []
    warnings: list[str] = []
    for disk in record.disks:
        name = (disk.rbd or "").rpartition("/")[2]
        if not disk.protected:
            text = f"disk {disk.disk_id} ({disk.image_name or 'volatile'}) has no copy: {disk.reason}"
            (blockers if disk.rbd else warnings).append(text)
        elif name not in by_name:
            blockers.append(f"disk {disk.disk_id} ({name}) has no copy here: its mirroring had not started")
        else:
            image = by_name[name]
            found.append(image)
            if not image.primary and not image.complete:
                blockers.append(f"the initial copy of disk {disk.disk_id} ({name}) never completed")
            blockers.extend(f"disk {disk.disk_id} ({name}): {problem}" for problem in image.problems)
    return VmItem(origin, envelope, record, tuple(found), tuple(blockers), tuple(warnings))


def is_cdrom(image: ImageFacts) -> bool:
    """Is the image a CDROM according to its record? Such an image is only read."""
    return (
        image.image is not None
        and isinstance(image.image.body, ImageRecord)
        and image.image.body.type == CDROM
    )


def of_datastores(images: Iterable[ImageFacts], datastores: Collection[str]) -> list[ImageFacts]:
    """The images of these datastores in a shared pool: by their records, with all disks of a VM that has one
    there, and with parents. An image without such records belongs to every datastore.
    """
    by_name = {image.name: image for image in images}
    kept: set[str] = set()
    for image in by_name.values():
        disks = image.vm.body.disks if image.vm is not None and isinstance(image.vm.body, VmRecord) else ()
        own = (
            {image.image.body.datastore}
            if image.image and isinstance(image.image.body, ImageRecord)
            else set()
        )
        # volatile disks and older records name no datastore
        named = (own | {disk.datastore for disk in disks}) - {""}
        if not named or named & set(datastores):
            kept.add(image.name)
    for name in list(kept):
        parent = by_name[name].parent
        while parent in by_name and parent not in kept:
            kept.add(parent)
            parent = by_name[parent].parent
    return [image for image in by_name.values() if image.name in kept]
