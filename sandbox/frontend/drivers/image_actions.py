"""Actions of the datastore driver on images, and what each outcome makes of the image."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape

from sandbox.frontend.drivers.datastore_driver import action_data, run_driver
from sandbox.frontend.drivers.monitoring import monitor
from sandbox.frontend.executor import Outcome
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import images
from sandbox.frontend.objects.datastores import Datastore
from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.snapshots import Snapshots
from sandbox.frontend.objects.templates import Template, leading_int

LOG = logging.getLogger("ImM")
RM_FAILED = ("Error removing image from datastore. Retry the operation or manually remove image source  and"
             " run the delete --force operation to completely delete the image")
# After these actions the datastore is monitored at once.
_RESIZING = ("cp", "mkfs", "clone", "rm")
Finish = Callable[[Frontend, Image, Outcome], None]


@dataclass(frozen=True)
class Completion:
    """What follows the `mkfs` of an image that something else is to fill."""

    made: Callable[[Frontend, Image], None]
    failed: Callable[[Frontend, Image], None]


COMPLETIONS: dict[str, Completion] = {}
"""By the FORMAT that such an image has until it is filled; entered by the module that orders the image."""


def start(frontend: Frontend, image: Image, action: str, finish: Finish, extra: str = "") -> None:
    """Send an action for an image as it is now; `finish` gets the outcome later, with the lock held."""
    datastore = frontend.store.get(Datastore, image.datastore_id)
    data = action_data(image.to_xml(), datastore.to_xml(), extra)
    mad, oid = datastore.ds_mad, image.oid

    def work() -> None:
        outcome = run_driver(frontend, mad, action, oid, data)
        with frontend.lock:
            found = frontend.store.find(Image, oid)
            if found is not None and (action == "rm" or found.state != images.DELETE):
                finish(frontend, found, outcome)
        if action in _RESIZING:
            monitor(frontend, datastore.oid)
    frontend.background(work, f"{action} {oid}")


def fail(frontend: Frontend, image: Image, text: str, outcome: Outcome | None) -> None:
    """Leave an image in ERROR with the reason in its template."""
    reason = outcome.message if outcome is not None else ""
    message = f"{text}: {reason}" if reason else text
    LOG.error("%s", message)
    image.set_error(message)
    image.state = images.ERROR
    frontend.save(image)


def stat(frontend: Frontend, template: Template, datastore_xml: str, ds_mad: str) -> str:
    """SIZE of a new image: from the template, or from the driver's `stat`. Called without the lock."""
    kind = template.text("TYPE", "OS").upper()
    path = template.text("PATH")
    if kind in images.DISK_IMAGE_TYPES and kind != "CDROM":
        if template.text("SOURCE") or not path:
            return _given_size(template)
        data = f"<IMAGE><PATH>{escape(path)}</PATH><SIZE>{escape(template.text('SIZE'))}</SIZE></IMAGE>"
    else:
        if template.text("SOURCE"):
            return _given_size(template)
        if not path:
            raise internal(f"Cannot parse image SIZE: Either PATH or SOURCE are required for {kind}")
        data = f"<IMAGE><PATH>{escape(path)}</PATH></IMAGE>"
    with frontend.lock:
        request = frontend.store.next_id("request")
    outcome = run_driver(frontend, ds_mad, "stat", request, action_data(data, datastore_xml))
    answer = outcome.stdout.strip() if outcome.ok else outcome.message or "-"
    if not outcome.ok or leading_int(answer) is None:
        raise internal(f"Cannot parse image SIZE: {answer}")
    return answer


def _given_size(template: Template) -> str:
    if template.number("SIZE") is None:
        raise internal("Cannot parse image SIZE: Wrong number or missing SIZE attribute.")
    return template.text("SIZE")


def register(frontend: Frontend, image: Image) -> None:
    """Fill a new image: use its SOURCE, copy its PATH, or make an empty disk."""
    if image.path:
        LOG.info("Copying %s to repository for image %s", image.path, image.oid)
        start(frontend, image, "cp", _copied)
    elif image.source:
        image.unlock()
        frontend.save(image)
        LOG.info("Using source %s from template for image %s", image.source, image.name)
    else:
        LOG.info("Creating disk at %s, size %sMB (format: %s)", image.datastore, image.size, image.format)
        start(frontend, image, "mkfs", _made)


def _copied(frontend: Frontend, image: Image, outcome: Outcome) -> None:
    if not outcome.ok:
        fail(frontend, image, "Error copying image in the datastore", outcome)
        return
    words = outcome.stdout.split()
    image.source = words[0] if words else "-"
    if len(words) < 2:
        fail(frontend, image, "CP operation succeeded but image FORMAT was not returned.", None)
        return
    image.format = words[1]
    _ready(frontend, image)
    LOG.info("Image (%s) copied and ready to use.", image.oid)


