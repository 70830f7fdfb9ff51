"""The record and the mirroring of an image, for its hook."""
from __future__ import annotations

import rbd
from lxml import etree

from onedr.ceph import connection, mirroring
from onedr.ceph.connection import Pool
from onedr.driver import bridge_dispatch
from onedr.model import parsing
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import attributes
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.vm_template import is_half_made
from onedr.protection import keeper_lock
from onedr.replication import records, write_records
from onedr.replication.mirror_image import is_protected, protect_image


def record(datastore: Datastore, element: etree._Element, now: float) -> str:
    """Protect and record it. Returns what became of it."""
    if is_half_made(attributes(element)):
        return "is still being taken over"
    state = opennebula_objects.image_state(element)
    if state not in opennebula_objects.USABLE_IMAGE_STATES:
        return f"is {state}"
    if bridge_dispatch.is_bridged(datastore.bridges):
        keeper_lock.wake_keeper(datastore.datastore_id)
        return "is handled by the keeper, which works on a bridge host"
    source = parsing.source(element.findtext("SOURCE") or "")
    with connection.connect(datastore.access) as pool:
        try:
            with pool.image(source.name, read_only=True) as image:
                primary = mirroring.is_primary(image)
                is_done = primary and _is_done(pool, datastore, image, element, now)
        except rbd.ImageNotFound:
            return f"has no RBD image {source}"
        if not primary:
            return "is the peer's copy"
        if is_done:  # by the driver that made it, or by a hook before this one
            keeper_lock.wake_keeper(datastore.datastore_id)
            return "has its record unchanged, mirrored"
        changed = write_records.record_image(pool, datastore.settings, source.name, element, now)
        if state == "READY":
            changed |= write_records.remove_vm_record(pool, source.name)
        reason = protect_image(pool, source.name, datastore.settings)
    keeper_lock.wake_keeper(datastore.datastore_id)
    return f"has its record {'written' if changed else 'unchanged'}, {reason or 'mirrored'}"


def _is_done(
    pool: Pool, datastore: Datastore, image: rbd.Image, element: etree._Element, now: float
) -> bool:
    """Would all of `record` change nothing? One opening tells, where doing it takes four."""
    unused = opennebula_objects.image_state(element) == "READY"
    return (
        mirroring.pool_ready(pool) is None
        and is_protected(image)
        and not (unused and records.VM_KEY in records.metadata(image))
        and write_records.has_image_record(pool, datastore.settings, image, element, now)
    )
