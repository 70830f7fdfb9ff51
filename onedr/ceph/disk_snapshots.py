"""OpenNebula's disk snapshots: `@<id>`, protected, on the disk's RBD image.

No operation replaces the image, because mirroring ends when an image is renamed or replaced. So a disk is
reverted in place, and all snapshots of a tree are on the same image. The stock driver clones instead, and
leaves volumes `<image>-<snapshot ids>` that hold the older snapshots; those that it left in a datastore are
found here too. Snapshots whose names are not numbers belong to others and are kept (backup, rbd-mirror,
@snap).
"""
from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress

import rbd

from onedr.ceph import image_data, image_scan, image_use, images, mirroring, snapshot_marks
from onedr.ceph.connection import Pool
from onedr.host.waiting import attempts
from onedr.model import names
from onedr.model.errors import InputError, RefusedError, StorageError
from onedr.model.types import Mode

FLATTENED_KEY = "onedr.flattened"  # the snapshot of the last flatten, so that a repeated call does nothing
_PIECE = 2 * 1024 * 1024  # read at once; each of _THREADS holds twice as much in memory
_THREADS = 4
_LOCK_LIMIT_S = 30
_PAUSE_S = 0.2
_SCAN_LIMIT_S = 30
_TRIES = 10  # of a snapshot of an image in use; 1 of 40 has to be repeated


def make_snapshot(pool: Pool, name: str, snapshot: str, disk: str = "", called: str = "") -> None:
    """Snapshot an image and protect the snapshot, as the stock driver does.

    `disk`: whose snapshot it is; `called`: its name in OpenNebula. An existing snapshot of that id is another
    one: oned counts each disk from 0, and knows nothing of what was made at the other site. It is left
    untouched, and RefusedError names both. Only what a killed run of the same call left is replaced: it is of
    an earlier moment.
    """
    with pool.image(name) as image:
        if snapshot in images.snapshots(image):
            if not snapshot_marks.is_half_made(pool, name, snapshot, disk):
                raise RefusedError(_clash(pool, image, name, snapshot, disk, called))
            if not images.drop_snapshot(image, snapshot):
                raise RefusedError(
                    f"RBD image {pool.access.pool}/{name} already has a snapshot {snapshot} that clones use; "
                    "it is left untouched."
                )
        snapshot_marks.begin_making(pool, name, snapshot, disk)
        try:
            _create(image, snapshot)
            image.protect_snap(snapshot)
        except BaseException:
            with suppress(rbd.Error):
                images.drop_snapshot(image, snapshot)
            raise
        if not image.is_protected_snap(snapshot):
            raise StorageError(
                f"Snapshot {pool.access.pool}/{name}@{snapshot} is not protected although Ceph accepted it."
            )
        snapshot_marks.end_making(pool, name, snapshot)
        if _flattened_to(image) is not None:
            image.metadata_remove(FLATTENED_KEY)


def _clash(pool: Pool, image: rbd.Image, name: str, snapshot: str, disk: str, called: str) -> str:
    number = next(found["id"] for found in image.list_snaps() if found["name"] == snapshot)
    made = image.get_snap_timestamp(number).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"Snapshot {snapshot} {called!r} of {disk or 'the disk'} is not made: {pool.access.pool}/{name}@"
        f"{snapshot} of {made} exists, which OpenNebula here does not list. It is left untouched. Try again: "
        "the next snapshot gets the next number. See docs/operations.md."
    )


def _create(image: rbd.Image, snapshot: str) -> None:
    """Create a snapshot that will be identical in the peer's journaled copy, even while a guest writes.

    When another client writes to the image, Ceph forwards the request to it. A write in progress there then
    comes after the snapshot, but before it in the journal, so that the peer's snapshot contains it
    (docs/measured.md). A write of zero bytes takes over the lock, after which no write is in progress. A
    client that still has the lock afterwards has made the snapshot itself.
    """
    if mirroring.mirror_mode(image) is not Mode.JOURNAL:
        image.create_snap(snapshot)
        return
    for _ in range(_TRIES):
        image.write(b"", 0)
        image.create_snap(snapshot)
        if image.is_exclusive_lock_owner():
            return
        image.remove_snap(snapshot)
    raise StorageError(
        f"RBD image {image.get_name()} is so busy that no consistent snapshot could be made; try again."
    )


