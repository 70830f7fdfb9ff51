"""Everything that a report shows of a datastore, read once."""
from __future__ import annotations

import time

from onedr.ceph import connection
from onedr.check import run as check_run
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.protection import age_history, report_timer, status
from onedr.replication import rehearsals
from onedr.runs import history, journal
from onedr.runs.answer_events import ReportEvent
from onedr.runs.request import Request

KEPT = "KEPT"  # attribute of the request: it is the report of the night
_RUNS_READ = 40  # newest ones; journals are never deleted


def collect(datastore: Datastore, frontend: FrontEnd, request: Request) -> ReportEvent:
    """Read-only, but for the note that the report of the night was made. Raises StorageError, rados.Error,
    rbd.Error.
    """
    number, now = datastore.datastore_id, time.time()
    found = check_run.described(check_run.check(datastore))
    with connection.connect(datastore.access) as pool:
        seen = status.collect_status(pool, datastore, frontend, with_rehearsals=True)
        newest = journal.newest_runs(pool, _RUNS_READ)
        runs = {entry.run: entry for entry in reversed(newest)}
        in_progress, measured = journal.in_progress(pool, runs), journal.load_measured(pool)
        report = ReportEvent(
            datastore=datastore.name,
            site=datastore.settings.site or pool.fsid()[:8],
            at=now,
            by=f"{request.by} ({request.trigger})",
            status=status.shown(pool, datastore, seen),
            findings=found,
            ages=age_history.history(pool, number, now),
            runs={
                name: history.with_measured(
                    history.judged(run, in_progress), measured.get(name, {})
                ).to_json()
                for name, run in runs.items()
            },
            rehearsed=rehearsals.last_turn(pool, number) or None,
        )
        if (KEPT, "YES") in request.attributes:
            report_timer.note_made(pool, number, now)
    return report
