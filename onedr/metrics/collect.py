"""Everything that is measured of a datastore, read once."""
from __future__ import annotations

from onedr.ceph import cluster_info, connection
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model.errors import StorageError
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.protection import hook_lag, passes, status
from onedr.replication import peer_ceph, rehearsals
from onedr.runs import history, journal
from onedr.runs.answer_events import ObservedEvent, RunSeen
from onedr.runs.journal_entry import JournalEntry

_RUNS_READ = 30  # newest ones; journals are never deleted
_DRILL = "drill"


def observe(datastore: Datastore, frontend: FrontEnd) -> ObservedEvent:
    """Read-only. Raises StorageError, rados.Error, rbd.Error."""
    with connection.connect(datastore.access) as pool:
        sight = peer_ceph.begin_probe(pool, datastore.settings)
        seen = status.collect_status(pool, datastore, frontend, sight, with_rehearsals=True)
        used, free = _space(pool)
        return ObservedEvent(
            datastore=datastore.name,
            datastore_id=datastore.datastore_id,
            status=status.shown(pool, datastore, seen),
            runs=_newest_by_verb(journal.newest_runs(pool, _RUNS_READ)),
            good_drill=_good_drill(pool),
            rehearsed=rehearsals.last_turn(pool, datastore.datastore_id) or None,
            last_pass=passes.last_pass(pool, datastore.datastore_id),
            last_hook=hook_lag.last(pool, datastore.datastore_id),
            used_bytes=used,
            free_bytes=free,
            daemons=_daemons(pool),
        )


def _newest_by_verb(runs: list[JournalEntry]) -> tuple[RunSeen, ...]:
    """Runs that ended; the newest first."""
    found: dict[str, RunSeen] = {}
    for run in runs:
        if run.interrupted or run.result == "REFUSED" or run.updated is None:
            continue
        row = history.row(run)
        found.setdefault(
            run.verb, RunSeen(run.verb, run.result, run.updated, run.took_s, row.rto_s, row.rpo_s)
        )
    return tuple(found.values())


def _good_drill(pool: Pool) -> float | None:
    drills = journal.newest_runs(pool, _RUNS_READ, _DRILL)
    return next((run.updated for run in drills if run.result == "DONE" and not run.failed), None)


def _space(pool: Pool) -> tuple[int | None, int | None]:
    try:
        used, free, _ = cluster_info.pool_space(pool)
    except StorageError as error:
        log.warning(str(error))
        return None, None
    return used, free


def _daemons(pool: Pool) -> int | None:
    try:
        return cluster_info.mirror_daemon_count(pool)
    except StorageError as error:
        log.warning(str(error))
        return None
