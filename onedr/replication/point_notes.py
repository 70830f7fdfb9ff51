"""The notes of points in time on an image: read, changed and written by one process at a time."""
from __future__ import annotations

import time
from collections.abc import Callable, Collection

import rbd

from onedr.ceph import group_snapshots, mirroring
from onedr.ceph.connection import Pool
from onedr.ceph.image_lock import image_lock
from onedr.host.paths import front_end_paths
from onedr.model.errors import RefusedError, StorageError
from onedr.model.records import PointNote
from onedr.replication import encryption, points, signature
from onedr.replication.records import VALUE_LIMIT

Notes = dict[str, PointNote]
_PURPOSE = "noting"


def change(pool: Pool, name: str, by: Callable[[Notes], Notes]) -> None:
    """Write what `by` makes of an image's notes. Raises RefusedError for the peer's copy, rbd.Error."""
    with image_lock(pool, name, _PURPOSE), pool.image(name) as image:
        _change(pool, image, by)


def _change(pool: Pool, image: rbd.Image, by: Callable[[Notes], Notes]) -> None:
    if not mirroring.is_primary(image):
        raise RefusedError(f"{image.get_name()} is the peer's copy; its points are kept there.")
    key = encryption.load_key(front_end_paths().record_key)
    signer = signature.signer(key, image)
    text = dict(image.metadata_list()).get(points.KEY)
    before = {} if text is None else points.decode(text, signer)
    after = by(dict(before))
    if after == before and text is not None:
        return
    written = points.encode(pool.fsid(), after, signer, time.time())
    if len(written) > VALUE_LIMIT:
        raise StorageError(
            f"{image.get_name()} has too many points for their notes; unpin some, or keep fewer (DR_POINTS)."
        )
    image.metadata_set(points.KEY, written)


def drop(pool: Pool, name: str, wanted: Collection[str]) -> None:
    """Remove points, by the names of their snapshots, from an image. One that was locked since the caller
    looked stays. Raises RefusedError, rbd.Error.
    """
    with image_lock(pool, name, _PURPOSE), pool.image(name) as image:
        noted, now = points.decode(dict(image.metadata_list()).get(points.KEY, ""), None), time.time()
        gone = {each for each in wanted if each not in noted or noted[each].until <= now}
        if mirroring.is_primary(image):
            group_snapshots.drop(image, gone)
        _change(pool, image, lambda notes: {key: note for key, note in notes.items() if key not in gone})