def _made(frontend: Frontend, image: Image, outcome: Outcome) -> None:
    completion = COMPLETIONS.get(image.format)
    if not outcome.ok:
        if completion is not None:
            completion.failed(frontend, image)
        fail(frontend, image, "Error creating datablock", outcome)
        return
    image.source = outcome.stdout.strip() or "-"
    if completion is not None:
        frontend.save(image)
        completion.made(frontend, image)
        return
    _ready(frontend, image)
    LOG.info("Image created and ready to use")


def _ready(frontend: Frontend, image: Image) -> None:
    waiting = bool(image.vms)
    image.unlock()
    frontend.save(image)
    if waiting:
        frontend.wake_scheduler.set()


def clone(frontend: Frontend, image: Image) -> None:
    """Fill a new image with a copy of another one, which is in use meanwhile."""
    original = frontend.store.get(Image, image.cloning_id)
    if original.state not in (images.READY, images.USED, images.CLONE):
        raise internal("Cannot clone image in current state")
    original.cloning_ops += 1
    original.clones.append(image.oid)
    if original.state == images.READY:
        original.state = images.CLONE if original.persistent else images.USED
    frontend.save(original)
    start(frontend, image, "clone", _cloned)
    LOG.info("Cloning image %s to repository as image %s", image.path, image.oid)


def _cloned(frontend: Frontend, image: Image, outcome: Outcome) -> None:
    original = image.cloning_id
    image.cloning_id = -1
    words = outcome.stdout.split()
    if outcome.ok:
        image.source = words[0] if words else "-"
        image.format = words[1] if len(words) > 1 else image.format
        _ready(frontend, image)
        LOG.info("Image cloned and ready to use.")
    else:
        fail(frontend, image, f"Error cloning from Image {original}", outcome)
    release_original(frontend, original, image.oid)


def release_original(frontend: Frontend, original: int, clone_id: int) -> None:
    """A clone operation is over."""
    found = frontend.store.find(Image, original)
    if found is not None:
        found.release_clone(clone_id)
        frontend.save(found)


def remove(frontend: Frontend, image: Image) -> None:
    """Have the driver remove an image; without a SOURCE there is nothing to remove."""
    cloning = image.cloning_id
    if not image.source:
        forget(frontend, image)
    else:
        start(frontend, image, "rm", _removed)
        image.state = images.DELETE
        image.cloning_id = -1
        frontend.save(image)
    if cloning != -1:
        release_original(frontend, cloning, image.oid)


def _removed(frontend: Frontend, image: Image, outcome: Outcome) -> None:
    if not outcome.ok and image.template.text("FORCE_DELETE").upper() != "YES":
        reason = f": {outcome.message}" if outcome.message else ""
        LOG.error("%s%s", RM_FAILED, reason)
        image.set_error(RM_FAILED)
        image.state = images.ERROR
        frontend.save(image)
        return
    forget(frontend, image)
    LOG.info("Image successfully removed.")


def forget(frontend: Frontend, image: Image) -> None:
    """Drop the record."""
    frontend.store.drop(image)
    datastore = frontend.store.find(Datastore, image.datastore_id)
    if datastore is not None and image.oid in datastore.images:
        datastore.images.remove(image.oid)
        frontend.save(datastore)


def snapshot(frontend: Frontend, image: Image, action: str, number: int) -> None:
    """Delete, revert to, or flatten a snapshot of an image."""
    image.target_snapshot = number
    start(frontend, image, f"snap_{action}", _snapshot_done(action))
    image.state = images.LOCKED
    frontend.save(image)


_SNAPSHOT_ERRORS = {"delete": "Error removing snapshot from image",
                    "revert": "Error reverting image snapshot", "flatten": "Error flattening image snapshot"}


def _snapshot_done(action: str) -> Finish:
    def finish(frontend: Frontend, image: Image, outcome: Outcome) -> None:
        number = image.target_snapshot
        image.target_snapshot = -1
        if not outcome.ok:
            reason = f": {outcome.message}" if outcome.message else ""
            image.set_error(_SNAPSHOT_ERRORS[action] + reason)
        elif action == "delete":
            image.snapshots.drop(number)
        elif action == "revert":
            image.snapshots.activate(number, revert=True)
            image.size = int(image.snapshots.size_of(number))
        else:
            image.snapshots = Snapshots()  # oned forgets all of it, ALLOW_ORPHANS and the next number too
        image.modtime = int(time.time())
        image.unlock()
        frontend.save(image)
    return finish
