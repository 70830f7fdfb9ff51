"""Points in time, taken by the keeper: every DR_POINT_EVERY a snapshot of one instant of each VM's disks, and
those removed that DR_POINTS does not keep (docs/points.md).
"""
from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import rados
import rbd

from onedr.ceph import group_snapshots, omap
from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.model.json_form import parsed
from onedr.model.records import ImageFacts, PointNote
from onedr.model.types import Mode, Settings
from onedr.protection import point_rules
from onedr.replication import inventory, point_notes, vm_points
from onedr.runs import lease

OBJECT = "onedr.points"  # omap: what hinders the points of a datastore, `<datastore>.<label>`
_TURN_S = 3.0  # no further point is begun in a turn that took longer: time marks wait for it
_ALL = "all"


@dataclass
class Subject:
    """What one point is of: the disks of a VM, or of all VMs. `notes`: of all their points; `whole`: those
    that all of them have.
    """

    disks: list[str]
    notes: dict[str, PointNote] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)


def subjects(
    facts: Iterable[ImageFacts], fsid: str, complete: Collection[str], of_all: bool
) -> dict[str, Subject]:
    """By label, what points are taken of: journaled primaries here whose copies are complete. Disks of no VM
    are not among them.
    """
    disks: dict[str, dict[str, ImageFacts]] = {}
    for item in inventory.vms(facts, fsid, own=True):
        own = {image.name: image for image in vm_points.disks_of(item.images) if _can(image, complete)}
        disks.setdefault(_ALL if of_all else str(item.record.vm_id), {}).update(own)
    return {label: _subject(found.values()) for label, found in disks.items() if found}


def _can(image: ImageFacts, complete: Collection[str]) -> bool:
    """A base that a VM which was never deployed will be cloned from has no record of a VM."""
    return (
        image.primary and image.mode is Mode.JOURNAL and image.name in complete and image.vm is not None
    )


def _subject(disks: Iterable[ImageFacts]) -> Subject:
    disks = list(disks)
    notes = {name: note for image in disks for name, note in image.points.items()}
    whole = {name for name in notes if all(name in image.group_snapshots for image in disks)}
    return Subject([image.name for image in disks], notes, whole)


