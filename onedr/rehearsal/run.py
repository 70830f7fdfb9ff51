"""A rehearsal at the standby: each VM of the peer is created on hold, compared, and removed.

It holds no lease and changes nothing at the peer, in replication, or of any image: a run that begins
meanwhile is not kept waiting, the turn stops and removes what it made.
"""
from __future__ import annotations

import time
from dataclasses import dataclass

from onedr.ceph import connection, parallel
from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.failover import collect, rehearsal_remnants, target_site
from onedr.host import log
from onedr.host.waiting import wait_until
from onedr.model import template
from onedr.model.errors import (
    FrontEndError,
    OneDRError,
    RefusedError,
    RunInProgressError,
    RunStoppedError,
)
from onedr.model.records import ImageFacts
from onedr.model.rehearsed import Rehearsed, Result
from onedr.model.site_map import Direction
from onedr.model.types import Role
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.protection import rehearsal_timer
from onedr.rehearsal import plan as rehearsal_plan
from onedr.rehearsal.make import Maker
from onedr.rehearsal.plan import RehearsalFacts, RehearsalPlan, came_of
from onedr.replication import image_facts, inventory, peer_ceph, rehearsals
from onedr.replication.inventory import VmItem
from onedr.runs import lease
from onedr.runs.answer_events import RehearsalEvent
from onedr.runs.events import Emit, ProgressEvent
from onedr.runs.request import Request

IF_DUE = "IF_DUE"  # of the timer's request: only what is due, and what a killed turn left
_LIMIT_S = 90  # of one VM
_PATIENCE_S = 3  # whether it is free is asked by taking the lock for a moment
_THREADS = 4  # as a failover creates VMs


def rehearse(target: Datastore, request: Request, emit: Emit, frontend: FrontEnd) -> RehearsalEvent:
    """Rehearse every VM of the peer. Progress goes to `emit`; returns what came of it.

    Raises RefusedError when a run, a drill or another rehearsal is at work on the datastore.
    """
    with connection.connect(target.access) as pool:
        alone = rehearsals.lock(pool, target.datastore_id)
        if not wait_until(alone.acquire, _PATIENCE_S):
            raise RunInProgressError(
                f"A rehearsal of {target.name} is in progress; onedr status {target.name} shows its results."
            )
        try:
            return _Turn(pool, target, emit, frontend, alone).execute(request)
        finally:
            alone.release()


