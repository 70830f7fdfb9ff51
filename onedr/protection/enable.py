"""`enable`: protect a stock Ceph datastore with running VMs. No data is moved and no VM is stopped.

It may be repeated.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from lxml import etree

from onedr.ceph import connection, mirroring, parallel, space
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model import template
from onedr.model.errors import FrontEndError, OneDRError, PlanRefusedError, RefusedError, StorageError
from onedr.model.names import is_managed
from onedr.model.template import Pairs
from onedr.model.types import DRIVER, Settings
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import contents, enable_plan, keeper_lock, reconcile, settle
from onedr.protection.enable_plan import ConversionItem, ConversionPlan
from onedr.replication import image_claims, peer_ceph
from onedr.replication.mirror_image import note_problem, parent_of
from onedr.runs import journal
from onedr.runs.events import Emit, ItemEvent, VerdictEvent
from onedr.runs.plan_events import ConversionItemShown, ConversionPlanEvent
from onedr.runs.request import Request

_PEER_LIMIT_S = 10
_SYSTEM_DATASTORE = "1"
_LISTS = (("TM_MAD", "ARGUMENTS"), ("DATASTORE_MAD", "ARGUMENTS"))


@dataclass(frozen=True)
class ConversionOutcome:
    """The result; `failed` and `waiting` by item."""

    message: str
    failed: dict[str, str]
    waiting: dict[str, str]


def enable(
    datastore_id: int, request: Request, emit: Emit, frontend: FrontEnd
) -> ConversionOutcome | None:
    """Protect a datastore with the DR_ attributes of the request. Events go to `emit`; None after a dry run.

    Raises RefusedError with all blockers before anything is changed, FrontEndError when oned refuses the
    drivers.
    """
    element = frontend.datastore(datastore_id)
    refusals = datastore_facts(element).refusals()
    if refusals:
        raise RefusedError(" ".join(refusals))
    with connection.connect(ceph_access(attributes(element))) as pool:
        plan = enable_plan.enable_plan(_facts(pool, element, request.attributes, frontend))
        emit(describe_conversion(plan, str(element.findtext("NAME")), request.verb))
        if plan.refusals:
            raise PlanRefusedError(" ".join(plan.refusals))
        if request.dry_run:
            return None
        with journal.Run(pool, "enable", by=request.by):
            return _Enable(pool, datastore_id, plan, emit, frontend).execute()


def datastore_facts(element: etree._Element) -> enable_plan.DatastoreFacts:
    """The facts about a `<DATASTORE>`."""
    return enable_plan.DatastoreFacts(
        str(element.findtext("NAME")), str(element.findtext("TYPE")), str(element.findtext("DS_MAD")),
        str(element.findtext("TM_MAD")), attributes(element),
    )


def describe_conversion(plan: ConversionPlan, name: str, verb: str) -> ConversionPlanEvent:
    """The plan as an event, shown before anything is changed."""
    items = tuple(
        ConversionItemShown(
            verdict.item.name, verdict.item.label, verdict.item.size, verdict.what, verdict.reason
        )
        for verdict in plan.verdicts
    )
    return ConversionPlanEvent(
        name, verb, tuple(plan.refusals), tuple(plan.warnings), dict(plan.changes), tuple(plan.steps), items
    )


def _facts(
    pool: Pool, element: etree._Element, requested: Pairs, frontend: FrontEnd
) -> enable_plan.EnableFacts:
    datastore, datastore_id = datastore_facts(element), number(element, "ID")
    facts = enable_plan.EnableFacts(datastore, requested, pool_problem=mirroring.pool_ready(pool) or "")
    refused = enable_plan.enable_plan(replace(facts, systems=(DRIVER,))).refusals
    if refused:  # not a suitable datastore or bad attributes: nothing more can be collected
        return facts
    settings = enable_plan.settings_of(datastore, requested)
    items = tuple(
        replace(item, parent_bytes=_parent_bytes(pool, item))
        if enable_plan.flattens(settings) and item.parent and item.primary
        else item
        for item in contents.collect_items(pool, datastore_id, settings, frontend)
    )
    seen = _peer(pool, settings, [item.name for item in items if item.exists])
    need = enable_plan.bytes_needed(items, settings)
    return replace(
        facts,
        items=items,
        vms=contents.vms_of_datastore(datastore_id, frontend),
        one_way=mirroring.is_one_way(pool),
        unknown_to_oned=unknown_to_oned(frontend),
        systems=_systems(element, frontend),
        there=seen.names,
        split=seen.split,
        shortage=(space.shortage(pool, pool.access.data_pool or pool.access.pool, need) or "")
        if need
        else "",
        free_there=seen.free,
    )


def _parent_bytes(pool: Pool, item: ConversionItem) -> int:
    with pool.image(item.name, read_only=True) as image:
        parent = parent_of(image)
        return space.snapshot_bytes(pool, parent, int(image.size())) if parent else 0


def _systems(element: etree._Element, frontend: FrontEnd) -> tuple[str, ...]:
    """TM_MAD of the system datastores in its OpenNebula clusters."""
    clusters = {cluster.text for cluster in element.iterfind("CLUSTERS/ID")}
    return tuple(
        str(other.findtext("TM_MAD"))
        for other in frontend.datastores()
        if other.findtext("TYPE") == _SYSTEM_DATASTORE
        and clusters & {found.text for found in other.iterfind("CLUSTERS/ID")}
    )


def unknown_to_oned(frontend: FrontEnd) -> tuple[str, ...]:
    """The lists of oned.conf that lack ceph_dr.

    oned accepts the driver even then, but fails at the first VM.
    """
    conf = frontend.configuration()
    lists = [f"{name}/{part}" for name, part in _LISTS if not _named(conf.findtext(f"{name}/{part}") or "")]
    sections = [name for name in ("TM_MAD_CONF", "DS_MAD_CONF") if DRIVER not in
                {found.text for found in conf.iterfind(f"{name}/NAME")}]
    return (*lists, *sections)


def _named(arguments: str) -> bool:
    return any(DRIVER in word.split(",") for word in arguments.split())


@dataclass(frozen=True)
class _Peer:
    """The peer's names that are not copies, those primary at both sites, its free bytes. None: not known."""

    names: frozenset[str] | None = None
    split: frozenset[str] = frozenset()
    free: int | None = None


