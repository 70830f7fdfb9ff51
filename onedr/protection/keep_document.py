"""STATUS of a datastore's document, written by the keeper: when something changed, and now and then when only
moments did. A display that nothing reads (docs/document.md).
"""
from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace

import rados
import rbd

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.document import fit_rules, place
from onedr.document.form import DatastoreShown, RunPart, StatusPart
from onedr.document.status_part import Around, status_part
from onedr.host import bridge, log
from onedr.host.paths import front_end_paths
from onedr.model.errors import OneDRError
from onedr.model.json_form import parsed
from onedr.model.records import ImageFacts
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.vm_locks import locked_state
from onedr.protection import status
from onedr.protection.status import StatusView
from onedr.replication import rehearsals
from onedr.runs import journal
from onedr.runs.journal_entry import JournalEntry, StepsDone

_RUNS_READ = 12  # newest ones of the pool; other datastores may share it
_NONE = "null"


@dataclass(frozen=True)
class _Written:
    """What STATUS was when it was last written: its mark, when (epoch seconds), its bytes."""

    mark: str = ""
    at: float = 0.0
    size: int = 0


class KeptDocument:
    """What a keeper still has to write into the document."""

    def __init__(self, pool: Pool, datastore_id: int, frontend: FrontEnd):
        self._pool, self._id = pool, datastore_id
        self._document = place.Document(pool, datastore_id, frontend)
        self._waiting: tuple[Datastore, StatusView, float] | None = None
        self._journals: tuple[str, list[JournalEntry]] = ("", [])
        self._troubled, self._ends = False, False

    def take(self, datastore: Datastore, seen: StatusView, since: float) -> None:
        """What a pass saw that began at `since` (epoch seconds). It is written by the next turn."""
        self._waiting = (datastore, seen, since) if seen.objects.answers else None
        self.turn()

    def turn(self) -> None:
        """Write what is due. A failure is a warning, once: the next pass tries again."""
        if self._waiting is None:
            return
        try:
            if self._is_done(*self._waiting):
                self._waiting = None
            self._troubled = False
        except (OneDRError, rados.Error, rbd.Error) as error:
            self._waiting = None
            if not self._troubled:
                log.warning(f"the document of datastore {self._id} is not written: {error}")
            self._troubled = True

    def finish(self) -> None:
        """Write a change that still waits: this process ends."""
        self._ends = True
        self.turn()

    def _is_done(self, datastore: Datastore, seen: StatusView, since: float) -> bool:
        """False: it has to wait, because it was written a moment ago."""
        if not datastore.settings.protect and place.document_id(self._pool, self._id) is None:
            return True
        mark, before, now = self._mark(seen), self._written(), time.time()
        dead = seen.lease is None and place.run_noted(self._pool, self._id, since)
        changed = mark != before.mark or dead
        if not (changed and self._ends) and not fit_rules.is_due(changed, now - before.at, before.size):
            return not changed
        text = fit_rules.text_of(self._part(datastore, seen, now))
        self._document.put({StatusPart.name: text, **({RunPart.name: _NONE} if dead else {})})
        if dead:
            place.forget_run(self._pool, self._id)
        self._note(_Written(mark, now, len(text)))
        return True

    def _part(self, datastore: Datastore, seen: StatusView, now: float) -> StatusPart:
        fsid = self._pool.fsid()
        here = bridge.bridge_session() is None
        return status_part(status.shown(self._pool, datastore, seen), Around(
            datastore=DatastoreShown(self._id, datastore.name, datastore.settings.site or fsid[:8]),
            journals=self._runs(), away=_are_away(seen, self._id), fsid=fsid,
            reports=str(front_end_paths().drills) if here else "drills", now=now,
        ))

    def _runs(self) -> list[JournalEntry]:
        """The datastore's, the newest first, read again when one began or ended."""
        newest = journal.newest_keys(self._pool)
        if newest != self._journals[0]:
            found = journal.newest_runs(self._pool, _RUNS_READ)
            found += journal.newest_runs(self._pool, 1, "drill")
            own = {
                entry.run: _without_detail(entry) for entry in found
                if entry.datastore_id in (None, self._id) and entry.result != "REFUSED"
            }
            self._journals = (newest, sorted(own.values(), key=lambda entry: entry.began, reverse=True))
        return self._journals[1]

    def _mark(self, seen: StatusView) -> str:
        """A checksum of what a page shows, without moments: only another one is a change."""
        copies = {name: (copy.complete, copy.primary) for name, copy in seen.copies.by_name.items()}
        about = [
            seen.verdict, seen.copies.peer_status.peer, seen.unprotected,
            seen.lease and (seen.lease.verb, seen.lease.run),
            [(fact.name, fact.mode, fact.primary, fact.complete, fact.stale, fact.problems, _record(fact))
             for fact in seen.facts],
            copies, seen.copies.rehearsed, rehearsals.results(self._pool, self._id),
            journal.newest_keys(self._pool), _are_away(seen, self._id),
        ]
        return hashlib.sha256(repr(about).encode()).hexdigest()

    def _written(self) -> _Written:
        """As the pool notes it. A damaged note counts as none."""
        key = f"{self._id}{place.STATUS}"
        try:
            found = parsed(omap.read_keys(self._pool, place.OBJECT, (key,))[key])
            return _Written(str(found["mark"]), float(found["at"]), int(found["size"]))
        except (KeyError, OverflowError, TypeError, ValueError):
            return _Written()

    def _note(self, written: _Written) -> None:
        text = json.dumps(asdict(written))
        omap.write_keys(self._pool, place.OBJECT, {f"{self._id}{place.STATUS}": text.encode()})


def _record(fact: ImageFacts) -> int:
    return fact.vm.generation if fact.vm is not None else 0


def _without_detail(entry: JournalEntry) -> JournalEntry:
    """What a row of the history needs: a journal of a large run has megabytes."""
    return replace(
        entry, steps=[StepsDone(done.kind, done.at) for done in entry.steps], plan=None, loss={},
        loss_bytes={}, done={}, failed={}, ended={}, warnings={}, rollback={}, unknown={},
    )


def _are_away(seen: StatusView, datastore_id: int) -> bool:
    """Is a VM here locked because its disks in this datastore are written at the other site?"""
    own = opennebula_objects.vms_of_datastore(seen.objects.vms, datastore_id)
    return any(locked_state(attributes(vm, "USER_TEMPLATE")) for vm in own)
