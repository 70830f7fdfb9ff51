"""`disable`: a protected datastore becomes a stock one; VMs run on, nothing of OneDR stays on its images.

Safe to run again.
"""
from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import rados
import rbd

from onedr.ceph import connection, parallel
from onedr.ceph.connection import Pool
from onedr.model import settings as model_settings
from onedr.model import template
from onedr.model.errors import (
    FrontEndError,
    OneDRError,
    PlanRefusedError,
    RefusedError,
    RunInProgressError,
    StorageError,
)
from onedr.model.types import PeerState, Settings
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import contents, disable_plan, enable_plan, keeper_lock
from onedr.protection.disable_plan import DisableFacts
from onedr.protection.enable import (
    ConversionOutcome,
    conversion_verdict,
    datastore_facts,
    describe_conversion,
)
from onedr.protection.enable_plan import DRIVER, STOCK, ConversionItem, ConversionPlan
from onedr.replication import peer_ceph, peer_copies, peer_osds, site_info
from onedr.runs import journal
from onedr.runs import lease as runs_lease
from onedr.runs.events import Emit, ItemEvent
from onedr.runs.request import Request

_STRIP_LIMIT_S = 120
_STRIP_THREADS = 32
_KEEPER_LIMIT_S = 120
_SWEEPS = 3
_PEER_LIMIT_S = 20
_PAUSE_S = 0.3


def disable(
    datastore_id: int, request: Request, emit: Emit, frontend: FrontEnd
) -> ConversionOutcome | None:
    """Make a datastore stock again. Events go to `emit`; returns None after a dry run.

    Raises RefusedError before anything was changed, FrontEndError when oned refuses the stock drivers.
    """
    element = frontend.datastore(datastore_id)
    refusals = datastore_facts(element).refusals()
    if refusals:
        raise RefusedError(" ".join(refusals))
    with connection.connect(ceph_access(attributes(element))) as pool:
        if request.dry_run:
            _refuse_while_running(pool)
            _planned(pool, datastore_id, request, emit, frontend)
            return None
        # whoever runs at the peer holds this site's lease too
        with journal.Run(pool, "disable", by=request.by):
            plan = _planned(pool, datastore_id, request, emit, frontend)
            outcome = _Disable(pool, datastore_id, plan, emit, frontend).execute()
        if not outcome.failed:
            _forget_runs(pool, frontend)
        return outcome


def _planned(
    pool: Pool, datastore_id: int, request: Request, emit: Emit, frontend: FrontEnd
) -> ConversionPlan:
    element = frontend.datastore(datastore_id)
    datastore = datastore_facts(element)
    settings = _settings(datastore)
    items = contents.items(pool, datastore_id, settings, frontend)
    mirrored = [item.name for item in items if item.mode is not None and item.primary]
    seen = peer_copies.collect_copies(pool, settings, mirrored)
    last = journal.last_run(pool)  # nothing runs now: we hold the lease, or looked
    plan = disable_plan.disable_plan(
        DisableFacts(
            datastore,
            request.confirm,
            request.dry_run,
            tuple(_with_copy(item, seen) for item in items),
            contents.vms(datastore_id, frontend),
            interrupted=last.verb if last is not None and last.interrupted else "",
            peer_proven=seen.proven,
        )
    )
    emit(describe_conversion(plan, datastore.name, request.verb))
    if plan.refusals:
        raise PlanRefusedError(" ".join(plan.refusals))
    return plan


def _settings(datastore: enable_plan.DatastoreFacts) -> Settings:
    """Its settings as of a protected datastore: which images say DR_PROTECT=NO shall be seen also when run
    again.
    """
    return replace(model_settings.read_settings(datastore.attributes, datastore.name), protect=True)


def _refuse_while_running(pool: Pool) -> None:
    lease = runs_lease.in_force(pool)
    if lease is not None:
        raise RunInProgressError(
            f"Another run is in progress on this datastore: {runs_lease.describe(lease)}. Wait for it."
        )


def _with_copy(item: ConversionItem, seen: peer_copies.Copies) -> ConversionItem:
    copy = seen.by_name.get(item.name)
    return (
        item if copy is None else replace(item, copied=copy.complete and not copy.primary, split=copy.primary)
    )


def _forget_runs(pool: Pool, frontend: FrontEnd) -> None:
    """The lease's object goes too, unless a journal of past failovers is in it or another datastore uses the
    pool.
    """
    others = [
        other for other in frontend.datastores()
        if other.findtext("DS_MAD") == DRIVER and ceph_access(attributes(other)).pool == pool.access.pool
    ]
    if others:
        return
    peer_osds.forget_osds(pool)
    if not journal.load_runs(pool):
        journal.remove_journals(pool)


