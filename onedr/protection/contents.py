"""The items of a datastore that `enable` and `disable` work on:
its images, its VMs' clones, and the state of each in Ceph.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import rbd
from lxml import etree

from onedr.ceph import group_snapshots, images, mirroring, parallel, pending_images
from onedr.ceph.connection import Pool
from onedr.model import names, parsing, template
from onedr.model.errors import InputError, OneDRError, StorageError
from onedr.model.settings import wants_protection
from onedr.model.types import Settings
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula import owners_word
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.vm_template import ORIGIN
from onedr.protection.enable_plan import ConversionItem, Vm
from onedr.replication import point_locks, vm_points
from onedr.replication.mirror_image import parent_of

_LIMIT_S = 30
_THREADS = 32
_PREFIXES = ("onedr.", ".rbd_onedr")


def collect_items(
    pool: Pool, datastore_id: int, settings: Settings, frontend: FrontEnd
) -> tuple[ConversionItem, ...]:
    """A datastore's images and clones, and their bases. An item that cannot be read is `unreadable`."""
    listed = {item.name or item.label: item for item in (
        *_images(pool, datastore_id, settings, frontend), *_disks(pool, datastore_id, settings, frontend))}
    listed.update({name: item for name, item in _leftovers(pool, listed) if name not in listed})
    known = _inspected(pool, listed)
    more = known
    while more:
        more = _inspected(
            pool, {item.name: item for item in _bases(pool, more.values()) if item.name not in known}
        )
        known.update(more)
    return tuple(_shared(pool, item, known) for item in known.values())


def _inspected(pool: Pool, listed: dict[str, ConversionItem]) -> dict[str, ConversionItem]:
    here = pool.fsid()
    inspected = parallel.each(listed, lambda key: inspect_item(pool, listed[key], here), _LIMIT_S, _THREADS)
    return {
        key: _unreadable(listed[key], found) if isinstance(found, OneDRError) else found
        for key, found in inspected.items()
    }


def _unreadable(item: ConversionItem, why: OneDRError) -> ConversionItem:
    return replace(item, unreadable=True, blocker=f"it cannot be read: {why}")


def _leftovers(pool: Pool, listed: dict[str, ConversionItem]) -> Iterator[tuple[str, ConversionItem]]:
    """Volumes that the stock driver's snapshot actions left; they hold the older snapshots of an image."""
    for name in pool.names():
        owner = listed.get(names.stock_volume_owner(name) or "")
        if owner is not None:
            yield (
                name,
                ConversionItem(name, owner.holder, f"older snapshots of {owner.label}", wanted=owner.wanted),
            )


def _bases(pool: Pool, items: Iterable[ConversionItem]) -> Iterator[ConversionItem]:
    for item in items:
        where, _, name = item.parent.partition("/")
        if name and where == pool.access.pool:
            yield ConversionItem(name, item.holder, f"base of {item.label}", wanted=item.wanted)


def _shared(pool: Pool, item: ConversionItem, known: dict[str, ConversionItem]) -> ConversionItem:
    """A base that is not an image of the datastore in OpenNebula may have clones of other datastores too."""
    if not item.label.startswith("base of ") or not item.exists or item.unreadable:
        return item
    others = [child for child in images.children(pool, item.name) if child.partition("/")[2] not in known]
    return replace(item, used_by=", ".join(others))


def _images(
    pool: Pool, datastore_id: int, settings: Settings, frontend: FrontEnd
) -> Iterator[ConversionItem]:
    images = frontend.images()
    needed = owners_word.used_by_others(images, frontend.vms())
    for image in images:
        if image.findtext("DATASTORE_ID") != str(datastore_id):
            continue
        holder, state = f"image {image.findtext('ID')}", opennebula_objects.image_state(image)
        own = attributes(image)
        item = ConversionItem(
            "",
            holder,
            f"{holder} ({image.findtext('NAME')})",
            wanted=wants_protection(settings, () if number(image, "ID") in needed else own),
            blocker="" if state in opennebula_objects.USABLE_IMAGE_STATES else f"the image is {state}",
            from_peer=bool(template.get(own, ORIGIN)),
        )
        yield _named(item, pool, image.findtext("SOURCE") or "")


