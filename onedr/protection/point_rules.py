"""Which points in time stay, and when the next one is due (docs/points.md). Pure."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from onedr.model.errors import RefusedError
from onedr.model.records import PointNote
from onedr.protection.pace import is_due
from onedr.replication import vm_points

Spans = Iterable[tuple[int, int]]
"""DR_POINTS: in each of the last `count` spans of so many seconds one point stays."""
_MOST_DOUBLINGS = 3


def kept(moments: Mapping[str, float], spans: Spans, now: float) -> set[str]:
    """Of points by name with their moments (epoch seconds), those that stay.

    In each span it is the oldest: it stays that until the span is over, whatever is taken later, so that
    nothing is removed today that is wanted tomorrow. The newest of all always stays.
    """
    ordered = sorted(moments, key=lambda name: (moments[name], name))
    found = set(ordered[-1:])
    for count, seconds in spans:
        first: dict[int, str] = {}
        for name in ordered:
            first.setdefault(int(moments[name] // seconds), name)
        oldest = int(now // seconds) - count
        found |= {name for number, name in first.items() if number > oldest}
    return found


def expired(notes: Mapping[str, PointNote], whole: Collection[str], spans: Spans, now: float) -> set[str]:
    """The points that go. `whole`: those that all disks have: a point of some disks takes no place of theirs.
    """
    spans = tuple(spans)
    moments = {name: note.at for name, note in notes.items()}
    stay = kept(moments, spans, now) | kept({name: moments[name] for name in whole}, spans, now)
    return {name for name, note in notes.items() if name not in stay and not _held(note, now)}


def _held(note: PointNote, now: float) -> bool:
    """A lock that is over ends its pin too."""
    return note.until > now if note.until else bool(note.pin)


def pinned(note: PointNote, why: str, until: float, now: float) -> PointNote:
    """The note with a pin, without one when `why` is empty. `until`: also locked until that moment (epoch
    seconds); 0.0: not. A lock in force is never made shorter. Raises RefusedError.
    """
    if not why and note.until > now:
        name, until_text = vm_points.moment_name(note.at), vm_points.moment_name(note.until)
        raise RefusedError(
            f"The point {name} is locked until {until_text} and cannot be unpinned before. After that it is "
            "removed as DR_POINTS says."
        )
    return replace(note, pin=why, until=max(until, note.until if note.until > now else 0.0))


def pause_s(notes: Mapping[str, PointNote], every_s: int, most_stall_s: float) -> float:
    """Seconds from one point to the next: twice as long after each of the last ones that held up writers for
    longer than `most_stall_s`, up to eight times.
    """
    doublings = 0
    for note in sorted(notes.values(), key=lambda each: each.at, reverse=True):
        if note.stall_s <= most_stall_s or doublings == _MOST_DOUBLINGS:
            break
        doublings += 1
    return float(every_s * 2**doublings)


def next_is_due(notes: Mapping[str, PointNote], every_s: int, most_stall_s: float, now: float) -> bool:
    """Is it time for the next point? Also when the newest one is dated ahead, by a clock that was wrong."""
    if not notes:
        return True
    newest = max(note.at for note in notes.values())
    return is_due(newest, pause_s(notes, every_s, most_stall_s), now)
