"""Copies whose image was deleted at the other site although a point of it is locked (docs/points.md, "Locked
points").

rbd-mirror moves such a copy to Ceph's trash and removes it after `rbd_mirroring_delete_delay`
(docs/ceph-facts.md C32). Here it is taken out of rbd-mirror's hands before that: restored, and moved to the
trash again as a user's image, where it stays until the lock is over and for TRASH_S more.
"""
from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timezone

import rbd

from onedr.ceph import group_snapshots, images, rewind
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model.errors import InputError
from onedr.model.records import PointNote
from onedr.replication import point_locks, points, vm_points
from onedr.replication.preserved_copies import TRASH_S

PREFIX = "onedr-locked-"  # then the image's name and its RBD id


def hold(pool: Pool, now: float) -> None:
    """Hold such copies in the trash of this cluster; `now`: epoch seconds. One that rbd-mirror has in use
    follows at the next turn. Raises rbd.Error.
    """
    for entry in pool.rbd.trash_list(pool.io):
        if entry["source"] == "MIRRORING" and _until(pool, str(entry["id"]), now):
            name = f"{PREFIX}{entry['name']}-{entry['id']}"
            with suppress(rbd.ImageBusy, rbd.ImageNotFound):
                pool.rbd.trash_restore(pool.io, str(entry["id"]), name)
    for name in [each for each in pool.names() if each.startswith(PREFIX)]:  # those of a killed turn, too
        with suppress(rbd.ImageBusy, rbd.ImageNotFound):
            with pool.image(name, read_only=True) as image:
                until = point_locks.of_image(image, now)
            pool.rbd.trash_move(pool.io, name, math.ceil(max(until - now, 0.0)) + TRASH_S)
            log.warning(f"{name}: deleted at the other site while a point of it is locked; held in the trash")


def remove_expired(pool: Pool, now: float) -> list[str]:
    """Remove for good those whose time in the trash is over; `now` of a clock that may be believed. Returns
    their names. Raises rbd.Error.
    """
    gone = []
    for entry in pool.rbd.trash_list(pool.io):
        ended = entry["deferment_end_time"].replace(tzinfo=timezone.utc).timestamp()
        ours = str(entry["name"]).startswith(PREFIX) and entry["source"] == "USER"
        if ours and ended <= now and not _until(pool, str(entry["id"]), now):
            with suppress(rbd.ImageBusy, rbd.ImageNotFound, rbd.ImageHasSnapshots):
                _drop_snapshots(pool, str(entry["id"]))
                pool.rbd.trash_remove(pool.io, str(entry["id"]))
                gone.append(str(entry["name"]))
    return gone


@dataclass(frozen=True)
class Held:
    """A copy that is held in the trash. `until`: when its last lock ends, in epoch seconds; `points`: those
    that it has, by the names of their snapshots.
    """

    name: str
    trash_id: str
    until: float
    points: Mapping[str, PointNote]


def all_held(pool: Pool, now: float) -> list[Held]:
    """The copies held in this cluster's trash; `now`: epoch seconds. Raises rbd.Error."""
    found = []
    for entry in pool.rbd.trash_list(pool.io):
        name, number = str(entry["name"]), str(entry["id"])
        if name.startswith(PREFIX) and entry["source"] == "USER":
            with suppress(rbd.ImageNotFound), rbd.Image(pool.io, image_id=number, read_only=True) as image:
                noted = points.decode(dict(image.metadata_list()).get(points.KEY, ""), None)
                own = {each.name for each in group_snapshots.of_image(image)}
                has = {snapshot: note for snapshot, note in noted.items() if snapshot in own}
                found.append(Held(name, number, point_locks.of_image(image, now), has))
    return found


def recover(pool: Pool, name: str, moment: float) -> str:
    """Copy what a held copy was at its newest point that is not after `moment` (epoch seconds) to a new
    image; returns its name. The held copy stays where it is. Raises InputError, OneDRError, rbd.Error.
    """
    held = next((each for each in all_held(pool, time.time()) if each.name == name), None)
    if held is None:
        raise InputError(f"No copy {name} is held in the trash of pool {pool.access.pool}; see onedr points.")
    fitting = [(note.at, snapshot) for snapshot, note in held.points.items() if int(note.at) <= moment]
    if not fitting:
        known = ", ".join(sorted(vm_points.moment_name(note.at) for note in held.points.values()))
        raise InputError(f"{name} has no point at or before that moment; it has {known or 'none'}.")
    at, snapshot = max(fitting)
    target = f"recovered-{name.removeprefix(PREFIX)}-{vm_points.moment_name(at)}"
    with rbd.Image(pool.io, image_id=held.trash_id, read_only=True) as image:
        number = next(each.number for each in group_snapshots.of_image(image) if each.name == snapshot)
        rewind.copy_point(pool, image, number, target)
    return target


def _until(pool: Pool, image_id: str, now: float) -> float:
    try:
        with rbd.Image(pool.io, image_id=image_id, read_only=True) as image:
            return point_locks.of_image(image, now)
    except rbd.ImageNotFound:
        return 0.0


def _drop_snapshots(pool: Pool, image_id: str) -> None:
    with rbd.Image(pool.io, image_id=image_id) as image:
        group_snapshots.drop(image)
        for name in images.snapshots(image):
            images.drop_snapshot(image, name)
