"""The protection status of a datastore, as seen from here.

Read-only; an unreachable peer costs a second or two, or a few where it greets and then is silent.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import rbd
from lxml import etree

from onedr.ceph import connection, mirror_lag, receiving
from onedr.ceph.connection import Pool
from onedr.failover import start_order
from onedr.host import log
from onedr.model.errors import FrontEndError
from onedr.model.lag import Lag
from onedr.model.records import ImageFacts, ImageRecord, VmRecord
from onedr.model.rehearsed import Rehearsed
from onedr.model.text import NOTHING, Sentence, pasteable
from onedr.model.types import Mode, State
from onedr.opennebula import datastores, owners_word
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.run_made import is_of_run
from onedr.protection import enable_plan, pool_settings
from onedr.protection import unprotected as protection_unprotected
from onedr.protection.unprotected import Unprotected
from onedr.replication import image_facts, inventory, peer_ceph, peer_copies, recovery_point, rehearsals
from onedr.replication.peer_copies import Copies
from onedr.replication.split_brain import Claim as Returned
from onedr.replication.split_brain import Known, There, judge_claim
from onedr.runs import datastore_message, journal
from onedr.runs import lease as runs_lease
from onedr.runs import state as runs_state
from onedr.runs.answer_events import StatusDisk, StatusEvent, StatusRun, StatusVm, UnprotectedItem
from onedr.runs.events import PeerShown
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.lease_watch import Lease
from onedr.runs.request import Request
from onedr.runs.state import ImageState, StateVerdict


@dataclass(frozen=True)
class Objects:
    """Images and VMs of the front-end here, drills apart; `answers` False: it does not say."""

    images: tuple[etree._Element, ...] = ()
    vms: tuple[etree._Element, ...] = ()
    protected: frozenset[int] = frozenset()  # datastores
    answers: bool = False


@dataclass(frozen=True)
class StatusView:
    """Everything that a status contains."""

    facts: tuple[ImageFacts, ...]
    copies: Copies
    items: tuple[ImageState, ...]
    verdict: StateVerdict
    unprotected: dict[str, Unprotected]  # items of this datastore that are not mirrored, and why
    lease: Lease | None = None  # of the run in progress, this site's or the other's
    objects: Objects = Objects()
    paused: bool = False  # the pool that takes the copies takes none (docs/pause.md)


def status(datastore: Datastore, frontend: FrontEnd) -> StatusEvent:
    """The status as an event (see docs/status.md for its fields)."""
    with connection.connect(datastore.access) as pool:
        sight = peer_ceph.begin_probe(pool, datastore.settings)
        seen = collect_status(pool, datastore, frontend, sight, with_rehearsals=True)
        return shown(pool, datastore, seen)


def shown(pool: Pool, datastore: Datastore, seen: StatusView) -> StatusEvent:
    """What was seen, as an event, with what rbd-mirror and the journals say besides."""
    fsid, rehearsed = pool.fsid(), rehearsals.results(pool, datastore.datastore_id)
    lags, journals = _lags(pool, seen.facts)
    now, found = time.time(), seen.verdict
    stale, only_here = _came_back(seen)
    return StatusEvent(
        datastore=datastore.name,
        state=found.state.value,
        code=found.code,
        role=found.role.value,
        message=found.message,
        protected=found.safe,
        total=found.total,
        mode=datastore.settings.mode.value,
        peer=PeerShown(
            seen.copies.peer_status.detail, seen.copies.peer_status.peer.value, proven=seen.copies.proven
        ),
        vms=tuple(_vms(seen, fsid, now, rehearsed)),
        disks=tuple(
            replace(
                _disk(fact, seen, now), lag=lags.get(fact.name), journal_bytes=journals.get(fact.rbd_id)
            )
            for fact in seen.facts
        ),
        stale=stale,
        only_here=only_here,
        unprotected=tuple(
            UnprotectedItem(name, why.text, why.reason.value)
            for name, why in sorted(seen.unprotected.items())
        ),
        run=_run(seen.lease, fsid),
        objective_s=datastore.settings.rpo_s,
        paused=seen.paused,
    )


def _lags(pool: Pool, facts: Iterable[ImageFacts]) -> tuple[dict[str, Lag], dict[str, int]]:
    """Reports by name, journals by image id. Hints: a status without them is a status."""
    mirrored = [fact for fact in facts if fact.mode is not None]
    try:
        lags = mirror_lag.lags(pool) if mirrored else {}
    except rbd.Error as error:
        log.warning(f"the mirror status of pool {pool.access.pool} cannot be read: {error}")
        lags = {}
    journaled = [fact.rbd_id for fact in mirrored if fact.mode is Mode.JOURNAL and fact.primary]
    return lags, mirror_lag.journal_bytes(pool, journaled)


def collect_status(
    pool: Pool,
    datastore: Datastore,
    frontend: FrontEnd,
    peer_status: Callable[[], peer_ceph.PeerStatus | None] = lambda: None,
    with_rehearsals: bool = False,
) -> StatusView:
    """Collect everything once.

    `peer_status`: the state of the peer, when the caller determines it already. `with_rehearsals`: those of
    our VMs at the peer too.
    """
    now = time.time()
    objects = _objects(frontend)
    known = datastores.rbd_names(datastore.datastore_id, objects.images, objects.vms)
    facts = tuple(image_facts.of_datastore(pool, datastore, known))
    mirrored = tuple(fact for fact in facts if fact.mode is not None)
    primaries = [fact.name for fact in mirrored if fact.primary]
    seen = peer_copies.collect_copies(
        pool, datastore.settings, primaries, peer_status(), with_rehearsals)
    unprotected = (
        protection_unprotected.unprotected(datastore, objects.images, objects.vms, objects.protected, facts)
        if objects.answers else protection_unprotected.from_ceph(facts)
    )
    items = tuple(_item(fact, seen, now) for fact in mirrored)
    items += tuple(
        ImageState(name, False, True, False, None, problem=why.text)
        for name, why in unprotected.items() if why.is_problem
    )
    lease = runs_lease.in_force(pool)
    paused = seen.paused if primaries else bool(mirrored) and receiving.is_paused(pool)
    verdict = _verdict(pool, datastore, items, lease, is_unseen(seen), paused)
    verdict = replace(verdict, message=pasteable(verdict.message, datastore.name))
    return StatusView(facts, seen, items, verdict, unprotected, lease, objects, paused)


def is_unseen(copies: Copies) -> bool:
    """Could the peer's copies not be read although there is a way in? Without one rbd-mirror's word counts.
    """
    return copies.peer_status.can_connect and not copies.proven


def _verdict(
    pool: Pool, datastore: Datastore, items: tuple[ImageState, ...], lease: Lease | None, unseen: bool,
    paused: bool,
) -> StateVerdict:
    """From the items, and from what the journal says of runs of this site."""
    own = lease if lease is not None and lease.home in ("", pool.fsid()) else None
    running = own is not None and own.verb not in (*enable_plan.VERBS, *runs_state.SETTINGS)
    moved = journal.last_run(pool, runs_state.DRILLS, datastore.datastore_id)
    newest = journal.last_run(pool, datastore_id=datastore.datastore_id)
    died = [run for run in (moved, newest) if run is not None and run.interrupted and not running]
    verb = own.verb if own is not None and running else died[0].verb if died else ""
    settings = datastore.settings
    judged = runs_state.judge_state(
        settings.protect, items, settings.rpo_s, verb, bool(died), _lacking(moved), unseen, paused
    )
    drilled = newest and newest.verb == "drill" and newest.result in ("DONE", "PARTIAL")
    if drilled and judged.state is State.STANDBY:
        text = Sentence(" A drill's VMs still exist; onedr drill cleanup removes them.")
        return replace(judged, message=judged.message.then(text))
    return judged


def _lacking(moved: JournalEntry | None) -> Sentence:
    """What the last move or failover could not bring, for people."""
    if moved is None or moved.result != "PARTIAL":
        return NOTHING
    vms = [vm.name or vm.origin for vm in moved.vms if vm.failed]
    text = f" The last {moved.verb} left {len(moved.failed)} item(s) out"
    named = f": {', '.join(vms[:3])}" if vms else ""
    return Sentence(f"{text}{named}; see onedr history.", f"{text}; see onedr history.")


def show_status(datastore: Datastore, frontend: FrontEnd) -> None:
    """Show the status in the datastore's attributes, also that of an interrupted run while no keeper runs."""
    datastore_id = datastore.datastore_id
    with connection.connect(datastore.access) as pool:
        seen = collect_status(pool, datastore, frontend)
        datastore_message.show(
            frontend, datastore_id, tuple(attributes_of(seen).items()), public_message(seen),
            lambda: beside(pool, datastore_id),
        )