def _peer(pool: Pool, settings: Settings, names: Collection[str]) -> _Peer:
    """What is seen of the peer; `names`: of the images here."""
    status = peer_ceph.probe_peer(pool, settings)
    try:
        with peer_ceph.peer_pool(status, pool.access.pool) as (there, _):
            if there is None:
                return _Peer()  # a warning says that equal names are unknown
            split = image_claims.split_images(pool, there, names)
            found = parallel.each(
                filter(is_managed, there.names()), partial(is_its_own, there), _PEER_LIMIT_S, 16
            )
            pools = there.mon(prefix="df")["pools"]
    except OneDRError:
        return _Peer()
    if any(isinstance(own, OneDRError) for own in found.values()):
        return _Peer(split=split)
    free = next(
        (int(entry["stats"]["max_avail"]) for entry in pools if entry["name"] == pool.access.pool), None
    )
    return _Peer(frozenset(name for name, own in found.items() if own), split, free)


def is_its_own(there: Pool, name: str) -> bool:
    """Is there an image of this name that is not a copy of ours?"""
    if not there.exists(name):
        return False
    with there.image(name, read_only=True) as image:
        # an image that rbd-mirror is removing is still listed
        return mirroring.is_mirrored_primary(image) or not mirroring.is_listed(there, image)


def conversion_verdict(
    text: str, done: Mapping[str, str], failed: Mapping[str, str], waiting: Mapping[str, str],
    left_out: Mapping[str, str], plan: ConversionPlan,
) -> VerdictEvent:
    """How enable or disable ended, logged too. Items are named by their labels."""
    (log.warning if failed else log.info)(text)
    for item, why in failed.items():
        log.error(f"FAILED {item}: {why}")
    warnings = {"the plan": tuple(plan.warnings)} if plan.warnings else {}
    return VerdictEvent(
        text, done=dict(sorted(done.items())), failed=failed, waiting=waiting, left_out=left_out,
        warnings=warnings,
    )


