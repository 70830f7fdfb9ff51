"""A clone is mirrored after its base's snapshot, which must be at the peer first (docs/ceph-facts.md C8).

The peer's rbd-mirror makes a clone's copy by cloning the base's copy. It fails without the snapshot, and
retries 30 s later. So `onedr.base` is written to the base after its snapshot: metadata and snapshots reach
the peer in the order in which they were made, so a copy with this entry has exactly that snapshot, and not an
older one of the same name. A site that may read the peer's Ceph checks for it there and notes the result in
`.rbd_onedr.base_at_peer`.
"""
from __future__ import annotations

import json
import time
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import rbd

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError
from onedr.model.json_form import parsed
from onedr.model.types import Settings
from onedr.replication import peer_ceph, record_fields

BASE_KEY = "onedr.base"
ARRIVED_KEY = ".rbd_onedr.base_at_peer"
WAIT_LIMIT_S = 300  # after that a clone is mirrored anyway: rbd-mirror retries until it works
_LIMIT_S = 15


class BaseNote(NamedTuple):
    """The awaited snapshot of a base: its cluster, its id there, and since when (seconds since the epoch)."""

    fsid: str
    snap: int
    at: float


def waiting_reason(pool: Pool, base: str, snapshot: str, settings: Settings) -> str | None:
    """None when a clone of this snapshot may be mirrored now, else the reason to wait.

    Where the peer cannot be read the arrival cannot be seen, so the answer is None. Raises rbd.Error.
    """
    with pool.image(base, read_only=True) as image:
        if not mirroring.is_primary(image):
            return None  # it came from the peer together with its snapshot
        current = _id_of(image, snapshot)
        values = dict(image.metadata_list())
    note = read_note(values)
    if note is None or (note.fsid, note.snap) != (pool.fsid(), current):
        if current is None or not peer_ceph.may_read(pool, settings):
            return None
        _write_note(pool, base, BaseNote(pool.fsid(), current, time.time()))
    elif values.get(ARRIVED_KEY) == _arrival_text(note) or is_over(note, time.time()):
        return None
    return f"waits until the snapshot of its base {base} is at the peer"


def is_over(note: BaseNote, now: float) -> bool:
    """Has a clone waited long enough? Also where the note is dated ahead, by a clock that was wrong."""
    return abs(now - note.at) > WAIT_LIMIT_S


def _write_note(pool: Pool, base: str, note: BaseNote) -> None:
    with pool.image(base) as image:
        image.metadata_set(BASE_KEY, json.dumps(note._asdict()))
        mirroring.publish_changes(pool, image)


def arrived_bases(pool: Pool, settings: Settings, bases: Iterable[str]) -> dict[str, bool]:
    """Is the awaited snapshot of each base at the peer?

    The result is noted on the base. A base that could not be checked at the peer is missing in the answer.
    """
    status = peer_ceph.probe_peer(pool, settings)
    try:
        with peer_ceph.peer_pool(status, pool.access.pool) as (there, _):
            if there is None:
                return {}
            found = parallel.each(bases, partial(_has_arrived, pool, there), _LIMIT_S, 8)
    except OneDRError:
        return {}
    return {base: seen for base, seen in found.items() if isinstance(seen, bool)}


def _has_arrived(pool: Pool, there: Pool, base: str) -> bool:
    with pool.image(base) as image:
        note = read_note(dict(image.metadata_list()))
        if note is None or not _carries(there, base, note):
            return False
        image.metadata_set(ARRIVED_KEY, _arrival_text(note))
    return True


def _carries(there: Pool, base: str, note: BaseNote) -> bool:
    try:
        with there.image(base, read_only=True) as copy:
            arrived = read_note(dict(copy.metadata_list()))
    except rbd.ImageNotFound:
        return False
    return arrived is not None and (arrived.fsid, arrived.snap) == (note.fsid, note.snap)


def read_note(values: dict[str, str]) -> BaseNote | None:
    """The note in an image's metadata; None when there is none or it cannot be read."""
    try:
        found = parsed(values[BASE_KEY])
        return BaseNote(str(found["fsid"]), int(found["snap"]), record_fields.moment(found["at"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _arrival_text(note: BaseNote) -> str:
    return f"{note.fsid} {note.snap}"


def _id_of(image: rbd.Image, snapshot: str) -> int | None:
    return next((int(found["id"]) for found in image.list_snaps() if found["name"] == snapshot), None)
