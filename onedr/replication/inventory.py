"""What the images of a pool amount to: the peer's VMs that could be started here, and what stands in the
way.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from onedr.model import template
from onedr.model.records import Envelope, ImageFacts, ImageRecord, VmRecord
from onedr.opennebula.objects import CDROM


@dataclass(frozen=True)
class VmItem:
    """A VM found in records: its newest record, the images of its protected disks here, and what stands in
    its way.
    """

    origin: str  # `<cluster id>:<vm id>`, what a recovered VM is recognised by
    envelope: Envelope
    record: VmRecord
    images: tuple[ImageFacts, ...]
    obstacles: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def label(self) -> str:
        """What a person calls it: its origin is for machines."""
        return f"VM {self.record.name} ({self.record.vm_id} at {self.envelope.site})"

    @property
    def recovery_point(self) -> float | None:
        """The oldest recovery point of its disks; None when one of them is not known."""
        points = [image.recovery_point for image in self.images]
        return min(points) if points and None not in points else None  # type: ignore[type-var]


def vms(images: Iterable[ImageFacts], here: str, own: bool = False) -> list[VmItem]:
    """The VMs of other clusters than `here` (a Ceph cluster's id), or with `own` those of here; by name and
    origin.
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
    obstacles: list[str] = []
    warnings: list[str] = []
    for disk in record.disks:
        name = (disk.rbd or "").rpartition("/")[2]
        if not disk.protected:
            text = f"disk {disk.disk_id} ({disk.image_name or 'volatile'}) has no copy: {disk.reason}"
            (obstacles if disk.rbd else warnings).append(text)
        elif name not in by_name:
            obstacles.append(f"disk {disk.disk_id} ({name}) has no copy here: its mirroring had not begun")
        else:
            image = by_name[name]
            found.append(image)
            if not image.primary and not image.complete:
                obstacles.append(f"the copy of disk {disk.disk_id} ({name}) never completed")
            obstacles.extend(f"disk {disk.disk_id} ({name}): {problem}" for problem in image.problems)
    return VmItem(origin, envelope, record, tuple(found), tuple(obstacles), tuple(warnings))


def is_cdrom(image: ImageFacts) -> bool:
    """Does its record say so? Such an image is only read."""
    return (
        image.image is not None
        and isinstance(image.image.body, ImageRecord)
        and image.image.body.type == CDROM
    )


@dataclass(frozen=True)
class Owner:
    """A datastore of this site: the cluster's id, its id and name here, and its name at the peer."""

    here: str
    datastore_id: int
    name: str
    peer_name: str


def of_datastore(
    images: Iterable[ImageFacts], owner: Owner, known: Collection[str] = ()
) -> list[ImageFacts]:
    """Of the images of a pool, those that belong to a datastore: by their records, never by the pool.

    With all disks of a VM that has one there, and with what they are read through. An image of which no
    record says anything belongs to it when the front-end says so (`known`), or when no record in the pool
    names another datastore.
    """
    by_name = {image.name: image for image in images}
    said = {image.name: _is_of(image, owner) for image in by_name.values()}
    alone = False not in said.values()
    kept = {name for name, mine in said.items() if mine or name in known or (mine is None and alone)}
    vm_ids = {_vm(by_name[name]) for name in kept} - {None}
    kept |= {name for name, image in by_name.items() if _vm(image) in vm_ids}
    for name in list(kept):
        parent = by_name[name].parent
        while parent in by_name and parent not in kept:
            kept.add(parent)
            parent = by_name[parent].parent
    return [image for image in by_name.values() if image.name in kept]


def _vm(image: ImageFacts) -> tuple[str, int] | None:
    """The VM whose disk it is, by cluster and id."""
    found = image.vm
    return (found.fsid, found.body.vm_id) if found and isinstance(found.body, VmRecord) else None


def _is_of(image: ImageFacts, owner: Owner) -> bool | None:
    """Do its records name the datastore? None: they name none at all."""
    named = []
    if image.image is not None and isinstance(image.image.body, ImageRecord):
        named.append((image.image.fsid, image.image.body.datastore_id, image.image.body.datastore))
    if image.vm is not None and isinstance(image.vm.body, VmRecord):
        named += [
            (image.vm.fsid, disk.datastore_id, disk.datastore)
            for disk in image.vm.body.disks
            if (disk.rbd or "").rpartition("/")[2] == image.name and disk.datastore
        ]
    if not named:
        return None
    return any(_names(owner, *each) for each in named)


def _names(owner: Owner, fsid: str, datastore_id: int, name: str) -> bool:
    """A record of this site names its datastore by the id, which stays; the peer's by the name there."""
    if fsid != owner.here:
        return name == owner.peer_name
    return datastore_id == owner.datastore_id if datastore_id >= 0 else name == owner.name