class _Enable:
    """One run. Each item is read back from Ceph after reconcile processed it."""

    def __init__(self, pool: Pool, datastore_id: int, plan: ConversionPlan, emit: Emit, frontend: FrontEnd):
        self.pool, self.datastore_id, self.plan, self.emit, self.frontend = (
            pool,
            datastore_id,
            plan,
            emit,
            frontend,
        )
        self.items = [verdict.item for verdict in plan.verdicts]
        self.results: dict[str, tuple[str, str]] = {}  # item's label -> result, why
        self.here = pool.fsid()
        self.pause = keeper_lock.KeeperPause(datastore_id)

    def execute(self) -> ConversionOutcome:
        # a keeper that starts now would do the same work at the same time; one that runs already does no harm
        self.pause.take()
        try:
            datastore = self._update()
            self.items = list(
                contents.collect_items(self.pool, self.datastore_id, datastore.settings, self.frontend)
            )
            report = reconcile.reconcile_pool(self.pool, datastore, self.frontend, self._report_finished)
            for item in self.items:
                result, _ = self.results.get(item.label, ("", ""))
                # created in the meantime; its VM's record failed
                if not result or (result == "done" and item.name in report.failed):
                    self._report_item(item, report)
        finally:
            self.pause.release()
            keeper_lock.wake_keeper(self.datastore_id)
        return self._finish(report)

    def _update(self) -> datastores.Datastore:
        """Set all attributes in one update, so that a datastore is never half enabled. Reads back."""
        settle.begin(self.pool, self.datastore_id)
        if self.plan.changes:
            try:
                self.frontend.update_datastore(self.datastore_id, self.plan.changes)
            except FrontEndError as error:
                message = f"Nothing was changed: oned refuses to make it a ceph_dr datastore. {error}"
                raise FrontEndError(message, error.code) from error
        element = self.frontend.datastore(self.datastore_id)
        found = attributes(element)
        missing = [key for key, value in self.plan.changes if template.get(found, key) != value]
        if missing or not datastore_facts(element).enabled:
            what = ", ".join(missing) or "the drivers"
            raise StorageError(f"oned accepted the update, but {what} did not change; see oned.log.")
        settle.put_right(self.pool, self.datastore_id, self.frontend)  # from now on the pool knows
        return datastores.from_element(element)

    def _report_finished(self, holder: str, report: reconcile.Report) -> None:
        for item in self.items:
            if item.holder == holder:
                self._report_item(item, report)

    def _report_item(self, item: ConversionItem, report: reconcile.Report) -> None:
        result, why = self._result(item, report)
        self.results[item.label] = (result, why)
        self.emit(ItemEvent(item.name, item.label, result, why, len(self.results), len(self.items)))

    def _result(self, item: ConversionItem, report: reconcile.Report) -> tuple[str, str]:
        seen = contents.inspect_item(self.pool, item, self.here)
        verdict = next(found for found in enable_plan.enable_verdicts([seen]))
        failure = report.failed.get(item.name) or report.failed.get(item.holder)
        if failure and verdict.what != "leave":
            return "failed", failure
        if verdict.what == "done":
            if item.name in report.waiting:  # a keeper was faster, so our own attempt was refused
                note_problem(self.pool, item.name, None)
            return "done", "mirrored"
        if verdict.what == "act":
            reason = report.waiting.get(item.name)
            return (
                ("waiting", reason)
                if reason
                else ("failed", "its mirroring did not start; onedr reconcile retries")
            )
        return {"wait": "waiting", "leave": "left out"}[verdict.what], verdict.reason

    def _finish(self, report: reconcile.Report) -> ConversionOutcome:
        def those(wanted: str) -> dict[str, str]:
            return {label: why for label, (result, why) in self.results.items() if result == wanted}

        labels = {item.name for item in self.items} | {item.holder for item in self.items}
        failed = {
            **those("failed"),
            **{what: why for what, why in report.failed.items() if what not in labels},
        }
        waiting, left, done = those("waiting"), those("left out"), those("done")
        text = (
            f"{len(done)} of {len(self.results)} mirrored, {len(waiting)} waiting, {len(failed)} failed, "
            f"{len(left)} left out."
        )
        text += " The background worker handles the rest and tracks the initial sync; see onedr status."
        self.emit(conversion_verdict(text, done, failed, waiting, left, self.plan))
        return ConversionOutcome(text, failed, waiting)