def delete_snapshot(pool: Pool, name: str, snapshot: str) -> None:
    """Remove a snapshot from the volume that holds it, if it exists. A volume of the stock driver that
    becomes empty is removed too.

    Volumes of the same disk that are clones of it are flattened first. Raises RefusedError when other images
    are clones of it.
    """
    holder = find_snapshot(pool, name, snapshot)
    if holder is None:
        return
    where = f"{pool.access.pool}/{holder}@{snapshot}"
    _flatten_clones(pool, name, holder, snapshot)
    with pool.image(holder) as image:
        if not images.drop_snapshot(image, snapshot):
            raise RefusedError(
                f"Snapshot {where} is not removed: a clone of it is in Ceph's trash. Purge that first."
            )
        if snapshot in images.snapshots(image):
            raise StorageError(f"Snapshot {where} is still there although Ceph accepted its removal.")
        empty = holder != name and not [
            left for left in images.snapshots(image) if not left.startswith(".rbd-mirror")
        ]
    if empty:
        images.remove_image(pool, holder)


def _flatten_clones(pool: Pool, name: str, holder: str, snapshot: str) -> None:
    with pool.image(holder, read_only=True) as image:
        image.set_snap(snapshot)
        clones = [(str(clone_pool), str(clone)) for clone_pool, clone in image.list_children()]
    foreign = [f"{of}/{clone}" for of, clone in clones if of != pool.access.pool or not _is_part(clone, name)]
    if foreign:
        where = f"{pool.access.pool}/{holder}@{snapshot}"
        raise RefusedError(f"Snapshot {where} is not removed: {', '.join(sorted(foreign))} is a clone of it.")
    for _, clone in clones:
        with pool.image(clone) as image:
            _flatten(image)


def revert_to(pool: Pool, name: str, snapshot: str) -> None:
    """Revert an image to a snapshot in place, its size included. Raises StorageError while the image is in
    use.

    In journal mode, or without mirroring, Ceph's own rollback is correct, at the peer too: it is one event of
    the journal, and one that was interrupted is completed at both sites when the image is next opened.
    Snapshot mode does not replicate what a rollback discards (docs/measured.md), so every differing block is
    written instead, zeros too.
    """
    holder = _wanted(pool, name, snapshot)
    image_use.wait_until_no_writer(pool, name)
    with pool.image(name) as image:
        if holder == name and mirroring.mirror_mode(image) is not Mode.SNAPSHOT:
            _roll_back(image, snapshot)
        else:
            with pool.image(holder, read_only=True) as source:
                source.set_snap(snapshot)
                _make_equal(image, source)
    with pool.image(name, read_only=True) as image, pool.image(holder, read_only=True) as source:
        source.set_snap(snapshot)
        if image.size() != source.size():
            raise StorageError(
                f"{pool.access.pool}/{name} does not have the size of its snapshot {snapshot} after the "
                "revert."
            )


def _roll_back(image: rbd.Image, snapshot: str) -> None:
    """Ceph's own rollback.

    Unlike other requests it is not forwarded to a client that holds the lock (to set a time mark), but
    refused as if the image were read-only. A write of zero bytes takes over the lock.
    """
    for last in attempts(_LOCK_LIMIT_S, _PAUSE_S):
        image.write(b"", 0)
        try:
            image.rollback_to_snap(snapshot)
            return
        except rbd.ReadOnlyImage:
            if last:
                raise


def _make_equal(image: rbd.Image, source: rbd.Image) -> None:
    size = int(source.size())
    if image.size() < size:
        image.resize(size)
    from concurrent.futures import ThreadPoolExecutor  # takes 5 ms to load and is needed only here

    stop = threading.Event()

    def part(first: int) -> None:
        for at in range(first, size, _PIECE * _THREADS):
            if not stop.is_set():
                image_data.write_differing(image, at, source.read(at, min(_PIECE, size - at)))

    with ThreadPoolExecutor(_THREADS) as threads:
        try:
            list(threads.map(part, range(0, _PIECE * _THREADS, _PIECE)))
        finally:
            stop.set()  # one failed, or this process received a signal
    image.flush()
    if image.size() > size:
        image.resize(size)


