"""Removing an image, unless data would be lost (docs/design.md, "Never delete the last copy")."""
from __future__ import annotations

import time

import rbd
from lxml import etree

from onedr.ceph import connection, disk_snapshots, images, mirroring
from onedr.ceph.connection import Pool
from onedr.model import names, parsing, template
from onedr.model.errors import FrontEndError, InputError, RefusedError, StorageError
from onedr.model.text import Sentence
from onedr.model.types import CephAccess
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.vm_template import ORIGIN
from onedr.protection.delete_rules import RemovalFacts, refusal
from onedr.replication import point_locks

# A client that goes on holding an image of no VM is to be named at once: oned's caller waits.
_IN_USE_S = 5
_NOT_PUBLIC = "The image is not removed, for a reason that may name other images or VMs; oned.log has it."


def remove_image(image: etree._Element, access: CephAccess, trash: bool) -> None:
    """Remove `<IMAGE>`'s RBD image.

    Raises RefusedError, or StorageError when a client holds it; what is public of that sentence is then also
    the image's DR_MESSAGE, which everyone who may use the image reads.
    """
    source = parsing.source(image.findtext("SOURCE") or "")
    image_id = parsing.integer(image, "ID")
    with connection.connect(CephAccess(source.pool, access.user, access.conf, access.keyfile)) as pool:
        try:
            if pool.exists(source.name):
                reason = refusal(_facts(pool, source.name, image))
                if reason:
                    what = Sentence(f"Image {image_id} ({source}) is not removed: ")
                    raise RefusedError(what.then(reason))
                if trash:
                    images.move_to_trash(pool, source.name, _IN_USE_S)
                else:
                    images.remove_image(pool, source.name, _IN_USE_S)
            disk_snapshots.remove_stock_volumes(pool, source.name)
        except (RefusedError, StorageError) as error:
            _show_reason(image_id, error.public or _NOT_PUBLIC)
            raise


def remove_unregistered(image: etree._Element, site_index: int, access: CephAccess) -> None:
    """Remove what a killed run created for an image whose SOURCE was never reported to oned.

    Usually there is nothing to remove.
    """
    image_id = parsing.integer(image, "ID")
    name, what = names.image(image_id, site_index), f"image {image_id}"
    try:
        with connection.connect(access) as pool:
            if pool.exists(name) and images.is_created_for(pool, name, what):
                images.remove_image(pool, name)
            elif pool.exists(name):
                images.remove_incomplete(pool, name, what)
    except InputError:
        return  # no such pool or user, which is why the creation failed


def _facts(pool: Pool, name: str, image: etree._Element) -> RemovalFacts:
    with pool.image(name, read_only=True) as opened:
        mirrored = mirroring.mirror_mode(opened) is not None
        primary = mirroring.is_primary(opened)
        replaying = mirrored and primary and _peer_copy(opened)
        locked = point_locks.refusal(point_locks.of_image(opened, time.time()))
    own = image.find("TEMPLATE")
    made_at = images.creator(pool, name).get("fsid", pool.fsid())
    return RemovalFacts(
        mirrored=mirrored,
        primary=primary,
        peer_copy=replaying,
        from_peer=made_at != pool.fsid() or bool(image.findtext(f"TEMPLATE/{ORIGIN}")),
        children=tuple(images.children(pool, name)),
        locked=locked,
        same_source=tuple(_others(str(image.findtext("SOURCE")), parsing.integer(image, "ID"))),
        unprotected_by_user=own is not None
        and template.get(template.from_element(own), "DR_PROTECT").upper() == "NO",
    )


def _peer_copy(image: rbd.Image) -> bool:
    try:
        return mirroring.remote_replaying(image)
    except rbd.Error:
        return False  # unknown counts as no copy, so that the removal is refused


def _others(source: str, image_id: int) -> list[str]:
    return [
        f"{other.findtext('ID')} ({other.findtext('NAME')})" for other in FrontEnd().images()
        if other.findtext("SOURCE") == source and other.findtext("ID") != str(image_id)
    ]


def _show_reason(image_id: int, message: str) -> None:
    try:
        FrontEnd(limit_s=5).update_image(image_id, (("DR_MESSAGE", message),))
    except FrontEndError:
        return  # the driver's answer contains the reason too
