"""The verb that shows the runs."""
from __future__ import annotations

from onedr.ceph import connection
from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.model import template
from onedr.model.errors import InputError
from onedr.runs import history as runs_history
from onedr.runs import journal
from onedr.runs.answer_events import ChainEvent, HistoryEvent
from onedr.runs.request import Request


def history(data: ActionData, request: Request) -> None:
    """All runs, or the one named by the attribute RUN; or whether they are as they were left (VERIFY)."""
    wanted = template.get(request.attributes, "RUN")
    with connection.connect(data.access) as pool:
        if ("VERIFY", "YES") in request.attributes:
            emit(ChainEvent(data.datastore_name, **vars(journal.verify_chain(pool))))
            return
        runs = journal.load_runs(pool)
        in_progress, measured = journal.in_progress(pool, runs), journal.load_measured(pool)
    if wanted and wanted not in runs:
        name = data.datastore_name
        raise InputError(f"There is no run {wanted!r} on {name}; onedr history {name} lists them.")
    shown = {
        name: runs_history.with_measured(runs_history.judged(run, in_progress), measured.get(name, {}))
        for name, run in runs.items() if wanted in ("", name)
    }
    emit(HistoryEvent(data.datastore_name, {name: run.to_json() for name, run in shown.items()}))
