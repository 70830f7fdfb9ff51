"""The points in time of a VM, from what its disks' images say (docs/points.md). Pure."""
from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onedr.model.errors import InputError
from onedr.model.records import ImageFacts, PointNote
from onedr.replication import inventory

_WHEN = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})[T ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2}))?(?:Z| ?UTC)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_S = 86400
_MOST_LOCKED_S = 10 * 366 * _DAY_S


@dataclass(frozen=True)
class VmPoint:
    """A point of a VM. `complete`: every disk's copy has it; None: the peer was not read. `lacking`: the
    disks whose copy has it not.
    """

    snapshot: str
    note: PointNote
    complete: bool | None
    lacking: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call it: its moment, in UTC."""
        return moment_name(self.note.at)


def disks_of(images: Iterable[ImageFacts]) -> list[ImageFacts]:
    """Of a VM's images those that it writes to, and that a point is therefore of."""
    return [image for image in images if not inventory.is_cdrom(image)]


def of_vm(images: Iterable[ImageFacts], there: Mapping[str, frozenset[str]] | None = None) -> list[VmPoint]:
    """The points of a VM with these images, oldest first.

    `there`: where they are primary here, the group snapshots of each one's complete copy at the peer; None:
    not read. Judged are the disks that the VM has now: a point from before one was attached lacks it.
    """
    disks = disks_of(images)
    notes = {name: note for image in disks for name, note in image.points.items()}
    found = []
    for name, note in sorted(notes.items(), key=lambda entry: (entry[1].at, entry[0])):
        lacking = tuple(image.name for image in disks if not _has(image, name, there))
        unread = there is None and any(image.primary for image in disks)
        found.append(VmPoint(name, note, None if unread and not lacking else not lacking, lacking))
    return found


def _has(image: ImageFacts, snapshot: str, there: Mapping[str, frozenset[str]] | None) -> bool:
    if snapshot not in image.group_snapshots:
        return False
    if not image.primary:
        return image.complete and not image.stale
    return there is None or snapshot in there.get(image.name, frozenset())


def newest(points: Iterable[VmPoint], until: float | None = None) -> VmPoint | None:
    """The newest complete point, not after `until` (epoch seconds); None when there is none."""
    fitting = [
        point for point in points if point.complete and (until is None or int(point.note.at) <= until)
    ]
    return max(fitting, key=lambda point: point.note.at, default=None)


def lock_end(text: str, now: float) -> float:
    """Until when a person wants a point locked, in epoch seconds: a date (its first second in UTC), or what
    `when` takes. Raises InputError, also for the past and for more than ten years: no lock can be taken back.
    """
    day = text.strip()
    until = when(f"{day} 00:00 UTC" if _DATE.fullmatch(day) else day)
    if not now < until <= now + _MOST_LOCKED_S:
        raise InputError(f"{text!r} is not in the next ten years; a point is locked until a date in them.")
    return until


def moment_name(at: float) -> str:
    """`20261130T171500Z`: a moment (epoch seconds) as points are called."""
    days, seconds = divmod(int(at), _DAY_S)
    year, month = 1970, 1
    while days >= (length := 366 if calendar.isleap(year) else 365):
        year, days = year + 1, days - length
    while days >= (length := calendar.monthrange(year, month)[1]):
        month, days = month + 1, days - length
    hour, minute = seconds // 3600, seconds // 60 % 60
    return f"{year:04}{month:02}{days + 1:02}T{hour:02}{minute:02}{seconds % 60:02}Z"


def when(text: str) -> float:
    """The moment in epoch seconds that a person gives: `20261130T171500Z` as points are called, or
    `2026-11-30 17:15 UTC`. Raises InputError.
    """
    match = _WHEN.fullmatch(text.strip())
    if match:
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        known = year >= 1970 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
        if known and hour < 24 and minute < 60 and second < 60:
            return float(calendar.timegm((year, month, day, hour, minute, second)))
    raise InputError(
        f"{text!r} is no moment; give a point's name as onedr points shows it, such as 20261130T171500Z, or "
        "'2026-11-30 17:15 UTC'."
    )
