"""Creating and removing RBD images.

An image is reused only by the call that created it (docs/design.md, "Nothing foreign is reused").
"""
from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timezone
from io import FileIO
from pathlib import Path

import rbd

from onedr.ceph import group_snapshots, image_use, mirroring, pending_images
from onedr.ceph.connection import Pool
from onedr.host.waiting import attempts
from onedr.model.errors import ForeignImageError, InputError, RefusedError, StorageError
from onedr.model.json_form import parsed
from onedr.model.types import MIB

REMOVING_KEY = ".rbd_onedr.removing"  # seconds since the epoch: a removal of the image has started
CREATOR_KEY = "onedr.made"  # who created an image: {"fsid", "what"}
_CHUNK = 4 * MIB
_RACE_LIMIT_S = 30
_REMOVING_S = 60


def creator(pool: Pool, name: str) -> dict[str, str]:
    """Who created an image: `fsid` of the cluster, and `what` it was created for.

    Empty when OneDR did not create it.
    """
    with pool.image(name, read_only=True) as image:
        values = dict(image.metadata_list())
    return creator_in(values)


def creator_in(values: Mapping[str, str]) -> dict[str, str]:
    """The same from an image's metadata; of a note that is damaged both are empty."""
    if CREATOR_KEY not in values:
        return {}
    try:
        found = parsed(values[CREATOR_KEY])
        return {key: str(value) for key, value in found.items()}
    except (AttributeError, ValueError):
        return {"fsid": "", "what": ""}


def is_created_for(pool: Pool, name: str, what: str) -> bool:
    """Was the image created at this site for exactly this?"""
    return creator(pool, name) == {"fsid": pool.fsid(), "what": what}


@contextmanager
def creating(pool: Pool, name: str, what: str) -> Iterator[None]:
    """Create the image `name` in the block; the name must be free. If the block fails, no image is left; what
    a killed process leaves is removed by the next run.

    Raises ForeignImageError that names the owner of an existing image.
    """
    if pool.exists(name):
        if not remove_incomplete(pool, name, what):
            raise _foreign(pool, name, what)
    elif pending_images.pending_note(pool, name) == {"fsid": pool.fsid(), "what": what}:
        # killed inside Ceph's own create: the name is listed, but there is no image
        with suppress(rbd.ImageNotFound):
            pool.rbd.remove(pool.io, name)
    pending_images.note_pending(pool, name, {"fsid": pool.fsid(), "what": what})
    try:
        yield
        _mark(pool, name, what)
    except rbd.ImageExists as error:  # created by another process in the meantime
        pending_images.clear_pending(pool, name)
        raise _foreign(pool, name, what) from error
    except BaseException:
        remove_image(pool, name)
        raise
    pending_images.clear_pending(pool, name)


def remove_incomplete(pool: Pool, name: str, what: str) -> bool:
    """Remove an incomplete image of this name that a killed run left for exactly this.

    False for anything else.
    """
    if pending_images.pending_note(pool, name) != {"fsid": pool.fsid(), "what": what}:
        return False
    with pool.image(name, read_only=True) as image:
        # mirroring starts after the creation, so it is the peer's copy
        if mirroring.mirror_mode(image) is not None:
            return False
    remove_image(pool, name)
    return True


def is_incomplete(pool: Pool, name: str) -> bool:
    """Is the image still being created, or was its creation interrupted? Raises rbd.ImageNotFound."""
    noted_creator = pending_images.pending_note(pool, name)
    return bool(noted_creator) and creator(pool, name) != noted_creator


def adopt_clone(pool: Pool, source: str, name: str, what: str) -> bool:
    """Adopt a clone of `source` of this name that a killed run created but did not mark.

    False for anything else.
    """
    with pool.image(name) as image:
        try:
            parent = image.parent_info()
        except rbd.ImageNotFound:
            return False
    if (str(parent[0]), str(parent[1])) != (pool.access.pool, source):
        return False
    _mark(pool, name, what)
    return True


def _mark(pool: Pool, name: str, what: str) -> None:
    """Ceph copies an image's metadata to its copies and clones; OneDR's entries do not apply to them."""
    with pool.image(name) as image:
        for key, _ in list(image.metadata_list()):
            if "onedr." in str(key):
                image.metadata_remove(key)
        image.metadata_set(CREATOR_KEY, json.dumps({"fsid": pool.fsid(), "what": what}))


def _foreign(pool: Pool, name: str, what: str) -> ForeignImageError:
    owner = creator(pool, name) if pool.exists(name) else {}
    if owner == {"fsid": pool.fsid(), "what": what}:
        return ForeignImageError(
            f"RBD image {pool.access.pool}/{name} already exists: an earlier run of this action created it "
            f"for {what} but did not report it to oned. It is left untouched. Remove it with oneimage delete "
            "--force, then create the image again."
        )
    elsewhere = " of another site" if owner and owner["fsid"] != pool.fsid() else ""
    return ForeignImageError(
        f"RBD image {pool.access.pool}/{name} already exists and belongs to "
        f"{owner.get('what') or 'an owner unknown to OneDR'}{elsewhere}; it is left untouched. Check "
        "DR_SITE_INDEX of both sites, or remove it with rbd rm if it is an orphan."
    )


