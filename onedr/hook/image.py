"""An image became ready, was used, renamed, changed or got another owner: update its record."""
from __future__ import annotations

import sys
import time

from onedr.ceph import connection, mirroring
from onedr.driver import bridge_dispatch
from onedr.hook import payload
from onedr.model import parsing
from onedr.model.errors import FrontEndError
from onedr.model.settings import wants_protection
from onedr.opennebula import datastores
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, attributes, number
from onedr.opennebula.vm_template import is_half_made
from onedr.protection import keeper_lock
from onedr.replication import write_records
from onedr.replication.mirror_image import protect_image


def main(_: list[str]) -> str:
    """Returns one line for the hook's log."""
    event = payload.read_event(sys.stdin.read())
    if not event.succeeded or event.object_id is None:
        return "nothing to do"
    return on_image(FrontEnd(), event.object_id)


def on_image(frontend: FrontEnd, image_id: int) -> str:
    """Protect and record one image.

    The VM record is removed from a persistent one that no VM uses any more.
    """
    now = time.time()
    try:
        element = frontend.image(image_id)
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return f"image {image_id} is gone"
        raise
    datastore = datastores.from_element(frontend.datastore(number(element, "DATASTORE_ID")))
    if not wants_protection(datastore.settings, attributes(element)):
        return f"image {image_id} is not protected"
    if is_half_made(attributes(element)):
        return f"image {image_id} is still being taken over"
    state = opennebula_objects.image_state(element)
    if state not in opennebula_objects.USABLE_IMAGE_STATES:
        return f"image {image_id} is {state}"
    if bridge_dispatch.is_bridged(datastore.bridges):
        keeper_lock.wake_keeper(datastore.datastore_id)
        return f"image {image_id} is handled by the keeper, which works on a bridge host"
    source = parsing.source(element.findtext("SOURCE") or "")
    with connection.connect(datastore.access) as pool:
        primary = mirroring.is_primary_image(pool, source.name)
        if primary is None:
            return f"image {image_id} has no RBD image {source}"
        if not primary:
            return f"image {image_id} is the peer's copy"
        changed = write_records.record_image(pool, datastore.settings, source.name, element, now)
        if state == "READY":
            changed |= write_records.remove_vm_record(pool, source.name)
        reason = protect_image(pool, source.name, datastore.settings)
    keeper_lock.wake_keeper(datastore.datastore_id)
    return f"image {image_id}: record {'written' if changed else 'unchanged'}, {reason or 'mirrored'}"
