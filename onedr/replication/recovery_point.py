"""Is a copy usable, of which moment?

Judged from the copy itself, never from the mirror status (docs/design.md, "The mirror status is a hint").
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onedr.model.records import Mark
from onedr.model.types import Mode

AHEAD_S = 5.0  # a mark may be so far in the future before it proves that the sites' clocks differ


@dataclass(frozen=True)
class Point:
    """`complete`: may be promoted.

    `at`: everything written before (epoch seconds) is in it; None when not known.
    """

    complete: bool
    at: float | None


def point(
    mode: Mode,
    carries_record: bool,
    mark: Mark | None,
    snapshots: Sequence[Mapping[str, object]],
    interval_s: int,
) -> Point:
    """The recovery point of a copy.

    Journal mode: rbd-mirror copies image metadata at the very end of a first copy (measured:
    docs/measured.md), so one that carries a record of ours is complete; its time mark counts once it was
    written while the copy was replaying, because an earlier one may have overtaken the data. Snapshot mode: a
    complete mirror snapshot says so itself, and metadata belongs to the snapshot. While another sync runs,
    promotion falls back one snapshot further than it seems (docs/ceph-facts.md C4): one interval is added.
    """
    if mode is Mode.JOURNAL:
        return Point(carries_record, mark.at if mark and mark.replaying and carries_record else None)
    complete = any(snapshot["complete"] for snapshot in snapshots)
    if not complete or mark is None:
        return Point(complete, None)
    syncing = not snapshots[-1]["complete"]
    if syncing and not interval_s:
        return Point(True, None)
    return Point(True, mark.at - interval_s if syncing else mark.at)


def age_s(at: float | None, now: float) -> float | None:
    """Seconds between a recovery point and now: what may be missing at most. None when not known.

    Marks are written by the clock of the site that writes. One that lies in the future says nothing about the
    age.
    """
    return None if at is None or at > now + AHEAD_S else max(0.0, now - at)


def clock_warning(at: float | None, now: float) -> str:
    """A sentence when the point proves that the clocks of the sites differ; a difference the other way is
    not seen.
    """
    if at is None or at <= now + AHEAD_S:
        return ""
    return (
        f"its time marks lie {at - now:.0f} s in the future: the sites' clocks differ, what may be lost is "
        "not known (NTP?)"
    )