class Points:
    """The points that one keeper takes."""

    def __init__(self, pool: Pool, datastore_id: int):
        self._pool, self._id, self._settings = pool, datastore_id, Settings()
        self._lock = ExclusiveLock(pool, f"{OBJECT}.{datastore_id}")
        self._subjects: dict[str, Subject] = {}
        self._tried: dict[str, float] = {}  # monotonic seconds
        self._told: dict[str, str] = {}  # why there are none, by label
        self._tidied = False

    def release(self) -> None:
        """Let another front-end take them."""
        self._lock.release()

    def take(
        self, facts: Collection[ImageFacts], settings: Settings, complete: Collection[str], clock_sure: bool
    ) -> None:
        """After a pass: what points are due of, and remove those whose time is over. `complete`: images whose
        copy is; `clock_sure`: may this site's clock be believed?
        """
        self._settings = settings
        wanted = bool(settings.point_every_s and settings.protect)
        found = subjects(facts, self._pool.fsid(), complete, settings.point_of_all) if wanted else {}
        self._subjects = found
        with suppress(rados.Error):
            for label in noted_problems(self._pool, self._id).keys() - found.keys():
                self._note_problem(label, "")
        if wanted and self._lock.acquire():
            self._tidy()
            if clock_sure:
                self._remove_expired(facts)

    def _tidy(self) -> None:
        """Once: what killed keepers left of VMs that are gone. The others' goes before their next point."""
        if not self._tidied:
            with suppress(rbd.Error):
                group_snapshots.remove_left(self._pool, f"{self._id}-")
            self._tidied = True

    def _remove_expired(self, facts: Collection[ImageFacts]) -> None:
        """Of disks of no VM, too: their points age with the others'."""
        of_vms = {name for subject in self._subjects.values() for name in subject.disks}
        groups = list(self._subjects.values())
        groups += [
            _subject([fact]) for fact in facts if fact.primary and fact.points and fact.name not in of_vms
        ]
        now = time.time()
        for subject in groups:
            gone = point_rules.expired(subject.notes, subject.whole, self._settings.point_rules, now)
            if not gone:
                continue
            for name in subject.disks:
                try:
                    point_notes.drop(self._pool, name, gone)
                except (rbd.Error, OneDRError) as error:  # the next pass tries again
                    log.warning(f"points of {name} are not removed: {error}")
            for each in gone:
                subject.notes.pop(each, None)

    def turn(self) -> None:
        """Between passes: take the points that are due, one after another. Raises rados.Error."""
        begun = time.monotonic()
        due = [label for label, subject in self._subjects.items() if self._is_due(label, subject)]
        for label in sorted(due, key=lambda label: self._tried.get(label, 0.0)):
            if time.monotonic() - begun > _TURN_S:
                return
            if not self._lock.acquire() or lease.in_force(self._pool) is not None:
                return  # a run changes roles, which a member of a group would hinder
            self._tried[label] = time.monotonic()
            try:
                self._take(label, self._subjects[label])
            except (rados.Error, rbd.Error, OneDRError) as error:
                self._note_problem(label, str(error))

    def _is_due(self, label: str, subject: Subject) -> bool:
        every, stall = self._settings.point_every_s, self._settings.point_stall_s
        tried = self._tried.get(label)
        if tried is not None and time.monotonic() - tried < every:
            return False
        return point_rules.next_is_due(subject.notes, every, stall, time.time())

    def _take(self, label: str, subject: Subject) -> None:
        at = time.time()
        with group_snapshots.taking(self._pool, f"{self._id}-{label}", subject.disks) as taken:
            note = PointNote(at, taken.stall_s)
            for name in subject.disks:
                point_notes.change(self._pool, name, lambda notes: {**notes, taken.snapshot: note})
        subject.notes[taken.snapshot] = note
        subject.whole.add(taken.snapshot)
        late = ""
        if note.stall_s > self._settings.point_stall_s:
            pause_s = point_rules.pause_s(
                subject.notes, self._settings.point_every_s, self._settings.point_stall_s)
            late = (
                f"the last point held up writers for up to {note.stall_s:.1f} s (DR_POINT_STALL "
                f"{self._settings.point_stall_s} s); the next one follows after {pause_s:.0f} s"
            )
        self._note_problem(label, late)

    def _note_problem(self, label: str, why: str) -> None:
        """For `onedr points`, and once for the log; empty: there is none any more."""
        if why and self._told.get(label) != why:
            log.warning(f"points of {label_text(label)}: {why}")
        if why or self._told.get(label, "?"):
            _write_problem(self._pool, self._id, label, why)
        self._told[label] = why


def label_text(label: str) -> str:
    """What a subject is called."""
    return "all VMs" if label == _ALL else f"VM {label}"


def _write_problem(pool: Pool, datastore_id: int, label: str, why: str) -> None:
    key = f"{datastore_id}.{label}"
    if why:
        omap.write_keys(pool, OBJECT, {key: json.dumps({"why": why}).encode()})
    else:
        with suppress(rados.ObjectNotFound):
            omap.drop_keys(pool, OBJECT, key)


def noted_problems(pool: Pool, datastore_id: int) -> dict[str, str]:
    """By label, what hindered the last points of a datastore. Raises rados.Error."""
    found, begin = {}, f"{datastore_id}."
    for key, value in omap.read_all(pool, OBJECT, begin).items():
        with suppress(KeyError, TypeError, ValueError):
            found[key[len(begin):]] = str(parsed(value)["why"])
    return found


def forget(pool: Pool, datastore_id: int) -> None:
    """Remove what is noted of a datastore whose keeper has ended, and the groups that one left. Raises
    rados.Error, rbd.Error.
    """
    for label in noted_problems(pool, datastore_id):
        _write_problem(pool, datastore_id, label, "")
    group_snapshots.remove_left(pool, f"{datastore_id}-")