class _Disable:
    """One run."""

    def __init__(self, pool: Pool, datastore_id: int, plan: ConversionPlan, emit: Emit, frontend: FrontEnd):
        self.pool, self.datastore_id, self.plan, self.emit, self.frontend = (
            pool,
            datastore_id,
            plan,
            emit,
            frontend,
        )
        self.failed: dict[str, str] = {}
        self.waiting: dict[str, str] = {}
        self.done: set[str] = set()
        self.settings = _settings(datastore_facts(frontend.datastore(datastore_id)))
        self.total = len(plan.to_act())
        self.pause = keeper_lock.KeeperPause(datastore_id)
        self.left = {
            verdict.item.label: verdict.reason for verdict in plan.verdicts if verdict.what == "leave"
        }

    def execute(self) -> ConversionOutcome:
        try:
            self._to_stock()
            self._strip_all(self.plan.to_act())
            self._look_at_peer()
            # what rbd-mirror, which has let go only now, left of a first copy
            self._strip_all(self._remaining())
            if not self.failed:
                self._clean_attributes()
        finally:
            self.pause.release()
        return self._finish()

    def _to_stock(self) -> None:
        """Drivers and DR_PROTECT first: from here on nothing new is mirrored.

        Then the keeper's end is awaited.
        """
        if self.plan.changes:
            try:
                self.frontend.update_datastore(self.datastore_id, self.plan.changes)
            except FrontEndError as error:
                message = f"Nothing was changed: oned refuses to make it a stock datastore. {error}"
                raise FrontEndError(message, error.code) from error
        found = datastore_facts(self.frontend.datastore(self.datastore_id))
        if (found.ds_mad, found.tm_mad) != (STOCK, STOCK) or template.get(
            found.attributes, "DR_PROTECT"
        ).upper() == "YES":
            raise StorageError("oned accepted the update, but the drivers did not change; see oned.log.")
        end = time.monotonic() + _KEEPER_LIMIT_S
        # finding the place taken tells the keeper nothing:
        while not self.pause.take():
            keeper_lock.wake_keeper(self.datastore_id)  # this does, and it ends when it reads DR_PROTECT=NO
            if time.monotonic() > end:
                raise OneDRError(
                    f"The keeper did not end within {_KEEPER_LIMIT_S} s; run onedr disable again."
                )
            time.sleep(_PAUSE_S)

    def _strip_all(self, todo: list[ConversionItem]) -> None:
        """Sweeps, because a driver or hook that began before may still mirror or record something."""
        for _ in range(_SWEEPS):
            if not todo:
                return
            tried = self._sweep(todo)
            todo = self._remaining()
            again = "something of OneDR marks it again and again; is OneDR at work on another front-end?"
            self.failed = {item.label: tried.get(item.label, again) for item in todo}

    def _sweep(self, todo: list[ConversionItem]) -> dict[str, str]:
        """Once over all; returns what failed and why."""
        failed = {}
        for group in disable_plan.children_first(todo, self.pool.access.pool):
            items = {item.name: item for item in group}
            results = parallel.each(items, partial(self._strip, items), _STRIP_LIMIT_S, _STRIP_THREADS)
            failed.update(
                {items[name].label: str(why) for name, why in results.items() if isinstance(why, OneDRError)}
            )
        return failed

    def _strip(self, items: dict[str, ConversionItem], name: str) -> None:
        label = items[name].label
        try:
            contents.strip(self.pool, name)
        except (OneDRError, rados.Error, rbd.Error) as error:
            self.emit(ItemEvent(name, label, "failed", str(error), len(self.done), self.total))
            raise
        self.done.add(label)
        self.emit(ItemEvent(name, label, "done", "stock again", len(self.done), self.total))

    def _remaining(self) -> list[ConversionItem]:
        """What still carries something, of the datastore as it is now."""
        datastore = datastore_facts(self.frontend.datastore(self.datastore_id))
        items = contents.items(self.pool, self.datastore_id, _settings(datastore), self.frontend)
        return [found.item for found in disable_plan.disable_verdicts(items) if found.what == "act"]

    def _look_at_peer(self) -> None:
        """The peer removes its copies by itself; say which are still there after a while."""
        names = {
            item.name: item.label
            for item in self.plan.to_act()
            if item.mode is not None and item.label not in self.failed
        }
        sight = peer_ceph.probe_peer(self.pool, self.settings)
        if not names or sight.peer is not PeerState.ANSWERS or not sight.can_connect:
            return
        end = time.monotonic() + _PEER_LIMIT_S
        try:
            with peer_ceph.open_peer(sight, self.pool.access.pool) as there:
                left = names.keys() & set(there.names())
                while left and time.monotonic() < end:
                    time.sleep(_PAUSE_S)
                    left = names.keys() & set(there.names())
        except OneDRError as error:
            left, why = set(names), f"whether the peer's copy is gone could not be seen: {error}"
        else:
            why = "the peer's copy is still there; its rbd-mirror removes it, if it runs"
        self.waiting = {names[name]: why for name in left}

    def _clean_attributes(self) -> None:
        """Removing an attribute takes a replacing update, which must bring all others along
        (docs/opennebula-facts.md O5).
        """
        found = datastore_facts(self.frontend.datastore(self.datastore_id))
        site_info.withdraw_site_info(self.pool, found.name)
        bound = any(vm.driver == DRIVER for vm in contents.vms(self.datastore_id, self.frontend))
        wanted = disable_plan.stock_attributes(found.attributes, bound)
        if wanted != found.attributes:
            self.frontend.replace_datastore(self.datastore_id, wanted)
            after = attributes(self.frontend.datastore(self.datastore_id))
            lost = [key for key, value in wanted if (key, value) not in after]
            if lost:
                raise StorageError(
                    f"{', '.join(lost)} of the datastore changed while DR_ attributes were removed; set it "
                    "again."
                )

    def _finish(self) -> ConversionOutcome:
        text = (
            f"{len(self.done)} image(s) and disk(s) are stock again, {len(self.failed)} failed, "
            f"{len(self.left)} left alone."
        )
        if self.failed:
            text += (
                " The datastore is stock, its DR_ attributes stay until all is done: run onedr disable again."
            )
        else:
            text += " The datastore is a stock Ceph datastore."
        done = dict.fromkeys(self.done, "stock again")
        self.emit(conversion_verdict(text, done, self.failed, self.waiting, self.left, self.plan))
        return ConversionOutcome(text, self.failed, self.waiting)
