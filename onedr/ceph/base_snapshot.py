"""The protected snapshot @snap of a base image, and the thin clones made from it."""
from __future__ import annotations

from contextlib import suppress

import rbd

from onedr.ceph import images
from onedr.ceph.connection import Pool
from onedr.ceph.image_lock import image_lock
from onedr.host.waiting import attempts, wait_until
from onedr.model import names

_SNAP_LIMIT_S = 3
_RACE_LIMIT_S = 30
_PAUSE_S = 0.1


def clone_from_base(pool: Pool, source: str, target: str) -> None:
    """Make a thin clone of `source`'s protected snapshot @snap, which is created when missing.

    Call it inside `images.creating`.
    """
    data_pool = images.data_pool(pool)
    for last in attempts(_RACE_LIMIT_S, 0):
        try:
            ensure_snapshot(pool, source)
            pool.rbd.clone(pool.io, source, names.BASE_SNAPSHOT, pool.io, target, data_pool=data_pool)
            return
        # @snap was removed at this moment, together with the last of the other clones
        except (rbd.ImageNotFound, rbd.InvalidArgument):
            if last or not pool.exists(source):
                raise


def ensure_snapshot(pool: Pool, name: str) -> None:
    """Create and protect @snap unless it exists. Two VMs may do so at the same time.

    The image is opened for writing only when it must be changed (docs/measured.md).
    """
    with pool.image(name, read_only=True) as image:
        there = names.BASE_SNAPSHOT in images.snapshots(image) and image.is_protected_snap(
            names.BASE_SNAPSHOT
        )
    if there and not _is_cut_short(pool, name):
        return
    with image_lock(pool, name, "snapshotting"), pool.image(name) as image:
        if names.BASE_SNAPSHOT in images.snapshots(image) and _is_cut_short(pool, name):
            images.drop_snapshot(image, names.BASE_SNAPSHOT)
        if names.BASE_SNAPSHOT not in images.snapshots(image):
            with suppress(rbd.ImageExists):  # created for another VM's clone at the same time
                image.create_snap(names.BASE_SNAPSHOT)
        if not image.is_protected_snap(names.BASE_SNAPSHOT):
            with suppress(rbd.ImageBusy):
                image.protect_snap(names.BASE_SNAPSHOT)


def _is_cut_short(pool: Pool, name: str) -> bool:
    """Was the creation of @snap interrupted?

    Then it is listed, but has no object map and can never be opened.
    """
    def opens() -> bool:
        try:
            with rbd.Image(pool.io, name, names.BASE_SNAPSHOT, read_only=True):
                return True
        except rbd.ImageNotFound:  # another process may be creating it now
            return False

    return not wait_until(opens, _SNAP_LIMIT_S, _PAUSE_S)


def drop_base_snapshot(pool: Pool, name: str) -> bool:
    """Remove @snap if no clone uses it.

    Returns whether it no longer exists. The image is opened for writing only when it must be changed
    (docs/measured.md).
    """
    with pool.image(name, read_only=True) as image:
        if names.BASE_SNAPSHOT not in images.snapshots(image):
            return True
    with image_lock(pool, name, "snapshotting"), pool.image(name) as image:
        return names.BASE_SNAPSHOT not in images.snapshots(image) or images.drop_snapshot(
            image, names.BASE_SNAPSHOT
        )