def _named(item: ConversionItem, pool: Pool, source: str) -> ConversionItem:
    try:
        found = parsing.source(source)
    except InputError:
        return replace(item, exists=False, blocker=item.blocker or "it has no RBD image")
    if found.pool != pool.access.pool:
        return replace(
            item,
            name=f"{found}",
            exists=False,
            blocker=f"it is in pool {found.pool}, not in this datastore's pool",
        )
    return replace(item, name=found.name)


def _disks(pool: Pool, datastore_id: int, settings: Settings, frontend: FrontEnd) -> Iterator[ConversionItem]:
    for vm, disk in _vm_disks(datastore_id, frontend):
        if template.get(disk, "CLONE").upper() != "YES":
            continue  # not a clone: the disk is the image itself
        vm_id, disk_id = number(vm, "ID"), parsing.count(template.get(disk, "DISK_ID"), "DISK_ID")
        item = ConversionItem(
            "", f"VM {vm_id}", f"disk {disk_id} of VM {vm_id} ({vm.findtext('NAME')})",
            wanted=wants_protection(settings, disk, attributes(vm, "USER_TEMPLATE")),
        )
        yield _named(item, pool, names.vm_disk(template.get(disk, "SOURCE"), vm_id, disk_id))


def _vm_disks(datastore_id: int, frontend: FrontEnd) -> Iterator[tuple[etree._Element, template.Pairs]]:
    vms = frontend.vms()
    owners_word.heed_owners(vms, frontend.images)
    for vm in vms:
        for disk in template.vectors(attributes(vm), "DISK"):
            if template.get(disk, "DATASTORE_ID") == str(datastore_id):
                yield vm, disk


def vms_of_datastore(datastore_id: int, frontend: FrontEnd) -> tuple[Vm, ...]:
    """The VMs with disks of the datastore, one entry for each driver that their disks were made with."""
    found = {
        Vm(number(vm, "ID"), str(vm.findtext("NAME")), template.get(disk, "TM_MAD")): None
        for vm, disk in _vm_disks(datastore_id, frontend)
    }
    return tuple(found)


def inspect_item(pool: Pool, item: ConversionItem, here: str) -> ConversionItem:
    """The item with its current state in Ceph. `here`: this cluster's id."""
    if not item.exists:
        return item
    try:
        with pool.image(item.name, read_only=True) as image:
            values, mode = dict(image.metadata_list()), mirroring.mirror_mode(image)
            parent = parent_of(image)
            left = mode is None and (
                mirroring.is_listed(pool, image) or bool(mirroring.sync_snapshots(image))
            )
            locked = point_locks.of_image(image, time.time())
            made_at = images.creator_in(values).get("fsid", here)
            return replace(
                item,
                mode=mode,
                primary=mirroring.is_primary(image),
                size=int(image.size()),
                parent="/".join(parent[:2]) if parent else "",
                traces=left or any(is_onedr_key(key) for key in values),
                from_peer=item.from_peer or made_at != here,
                locked_until=vm_points.moment_name(locked) if locked else "",
            )
    except rbd.ImageNotFound:
        return replace(item, exists=False)


def is_onedr_key(key: str) -> bool:
    """Is this a metadata key of OneDR?"""
    return key.startswith(_PREFIXES)


def strip_image(pool: Pool, name: str) -> None:
    """Remove everything of OneDR from an image: mirroring, the features it needed, metadata. Reads back. A
    missing image is ignored.

    Raises StorageError, rbd.Error.
    """
    try:
        mirroring.disable_mirroring(pool, name)
        # without its creator's entry a remaining note would mark the image as incomplete
        if not images.is_incomplete(pool, name):
            pending_images.clear_pending(pool, name)
        with pool.image(name) as image:
            group_snapshots.leave(pool, image)
            group_snapshots.drop(image)
            for key in [str(key) for key, _ in image.metadata_list() if is_onedr_key(str(key))]:
                image.metadata_remove(key)
            left = [str(key) for key, _ in image.metadata_list() if is_onedr_key(str(key))]
    except rbd.ImageNotFound:
        return
    if left:
        raise StorageError(
            f"RBD image {name} still has the metadata {', '.join(left)} although Ceph accepted the removal."
        )