@dataclass
class _Turn:
    """One turn, while its lock is held."""

    pool: Pool
    target: Datastore
    emit: Emit
    frontend: FrontEnd
    alone: ExclusiveLock
    token: str = ""
    lost: bool = False  # the lock: nothing more may be created
    late: bool = False  # a call that was given up may still create something

    def execute(self, request: Request) -> RehearsalEvent:
        left = self._clean()  # what a killed turn made would be in the way
        if not self.target.settings.protect:
            raise RefusedError(f"{self.target.name} is not protected: DR_PROTECT=YES is missing.")
        running, timer = lease.in_force(self.pool), template.get(request.attributes, IF_DUE) == "YES"
        if running is not None and timer:
            return RehearsalEvent(self.target.name, stopped=f"{running.verb} is in progress", left=left)
        if running is not None:
            raise RunInProgressError(
                f"{self.target.name} is not rehearsed while a run is in progress: {lease.describe(running)}."
            )
        images = tuple(image_facts.of_datastore(self.pool, self.target))
        copies = any(image.mode is not None and not image.primary for image in images)
        role = Role.SECONDARY if copies else Role.PRIMARY
        if timer and not rehearsal_timer.is_due(self.pool, self.target, role):
            return RehearsalEvent(self.target.name, left=left)
        now = time.time()
        self.token = rehearsals.begin(self.pool, self.target.datastore_id, now)
        try:
            site = target_site.survey(
                self.frontend, self.target.datastore_id, self.pool, self.target.settings, self._mapping())
            plan = rehearsal_plan.plan_rehearsal(self._facts(site, images), now)
            found, stopped = self._each(plan, Maker(site, self.token))
        finally:
            left = self._clean()
        self._keep(plan, found)
        return RehearsalEvent(self.target.name, tuple(found.values()), stopped, left)

    def _mapping(self) -> Direction | None:
        """As a failover would use it: the newest version of both pools, where the peer's can be read."""
        status = peer_ceph.probe_peer(self.pool, self.target.settings)
        with peer_ceph.peer_pool(status, self.pool.access.pool) as (peer, _):
            return collect.map_in_force(self.pool, self.target, peer)

    def _facts(self, site: target_site.Site, images: tuple[ImageFacts, ...]) -> RehearsalFacts:
        items = inventory.vms(images, self.pool.fsid())
        known = collect.known_here(site, self.frontend, items)
        return RehearsalFacts(self.pool.fsid(), images, target_site.placement_here(site, items), *known)

    def _each(self, plan: RehearsalPlan, maker: Maker) -> tuple[dict[str, Rehearsed], str]:
        """What came of each VM, and why the turn stopped early. One VM never stops another."""
        found = dict(plan.settled)
        for settled in plan.settled.values():
            self._tell(settled)
        items = {item.origin: item for item in plan.create}

        def one(origin: str) -> Rehearsed:
            self._go_on()
            return self._tell(self._tried(items[origin], maker))

        stopped = ""
        for origin, came in parallel.each(
            items, one, _LIMIT_S, _THREADS, lambda _: self._renew()
        ).items():
            if isinstance(came, RunStoppedError):
                stopped = stopped or str(came)
            elif isinstance(came, OneDRError):
                self.late = True
                found[origin] = self._tell(came_of(items[origin], time.time(), Result.NOT_TRIED, str(came)))
            else:
                found[origin] = came
        return found, stopped

    def _go_on(self) -> None:
        """Raises RunStoppedError once a run has begun, which may need the addresses, or the lock is lost."""
        if self.lost:
            raise RunStoppedError("the rehearsal lost its lock.")
        running = lease.current_lease(self.pool)
        if not lease.is_free(running):
            raise RunStoppedError(f"a run began: {running.verb if running else ''}.")

    def _renew(self) -> None:
        """Raises OneDRError when another turn took over: this one has been still for a minute."""
        if not self.alone.acquire():
            self.lost = True
            raise OneDRError("The rehearsal lost its lock; the next one removes what it made.")

    def _clean(self) -> dict[str, str]:
        self._renew()
        remove = rehearsal_remnants.remove if self.late else rehearsal_remnants.settle
        left = remove(self.pool, self.target.datastore_id, self.frontend, self.token)
        for what, why in left.items():
            log.warning(f"the rehearsal's {what} stays: {why}")
        return left

    def _keep(self, plan: RehearsalPlan, found: dict[str, Rehearsed]) -> None:
        before = rehearsals.results(self.pool, self.target.datastore_id)
        rehearsals.save(self.pool, self.target.datastore_id, found.values())
        rehearsals.forget(self.pool, self.target.datastore_id, before.keys() - plan.origins)

    def _tell(self, came: Rehearsed) -> Rehearsed:
        more = f": {came.why}" if came.why else f" in {came.seconds:.1f} s" if came.seconds else ""
        text = f"{came.label} {came.result.value}{more}"
        text += f"; {len(came.differences)} difference(s)" if came.differences else ""
        (log.warning if came.result is Result.REFUSED else log.info)(text)
        self.emit(ProgressEvent(text))
        return came

    def _tried(self, item: VmItem, maker: Maker) -> Rehearsed:
        begun = time.monotonic()
        try:
            found = maker.create(item)
        except OneDRError as error:
            silent = isinstance(error, FrontEndError) and error.code is None
            self.late |= silent
            result = Result.NOT_TRIED if silent else Result.REFUSED  # silence is no answer
            return came_of(item, time.time(), result, str(error), seconds=time.monotonic() - begun)
        return came_of(item, time.time(), Result.ACCEPTED, "", found, time.monotonic() - begun)
