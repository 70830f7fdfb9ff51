"""Kept copies: what a site wrote that never reached its peer, saved before a resync deletes it
(docs/reprotect.md).

First a user snapshot `onedr-kept-<image id>-<time>`, made while the image is still primary; then a clone of
it, `onedr-kept-<image>-<time>`, in Ceph's clone format 2, which lives on when the image itself goes to the
trash (docs/ceph-facts.md C27). The id tells a snapshot of this very image from one that mirroring brought.
"""
from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timezone

import rbd

from onedr.ceph import images
from onedr.ceph.connection import Pool
from onedr.model.errors import InputError, StorageError

PREFIX = "onedr-kept-"
KEY = "onedr.kept"
TRASH_S = 7 * 86400  # what expired can still be restored for so long
_BUSY_LIMIT_S = 40  # somebody who looked at it and was killed counts for 30 s


@dataclass(frozen=True)
class PreservedCopy:
    """A kept copy.

    `loss_s`: seconds of writes at the most that only it has; None: not known. Times in epoch seconds.
    """

    name: str
    image: str
    vm: str
    site: str
    taken: float
    expires: float
    loss_s: float | None
    size: int = 0  # bytes


def snapshot_of(image: rbd.Image) -> str | None:
    """The newest snapshot of what this site wrote last; None when there is none."""
    return max(_own(image), default=None)


def _own(image: rbd.Image) -> list[str]:
    return [name for name in images.snapshots(image) if name.startswith(f"{PREFIX}{image.id()}-")]


def drop_preserved(image: rbd.Image) -> None:
    """A primary is nobody's divergent copy: what `take` left on it goes. Clones of it live on."""
    for name in _own(image):
        with suppress(rbd.ImageNotFound):
            image.remove_snap(name)


def take(image: rbd.Image, now: float) -> str:
    """Make that snapshot of a primary. Returns its name; its time is UTC."""
    name = f"{PREFIX}{image.id()}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    with suppress(rbd.ImageExists):  # by a run that was killed in this very second
        image.create_snap(name)
    return name


def name_of(image: str, snapshot: str) -> str:
    """Name of the clone of a snapshot made by `take`."""
    return f"{PREFIX}{image}-{snapshot.rpartition('-')[2]}"


def preserve(pool: Pool, wanted: PreservedCopy, snapshot: str | None) -> None:
    """Make the clone `wanted.name` of the image's `snapshot`, or a full copy where there is none. Done
    already is done.

    Raises rbd.Error, StorageError. Reads back.
    """
    if copies_of(pool, wanted.name) is not None:
        return
    if pool.exists(wanted.name):  # a run was killed before it said what it is
        pool.rbd.remove(pool.io, wanted.name)
    if snapshot is None:
        images.copy(pool, wanted.image, wanted.name)
    else:
        # format 1 would hold the image; python has no argument for it
        pool.cluster.conf_set("rbd_default_clone_format", "2")
        pool.rbd.clone(pool.io, wanted.image, snapshot, pool.io, wanted.name)
    with pool.image(wanted.name) as image:
        for key, _ in list(image.metadata_list()):
            if "onedr." in str(key):  # handed on by Ceph: records, marks and terms of the image
                image.metadata_remove(key)
        values = {key: value for key, value in asdict(wanted).items() if key not in ("name", "size")}
        image.metadata_set(KEY, json.dumps(values))
    if copies_of(pool, wanted.name) is None:
        raise StorageError(f"The copy {wanted.name} was made but does not read back.")


def copies_of(pool: Pool, name: str) -> PreservedCopy | None:
    """What a kept copy says of itself; None when it is no whole kept copy."""
    try:
        with pool.image(name, read_only=True) as image:
            values = json.loads(dict(image.metadata_list())[KEY])
            return PreservedCopy(name=name, size=int(image.size()), **values)
    except (rbd.ImageNotFound, KeyError, TypeError, ValueError):
        return None


def all_copies(pool: Pool) -> list[PreservedCopy]:
    """All kept copies of the pool, oldest first."""
    found = (copies_of(pool, name) for name in pool.names() if name.startswith(PREFIX))
    return sorted((each for each in found if each is not None), key=lambda each: (each.taken, each.name))


def remove_copy(pool: Pool, name: str) -> None:
    """Remove a kept copy. The image that a resync replaced and the copy held in the trash is then removed by
    rbd-mirror, which put it there, within half a minute (docs/measured.md). Raises InputError for a name that
    is none.
    """
    if copies_of(pool, name) is None:
        raise InputError(f"There is no kept copy {name!r} in pool {pool.access.pool}; onedr kept lists them.")
    end = time.monotonic() + _BUSY_LIMIT_S
    while True:
        try:
            pool.rbd.remove(pool.io, name)
            break
        except rbd.ImageNotFound:
            break
        except rbd.ImageBusy as error:
            if time.monotonic() > end:
                raise StorageError(
                    f"Kept copy {name} is still in use after {_BUSY_LIMIT_S} s; unmap it, then repeat."
                ) from error
            time.sleep(0.5)


def trash_expired(pool: Pool, now: float) -> list[str]:
    """Move the copies whose time is over to the trash, for TRASH_S more. Returns their names.

    `now`: epoch seconds, of a clock that may be believed. One in use stays until the next turn. `rbd trash
    restore` brings one back.
    """
    gone = []
    for each in all_copies(pool):
        if each.expires <= now:
            with suppress(rbd.ImageBusy, rbd.ImageNotFound):
                pool.rbd.trash_move(pool.io, each.name, TRASH_S)
                gone.append(each.name)
    return gone


def empty_trash(pool: Pool, now: float) -> list[str]:
    """Remove for good the copies that were in the trash for TRASH_S. Returns their names; `now` as above."""
    gone = []
    for entry in pool.rbd.trash_list(pool.io):
        ended = entry["deferment_end_time"].replace(tzinfo=timezone.utc).timestamp()
        if str(entry["name"]).startswith(PREFIX) and entry["source"] == "USER" and ended <= now:
            with suppress(rbd.ImageBusy, rbd.ImageNotFound):
                pool.rbd.trash_remove(pool.io, entry["id"])
                gone.append(str(entry["name"]))
    return gone