def attributes_of(seen: StatusView) -> dict[str, str]:
    """The attributes that show a status, except DR_MESSAGE and the recovery point."""
    found = seen.verdict
    return {
        "DR_STATE": found.state.value, "DR_ROLE": found.role.value,
        "DR_PROTECTED": f"{found.safe}/{found.total}",
    }


def public_message(seen: StatusView) -> str:
    """The sentence of a status for DR_MESSAGE, which every user may read: it names nothing of theirs."""
    return seen.verdict.message.public


def beside(pool: Pool, datastore_id: int) -> str:
    """What DR_MESSAGE says besides: what was put right, and why an action was refused, both lately."""
    now = time.time()
    return datastore_message.joined(
        pool_settings.notice(pool, datastore_id, now), datastore_message.refused(pool, datastore_id, now)
    )


def _objects(frontend: FrontEnd) -> Objects:
    """A status needs no front-end: without one it says what the records and Ceph say."""
    try:
        images = [image for image in frontend.images() if not is_of_run(image)]
        vms = [vm for vm in frontend.vms() if not is_of_run(vm)]
        owners_word.heed_owners(vms, lambda: images)
        return Objects(tuple(images), tuple(vms), frozenset(datastores.all_of(frontend)), True)
    except FrontEndError:
        return Objects()