def data_pool(pool: Pool) -> str | None:
    """EC_POOL_NAME; None when there is no separate data pool.

    Raises InputError for a pool that does not exist.
    """
    name = pool.access.data_pool
    if name and not pool.cluster.pool_exists(name):
        raise InputError(f"Ceph has no pool {name!r}; correct EC_POOL_NAME of the datastore.")
    return name or None


def create_image(pool: Pool, name: str, size: int) -> None:
    """Create an empty image of `size` bytes, its data in EC_POOL_NAME when set."""
    pool.rbd.create(pool.io, name, size, old_format=False, data_pool=data_pool(pool))


def import_file(pool: Pool, name: str, path: Path) -> None:
    """Create an image with the content of a raw file."""
    import_blocks(pool, name, path.stat().st_size, blocks_of(path))


def import_blocks(pool: Pool, name: str, size: int, blocks: Iterable[tuple[int, bytes]]) -> None:
    """Create an image of `size` bytes with these (offset, bytes), zeros elsewhere."""
    create_image(pool, name, size)
    with pool.image(name) as image:
        for offset, block in blocks:
            image.write(block, offset)
        image.flush()


def blocks_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """The blocks of a raw file that are not zero, with their offsets. Holes are not read."""
    zeros = bytes(_CHUNK)
    with path.open("rb", buffering=0) as file:
        offset = _next_data(file, 0)
        while chunk := file.read(_CHUNK):
            if chunk != zeros[: len(chunk)]:
                yield offset, chunk
            offset = _next_data(file, offset + len(chunk))


def _next_data(file: FileIO, offset: int) -> int:
    """Seek to the block with the first data at or after `offset`, or to the end.

    Returns the file position.
    """
    try:
        found = os.lseek(file.fileno(), offset, os.SEEK_DATA)
    except OSError:  # ENXIO: a hole up to the end
        return file.seek(0, os.SEEK_END)
    return file.seek(max(offset, found - found % _CHUNK))


def copy_image(pool: Pool, source: str, target: str, snapshot: str | None = None) -> None:
    """Make a full copy of an image or of one of its snapshots.

    Call it inside `creating`, which removes its metadata.
    """
    with pool.image(source, read_only=True) as image:
        if snapshot is not None:
            image.set_snap(snapshot)
        if snapshot is not None and has_parent(image):
            # Ceph 16.2.15 copies data that only the parent has as zeros
            # (`rbd copy clone@snapshot`, measured).
            _copy_by_reading(pool, image, target)
        else:
            image.copy(pool.io, target, data_pool=data_pool(pool))


def _copy_by_reading(pool: Pool, image: rbd.Image, target: str) -> None:
    size = int(image.size())
    create_image(pool, target, size)
    with pool.image(target) as copied:
        for offset in range(0, size, _CHUNK):
            chunk = image.read(offset, min(_CHUNK, size - offset))
            if any(chunk):
                copied.write(chunk, offset)
        copied.flush()


def grow_image(pool: Pool, name: str, size: int) -> None:
    """Grow an image to `size` bytes, unless it is as large already. Reads back."""
    with pool.image(name) as image:
        if image.size() >= size:
            return
        image.resize(size)
        if image.size() < size:
            raise StorageError(f"RBD image {pool.access.pool}/{name} did not grow although Ceph accepted it.")
        mirroring.publish_changes(pool, image)


def drop_snapshot(image: rbd.Image, snapshot: str) -> bool:
    """Unprotect and remove a snapshot. Other processes may do the same, or clone it, at the same time.

    Returns False when clones use it.
    """
    try:
        if image.is_protected_snap(snapshot):
            with suppress(rbd.InvalidArgument):  # unprotected by another process in the meantime
                image.unprotect_snap(snapshot)
        image.remove_snap(snapshot)
    except rbd.ImageBusy:
        return False
    except rbd.ImageNotFound:
        return True
    return True


def snapshots(image: rbd.Image) -> list[str]:
    """Names of an image's snapshots, without mirror snapshots and those in the trash."""
    return [
        str(snapshot["name"]) for snapshot in image.list_snaps()
        if snapshot.get("namespace", rbd.RBD_SNAP_NAMESPACE_TYPE_USER) == rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    ]


def made_at(image: rbd.Image, snapshot_id: int) -> float:
    """When a snapshot was made, in seconds since the epoch, by the clock of Ceph's client."""
    return float(image.get_snap_timestamp(snapshot_id).replace(tzinfo=timezone.utc).timestamp())


