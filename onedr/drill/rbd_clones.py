"""The RBD operations of a drill: a user snapshot at the primary,
a clone of its copy here, and the removal of both.
"""
from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import rbd

from onedr.ceph import images, mirroring, orphan_snapshots, pending_images
from onedr.ceph.connection import Pool
from onedr.host.waiting import wait_until
from onedr.model import names
from onedr.model.errors import OneDRError
from onedr.model.types import Mode

_PAUSE_S = 0.2
_TRASH = 2  # RBD_SNAP_NAMESPACE_TYPE_TRASH: a removed snapshot that still has clones


def take_snapshot(there: Pool, name: str, tag: str) -> float:
    """Snapshot the primary image at the peer. Returns a time (epoch seconds); every write acknowledged before
    it is in the snapshot.

    The VM keeps the image's lock and makes the snapshot for us, so that in the journal, and so in the copy
    here, the snapshot follows every earlier write. Raises OneDRError when the image is not primary there;
    rbd.Error.
    """
    with there.image(name) as image:
        if not mirroring.is_primary(image):
            raise OneDRError(f"{name} is not primary at the peer")
        at = time.time()
        image.create_snap(tag)
        mirroring.publish_changes(there, image)
        if tag not in images.snapshots(image):
            raise OneDRError(f"{name} has no snapshot {tag} at the peer although Ceph accepted it")
    return at


def wait_for(here: Pool, name: str, tag: str, limit_s: float) -> str:
    """Wait until the snapshot and its data are in the copy here.

    Returns how long that took. Raises OneDRError.
    """
    begun = time.monotonic()
    if not wait_until(lambda: _arrived(here, name, tag), limit_s, _PAUSE_S):
        raise OneDRError(
            f"the snapshot of {name} did not arrive within {limit_s:g} s; check that rbd-mirror runs here"
        )
    return f"arrived in {time.monotonic() - begun:.1f} s"


def _arrived(here: Pool, name: str, tag: str) -> bool:
    """In journal mode the snapshot is replayed after all earlier writes.

    In snapshot mode a sync creates it first and then fills it: it is complete when a later mirror snapshot is
    complete.
    """
    with here.image(name, read_only=True) as image:
        found = {str(snap["name"]): snap for snap in image.list_snaps() if snap.get("namespace") in (None, 0)}
        if tag not in found:
            return False
        if mirroring.mirror_mode(image) is not Mode.SNAPSHOT:
            return True
        own = int(found[tag]["id"])
        return any(
            sync.number > own and sync.complete and not sync.orphan for sync in orphan_snapshots.syncs(image)
        )


def make_clone(pool: Pool, name: str, tag: str) -> str:
    """Make a thin, unmirrored clone of the copy at the drill's snapshot, marked as the drill's. Returns its
    name.

    Clone format 2 needs no protected snapshot, and the clone remains when the snapshot is removed at the peer
    (docs/ceph-facts.md C37).
    """
    target = names.drill_clone(tag, name)
    pool.cluster.conf_set("rbd_default_clone_format", "2")
    with images.creating(pool, target, tag):
        pool.rbd.clone(pool.io, name, tag, pool.io, target, data_pool=pool.access.data_pool or None)
    with pool.image(target, read_only=True) as image:
        if mirroring.mirror_mode(image) is not None:
            raise OneDRError(f"{target} is mirrored although it is a drill's; onedr drill cleanup removes it")
    return target



@dataclass(frozen=True)
class Clone:
    """An RBD image with the name of a drill's clone.

    `made`: its metadata confirms that; `trash`: its id in Ceph's trash.
    """

    name: str
    made: bool
    trash: str = ""


def clones(pool: Pool) -> list[Clone]:
    """All clones of drills in the pool, including incomplete ones and those in the trash."""
    found = []
    for name in pool.names():
        parsed = names.parse_drill(name)
        if parsed is not None and parsed.image:
            with suppress(rbd.ImageNotFound):
                note = {"fsid": pool.fsid(), "what": parsed.tag}
                found.append(
                    Clone(name, note in (images.creator(pool, name), pending_images.pending_note(pool, name)))
                )
    for entry in pool.rbd.trash_list(pool.io):
        parsed = names.parse_drill(str(entry["name"]))
        if parsed is not None and parsed.image:
            found.append(Clone(str(entry["name"]), True, str(entry["id"])))
    return found


def remove_clone(pool: Pool, found: Clone) -> str:
    """Remove a clone if it exists. Reads back. Raises StorageError while a VM has it open."""
    if found.trash:
        with suppress(rbd.ImageNotFound):
            pool.rbd.trash_remove(pool.io, found.trash, True)
        return "removed from Ceph's trash"
    images.remove_image(pool, found.name)
    if pool.exists(found.name):
        raise OneDRError(f"{found.name} still exists although Ceph accepted its removal")
    return "removed"


def tags(pool: Pool, name: str) -> set[str]:
    """Tags of the drills that have a snapshot on an image, including removed ones that still have clones."""
    try:
        with pool.image(name, read_only=True) as image:
            found = {_name(snap) for snap in image.list_snaps()}
    except rbd.ImageNotFound:
        return set()
    return {tag for tag in found if names.parse_drill(tag)}


def _name(snap: dict[str, object]) -> str:
    trash = snap.get("trash")
    if snap.get("namespace") == _TRASH and isinstance(trash, dict):
        return str(trash.get("original_name"))
    return str(snap["name"])


def drop_drill_snapshot(pool: Pool, name: str, tag: str) -> None:
    """Remove a drill's snapshot at the primary, and replicate that.

    A missing one is ignored. Raises rbd.Error, OneDRError.
    """
    try:
        with pool.image(name) as image:
            if tag in images.snapshots(image):
                if not images.drop_snapshot(image, tag):
                    raise OneDRError(f"{name}@{tag} is not removed: a clone uses it")
                mirroring.publish_changes(pool, image)
    except rbd.ImageNotFound:
        return


def wait_without(pool: Pool, name: str, tag: str, limit_s: float) -> None:
    """Wait until a drill's snapshot is removed from the copy too. Raises OneDRError."""
    if not wait_until(lambda: tag not in tags(pool, name), limit_s, _PAUSE_S):
        raise OneDRError(
            f"{name}@{tag} was removed at the primary but is still on the copy after {limit_s:g} s; check "
            "that rbd-mirror runs here"
        )
