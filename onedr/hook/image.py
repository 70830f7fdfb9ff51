"""An image became ready, was used, renamed, changed or got another owner: update its record.

What works on a pool is in image_record.py: it is loaded for images that are to be protected only.
"""
from __future__ import annotations

import time

from onedr.hook.payload import Event
from onedr.model.errors import FrontEndError
from onedr.model.settings import wants_protection
from onedr.opennebula import datastores
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, attributes, number


def on_event(event: Event) -> str:
    """Returns one line for the hook's log."""
    if event.object_id is None:
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
    from onedr.hook import image_record

    return f"image {image_id} {image_record.record(datastore, element, now)}"
