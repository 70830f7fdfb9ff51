"""The keeper, the background worker: it tracks initial copies, writes time marks and shows the state in the
datastore's attributes.

One short-lived process for each datastore, woken by drivers, hooks and the datastore's monitor action. It
ends after LIFE_S, when its front-end stops answering, or at once when another one runs. Its process:
`onedr.driver.keeper_process`.
"""
from __future__ import annotations

import time
from contextlib import suppress

import rbd

from onedr.ceph.connection import Pool
from onedr.host import config as host_config
from onedr.host import log
from onedr.host.waiting import wait_until
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.model.types import Mode, PeerState, Role, Settings
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.datastores import Datastore
from onedr.protection import (
    age_history,
    flatten,
    glance,
    keep_document,
    keeper_lock,
    pace,
    points,
    reconcile,
    rehearsal_timer,
    report_timer,
    schedule_rules,
    settle,
    snapshot_schedule,
    status,
    vm_display,
)
from onedr.protection.pace import MARK_INTERVAL_S, MIN_INTERVAL_S, PASS_INTERVAL_S
from onedr.protection.reconcile import Report
from onedr.protection.time_marks import TimeMarks
from onedr.replication import copy_turns
from onedr.replication.mirror_image import note_problem
from onedr.runs import datastore_message

LIFE_S = 330  # after it was woken; a little longer than oned's default monitor interval, which wakes it again
MOST_LIFE_S = 1800  # then a new process takes over
MAX_LIFE_S = 4 * 3600  # while disks are being flattened; an interrupted flatten is resumed


