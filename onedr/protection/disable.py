"""`disable`: turn a protected datastore into a stock one. VMs keep running; nothing of OneDR remains on the
images.

It may be repeated.
"""
from __future__ import annotations

from dataclasses import replace
from functools import partial

import rados
import rbd

from onedr.ceph import connection, parallel
from onedr.ceph.connection import Pool
from onedr.document import place
from onedr.failover import rehearsal_remnants
from onedr.host.waiting import attempts, wait_until
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
from onedr.model.text import together
from onedr.model.types import DRIVER, STOCK_DRIVER, Settings
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import (
    age_history,
    contents,
    disable_plan,
    enable_plan,
    hook_lag,
    keeper_lock,
    passes,
    points,
    pool_settings,
    quiet_disks,
    report_timer,
    settle,
    vm_display,
)
from onedr.protection.disable_plan import DisableFacts
from onedr.protection.enable import (
    ConversionOutcome,
    conversion_verdict,
    datastore_facts,
    describe_conversion,
)
from onedr.protection.enable_plan import ConversionItem, ConversionPlan
from onedr.replication import (
    copy_turns,
    map_store,
    peer_ceph,
    peer_copies,
    peer_osds,
    plan_store,
    rehearsals,
    site_info,
)
from onedr.runs import datastore_message, journal
from onedr.runs import lease as runs_lease
from onedr.runs.events import Emit, ItemEvent
from onedr.runs.request import Request

_STRIP_LIMIT_S = 120
_STRIP_THREADS = 32
_KEEPER_LIMIT_S = 120
_REHEARSAL_LIMIT_S = 150  # its lock expires a minute after it was killed; a call of its may take 90 s
_SWEEPS = 3
_PEER_LIMIT_S = 20
_PAUSE_S = 0.3


def disable(
    datastore_id: int, request: Request, emit: Emit, frontend: FrontEnd
) -> ConversionOutcome | None:
    """Turn a datastore into a stock one. Events go to `emit`. Returns None after a dry run.

    Raises RefusedError before anything is changed, FrontEndError when oned refuses the stock drivers.
    """
    element = frontend.datastore(datastore_id)
    refusals = datastore_facts(element).refusals()
    if refusals:
        raise RefusedError(together(refusals))
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
    items = contents.collect_items(pool, datastore_id, settings, frontend)
    mirrored = [item.name for item in items if item.mode is not None and item.primary]
    seen = peer_copies.collect_copies(pool, settings, mirrored)
    # no run is active: we hold the lease, or have checked it
    last = journal.last_run(pool, datastore_id=datastore_id)
    plan = disable_plan.disable_plan(
        DisableFacts(
            datastore,
            request.confirm,
            request.dry_run,
            tuple(_with_copy(item, seen) for item in items),
            contents.vms_of_datastore(datastore_id, frontend),
            interrupted=last.verb if last is not None and last.interrupted else "",
            peer_proven=seen.proven,
            rehearsed=bool(rehearsals.made(pool, datastore_id)),
        )
    )
    emit(describe_conversion(plan, datastore.name, request.verb))
    if plan.refusals:
        raise PlanRefusedError(together(plan.refusals))
    return plan