def flatten_to_snapshot(pool: Pool, name: str, snapshot: str, listed: Collection[str]) -> None:
    """Revert an image to a snapshot, then remove all its snapshots, the stock driver's volumes that hold
    some, and its parent.

    Raises RefusedError when there are snapshots besides those that OpenNebula lists here.
    """
    unlisted = sorted(numbered(pool, name) - {*listed, snapshot}, key=int)
    if unlisted:
        raise RefusedError(
            f"{pool.access.pool}/{name} is not flattened: it also has the snapshots {', '.join(unlisted)}, "
            "which OpenNebula here does not list. onedr snapshots shows them; list them, or remove them with "
            "rbd first."
        )
    with pool.image(name, read_only=True) as image:
        done = _flattened_to(image) == snapshot
    if done and find_snapshot(pool, name, snapshot) is None:
        return  # done by a killed run of the same call
    revert_to(pool, name, snapshot)
    with pool.image(name) as image:
        _flatten(image)
        image.metadata_set(FLATTENED_KEY, snapshot)
    others = numbered(pool, name) - {snapshot}
    for each in (*sorted(others), snapshot):  # the requested one last: until then the call can be repeated
        delete_snapshot(pool, name, each)
    remove_stock_volumes(pool, name)


def _flatten(image: rbd.Image) -> None:
    if images.has_parent(image):
        with suppress(rbd.InvalidArgument):  # another process flattened it in the meantime
            image.flatten()
    if images.has_parent(image):
        raise StorageError(f"RBD image {image.get_name()} still has a parent although Ceph flattened it.")


def _flattened_to(image: rbd.Image) -> str | None:
    found = dict(image.metadata_list()).get(FLATTENED_KEY)
    return None if found is None else str(found)


def find_snapshot(pool: Pool, name: str, snapshot: str) -> str | None:
    """The volume that holds a snapshot of an image: the image itself, or one that the stock driver left.

    None when there is none.
    """
    if snapshot in _numbered(pool, name):
        return name
    return next((volume for volume in stock_volumes(pool, name) if snapshot in _numbered(pool, volume)), None)


def _wanted(pool: Pool, name: str, snapshot: str) -> str:
    holder = find_snapshot(pool, name, snapshot)
    if holder is None:
        raise InputError(f"RBD image {pool.access.pool}/{name} has no snapshot {snapshot}.")
    return holder


def stock_volumes(pool: Pool, name: str, among: Collection[str] | None = None) -> list[str]:
    """Volumes with snapshots of an image that the stock driver left behind.

    A name alone proves nothing, so their snapshots are read.
    """
    return [
        volume
        for volume in (pool.names() if among is None else among)
        if names.stock_volume_owner(volume) == name and _numbered(pool, volume)
    ]


def numbered(pool: Pool, name: str, among: Collection[str] | None = None) -> set[str]:
    """OpenNebula's snapshots of an image, by id, those on volumes of the stock driver too.

    `among`: names of the pool's images, where they are known.
    """
    volumes = (name, *stock_volumes(pool, name, among))
    return {found for volume in volumes for found in _numbered(pool, volume)}


def without_numbered(pool: Pool, among: Collection[str]) -> frozenset[str]:
    """Those of the images `among` (all of the pool) of which `numbered` is empty, as far as that is seen
    without opening any. Raises rados.Error.
    """
    seen = image_scan.scan_snapshots(pool, among, _SCAN_LIMIT_S)
    owners = {names.stock_volume_owner(volume) for volume in among}
    return frozenset(
        name for name, snapshots in seen.items()
        if name not in owners and not any(each.name.isdecimal() for each in snapshots)
    )


def _numbered(pool: Pool, name: str) -> set[str]:
    try:
        with pool.image(name, read_only=True) as image:
            return {snapshot for snapshot in images.snapshots(image) if snapshot.isdecimal()}
    except rbd.ImageNotFound:
        return set()


def _is_part(volume: str, name: str) -> bool:
    return name in (volume, names.stock_volume_owner(volume))


def remove_stock_volumes(pool: Pool, name: str) -> None:
    """Remove what the stock driver left of an image that is deleted.

    Raises RefusedError when clones use one of them, or it is a copy of the peer's.
    """
    waiting = stock_volumes(pool, name)
    while waiting:
        free = [volume for volume in waiting if not images.children(pool, volume)]
        if not free:
            raise RefusedError(
                f"{', '.join(waiting)}, which holds old snapshots of {name}, is not removed: it has clones."
            )
        for volume in free:
            if not mirroring.is_primary_image(pool, volume):
                raise RefusedError(
                    f"{volume}, which holds old snapshots of {name}, is not removed: it is a copy of the "
                    "peer's."
                )
            images.remove_image(pool, volume)
        waiting = [volume for volume in waiting if volume not in free]
