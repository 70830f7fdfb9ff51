"""Preserved copies: writes of a site that never reached its peer, saved before a resync deletes them
(docs/reprotect.md).

First a user snapshot `onedr-kept-<image id>-<time>`, made while the image is still primary; then a clone of
it, `onedr-kept-<image>-<time>`, in Ceph's clone format 2, which remains usable when the image itself is moved
to the trash (docs/ceph-facts.md C27). The id distinguishes a snapshot of this image from one that was
replicated to it.
"""
from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timezone
from typing import Any

import rbd

from onedr.ceph import images
from onedr.ceph.connection import Pool
from onedr.host.waiting import attempts
from onedr.model.errors import InputError, StorageError
from onedr.model.json_form import parsed
from onedr.replication import record_fields

PREFIX = "onedr-kept-"
KEY = "onedr.kept"
TRASH_S = 7 * 86400  # what expired can still be restored for so long
_BUSY_LIMIT_S = 40  # a killed client that had it open counts as a user for 30 s


@dataclass(frozen=True)
class PreservedCopy:
    """A preserved copy.

    `loss_s`: at most these seconds of writes exist only in it; None: unknown. Times in epoch seconds.
    `point`: snapshot of the point in time that the image was taken back to, of which this is the newer state.
    """

    name: str
    image: str
    vm: str
    site: str
    taken: float
    expires: float
    loss_s: float | None
    size: int = 0  # bytes
    point: str = ""


def snapshot_of(image: rbd.Image) -> str | None:
    """The newest snapshot of divergent data on an image; None when there is none."""
    return newest_snapshot(str(image.id()), images.snapshots(image))


def newest_snapshot(image_id: str, snapshots: Iterable[str]) -> str | None:
    """The same among the names of an image's snapshots."""
    return max(_own(image_id, snapshots), default=None)


def _own(image_id: str, snapshots: Iterable[str]) -> list[str]:
    return [name for name in snapshots if name.startswith(f"{PREFIX}{image_id}-")]


def drop_preserved(image: rbd.Image) -> None:
    """Remove such snapshots from an image that is primary again and not divergent. Clones of them remain."""
    for name in _own(str(image.id()), images.snapshots(image)):
        with suppress(rbd.ImageNotFound):
            image.remove_snap(name)


def snapshot_divergent(image: rbd.Image, now: float) -> str:
    """Snapshot a primary before it is demoted.

    Returns the snapshot's name, which contains the time in UTC.
    """
    name = f"{PREFIX}{image.id()}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    with suppress(rbd.ImageExists):  # by a run that was killed in the same second
        image.create_snap(name)
    return name


def copy_name(image: str, snapshot: str) -> str:
    """Name of the preserved copy, the clone of such a snapshot."""
    return f"{PREFIX}{image}-{snapshot.rpartition('-')[2]}"


def preserve(pool: Pool, wanted: PreservedCopy, snapshot: str | None) -> None:
    """Clone the image's `snapshot` as `wanted.name`, or make a full copy when there is no snapshot. Nothing
    is done when the copy exists.

    Raises rbd.Error, StorageError. Reads back.
    """
    if copies_of(pool, wanted.name) is not None:
        return
    if pool.exists(wanted.name):  # left incomplete by a killed run
        pool.rbd.remove(pool.io, wanted.name)
    if snapshot is None:
        images.copy_image(pool, wanted.image, wanted.name)
    else:
        # a clone of format 1 would keep the image from being removed;
        # python-rbd has no argument for the format
        pool.cluster.conf_set("rbd_default_clone_format", "2")
        pool.rbd.clone(pool.io, wanted.image, snapshot, pool.io, wanted.name)
    with pool.image(wanted.name) as image:
        for key, _ in list(image.metadata_list()):
            if "onedr." in str(key):  # copied by Ceph: the image's records, marks and epochs
                image.metadata_remove(key)
        values = {key: value for key, value in asdict(wanted).items() if key not in ("name", "size")}
        image.metadata_set(KEY, json.dumps(values))
    if copies_of(pool, wanted.name) is None:
        raise StorageError(
            f"The preserved copy {wanted.name} was made but does not read back; check rbd info {wanted.name}."
        )


def copies_of(pool: Pool, name: str) -> PreservedCopy | None:
    """The description of a preserved copy; None when the image is not a complete one."""
    try:
        with pool.image(name, read_only=True) as image:
            values = parsed(dict(image.metadata_list())[KEY])
            return _described(name, int(image.size()), values)
    except (rbd.ImageNotFound, KeyError, TypeError, ValueError):
        return None


def _described(name: str, size: int, values: Any) -> PreservedCopy:
    """Raises KeyError, TypeError, ValueError for what is none."""
    loss_s = None if values["loss_s"] is None else record_fields.moment(values["loss_s"])
    return PreservedCopy(
        name, str(values["image"]), str(values["vm"]), str(values["site"]),
        record_fields.moment(values["taken"]), record_fields.moment(values["expires"]), loss_s, size,
        str(values.get("point", "")),
    )


def all_copies(pool: Pool) -> list[PreservedCopy]:
    """All preserved copies of the pool, oldest first."""
    found = (copies_of(pool, name) for name in pool.names() if name.startswith(PREFIX))
    return sorted((each for each in found if each is not None), key=lambda each: (each.taken, each.name))


def remove_copy(pool: Pool, name: str) -> None:
    """Remove a preserved copy.

    Its parent, which a resync moved to the trash, is then removed by rbd-mirror within half a minute
    (docs/measured.md). Raises InputError for the name of anything else.
    """
    if copies_of(pool, name) is None:
        raise InputError(
            f"There is no preserved copy {name!r} in pool {pool.access.pool}; see onedr kept list."
        )
    for last in attempts(_BUSY_LIMIT_S, 0.5):
        try:
            pool.rbd.remove(pool.io, name)
            break
        except rbd.ImageNotFound:
            break
        except rbd.ImageBusy as error:
            if last:
                raise StorageError(
                    f"Preserved copy {name} is still in use after {_BUSY_LIMIT_S} s; unmap it, then repeat "
                    "the command."
                ) from error


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