def _settings(datastore: enable_plan.DatastoreFacts) -> Settings:
    """The settings with DR_PROTECT=YES, so that images with DR_PROTECT=NO
    are recognised in a repeated run too.
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
    """Remove the object of lease and journal,
    unless it has a journal of past runs or another datastore uses the pool.
    """
    others = [
        other for other in frontend.datastores()
        if other.findtext("DS_MAD") == DRIVER and ceph_access(attributes(other)).pool == pool.access.pool
    ]
    if others:
        return
    peer_osds.forget_osds(pool)
    copy_turns.forget(pool)
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
            self._end_rehearsals()
            self._to_stock()
            self._strip_all(self.plan.to_act())
            self._wait_for_peer()
            # what rbd-mirror left of an initial copy that it stopped only now
            self._strip_all(self._remaining())
            if not self.failed:
                self._clean_attributes()
        finally:
            self.pause.release()
        return self._finish()

    def _end_rehearsals(self) -> None:
        """While the drivers are ours: the stock ones cannot delete an image without data. Raises RefusedError
        before anything else is changed; a rehearsal at work stops by itself, because a run has begun.
        """
        alone = rehearsals.lock(self.pool, self.datastore_id)
        if not wait_until(alone.acquire, _REHEARSAL_LIMIT_S, _PAUSE_S):
            raise RunInProgressError("A rehearsal is in progress and did not end. Run onedr disable again.")
        try:
            left = rehearsal_remnants.settle(self.pool, self.datastore_id, self.frontend)
        finally:
            alone.release()
        if left:
            named = "; ".join(f"{what}: {why}" for what, why in left.items())
            raise RefusedError(
                f"Nothing was changed: a rehearsal left {named}. Then run onedr disable again."
            )

    def _to_stock(self) -> None:
        """Change drivers and DR_PROTECT first, so that nothing new is mirrored.
        Then wait for the keeper to end.
        """
        settle.end(self.pool, self.datastore_id)  # else they would be put back
        if self.plan.changes:
            try:
                self.frontend.update_datastore(self.datastore_id, self.plan.changes)
            except FrontEndError as error:
                message = f"Nothing was changed: oned refuses to make it a stock datastore. {error}"
                raise FrontEndError(message, error.code) from error
        found = datastore_facts(self.frontend.datastore(self.datastore_id))
        if (found.ds_mad, found.tm_mad) != (STOCK_DRIVER, STOCK_DRIVER) or template.get(
            found.attributes, "DR_PROTECT"
        ).upper() == "YES":
            raise StorageError("oned accepted the update, but the drivers did not change; see oned.log.")
        if not wait_until(self._pause_keeper, _KEEPER_LIMIT_S, _PAUSE_S):
            raise OneDRError(f"The keeper did not end within {_KEEPER_LIMIT_S} s; run onedr disable again.")

    def _pause_keeper(self) -> bool:
        """Returns whether no keeper runs. A keeper that is woken reads DR_PROTECT=NO and ends."""
        if self.pause.take():
            return True
        keeper_lock.wake_keeper(self.datastore_id)
        return False

    def _strip_all(self, todo: list[ConversionItem]) -> None:
        """Several passes, because a driver or hook that started earlier may still mirror or record something.
        """
        for _ in range(_SWEEPS):
            if not todo:
                return
            tried = self._sweep(todo)
            todo = self._remaining()
            again = (
                "OneDR's metadata reappears on it; check whether another front-end still runs OneDR for this "
                "datastore"
            )
            self.failed = {item.label: tried.get(item.label, again) for item in todo}

    def _sweep(self, todo: list[ConversionItem]) -> dict[str, str]:
        """One pass over all items. Returns what failed and why."""
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
            contents.strip_image(self.pool, name)
        except (OneDRError, rados.Error, rbd.Error) as error:
            self.emit(ItemEvent(name, label, "failed", str(error), len(self.done), self.total))
            raise
        self.done.add(label)
        self.emit(ItemEvent(name, label, "done", "stock again", len(self.done), self.total))

    def _remaining(self) -> list[ConversionItem]:
        """The items of the datastore that still have something of OneDR."""
        datastore = datastore_facts(self.frontend.datastore(self.datastore_id))
        items = contents.collect_items(self.pool, self.datastore_id, _settings(datastore), self.frontend)
        return [found.item for found in disable_plan.disable_verdicts(items) if found.what == "act"]

    def _wait_for_peer(self) -> None:
        """The peer removes its copies itself. Report those that still exist after a while."""
        names = {
            item.name: item.label
            for item in self.plan.to_act()
            if item.mode is not None and item.label not in self.failed
        }
        status = peer_ceph.probe_peer(self.pool, self.settings)
        if not names or status.refusal:
            return
        left: set[str] = set()
        try:
            with peer_ceph.open_peer(status, self.pool.access.pool) as there:
                for _ in attempts(_PEER_LIMIT_S, _PAUSE_S):
                    left = names.keys() & set(there.names())
                    if not left:
                        break
        except OneDRError as error:
            left, why = set(names), f"could not check whether the peer's copy is gone: {error}"
        else:
            why = "the peer's copy still exists; its rbd-mirror removes it when it runs"
        self.waiting = {names[name]: why for name in left}

    def _clean_attributes(self) -> None:
        """Attributes can only be removed by a replacing update, which must contain all others
        (docs/opennebula-facts.md O5).
        """
        found = datastore_facts(self.frontend.datastore(self.datastore_id))
        site_info.withdraw_site_info(self.pool, found.name)
        map_store.MAPPINGS.forget(self.pool, found.name)
        plan_store.PLANS.forget(self.pool, found.name)
        pool_settings.forget_known(self.pool, self.datastore_id)
        quiet_disks.forget(self.pool, self.datastore_id)
        datastore_message.forget(self.pool, self.datastore_id)
        passes.forget(self.pool, self.datastore_id)
        points.forget(self.pool, self.datastore_id)
        hook_lag.forget(self.pool, self.datastore_id)
        age_history.forget(self.pool, self.datastore_id)
        report_timer.forget(self.pool, self.datastore_id)
        rehearsals.forget_all(self.pool, self.datastore_id)
        self._remove_document()
        self.waiting.update(vm_display.remove(self.frontend, self.datastore_id))
        bound = any(vm.driver == DRIVER for vm in contents.vms_of_datastore(self.datastore_id, self.frontend))
        wanted = disable_plan.stock_attributes(found.attributes, bound)
        if wanted != found.attributes:
            self.frontend.replace_datastore(self.datastore_id, wanted)
            after = attributes(self.frontend.datastore(self.datastore_id))
            lost = [key for key, value in wanted if (key, value) not in after]
            if lost:
                raise StorageError(
                    f"{', '.join(lost)} of the datastore changed while DR_ attributes were removed; set it "
                    "again with onedatastore update."
                )

    def _remove_document(self) -> None:
        try:
            place.remove(self.pool, self.datastore_id, self.frontend)
        except FrontEndError as error:  # somebody locked it
            self.waiting["its document"] = f"it is not removed, run onedr disable again: {error}"

    def _finish(self) -> ConversionOutcome:
        text = (
            f"{len(self.done)} image(s) and disk(s) are stock again, {len(self.failed)} failed, "
            f"{len(self.left)} left alone."
        )
        if self.failed:
            text += (
                " The datastore uses the stock drivers, but keeps its DR_ attributes until all items are "
                "done. Run onedr disable again."
            )
        else:
            text += " The datastore is now a stock Ceph datastore."
        done = dict.fromkeys(self.done, "stock again")
        self.emit(conversion_verdict(text, done, self.failed, self.waiting, self.left, self.plan))
        return ConversionOutcome(text, self.failed, self.waiting)