class Keeper:
    """The work of one keeper.

    `run_pass` runs once; `keep` repeats it, and writes time marks in between, until its time is over.
    """

    def __init__(self, pool: Pool, datastore_id: int, frontend: FrontEnd):
        self._pool, self._id, self._frontend = pool, datastore_id, frontend
        self._marks = TimeMarks(pool, datastore_id)
        self._points = points.Points(pool, datastore_id)
        self._document = keep_document.KeptDocument(pool, datastore_id, frontend)
        self._display = vm_display.VmDisplay(datastore_id, frontend)
        self._mirrored: set[str] = set()
        self._report = Report()
        self._known: dict[int, str] = {}  # VMs that needed nothing (settled.PoolView)
        self._peer_answers = False
        self._point_shown = -PASS_INTERVAL_S
        self._pass_cost_s = 0.0  # of the processor, for the last pass
        self._seen = ""  # by the glance before it
        self._datastore: Datastore | None = None
        self._flattener = flatten.Flattener(pool, Settings())
        at_once = host_config.limits().flatten_at_once
        self._queue = flatten.Queue(self._flattener, flatten.flatten_lock(pool, datastore_id), at_once)
        self._flattened = 0  # how many of the queue's ends were seen

    def keep(self, life_s: float) -> None:
        """Work for `life_s` seconds, or until this site is no longer the primary.

        Raises OneDRError when Ceph or the front-end does not answer.
        """
        try:
            self._keep(life_s)
        finally:
            self._queue.stop()  # a remaining lock would delay a VM by 30 s
            self._points.release()
            self._document.finish()

    def _keep(self, life_s: float) -> None:
        begun = time.monotonic()
        ends, next_pass, next_full, earliest, reminded_at = begun + life_s, 0.0, 0.0, 0.0, 0.0
        pause_s, through = MIN_INTERVAL_S, False
        # no `waiting.attempts`: a life with a pace of its own, longer while clones are flattened
        while time.monotonic() < (begun + MAX_LIFE_S if self._queue.busy else ends):
            through = self._advance_clones() or through
            now = time.monotonic()
            news = now >= earliest and (keeper_lock.has_news(self._id) or through)
            may_last = now < begun + MOST_LIFE_S - life_s  # else the next process takes the reminder
            reminded = may_last and now >= reminded_at and keeper_lock.is_reminded(self._id)
            if news or reminded or now >= next_pass:
                through = False
                if news or reminded:
                    ends = max(ends, min(now + life_s, begun + MOST_LIFE_S))
                if news or now >= next_full or self._changed():
                    if self._timed_pass() is not Role.PRIMARY:
                        return
                    next_full = time.monotonic() + pace.full_pause_s(self._pass_cost_s)
                pause_s, now = self._pause(MIN_INTERVAL_S if news else pause_s), time.monotonic()
                earliest = now + pace.busy_pause_s(self._pass_cost_s)
                reminded_at = now + pace.reminded_pause_s(self._pass_cost_s)
                next_pass = max(now + pause_s, earliest)
            self._marks.turn()
            self._points.turn()
            self._display.turn()
            self._document.turn()
            self._wait(
                MIN_INTERVAL_S if self._report.awaiting or self._queue.busy else min(pause_s, MARK_INTERVAL_S)
            )

    def _advance_clones(self) -> bool:
        """Mirror clones whose base has arrived, and flatten clones. Returns whether any was completed."""
        self._queue.step()
        flatten.cancel_removed(self._pool, self._queue)
        for name, text in self._queue.running().items():
            with suppress(rbd.ImageNotFound):
                note_problem(self._pool, name, text)
        before, self._flattened = self._flattened, self._queue.finished
        admitted = self._datastore is not None and reconcile.mirror_awaiting(
            self._pool, self._datastore, self._report
        )
        return admitted or self._flattened > before

    def _pause(self, last_s: float) -> float:
        """Seconds until the next pass: short while initial copies are outstanding,
        increasing when they take long.
        """
        if not self._mirrored - self._marks.complete or not self._peer_answers:
            return pace.quiet_pause_s(self._pass_cost_s)
        return min(last_s * 1.3, PASS_INTERVAL_S)

    def _wait(self, seconds: float) -> None:
        time.sleep(MIN_INTERVAL_S)
        wait_until(lambda: keeper_lock.has_news(self._id, peek=True), seconds - MIN_INTERVAL_S, 0.2)

    def _changed(self) -> bool:
        """Is there something for a pass to do? Without a glance before the last one, or after one that left
        something to do, there may be.
        """
        return not self._seen or glance.look(self._pool, self._id, self._frontend) != self._seen

    def _timed_pass(self) -> Role:
        """A pass; before one that costs much, a glance: what changes meanwhile is seen by the next one."""
        worth = not self._pass_cost_s or self._is_costly()
        self._seen = glance.look(self._pool, self._id, self._frontend) if worth else ""
        begun, clock = time.process_time(), time.monotonic()
        try:
            role = self.run_pass()
        finally:
            self._pass_cost_s = time.process_time() - begun
            if self._has_more_to_do() or not self._is_costly():
                self._seen = ""
        if self._datastore is not None and self._datastore.settings.protect:
            reconcile.note_pass(self._pool, self._id, self._report, time.monotonic() - clock)
        return role

    def _has_more_to_do(self) -> bool:
        """Also in snapshot mode: whether Ceph takes its snapshots is seen by passes only."""
        report, datastore = self._report, self._datastore
        unfinished = report.failed or report.waiting or report.awaiting or report.flattened
        incomplete = not self._peer_answers or self._mirrored - self._marks.complete
        return bool(unfinished or incomplete or datastore is None or datastore.settings.mode is Mode.SNAPSHOT)

    def _is_costly(self) -> bool:
        return pace.full_pause_s(self._pass_cost_s) > PASS_INTERVAL_S

    def run_pass(self) -> Role:
        """Reconcile, check the copies, mark completed ones, show the state. Returns this site's role."""
        began = time.time()
        self._settle()
        self._datastore = datastore = datastores.from_element(self._frontend.datastore(self._id))
        self._flattener.settings = datastore.settings
        self._report = report = reconcile.reconcile_pool(
            self._pool, datastore, self._frontend, queue=self._queue, known=self._known
        )
        self._mirrored = report.mirrored
        since = time.time()
        seen = status.collect_status(self._pool, datastore, self._frontend, with_rehearsals=True)
        self._peer_answers = seen.copies.peer_status.peer is PeerState.ANSWERS
        self._marks.take(seen, report, datastore.settings.rpo_s)
        copy_turns.settle(self._pool, datastore.settings, self._marks.complete, began)
        by_snapshot = {fact.name for fact in seen.facts if fact.mode is Mode.SNAPSHOT}
        self._take_due_snapshots(datastore, seen, by_snapshot & self._marks.complete)
        self._points.take(seen.facts, datastore.settings, self._marks.complete, report.clock_sure)
        self._show(seen)
        self._display.take(seen, datastore.settings)
        age_history.look(self._pool, datastore, seen, time.time())
        self._document.take(datastore, seen, since)
        rehearsal_timer.look(self._pool, datastore, seen.verdict.role)
        report_timer.look(self._pool, datastore)
        return seen.verdict.role

    def _settle(self) -> None:
        """Put back what an update took away, where the hook did not."""
        try:
            settle.put_right(self._pool, self._id, self._frontend)
        except OneDRError as error:  # it is tried again in the next pass; protection goes on
            log.warning(f"attributes were not put right: {error}")

    def _take_due_snapshots(self, datastore: Datastore, seen: status.StatusView, names: set[str]) -> None:
        """The mirror snapshots that Ceph's manager should have taken and did not."""
        if datastore.settings.mode is not Mode.SNAPSHOT:
            return
        facts, runs = [fact for fact in seen.facts if fact.name in names], self._report.manager_runs
        points = {fact.name: status.point_of(fact, seen) for fact in facts}
        schedules = {
            fact.name: schedule_rules.schedule_of_image(fact, datastore.settings) for fact in facts
        }
        patience = {name: schedule_rules.patience_s(each, runs) for name, each in schedules.items()}
        due = schedule_rules.late(points, patience, time.time())
        for name, why in snapshot_schedule.take_due(self._pool, due).items():
            log.warning(f"no mirror snapshot of {name} was taken: {why}")

    def _show(self, seen: status.StatusView) -> None:
        points = [status.point_of(fact, seen) for fact in seen.facts if fact.mode is not None]
        known = [point for point in points if point is not None]
        current, message = status.attributes_of(seen), status.public_message(seen)
        if known and len(known) == len(points):
            current["DR_RECOVERY_POINT"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(known)))
        there = attributes(self._frontend.datastore(self._id))
        shown = template.get(there, "DR_MESSAGE")
        datastore_message.adopt(self._pool, self._id, shown, time.time())
        changed = {key: value for key, value in current.items() if template.get(there, key) != value}
        if shown != datastore_message.joined(message, self._beside()):
            datastore_message.show(self._frontend, self._id, tuple(changed.items()), message, self._beside)
        elif set(changed) - {"DR_RECOVERY_POINT"} or self._point_is_old(changed):
            self._frontend.update_datastore(self._id, tuple(changed.items()))
        if "DR_STATE" in changed:
            log.info(f"{changed['DR_STATE']}: {message}")

    def _beside(self) -> str:
        return status.beside(self._pool, self._id)

    def _point_is_old(self, changed: dict[str, str]) -> bool:
        """If only the recovery point changed, it is written every PASS_INTERVAL_S,
        because each update makes oned run hooks.
        """
        now = time.monotonic()
        if "DR_RECOVERY_POINT" not in changed or now - self._point_shown < PASS_INTERVAL_S:
            return False
        self._point_shown = now
        return True
