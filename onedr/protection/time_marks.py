"""Time marks on disks whose copies are replaying: each disk's own, and one statement for all those that were
not written to since (docs/marks.md).
"""
from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model.records import Mark
from onedr.model.types import Mode, PeerState
from onedr.protection import pace
from onedr.protection.quiet_disks import IN_FLIGHT_S, Disk, QuietDisks
from onedr.protection.reconcile import Report
from onedr.protection.status import StatusView
from onedr.replication import encryption, quiet_marks, records, signature

_LIMIT_S = 10
_THREADS = 16


class TimeMarks:
    """The marks that one keeper writes."""

    def __init__(self, pool: Pool, datastore_id: int):
        self._pool = pool
        self.complete: set[str] = set()  # copies seen replaying: their marks may be trusted
        self._in_use: set[str] = set()
        self._disks: dict[str, Disk] = {}  # journaled primaries
        self._rpo_s = 0
        self._cost_s = pace.MARK_COST_S  # of the processor, for one mark
        self._marked: dict[str, float] = {}  # epoch seconds of the newest mark of each image
        self._quiet = QuietDisks(pool, datastore_id)
        self._read_there = False  # does the peer read quiet marks?
        self._next_look = 0.0
        self._carrier = ""  # the image that carries the statement
        self._stated: list[float] = []  # epoch seconds of the last two statements

    def take(self, seen: StatusView, report: Report, rpo_s: int) -> None:
        """After a pass: mark what is complete now, and what is not marked in turns."""
        answers = seen.copies.peer_status.peer is PeerState.ANSWERS
        complete = {name for name, copy in seen.copies.by_name.items() if copy.complete and not copy.primary}
        if not answers:  # keep writing marks: they show later which writes only this site has
            complete |= self.complete
        if report.reads_quiet is not None:
            self._read_there = report.reads_quiet
        by_snapshot = {fact.name for fact in seen.facts if fact.mode is Mode.SNAPSHOT}
        self._disks = {
            fact.name: Disk(fact.rbd_id, fact.global_id)
            for fact in seen.facts if fact.mode is Mode.JOURNAL and fact.primary
        }
        self._in_use, self._rpo_s = report.in_use, rpo_s
        fresh = self._fresh(complete & report.mirrored, by_snapshot, seen)
        self.complete = complete & report.mirrored
        self._replace_carrier(seen)
        self.write(fresh)
        self._write_due(self.complete - self._in_turns() - fresh, len(self.complete))
        parallel.each(sorted(fresh & by_snapshot), self._publish, _LIMIT_S, _THREADS)

    def turn(self) -> None:
        """Between passes: the marks that are due, of disks in use or written to. Raises rados.Error."""
        if not self._read_there:
            self._write_due(self._in_turns() & self.complete, len(self.complete))
        elif time.monotonic() >= self._next_look:
            cost_s = self._look()
            self._next_look = time.monotonic() + pace.look_pause_s(cost_s, self._rpo_s)

    def _in_turns(self) -> set[str]:
        return self._in_use | self._disks.keys() if self._read_there else self._in_use

    def _look(self) -> float:
        """Returns what looking cost, in seconds of the processor."""
        until, begun = time.time() - IN_FLIGHT_S, time.process_time()
        disks = {name: disk for name, disk in self._disks.items() if name in self.complete}
        held = self._quiet.look(disks)
        cost_s = time.process_time() - begun
        stated = self._state(until, held)
        moved = (self._in_turns() & self.complete) - stated.keys() - (held.keys() if stated else set())
        written = {**stated, **self._write_due(moved, len(moved))}
        begun = time.process_time()
        self._quiet.prove(self._disks, {name: mark for name, mark in written.items() if name in disks})
        return cost_s + time.process_time() - begun

    def _state(self, until: float, held: Mapping[str, bytes]) -> dict[str, str]:
        """Write which marks hold until then to one image, which gets a mark of its own."""
        if not held:
            return {}
        if self._carrier not in self._disks.keys() & self.complete:
            self._carrier = min(held)
        found = parallel.each(
            [self._carrier], lambda name: self._mark(name, (until, held.values())), _LIMIT_S
        )
        self._stated = [*self._stated[-1:], time.time()]
        return {name: mark for name, mark in found.items() if isinstance(mark, str)}

    def _replace_carrier(self, seen: StatusView) -> None:
        """The statement must arrive: not on an image whose copy misses the last but one."""
        copy = seen.copies.by_name.get(self._carrier)
        if copy is None or copy.recovery_point is None or len(self._stated) < 2:
            return
        if copy.recovery_point < self._stated[0] - IN_FLIGHT_S:
            others = (self._disks.keys() & self.complete) - {self._carrier}
            self._carrier = max(
                others, key=lambda name: (seen.copies.by_name[name].recovery_point or 0.0), default=""
            )
            self._stated = []

    def _fresh(self, complete: set[str], by_snapshot: set[str], seen: StatusView) -> set[str]:
        """Copies that were not seen complete before, except those that carry a mark of an earlier keeper: its
        next one travels by itself in journal mode.
        """
        new = complete - self.complete
        for name in new - by_snapshot:
            copy = seen.copies.by_name.get(name)
            if copy is not None and copy.recovery_point is not None:
                self._marked.setdefault(name, copy.recovery_point)
        return {name for name in new if name in by_snapshot or name not in self._marked}

    def _write_due(self, names: set[str], of: int) -> dict[str, str]:
        """Marks of many disks cost much: each of `of` gets one so often that all cost a fixed share of a
        core.
        """
        pause_s = pace.mark_pause_s(self._cost_s * of, self._rpo_s)
        return self.write(pace.due_marks(names, self._marked, pause_s, time.time()))

    def write(self, names: Iterable[str]) -> dict[str, str]:
        """Write the time mark to images whose copies are replaying. Returns the marks that were written."""
        wanted, begun, now = sorted(names), time.process_time(), time.time()
        results = parallel.each(wanted, self._mark, _LIMIT_S, _THREADS)
        written = {name: mark for name, mark in results.items() if isinstance(mark, str)}
        self._marked.update(dict.fromkeys(written, now))
        self._cost_s = pace.mean_cost_s(self._cost_s, time.process_time() - begun, len(wanted))
        return written

    def _mark(self, name: str, held: tuple[float, Collection[bytes]] | None = None) -> str | None:
        """The mark as written, after the statement that others hold, if any; None at a copy."""
        with self._pool.image(name) as image:
            if not mirroring.is_primary(image):
                return None
            if held is not None:
                key = encryption.load_key(front_end_paths().record_key)
                signer = signature.signer(key, image)
                image.metadata_set(quiet_marks.KEY, quiet_marks.encode(self._pool.fsid(), *held, signer))
            return records.write_mark(image, Mark(time.time(), True))

    def _publish(self, name: str) -> None:
        """Replicate the first mark of a copy at once, also in snapshot mode."""
        with self._pool.image(name) as image:
            if mirroring.is_primary(image):
                mirroring.publish_changes(self._pool, image)
