"""The VMs that the records of a pool describe, and what blocks their start here."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from onedr.model import names, template
from onedr.model.records import NOT_COPIED, DiskRef, Envelope, ImageFacts, ImageRecord, VmRecord
from onedr.opennebula.objects import CDROM


@dataclass(frozen=True)
class VmItem:
    """A VM found in records: its newest record, the images of its protected disks here,
    and what blocks its start.
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


def vms(
    images: Iterable[ImageFacts], here: str, own: bool = False, accept_unsigned: bool = False
) -> list[VmItem]:
    """The VMs of clusters other than `here` (a Ceph cluster's id), or with `own` those of `here`, sorted by
    name and origin.

    Of several records of a VM the one counts that nothing speaks against, and of those the newest. One that
    is in doubt is an obstacle, with `accept_unsigned` (the operator's word) a warning.
    """
    by_name = {image.name: image for image in images}
    found: dict[str, dict[str, Envelope]] = {}
    for image in by_name.values():
        for record in filter(None, (image.vm, *image.readers)):
            if (record.fsid == here) == own and isinstance(record.body, VmRecord):
                found.setdefault(f"{record.fsid}:{record.body.vm_id}", {})[image.name] = record
    items = []
    for origin, written in found.items():
        best = max(written.values(), key=lambda record: (not record.doubt, record.generation))
        if best.doubt or not _says_no(best):
            items.append(_item(origin, best, by_name, accept_unsigned, _others(best, written)))
    return sorted(items, key=lambda item: (item.record.name, item.origin))


def standing_by(images: Iterable[ImageFacts], here: str) -> list[VmItem]:
    """The peer's VMs whose disks are copies here: those that a failover would bring."""
    return [
        item for item in vms(images, here)
        if item.images and not any(image.primary for image in item.images)
    ]


def _says_no(envelope: Envelope) -> bool:
    body = envelope.body
    return isinstance(body, VmRecord) and template.get(body.user_template, "DR_PROTECT").upper() == "NO"


def _others(best: Envelope, written: Mapping[str, Envelope]) -> list[str]:
    """What the VM's other disks say otherwise, and is passed over."""
    return [
        f"the record on {name} is passed over: {record.doubt or 'it is older and says otherwise'}"
        for name, record in sorted(written.items())
        if record is not best and (record.doubt != best.doubt or record.body != best.body)
    ]


def doubt_of(what: str, envelope: Envelope | None) -> str:
    """Why only the operator's word makes a record count, with what to type; empty for one that counts."""
    if envelope is None or not envelope.doubt:
        return ""
    return f"{what} is not used: {envelope.doubt}. If it is to be believed: --accept-unsigned"


def _item(
    origin: str, envelope: Envelope, by_name: Mapping[str, ImageFacts], accept: bool, others: list[str]
) -> VmItem:
    body = envelope.body
    assert isinstance(body, VmRecord)
    record = replace(body, disks=tuple(_or_its_base(disk, body.vm_id, by_name) for disk in body.disks))
    found: list[ImageFacts] = []
    blockers: list[str] = []
    warnings: list[str] = [*others]
    doubts = [doubt_of("its record", envelope)]
    for disk in record.disks:
        name = (disk.rbd or "").rpartition("/")[2]
        where = f"disk {disk.disk_id} ({name})"
        if not disk.protected:
            text = f"disk {disk.disk_id} ({disk.image_name or 'volatile'}) has no copy: {disk.reason}"
            (blockers if disk.rbd or disk.reason == NOT_COPIED else warnings).append(text)
        elif name not in by_name and disk.to_clone:
            blockers.append(f"disk {disk.disk_id} would be cloned from {name}, which has no copy here")
        elif name not in by_name:
            blockers.append(f"{where} has no copy here: its mirroring had not started")
        else:
            image = by_name[name]
            found += [image] if image not in found else []  # a base may serve several of its disks
            if not image.primary and not image.complete:
                blockers.append(f"the initial copy of {where} never completed")
            blockers.extend(f"{where}: {problem}" for problem in image.problems)
            doubts.append(doubt_of(f"{where}: the record of its image", image.image))
    (warnings if accept else blockers).extend(filter(None, doubts))
    return VmItem(origin, envelope, record, tuple(found), tuple(blockers), tuple(warnings))


def _or_its_base(disk: DiskRef, vm_id: int, by_name: Mapping[str, ImageFacts]) -> DiskRef:
    """A clone that is not made yet is made here from the same base. One that is here was made after all."""
    pool, _, name = (disk.rbd or "").rpartition("/")
    if not disk.to_clone:
        return disk
    if name in by_name:
        return replace(disk, protected=True, reason="")
    return replace(disk, protected=True, rbd=f"{pool}/{names.base_of(name, vm_id, disk.disk_id)}")


def is_cdrom(image: ImageFacts) -> bool:
    """Is the image a CDROM according to its record? Such an image is only read."""
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
    names another datastore. A record in doubt takes no image away from where another record puts it, and
    brings none from there; where there is no other, the image stays in view, so that the doubt is said.
    """
    by_name = {image.name: image for image in images}
    said = {image.name: _is_of(image, owner, False) for image in by_name.values()}
    doubted = {image.name: _is_of(image, owner, True) for image in by_name.values()}
    alone = False not in said.values() and False not in doubted.values()
    kept = {
        name for name, mine in said.items()
        if mine or name in known or (mine is None and (alone or doubted[name]))
    }
    vm_ids = {_vm(by_name[name]) for name in kept} - {None}
    readers = {reader for name in kept for reader in _readers(by_name[name])}
    kept |= {
        name for name, image in by_name.items()
        if _vm(image) in vm_ids and image.vm and (not image.vm.doubt or said[name] is None)
    }
    kept |= {name for name, image in by_name.items() if _readers(image) & readers}
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


def _readers(image: ImageFacts) -> set[tuple[str, int]]:
    """The VMs that read through it and have no disk of their own; records in doubt bring no image."""
    return {
        (record.fsid, record.body.vm_id) for record in image.readers
        if isinstance(record.body, VmRecord) and not record.doubt
    }


def _is_of(image: ImageFacts, owner: Owner, in_doubt: bool) -> bool | None:
    """Do its records that are (not) in doubt name the datastore? None: they name none at all."""
    named = []
    own, vm = (
        record if record is not None and bool(record.doubt) == in_doubt else None
        for record in (image.image, image.vm)
    )
    if own is not None and isinstance(own.body, ImageRecord):
        named.append((own.fsid, own.body.datastore_id, own.body.datastore))
    if vm is not None and isinstance(vm.body, VmRecord):
        named += [
            (vm.fsid, disk.datastore_id, disk.datastore)
            for disk in vm.body.disks
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
