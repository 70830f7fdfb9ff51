"""Making and removing RBD images. Nothing is ever reused that was not made by the same call (docs/design.md,
"Nothing foreign is reused").
"""
from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import rbd

from onedr.ceph import image_use, mirroring, pending_images
from onedr.ceph.connection import Pool
from onedr.model.errors import ForeignImageError, InputError, RefusedError, StorageError
from onedr.model.types import MIB

REMOVING_KEY = ".rbd_onedr.removing"  # seconds since the epoch: somebody wants to remove the image
MADE_KEY = "onedr.made"  # who made an image: {"fsid", "what"}
_CHUNK = 4 * MIB
_RACE_LIMIT_S = 30
_REMOVING_S = 60


def maker(pool: Pool, name: str) -> dict[str, str]:
    """Who made an image: `fsid` of the making cluster and `what` it was made for; empty when OneDR did not
    make it.
    """
    with pool.image(name, read_only=True) as image:
        values = dict(image.metadata_list())
    return dict(json.loads(values[MADE_KEY])) if MADE_KEY in values else {}


def is_mine(pool: Pool, name: str, what: str) -> bool:
    """Was the image made at this site for exactly this?"""
    return maker(pool, name) == {"fsid": pool.fsid(), "what": what}


@contextmanager
def making(pool: Pool, name: str, what: str) -> Iterator[None]:
    """Claim `name`, which must be free; whatever fails inside leaves no image behind, nor does a run that was
    killed here.

    Raises ForeignImageError that names the owner of an image already there.
    """
    if pool.exists(name):
        if not remove_unfinished(pool, name, what):
            raise _foreign(pool, name, what)
    elif pending_images.pending_note(pool, name) == {"fsid": pool.fsid(), "what": what}:
        # killed inside Ceph's own create: a name that is listed, and no image
        with suppress(rbd.ImageNotFound):
            pool.rbd.remove(pool.io, name)
    pending_images.note_pending(pool, name, {"fsid": pool.fsid(), "what": what})
    try:
        yield
        _mark(pool, name, what)
    except rbd.ImageExists as error:  # made by somebody else since we looked
        pending_images.clear_pending(pool, name)
        raise _foreign(pool, name, what) from error
    except BaseException:
        remove_image(pool, name)
        raise
    pending_images.clear_pending(pool, name)


def remove_unfinished(pool: Pool, name: str, what: str) -> bool:
    """Remove what a killed run began under this name for exactly this and did not end; False for anything
    else.
    """
    if pending_images.pending_note(pool, name) != {"fsid": pool.fsid(), "what": what}:
        return False
    with pool.image(name, read_only=True) as image:
        if mirroring.mirror_mode(image) is not None:  # that comes after making: it is the peer's copy
            return False
    remove_image(pool, name)
    return True


def is_being_made(pool: Pool, name: str) -> bool:
    """Is the image not whole yet, or was its making killed? Raises rbd.ImageNotFound."""
    maker_to_be = pending_images.pending_note(pool, name)
    return bool(maker_to_be) and maker(pool, name) != maker_to_be


