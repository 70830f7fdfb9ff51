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
from onedr.model.errors import OneDRError
from onedr.protection.pace import is_due

_UNIT_S = {"m": 60, "h": 3600, "d": 86400}
_MISSED = 3  # snapshots in a row that a manager must miss
_GRACE_S = 60
_LIMIT_S = 60


def interval_s(schedule: str) -> int:
    """Seconds of a DR_SCHEDULE such as `5m`, `1h`, `1d`."""
    return int(schedule[:-1]) * _UNIT_S[schedule[-1]]


def patience_s(schedule: str, manager_runs: bool) -> int:
    """The age of the newest mirror snapshot from which on the keeper takes one, seconds."""
    return interval_s(schedule) * _MISSED + _GRACE_S if manager_runs else interval_s(schedule)


def late(points: Mapping[str, float | None], patience: float, now: float) -> set[str]:
    """The images whose copy is older than `patience` seconds. `points`: recovery points, epoch seconds; None:
    not known, so nothing says that a snapshot is missing. One dated ahead is late: its clock was wrong.
    """
    return {name for name, point in points.items() if point is not None and is_due(point, patience, now)}


def take_due(pool: Pool, names: Iterable[str], patience: float) -> dict[str, str]:
    """Take a mirror snapshot of each image whose newest is `patience` seconds old. Returns what failed, by
    name.
    """
    results = parallel.each(sorted(names), lambda name: _take(pool, name, patience), _LIMIT_S, 4)
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
