"""Mirror snapshots that a forced promotion takes before it waits for rbd-mirror (Ceph calls them orphans:
src/librbd/mirror/snapshot/PromoteRequest.cc). One that hung leaves a complete one behind, and the next
promotion looks no further: a part of an unfinished sync would stay in the image (docs/ceph-facts.md C20).
"""
from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import rbd

from onedr.ceph.connection import Pool
from onedr.ceph.image_header import MirrorState
from onedr.model.errors import StorageError

_PROGRESS = struct.Struct("<Q?Q")  # of mirror_image_snapshot_set_copy_progress: snapshot, complete, objects


class Sync(NamedTuple):
    """A mirror snapshot of an image: its id, whether all of it is here, and whether a promotion took it."""

    number: int
    complete: bool
    orphan: bool


def is_orphan(snapshot: dict[str, Any]) -> bool:
    """Is this mirror snapshot, as librbd lists it, of no site? Then nothing was copied for it."""
    mirror = snapshot["mirror"]
    return mirror["state"] == MirrorState.NON_PRIMARY and not mirror["primary_mirror_uuid"]


def hiding(syncs: Sequence[Sync]) -> list[int]:
    """Ids of the orphans that keep a promotion from rolling an unfinished sync back. `syncs`: oldest first.
    Pure.
    """
    at = len(syncs)
    while at and syncs[at - 1].orphan:
        at -= 1
    unfinished = at > 0 and not syncs[at - 1].complete
    return [each.number for each in syncs[at:] if each.complete] if unfinished else []


def reveal(pool: Pool, name: str) -> int:
    """Let the next promotion of a copy roll back to the last snapshot that is all here, as the first would
    have. Returns how many orphans were in the way. Reads back. Raises StorageError, rbd.Error.
    """
    with pool.image(name, read_only=True) as image:
        header, found = f"rbd_header.{image.id()}", hiding(syncs(image))
    for number in found:
        data = _PROGRESS.pack(number, False, 0)
        pool.io.execute(header, "rbd", "mirror_image_snapshot_set_copy_progress", data)
    if found:
        with pool.image(name, read_only=True) as image:
            if hiding(syncs(image)):
                raise StorageError(
                    f"RBD image {name} holds a part of an unfinished sync, and Ceph would not roll it back."
                )
    return len(found)


def syncs(image: rbd.Image) -> list[Sync]:
    """The mirror snapshots of an open image, oldest first. Raises rbd.Error."""
    return [
        Sync(int(each["id"]), bool(each["mirror"].get("complete")), is_orphan(each))
        for each in image.list_snaps()
        if each.get("namespace") == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR
    ]