def finish_clone(pool: Pool, source: str, name: str, what: str) -> bool:
    """Take over a clone of `source` under this name that a killed run made and had no time to mark; False
    for anything else.
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
    """Ceph hands an image's metadata on to its copies and clones; what OneDR wrote there is not about them.
    """
    with pool.image(name) as image:
        for key, _ in list(image.metadata_list()):
            if "onedr." in str(key):
                image.metadata_remove(key)
        image.metadata_set(MADE_KEY, json.dumps({"fsid": pool.fsid(), "what": what}))


def _foreign(pool: Pool, name: str, what: str) -> ForeignImageError:
    owner = maker(pool, name) if pool.exists(name) else {}
    if owner == {"fsid": pool.fsid(), "what": what}:
        return ForeignImageError(
            f"RBD image {pool.access.pool}/{name} exists already: an earlier run of this action made it for "
            f"{what} and ended without telling oned; it is left untouched. Remove it with oneimage delete "
            "--force, then create the image anew."
        )
    elsewhere = " of another site" if owner and owner["fsid"] != pool.fsid() else ""
    return ForeignImageError(
        f"RBD image {pool.access.pool}/{name} exists already and belongs to "
        f"{owner.get('what') or 'nobody OneDR knows'}{elsewhere}; it is left untouched. Check DR_SITE_INDEX "
        "of both sites, or remove it by hand if it is an orphan."
    )


def data_pool(pool: Pool) -> str | None:
    """EC_POOL_NAME, None when data lies with the rest. Raises InputError for a pool that does not exist."""
    name = pool.access.data_pool
    if name and not pool.cluster.pool_exists(name):
        raise InputError(f"Ceph has no pool {name!r}; correct EC_POOL_NAME of the datastore.")
    return name or None


def create_image(pool: Pool, name: str, size: int) -> None:
    """An empty image of `size` bytes, its data in EC_POOL_NAME when set."""
    pool.rbd.create(pool.io, name, size, old_format=False, data_pool=data_pool(pool))


def import_file(pool: Pool, name: str, path: Path) -> None:
    """An image with the bytes of a raw file."""
    import_blocks(pool, name, path.stat().st_size, blocks_of(path))


def import_blocks(pool: Pool, name: str, size: int, blocks: Iterable[tuple[int, bytes]]) -> None:
    """An image of `size` bytes with these (offset, bytes) in it, zeros elsewhere."""
    create_image(pool, name, size)
    with pool.image(name) as image:
        for offset, block in blocks:
            image.write(block, offset)
        image.flush()


def blocks_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """The blocks of a raw file that are not zero, with their offsets; holes are not even read."""
    zeros = bytes(_CHUNK)
    with path.open("rb", buffering=0) as file:
        offset = _next_data(file, 0)
        while chunk := file.read(_CHUNK):
            if chunk != zeros[: len(chunk)]:
                yield offset, chunk
            offset = _next_data(file, offset + len(chunk))


def _next_data(file: FileIO, offset: int) -> int:
    """Go to the block that holds the first data at or after `offset`, or to the end; returns where the file
    stands.
    """
    try:
        found = os.lseek(file.fileno(), offset, os.SEEK_DATA)
    except OSError:  # ENXIO: a hole up to the end
        return file.seek(0, os.SEEK_END)
    return file.seek(max(offset, found - found % _CHUNK))


def copy(pool: Pool, source: str, target: str, snapshot: str | None = None) -> None:
    """A full copy of an image (or of one of its snapshots), to be made inside `making`, which takes off its
    metadata.
    """
    with pool.image(source, read_only=True) as image:
        if snapshot is not None:
            image.set_snap(snapshot)
        if snapshot is not None and has_parent(image):
            # Ceph 16.2.15 copies what only the parent has as zeros (`rbd copy clone@snapshot`, measured).
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


def grow(pool: Pool, name: str, size: int) -> None:
    """Make an image `size` bytes large; one that is as large already is done. Reads back."""
    with pool.image(name) as image:
        if image.size() >= size:
            return
        image.resize(size)
        if image.size() < size:
            raise StorageError(f"RBD image {pool.access.pool}/{name} did not grow although Ceph accepted it.")
        mirroring.publish_changes(pool, image)


def drop_snapshot(image: rbd.Image, snapshot: str) -> bool:
    """Unprotect and remove a snapshot; others may do the same, or clone it, at once.

    Returns False when clones use it.
    """
    try:
        if image.is_protected_snap(snapshot):
            with suppress(rbd.InvalidArgument):  # unprotected by somebody else meanwhile
                image.unprotect_snap(snapshot)
        image.remove_snap(snapshot)
    except rbd.ImageBusy:
        return False
    except rbd.ImageNotFound:
        return True
    return True


def snapshots(image: rbd.Image) -> list[str]:
    """Names of an image's snapshots, mirror snapshots and those in the trash apart."""
    return [
        str(snapshot["name"]) for snapshot in image.list_snaps()
        if snapshot.get("namespace", rbd.RBD_SNAP_NAMESPACE_TYPE_USER) == rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    ]


def children(pool: Pool, name: str) -> list[str]:
    """Clones of any snapshot of the image, as pool/name. Raises rbd.ImageNotFound when the image is gone."""
    end = time.monotonic() + _RACE_LIMIT_S
    with pool.image(name, read_only=True) as image:
        while True:
            try:
                return sorted(
                    f"{child['pool']}/{child['image']}"
                    for child in image.list_children2()
                    if not child.get("trash")
                )
            except rbd.ImageNotFound as error:  # a clone that went while it was listed
                if time.monotonic() > end:
                    raise StorageError(
                        f"The clones of RBD image {pool.access.pool}/{name} cannot be listed: {error}"
                    ) from error


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
        image_use.refuse_manual_lock(pool, name)  # before the first write, which would wait for that lock
        with _announced(pool, name):
            image_use.wait_until_unused(pool, name, wait_s)
            _prepare_removal(pool, name)
            image_use.retry_while_busy(lambda: _remove(pool, name), where, image_use.LIMIT_S)
    except rbd.ImageNotFound:
        pass
    pending_images.clear_pending(pool, name)


def _prepare_removal(pool: Pool, name: str) -> None:
    with pool.image(name) as image:
        passing = mirroring.sync_points(image)
        for snapshot in [found for found in snapshots(image) if found not in passing]:
            if not drop_snapshot(image, snapshot):
                raise StorageError(
                    f"RBD image {pool.access.pool}/{name} is not removed: a clone of its snapshot {snapshot} "
                    f"lies in Ceph's trash. Purge that first (rbd trash ls {pool.access.pool})."
                )
        _unmirror(image)


@contextmanager
def _announced(pool: Pool, name: str) -> Iterator[None]:
    """Tell whoever flattens the image that it shall go; taken back when it stays after all."""
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
    """Did somebody announce its removal lately?"""
    try:
        since = float(dict(image.metadata_list())[REMOVING_KEY])
    except (KeyError, ValueError):
        return False
    return time.time() - since < _REMOVING_S


def move_to_trash(pool: Pool, name: str, wait_s: float = image_use.LIMIT_S) -> None:
    """CEPH_TRASH=yes: flatten and keep in Ceph's trash; mirroring ends.

    Raises StorageError when a client still uses it after `wait_s`.
    """
    where = f"{pool.access.pool}/{name}"
    try:
        image_use.refuse_manual_lock(pool, name)
        with _announced(pool, name):
            image_use.wait_until_unused(pool, name, wait_s)
            with pool.image(name) as image:
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
        image.mirror_image_disable(True)  # ends a copy under way, which would hold the image


def _remove(pool: Pool, name: str) -> None:
    """A first copy cut short leaves rbd-mirror's own snapshot behind, and nobody else would remove it."""
    try:
        pool.rbd.remove(pool.io, name)
    except rbd.ImageHasSnapshots:
        with pool.image(name) as image:
            mirroring.drop_sync_points(image)
        raise
