"""Images of a probe: created, filled, changed, compared with their copies, removed. They are identified by
their names.

After each write a marker is set in the image's metadata (`onedr.trial`). It reaches the copy after the data
(docs/measured.md), so a copy with the marker can be compared.
"""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

import rbd

from onedr.ceph import images, mirroring
from onedr.ceph.connection import Pool
from onedr.model.types import MIB, Mode

PREFIX = "onedr-probe-"
OBJECT_BYTES = 4 * MIB
KEY = "onedr.trial"
_SNAPSHOT = "probe"


def probe_name(fsid: str, moment_ms: int, what: str) -> str:
    """Name of one image of a probe."""
    return f"{PREFIX}{fsid[:8]}-{moment_ms}-{what}"


def make_probe_image(pool: Pool, name: str, objects: int) -> None:
    """Create an image of `objects` full objects of random bytes."""
    images.create_image(pool, name, objects * OBJECT_BYTES)
    write_random(pool, name, range(objects))


def write_random(pool: Pool, name: str, objects: Iterable[int], length: int = OBJECT_BYTES) -> None:
    """Write random bytes to the start of these objects of a primary."""
    with pool.image(name) as image:
        for number in objects:
            image.write(os.urandom(length), number * OBJECT_BYTES)
        image.flush()


def make_clone(pool: Pool, base: str, name: str) -> None:
    """Create a thin clone of the image, like that of a VM on a non-persistent image."""
    with pool.image(base) as image:
        image.create_snap(_SNAPSHOT)
        image.protect_snap(_SNAPSHOT)
    pool.rbd.clone(pool.io, base, _SNAPSHOT, pool.io, name, data_pool=images.data_pool(pool))


def discard(pool: Pool, name: str, number: int) -> None:
    """Discard one object of a primary."""
    with pool.image(name) as image:
        image.discard(number * OBJECT_BYTES, OBJECT_BYTES)
        image.flush()


def mark_probe(pool: Pool, name: str, marker: str) -> None:
    """Set the marker after a write, and replicate it."""
    with pool.image(name) as image:
        image.metadata_set(KEY, marker)
        mirroring.publish_changes(pool, image)


def begin_mirroring(pool: Pool, name: str, mode: Mode) -> None:
    """Mirror the image."""
    with pool.image(name) as image:
        mirroring.enable_mirroring(pool, image, mode)


def carries(pool: Pool, name: str, marker: str) -> bool:
    """Does a copy contain everything written before the marker?"""
    try:
        with pool.image(name, read_only=True) as image:
            if dict(image.metadata_list()).get(KEY) != marker:
                return False
            if mirroring.mirror_mode(image) is not Mode.SNAPSHOT:
                return True
            snapshots = mirroring.mirror_snapshots(image)
            return bool(snapshots and snapshots[-1][0])
    except rbd.ImageNotFound:
        return False


def digest(pool: Pool, name: str, objects: Iterable[int]) -> str:
    """SHA-256 of these objects."""
    found = hashlib.sha256()
    with pool.image(name, read_only=True) as image:
        for number in objects:
            found.update(image.read(number * OBJECT_BYTES, OBJECT_BYTES))
    return found.hexdigest()


def remnants(pool: Pool) -> list[str]:
    """Images of all probes in the pool, clones first."""
    found = [name for name in pool.names() if name.startswith(PREFIX)]
    return sorted(found, key=lambda name: (not name.endswith("-clone"), name))


def in_trash(pool: Pool) -> dict[str, str]:
    """Names by id of images of all probes in Ceph's trash, where a delete delay keeps copies, clones first.
    """
    found = {str(entry["id"]): str(entry["name"]) for entry in pool.rbd.trash_list(pool.io)}
    ours = [(name, image_id) for image_id, name in found.items() if name.startswith(PREFIX)]
    return {
        image_id: name for name, image_id in sorted(ours, key=lambda pair: not pair[0].endswith("-clone"))
    }


def purge(pool: Pool, image_id: str) -> bool:
    """Remove an image from Ceph's trash, with its snapshots. Raises rbd.Error.

    False for a copy in snapshot mode, which only rbd-mirror may change; it removes the copy after the delay.
    """
    try:
        pool.rbd.trash_remove(pool.io, image_id, True)
    except rbd.ImageHasSnapshots:
        try:
            with rbd.Image(pool.io, image_id=image_id) as image:
                # including rbd-mirror's own
                for name in [str(snapshot["name"]) for snapshot in image.list_snaps()]:
                    if image.is_protected_snap(name):
                        image.unprotect_snap(name)
                    image.remove_snap(name)
        except rbd.ReadOnlyImage:
            return False
        pool.rbd.trash_remove(pool.io, image_id, True)
    return True


def strip_snapshot(pool: Pool, other: Pool, name: str) -> bool:
    """Remove a primary's user snapshot.

    Returns whether it is gone from the copy too: a copy with a snapshot could not be removed from the trash.
    Raises rbd.Error.
    """
    with pool.image(name) as image:
        if _SNAPSHOT in images.snapshots(image):
            images.drop_snapshot(image, _SNAPSHOT)
            mirroring.publish_changes(pool, image)
        if _SNAPSHOT in images.snapshots(image):
            return False
    try:
        with other.image(name, read_only=True) as copy:
            return _SNAPSHOT not in images.snapshots(copy)
    except rbd.ImageNotFound:
        return True



def remove_copy(pool: Pool, name: str) -> None:
    """Remove an image, mirrored or not. Raises rbd.Error while rbd-mirror has it open."""
    try:
        with pool.image(name) as image:
            if mirroring.mirror_mode(image) is not None:
                image.mirror_image_disable(True)
        images.remove_image(pool, name)
    except rbd.ImageNotFound:
        return
