"""Which disks were not written to since their time marks, so that one statement replaces their next ones
(docs/marks.md).

What is known of each disk lies in the omap `onedr.quiet.<datastore id>` of the pool: keepers live minutes. By
image id: mirroring id, mark and journal's end after the mark.
"""
from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

import rados

from onedr.ceph import journal_end, journal_events, omap
from onedr.ceph.connection import Pool
from onedr.ceph.journal_end import JournalEnd
from onedr.model.json_form import parsed
from onedr.replication import quiet_marks
from onedr.replication.records import MARK_KEY

_LIMIT_S = 10.0
# A write that a guest may rely on is in the journal before it is answered. Those of this long before a look
# that were answered out of a cache, which hands them to the journal at once, are in it too.
IN_FLIGHT_S = 5.0


@dataclass(frozen=True)
class Disk:
    """A journaled primary: its image id and its mirroring id."""

    image_id: str
    global_id: str


@dataclass(frozen=True)
class Proven:
    """After this mark nothing of the image changed up to this end of its journal."""

    global_id: str
    mark: str  # as in the image's metadata
    end: JournalEnd


class QuietDisks:
    """What one keeper knows of the disks of its datastore."""

    def __init__(self, pool: Pool, datastore_id: int):
        self._pool, self._object = pool, _object(datastore_id)
        self._proven: dict[str, Proven] | None = None  # by image id; None: not read yet
        self._ends: dict[str, JournalEnd] = {}  # of the last look

    def look(self, disks: Mapping[str, Disk]) -> dict[str, bytes]:
        """By name, the digests of the marks that still hold at this moment. Raises rados.Error."""
        if self._proven is None:
            self._proven = _read(self._pool, self._object)
        ids = [disk.image_id for disk in disks.values()]
        self._ends = journal_end.read_ends(self._pool, ids, _LIMIT_S)
        held = {
            name: quiet_marks.digest(disk.global_id, self._proven[disk.image_id].mark)
            for name, disk in disks.items() if self._holds(disk)
        }
        return dict(sorted(held.items())[:quiet_marks.MOST_MARKS])

    def _holds(self, disk: Disk) -> bool:
        known = (self._proven or {}).get(disk.image_id)
        return (
            known is not None and known.global_id == disk.global_id
            and known.end == self._ends.get(disk.image_id)
        )

    def prove(self, disks: Mapping[str, Disk], marks: Mapping[str, str]) -> None:
        """After new marks, by name, were written: note those after which nothing changed. Raises rados.Error.

        `disks`: all of the datastore; what is noted of others is removed.
        """
        before = {disks[name].image_id: self._ends.get(disks[name].image_id) for name in marks}
        after = journal_end.read_ends(self._pool, before, _LIMIT_S)
        between = {
            image_id: (end, after[image_id])
            for image_id, end in before.items() if end is not None and image_id in after
        }
        tails = journal_end.read_tails(self._pool, between, _LIMIT_S)
        found = {
            disk.image_id: Proven(disk.global_id, mark, after[disk.image_id])
            for disk, mark in ((disks[name], mark) for name, mark in marks.items())
            if disk.image_id in tails and journal_events.ends_with(tails[disk.image_id], MARK_KEY, mark)
        }
        self._note(found, {disk.image_id for disk in disks.values()})

    def _note(self, found: Mapping[str, Proven], kept: Collection[str]) -> None:
        """What is outdated stays until the next proof: journals only grow, so it never fits again."""
        self._proven = {**(self._proven or {}), **found}
        if found:
            values = {image_id: json.dumps(asdict(proven)).encode() for image_id, proven in found.items()}
            omap.write_keys(self._pool, self._object, values)
        for image_id in self._proven.keys() - kept:
            del self._proven[image_id]
            with suppress(rados.ObjectNotFound):
                omap.drop_keys(self._pool, self._object, image_id)


def forget(pool: Pool, datastore_id: int) -> None:
    """Remove what is known of a datastore's disks. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(_object(datastore_id))


def _object(datastore_id: int) -> str:
    return f"onedr.quiet.{datastore_id}"


def _read(pool: Pool, name: str) -> dict[str, Proven]:
    """What earlier keepers noted. An entry that cannot be read is not known: the disk gets a new mark."""
    found = {}
    for image_id, value in omap.read_all(pool, name).items():
        with suppress(KeyError, TypeError, ValueError):
            data = parsed(value)
            end = data["end"]
            found[image_id] = Proven(
                str(data["global_id"]), str(data["mark"]),
                JournalEnd(int(end["active"]), int(end["tag"]), tuple(map(int, end["sizes"]))),
            )
    return found
