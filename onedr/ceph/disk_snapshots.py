"""OpenNebula's disk snapshots: `@<id>`, protected, on the disk's RBD image.

The image keeps its id whatever is done: a mirrored image that is renamed or replaced is mirrored no more. So
a disk goes back to a snapshot in place, and all snapshots of a tree lie on the one image. The stock driver
clones instead, and leaves volumes `<image>-<snapshot ids>` behind that hold the older snapshots; those of a
datastore that was stock before are found here too. Snapshots whose names are no numbers are somebody else's
and stay (backup, rbd-mirror, @snap).
"""
from __future__ import annotations

import threading
import time
from contextlib import suppress

import rbd

from onedr.ceph import image_data, image_use, images, mirroring
from onedr.ceph.connection import Pool
from onedr.model import names
from onedr.model.errors import InputError, RefusedError, StorageError
from onedr.model.types import Mode

FLATTENED_KEY = "onedr.flattened"  # the snapshot a flatten went to, so that the same call again is done
_PIECE = 2 * 1024 * 1024  # read at once; twice that for each of _THREADS is held in memory
_THREADS = 4
_LOCK_LIMIT_S = 30
_PAUSE_S = 0.2
_TRIES = 10  # of a snapshot under a writer; 1 of 40 has to be made again


def make_snapshot(pool: Pool, name: str, snapshot: str) -> None:
    """Snapshot an image and protect it, as stock does. Raises RefusedError when clones use one of that id.

    A snapshot of that id which is there already was made by a killed run of the same call: oned gives an id
    once. It is of an earlier moment, so it is made anew.
    """
    with pool.image(name) as image:
        if snapshot in images.snapshots(image) and not images.drop_snapshot(image, snapshot):
            raise RefusedError(
                f"RBD image {pool.access.pool}/{name} has a snapshot {snapshot} already, and clones use it; "
                "it is left untouched."
            )
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
        if _flattened_to(image) is not None:
            image.metadata_remove(FLATTENED_KEY)


def _create(image: rbd.Image, snapshot: str) -> None:
    """Snapshot an image of which the peer's journaled copy will have the same bytes, also while a guest
    writes.

    When another client writes to the image Ceph hands the request on to it, and the write that is under way
    there then comes after the snapshot, but before it in the journal: the peer's snapshot has it
    (docs/measured.md). A write of no bytes takes the lock over, after which there is none under way. Who
    still has it afterwards has made the snapshot himself.
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
        f"RBD image {image.get_name()} is written to so busily that no snapshot could be made; try again."
    )


def delete_snapshot(pool: Pool, name: str, snapshot: str) -> None:
    """Remove a snapshot wherever it lies; one that is gone already is done. A volume of stock's that it
    leaves empty goes too.

    Volumes of the same disk that are clones of it are flattened first. Raises RefusedError when others are.
    """
    holder = find_snapshot(pool, name, snapshot)
    if holder is None:
        return
    where = f"{pool.access.pool}/{holder}@{snapshot}"
    _part_with_clones(pool, name, holder, snapshot)
    with pool.image(holder) as image:
        if not images.drop_snapshot(image, snapshot):
            raise RefusedError(
                f"Snapshot {where} is not removed: a clone of it lies in Ceph's trash. Purge that first."
            )
        if snapshot in images.snapshots(image):
            raise StorageError(f"Snapshot {where} is still there although Ceph accepted its removal.")
        empty = holder != name and not [
            left for left in images.snapshots(image) if not left.startswith(".rbd-mirror")
        ]
    if empty:
        images.remove_image(pool, holder)


def _part_with_clones(pool: Pool, name: str, holder: str, snapshot: str) -> None:
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
    """Take an image back to a snapshot, size and all, in place. Raises StorageError while somebody writes to
    the image.

    Mirrored by journal (or not at all) Ceph's own rollback is right, at the peer too: it is one event of the
    journal, and one that was killed midway is finished at both sites by the next to open the image. Snapshot
    mode does not carry what a rollback discards (docs/measured.md), so there every block that differs is
    written, zeros too.
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
                f"{pool.access.pool}/{name} has not the size of its snapshot {snapshot} after the revert."
            )