def _item(fact: ImageFacts, seen: Copies, now: float) -> ImageState:
    copy = seen.by_name.get(fact.name)
    if fact.primary:
        complete, point = (copy.complete, copy.recovery_point) if copy else (False, None)
    else:
        complete, point = fact.complete, fact.recovery_point
    found = claim_of(fact, seen)
    return ImageState(
        name=fact.name, mirrored=True, primary=fact.primary, copied=complete and not fact.stale,
        age_s=recovery_point.age_s(point, now), split=found is Returned.SPLIT,
        stale=fact.stale or found is Returned.STALE, problem="; ".join(fact.problems),
        taken=fact.primary and fact.epoch is not None and fact.epoch.fsid == seen.here,
    )


def _run(lease: Lease | None, fsid: str) -> StatusRun | None:
    """The run in progress: also the other site's, which holds the lease here."""
    if lease is None:
        return None
    return StatusRun(
        verb=lease.verb, run=lease.run, by=lease.by, host=lease.host, site=lease.site,
        datastore=lease.datastore, began=lease.began, here=lease.home in ("", fsid),
        text=runs_lease.describe(lease),
    )


def _came_back(seen: StatusView) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """At a returned site: images that the peer took over, and those that it did not.

    Empty at any other site.
    """
    stale = tuple(item.name for item in seen.items if item.stale)
    own = (Returned.ONLY_HERE, Returned.MINE)
    only_here = tuple(fact.name for fact in seen.facts if fact.mode and claim_of(fact, seen.copies) in own)
    return stale, only_here if stale else ()


def claim_of(fact: ImageFacts, seen: Copies) -> Returned:
    """Whether the image's role here is still valid."""
    copy = seen.by_name.get(fact.name)
    there = None if copy is None else There(copy.primary, copy.epoch)
    return judge_claim(Known(fact.primary, fact.epoch, seen.proven, there))


def _vms(
    seen: StatusView, fsid: str, now: float, rehearsed: Mapping[str, Rehearsed]
) -> list[StatusVm]:
    """The peer's VMs that could start here and this site's own, from the records on the images."""
    listed = []
    for own in (False, True):
        for item in inventory.vms(seen.facts, fsid, own):
            points = [point_of(image, seen) for image in item.images]
            point = None if not points or None in points else min(points)  # type: ignore[type-var]
            listed.append(
                StatusVm(
                    name=item.record.name,
                    vm=item.record.vm_id,
                    site=item.envelope.site,
                    here=own,
                    state=item.record.state,
                    disks=tuple(image.name for image in item.images),
                    recovery_point=point,
                    age_s=_tenths(recovery_point.age_s(point, now)),
                    obstacles=() if own else tuple(item.blockers),
                    warnings=(*item.warnings, *filter(None, [recovery_point.clock_warning(point, now)])),
                    rehearsal=(seen.copies.rehearsed if own else rehearsed).get(item.origin),
                    skew_s=None if point is None else _tenths(max(filter(None, points)) - point),
                    starts=start_order.wants_start(item, Request("")),
                    priority=start_order.priority(item),
                )
            )
    return listed


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def point_of(image: ImageFacts, seen: StatusView) -> float | None:
    """Recovery point of an image's copy: ours when we are secondary,
    the peer's when we are primary; None when unknown.
    """
    if not image.primary:
        return image.recovery_point
    copy = seen.copies.by_name.get(image.name)
    return copy.recovery_point if copy else None


def _disk(fact: ImageFacts, seen: StatusView, now: float) -> StatusDisk:
    point = point_of(fact, seen)
    copy = seen.copies.by_name.get(fact.name)
    owner = fact.vm.body if fact.vm else None
    return StatusDisk(
        name=fact.name, size=fact.size, mode=fact.mode.value if fact.mode else None,
        role="primary" if fact.primary else "secondary",
        complete=fact.complete if not fact.primary else bool(copy and copy.complete),
        recovery_point=point, age_s=_tenths(recovery_point.age_s(point, now)),
        vm=owner.vm_id if isinstance(owner, VmRecord) else None, problems=tuple(fact.problems),
        title=_title(fact),
    )


def _title(fact: ImageFacts) -> str:
    """The image's name in OpenNebula; of a clone, the image that it was cloned from. Empty: not recorded."""
    own, vm = fact.image, fact.vm
    if own is not None and isinstance(own.body, ImageRecord):
        return own.body.name
    disks = vm.body.disks if vm is not None and isinstance(vm.body, VmRecord) else ()
    return next((disk.image_name for disk in disks if (disk.rbd or "").endswith(f"/{fact.name}")), "")
