"""Removing an image, and the cases in which that is refused because data would be lost (P7, DESIGN §5)."""
from __future__ import annotations

import rbd
from lxml import etree

from onedr import names, parse, template
from onedr.errors import FrontEndError, InputError, RefusedError
from onedr.model import CephAccess
from onedr.policy.removal import RemovalFacts, refusal
from onedr.policy.vm_template import ORIGIN
from onedr.ports import ceph, images, mirror, snapshots
from onedr.ports.ceph import Pool
from onedr.ports.frontend import FrontEnd


def remove_image(image: etree._Element, access: CephAccess, trash: bool) -> None:
    """Remove `<IMAGE>`'s RBD image. Raises RefusedError, whose sentence is then also the image's DR_MESSAGE."""
    source = parse.source(image.findtext("SOURCE") or "")
    image_id = parse.integer(image, "ID")
    with ceph.connect(CephAccess(source.pool, access.user, access.conf, access.keyfile)) as pool:
        try:
            if pool.exists(source.name):
                reason = refusal(_facts(pool, source.name, image))
                if reason:
                    raise RefusedError(f"Image {image_id} ({source}) is not removed: {reason}")
                if trash:
                    images.move_to_trash(pool, source.name)
                else:
                    images.remove(pool, source.name)
            snapshots.remove_leftovers(pool, source.name)
        except RefusedError as error:
            _tell(image_id, str(error))
            raise


def remove_unregistered(image: etree._Element, site_index: int, access: CephAccess) -> None:
    """Remove what a killed run made, or half made, for an image whose SOURCE oned never learned. Usually there is nothing."""
    image_id = parse.integer(image, "ID")
    name, what = names.image(image_id, site_index), f"image {image_id}"
    try:
        with ceph.connect(access) as pool:
            if pool.exists(name) and images.is_mine(pool, name, what):
                images.remove(pool, name)
            elif pool.exists(name):
                images.remove_unfinished(pool, name, what)
    except InputError:
        return  # no such pool or user: that is why its creation failed


def _facts(pool: Pool, name: str, image: etree._Element) -> RemovalFacts:
    with pool.image(name, read_only=True) as opened:
        mirrored = mirror.mode(opened) is not None
        primary = mirror.is_primary(opened)
        replaying = mirrored and primary and _peer_copy(opened)
    own = image.find("TEMPLATE")
    made_at = images.maker(pool, name).get("fsid", pool.fsid())
    return RemovalFacts(
        mirrored=mirrored, primary=primary, peer_copy=replaying,
        from_peer=made_at != pool.fsid() or bool(image.findtext(f"TEMPLATE/{ORIGIN}")),
        children=tuple(images.children(pool, name)),
        same_source=tuple(_others(str(image.findtext("SOURCE")), parse.integer(image, "ID"))),
        unprotected_by_user=own is not None and template.get(template.from_element(own), "DR_PROTECT").upper() == "NO",
    )


def _peer_copy(image: rbd.Image) -> bool:
    try:
        return mirror.remote_replaying(image)
    except rbd.Error:
        return False  # unknown counts as no copy: the removal is refused


def _others(source: str, image_id: int) -> list[str]:
    return [
        f"{other.findtext('ID')} ({other.findtext('NAME')})" for other in FrontEnd().images()
        if other.findtext("SOURCE") == source and other.findtext("ID") != str(image_id)
    ]


def _tell(image_id: int, message: str) -> None:
    try:
        FrontEnd(limit_s=5).update_image(image_id, (("DR_MESSAGE", message),))
    except FrontEndError:
        return  # the driver's own answer still carries the reason