def _roll_back(image: rbd.Image, snapshot: str) -> None:
    """Ceph's own. Unlike other requests it is not handed to a client that has the lock just then (to set a
    time mark), but refused as if the image was read-only; a write of no bytes takes the lock.
    """
    end = time.monotonic() + _LOCK_LIMIT_S
    while True:
        image.write(b"", 0)
        try:
            image.rollback_to_snap(snapshot)
            return
        except rbd.ReadOnlyImage:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_S)


def _make_equal(image: rbd.Image, source: rbd.Image) -> None:
    size = int(source.size())
    if image.size() < size:
        image.resize(size)
    from concurrent.futures import ThreadPoolExecutor  # 5 ms to load, for this alone

    stop = threading.Event()

    def part(first: int) -> None:
        for at in range(first, size, _PIECE * _THREADS):
            if not stop.is_set():
                image_data.write_differing(image, at, source.read(at, min(_PIECE, size - at)))

    with ThreadPoolExecutor(_THREADS) as threads:
        try:
            list(threads.map(part, range(0, _PIECE * _THREADS, _PIECE)))
        finally:
            stop.set()  # one failed, or this process was asked to end
    image.flush()
    if image.size() > size:
        image.resize(size)


def flatten(pool: Pool, name: str, snapshot: str) -> None:
    """Take an image back to a snapshot, then drop all snapshots, stock's volumes that hold some, and the
    parent.
    """
    with pool.image(name, read_only=True) as image:
        done = _flattened_to(image) == snapshot
    if done and find_snapshot(pool, name, snapshot) is None:
        return  # by a killed run of the same call
    revert_to(pool, name, snapshot)
    with pool.image(name) as image:
        _flatten(image)
        image.metadata_set(FLATTENED_KEY, snapshot)
    others = {found for volume in (name, *leftovers(pool, name)) for found in _numbered(pool, volume)} - {
        snapshot
    }
    for each in (*sorted(others), snapshot):  # the wanted one last: until then the call can be repeated
        delete_snapshot(pool, name, each)
    remove_leftovers(pool, name)


def _flatten(image: rbd.Image) -> None:
    if images.has_parent(image):
        with suppress(rbd.InvalidArgument):  # somebody else flattened it since we looked
            image.flatten()
    if images.has_parent(image):
        raise StorageError(f"RBD image {image.get_name()} still has a parent although Ceph flattened it.")


def _flattened_to(image: rbd.Image) -> str | None:
    found = dict(image.metadata_list()).get(FLATTENED_KEY)
    return None if found is None else str(found)


def find_snapshot(pool: Pool, name: str, snapshot: str) -> str | None:
    """The volume that holds a snapshot of an image: the image, or one that stock left behind.

    None when there is none.
    """
    if snapshot in _numbered(pool, name):
        return name
    return next((volume for volume in leftovers(pool, name) if snapshot in _numbered(pool, volume)), None)


def _wanted(pool: Pool, name: str, snapshot: str) -> str:
    holder = find_snapshot(pool, name, snapshot)
    if holder is None:
        raise InputError(f"RBD image {pool.access.pool}/{name} has no snapshot {snapshot}.")
    return holder


def leftovers(pool: Pool, name: str) -> list[str]:
    """Volumes of an image's snapshots that the stock driver left behind.

    Their names may lie, so they are looked into.
    """
    return [
        volume for volume in pool.names() if names.leftover_of(volume) == name and _numbered(pool, volume)
    ]


def _numbered(pool: Pool, name: str) -> set[str]:
    try:
        with pool.image(name, read_only=True) as image:
            return {snapshot for snapshot in images.snapshots(image) if snapshot.isdecimal()}
    except rbd.ImageNotFound:
        return set()


def _is_part(volume: str, name: str) -> bool:
    return name in (volume, names.leftover_of(volume))


def remove_leftovers(pool: Pool, name: str) -> None:
    """Remove what stock left behind of an image that goes.

    Raises RefusedError when clones use one of them, or the peer does.
    """
    waiting = leftovers(pool, name)
    while waiting:
        free = [volume for volume in waiting if not images.children(pool, volume)]
        if not free:
            raise RefusedError(
                f"{', '.join(waiting)} with old snapshots of {name} stays: there are clones of it."
            )
        for volume in free:
            with pool.image(volume, read_only=True) as image:
                if not mirroring.is_primary(image):
                    raise RefusedError(
                        f"{volume} with old snapshots of {name} stays: it is the peer's copy here."
                    )
            images.remove_image(pool, volume)
        waiting = [volume for volume in waiting if volume not in free]
