"""What a verb tells, in the datastore's document too: RUN while a run lasts, and PLAN (docs/document.md).

RUN is written by a thread of its own: a run never waits for a front-end that is slow, and none fails by it.
"""
from __future__ import annotations

import threading
import time

import rados

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.document import fit_rules, place
from onedr.document.form import DatastoreShown, PlanPart, RunPart
from onedr.document.plan_part import PLANS, Asked, RunPlan, plan_part, without_plan
from onedr.document.run_part import RunTracker, is_news
from onedr.host import log, threads
from onedr.model.errors import OneDRError
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.protection import keeper_lock
from onedr.runs.events import Event
from onedr.runs.request import Request

_EVERY_S, _LONGEST_S = 3.0, 60.0  # between writes, and after several that failed
_LIMIT_S, _PLAN_LIMIT_S, _END_LIMIT_S = 10, 30, 15
_NONE = "null"


class RunEcho:
    """RUN of one run. `take` is called by whichever thread tells an event."""

    def __init__(self, target: Datastore, request: Request):
        self._target = target
        self._tracker, self._telling = RunTracker(request), threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, event: Event) -> None:
        """Note an event; the first plan that is not refused begins to be shown."""
        with self._telling:
            self._tracker.take(event, time.time())
            if self._thread is None and self._tracker.running:
                self._thread = threads.start(self._show)

    def close(self) -> None:
        """The run ended: RUN is emptied, and the keeper looks what it left."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(_END_LIMIT_S)
        if self._thread is not None or self._tracker.ended:
            keeper_lock.wake_keeper(self._target.datastore_id)

    def _show(self) -> None:
        try:
            with connection.connect(self._target.access, _LIMIT_S, _LIMIT_S) as pool:
                self._write_all(pool)
        except (OneDRError, rados.Error) as error:
            log.warning(f"the document does not show this run: {error}")

    def _write_all(self, pool: Pool) -> None:
        document = place.Document(pool, self._target.datastore_id, FrontEnd(limit_s=_LIMIT_S))
        place.note_run(pool, self._target.datastore_id, time.time())
        pause_s, last = _EVERY_S, None
        parts = {PlanPart.name: _NONE}  # a plan of before is out of date
        while not self._over.is_set():
            with self._telling:
                part = self._tracker.part(time.time())
            if last is None or is_news(last, part):
                pause_s = self._try(document, {**parts, RunPart.name: fit_rules.text_of(part)}, pause_s)
                last = part
                parts = parts if pause_s > _EVERY_S else {}
            self._over.wait(pause_s)
        document.put({**parts, RunPart.name: _NONE})
        place.forget_run(pool, self._target.datastore_id)

    @staticmethod
    def _try(document: place.Document, parts: dict[str, str], pause_s: float) -> float:
        """Returns the seconds until the next write."""
        try:
            document.put(parts)
            return _EVERY_S
        except (OneDRError, rados.Error) as error:
            if pause_s == _EVERY_S:
                log.warning(f"the document does not show how far this run is: {error}")
            return min(pause_s * 2, _LONGEST_S)


class PlanEcho:
    """PLAN of one dry run. `verb`: a word of DR_PLAN."""

    def __init__(self, target: Datastore, verb: str, request: Request):
        self._target, self._verb, self._request = target, verb, request
        self._plan: RunPlan | None = None
        self._error = "the dry run told no plan"

    def take(self, event: Event) -> None:
        """Keep the plan."""
        if isinstance(event, PLANS):
            self._plan = event

    def failed(self, error: Exception) -> None:
        """Why there is no plan."""
        self._plan, self._error = None, str(error)

    def put(self) -> None:
        """Write PLAN. Raises OneDRError, rados.Error."""
        target = self._target
        with connection.connect(target.access, _LIMIT_S, _LIMIT_S) as pool:
            site = target.settings.site or pool.fsid()[:8]
            shown = DatastoreShown(target.datastore_id, target.name, site)
            asked, now = Asked(shown, self._verb, self._request), time.time()
            plan = self._plan
            part = without_plan(asked, now, self._error) if plan is None else plan_part(asked, plan, now)
            document = place.Document(pool, target.datastore_id, FrontEnd(limit_s=_PLAN_LIMIT_S))
            document.put({PlanPart.name: fit_rules.text_of(part)})
