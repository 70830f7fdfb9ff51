"""Mirror snapshots that Ceph's manager does not take: the keeper takes them at DR_SCHEDULE.

A manager that runs schedules is left alone until it is very late: two processes that take a mirror snapshot
of one image at once crash librbd (docs/measured.md).
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import rbd

from onedr.ceph import images, mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.ceph.mirror_schedule import NoSchedulesError, add_schedule, remove_schedules, schedules
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.model.settings import schedule_of
from onedr.model.template import Pairs
from onedr.model.types import Settings
from onedr.protection import schedule_rules

_LIMIT_S = 60


def set_schedules(pool: Pool, settings: Settings, images: Mapping[str, Pairs], names: Iterable[str]) -> bool:
    """Give each of these images the schedule that it is to have; `images`: attributes of OpenNebula's, by
    name. A schedule lives in one cluster: what was taken over from the peer has none here yet
    (docs/ceph-facts.md C35).

    Returns whether Ceph's manager runs schedules. Raises StorageError.
    """
    wanted = {name: schedule_of(settings, images.get(name, ())) for name in names}
    try:
        there = schedules(pool)
        for name, schedule in sorted(schedule_rules.to_change(wanted, there).items()):
            if name in there:
                remove_schedules(pool, name)
            add_schedule(pool, name, schedule)
    except NoSchedulesError as error:
        log.warning(f"{error}; the keeper takes the mirror snapshots")
        return False
    return True


def take_due(pool: Pool, patience: Mapping[str, float]) -> dict[str, str]:
    """Take a mirror snapshot of each image whose newest is as old as its `patience`, seconds. Returns what
    failed, by name.
    """
    results = parallel.each(sorted(patience), lambda name: _take(pool, name, patience[name]), _LIMIT_S, 4)
    return {name: str(found) for name, found in results.items() if isinstance(found, OneDRError)}


def newest_age_s(pool: Pool, name: str) -> float | None:
    """Seconds since the newest mirror snapshot of an image was taken; None when it has none. Negative: a
    clock was wrong. Raises rbd.Error.
    """
    with pool.image(name, read_only=True) as image:
        taken = [
            images.made_at(image, snapshot["id"]) for snapshot in image.list_snaps()
            if snapshot.get("namespace") == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR
        ]
    return time.time() - max(taken) if taken else None


def _take(pool: Pool, name: str, patience: float) -> None:
    age_s = newest_age_s(pool, name)
    if age_s is not None and 0 <= age_s < patience:
        return
    with pool.image(name) as image:
        if mirroring.is_primary(image):
            mirroring.publish_changes(pool, image)
