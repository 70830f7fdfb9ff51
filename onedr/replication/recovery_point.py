"""Is a copy usable, and of which moment is it?

Derived from the copy itself, never from the mirror status (docs/design.md, "The mirror status is a hint").
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onedr.model.records import Mark
from onedr.model.types import Mode

FIRST_S = 10  # measured: 0 to 1 s on a busy machine; the second waits for the first one's copy
AHEAD_S = 5.0  # a mark further in the future than this proves that the sites' clocks differ


@dataclass(frozen=True)
class Point:
    """`complete`: may be promoted.

    `at`: it contains everything written before this moment (epoch seconds); None when unknown.
    """

    complete: bool
    at: float | None


def point(
    mode: Mode,
    carries_record: bool,
    mark: Mark | None,
    syncs: Sequence[bool],
    interval_s: int,
    once_synced: bool = False,
) -> Point:
    """The recovery point of a copy.

    Journal mode: rbd-mirror copies image metadata at the end of the initial copy (docs/measured.md), so a
    copy with one of our records is complete. Its time mark counts if it was written while the copy was
    replaying, because an earlier one may have arrived before the data. Snapshot mode: a complete mirror
    snapshot is marked as such, and metadata belongs to the snapshot. During another sync, promotion falls
    back one snapshot further than expected (docs/ceph-facts.md C4): one interval is added. Before the first
    there was nothing, so a copy that was synced once (`once_synced`) may not be promoted during its second
    sync. `syncs`: mirror snapshots, oldest first: is each complete?
    """
    if mode is Mode.JOURNAL:
        return Point(carries_record, mark.at if mark and mark.replaying and carries_record else None)
    syncing = bool(syncs) and not syncs[-1]
    complete = any(syncs) and not (syncing and once_synced)
    if not complete or mark is None:
        return Point(complete, None)
    if syncing and not interval_s:
        return Point(True, None)
    return Point(True, mark.at - interval_s if syncing else mark.at)


def is_once_synced(made_at: int, syncs: Sequence[tuple[bool, int]]) -> bool:
    """Is the newest complete mirror snapshot of a copy the first that it ever had? Earlier ones are removed,
    so the times tell, epoch seconds: rbd-mirror takes the first as soon as it made the image.
    """
    newest = next((taken_at for complete, taken_at in reversed(syncs) if complete), None)
    return newest is not None and newest - made_at <= FIRST_S


def age_s(at: float | None, now: float) -> float | None:
    """Seconds between a recovery point and now: at most these writes are missing. None when unknown.

    Marks are written with the clock of the writing site. One in the future does not tell the age.
    """
    return None if at is None or at > now + AHEAD_S else max(0.0, now - at)


def clock_warning(at: float | None, now: float) -> str:
    """A warning when the point proves that the sites' clocks differ.

    A difference in the other direction is not detected.
    """
    if at is None or at <= now + AHEAD_S:
        return ""
    return (
        f"its time marks are {at - now:.0f} s in the future: the sites' clocks differ, so the possible loss "
        "is unknown; check NTP at both sites"
    )