def children(pool: Pool, name: str) -> list[str]:
    """The clones of all snapshots of the image, as pool/name. Raises rbd.ImageNotFound."""
    with pool.image(name, read_only=True) as image:
        for last in attempts(_RACE_LIMIT_S, 0):
            try:
                return sorted(
                    f"{child['pool']}/{child['image']}"
                    for child in image.list_children2()
                    if not child.get("trash")
                )
            except rbd.ImageNotFound as error:  # a clone was removed while it was listed
                if last:
                    raise StorageError(
                        f"The clones of RBD image {pool.access.pool}/{name} cannot be listed: {error}"
                    ) from error
    raise AssertionError("the last attempt returns or raises")


def remove_image(pool: Pool, name: str, wait_s: float = image_use.LIMIT_S) -> None:
    """Remove an image with its snapshots; one that is gone already is done.

    Raises RefusedError when clones use it, StorageError when a client still does after `wait_s`: both before
    anything was changed here or at the peer.
    """
    where = f"{pool.access.pool}/{name}"
    try:
        used_by = children(pool, name)
        if used_by:
            raise RefusedError(f"RBD image {where} is the base of {', '.join(used_by)}; remove these first.")
        image_use.refuse_removal(pool, name)  # before the first write, which would wait for a lock
        with _announced(pool, name):
            image_use.wait_until_unused(pool, name, wait_s)
            _prepare_removal(pool, name)
            image_use.retry_while_busy(lambda: _remove(pool, name), where, image_use.LIMIT_S)
    except rbd.ImageNotFound:
        pass
    pending_images.clear_pending(pool, name)


def _prepare_removal(pool: Pool, name: str) -> None:
    with pool.image(name) as image:
        group_snapshots.leave(pool, image)
        group_snapshots.drop(image)
        passing = mirroring.sync_snapshots(image)
        for snapshot in [found for found in snapshots(image) if found not in passing]:
            if not drop_snapshot(image, snapshot):
                raise StorageError(
                    f"RBD image {pool.access.pool}/{name} is not removed: a clone of its snapshot {snapshot} "
                    f"is in Ceph's trash. Purge that first (rbd trash ls {pool.access.pool})."
                )
        _unmirror(image)


@contextmanager
def _announced(pool: Pool, name: str) -> Iterator[None]:
    """Announce the removal, so that a process that flattens the image stops.

    Withdrawn when the removal fails.
    """
    with pool.image(name) as image:
        told = has_parent(image) and mirroring.is_primary(image)
        if told:
            image.metadata_set(REMOVING_KEY, str(time.time()))
    try:
        yield
    except BaseException:
        if told:
            with suppress(rbd.Error), pool.image(name) as image:
                image.metadata_remove(REMOVING_KEY)
        raise


def is_being_removed(image: rbd.Image) -> bool:
    """Was its removal announced recently?"""
    return is_recent_removal(dict(image.metadata_list()).get(REMOVING_KEY, ""), time.time())


def is_recent_removal(announced: str, now: float) -> bool:
    """Is the announcement in force? One by a clock far from ours is not: it would stop a flatten for good."""
    try:
        return abs(now - float(announced)) < _REMOVING_S
    except ValueError:
        return False


def move_to_trash(pool: Pool, name: str, wait_s: float = image_use.LIMIT_S) -> None:
    """CEPH_TRASH=yes: flatten and keep in Ceph's trash; mirroring ends.

    Raises StorageError when a client still uses it after `wait_s`.
    """
    where = f"{pool.access.pool}/{name}"
    try:
        image_use.refuse_removal(pool, name)
        with _announced(pool, name):
            image_use.wait_until_unused(pool, name, wait_s)
            with pool.image(name) as image:
                group_snapshots.leave(pool, image)
                group_snapshots.drop(image)  # else what is in the trash could not be purged
                _unmirror(image)
                if has_parent(image):
                    image.flatten()
            image_use.retry_while_busy(
                lambda: pool.rbd.trash_move(pool.io, name, 0), where, image_use.LIMIT_S
            )
    except rbd.ImageNotFound:
        return


def has_parent(image: rbd.Image) -> bool:
    """Is the image a clone?"""
    try:
        image.parent_info()
    except rbd.ImageNotFound:
        return False
    return True


def _unmirror(image: rbd.Image) -> None:
    if mirroring.mirror_mode(image) is not None:
        image.mirror_image_disable(True)  # also stops an initial sync, which would keep the image open


def _remove(pool: Pool, name: str) -> None:
    """An interrupted initial sync leaves a snapshot of rbd-mirror's behind that nothing else removes."""
    try:
        pool.rbd.remove(pool.io, name)
    except rbd.ImageHasSnapshots:
        with pool.image(name) as image:
            mirroring.remove_sync_snapshots(image)
        raise
