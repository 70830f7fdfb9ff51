"""The protection status of a datastore, as seen from here.

Read-only; an unreachable peer costs a few seconds.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.model import names
from onedr.model.errors import FrontEndError
from onedr.model.records import ImageFacts, VmRecord
from onedr.model.rehearsed import Rehearsed
from onedr.model.settings import wants_protection
from onedr.model.text import NOTHING, Sentence
from onedr.model.types import State
from onedr.opennebula import datastores
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.run_made import is_of_run
from onedr.protection import enable_plan, pool_settings
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
from onedr.runs.state import ImageState, StateVerdict

_FAILED = ("ERROR", "LOCKED", "DELETE", "INIT")


@dataclass(frozen=True)
class StatusView:
    """Everything that a status contains."""

    facts: tuple[ImageFacts, ...]
    copies: Copies
    items: tuple[ImageState, ...]
    verdict: StateVerdict
    unprotected: dict[str, str]  # items of this datastore that are not mirrored, and why
    lease: Lease | None = None  # of the run in progress, this site's or the other's


def status(datastore: Datastore, frontend: FrontEnd) -> StatusEvent:
    """The status as an event (see docs/status.md for its fields)."""
    with connection.connect(datastore.access) as pool:
        seen = collect_status(pool, datastore, frontend)
        fsid, rehearsed = pool.fsid(), rehearsals.results(pool, datastore.datastore_id)
    now = time.time()
    found = seen.verdict
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
        disks=tuple(_disk(fact, seen, now) for fact in seen.facts),
        stale=stale,
        only_here=only_here,
        unprotected=tuple(UnprotectedItem(*each) for each in sorted(seen.unprotected.items())),
        run=_run(seen.lease, fsid),
    )


def collect_status(
    pool: Pool,
    datastore: Datastore,
    frontend: FrontEnd,
    peer_status: Callable[[], peer_ceph.PeerStatus | None] = lambda: None,
) -> StatusView:
    """Collect everything once.

    `peer_status`: the state of the peer, when the caller determines it already.
    """
    now = time.time()
    objects = _objects(frontend)
    known = datastores.rbd_names(datastore.datastore_id, objects.images, objects.vms)
    facts = tuple(image_facts.of_datastore(pool, datastore, known))
    mirrored = tuple(fact for fact in facts if fact.mode is not None)
    primaries = [fact.name for fact in mirrored if fact.primary]
    seen = peer_copies.collect_copies(pool, datastore.settings, primaries, peer_status())
    unprotected = _unprotected(datastore, objects, facts)
    items = tuple(_item(fact, seen, now) for fact in mirrored)
    items += tuple(
        ImageState(name, False, True, False, None, problem=reason)
        for name, reason in unprotected.items()
        if is_problem(reason)
    )
    lease = runs_lease.in_force(pool)
    return StatusView(facts, seen, items, _verdict(pool, datastore, items, lease), unprotected, lease)


def _verdict(
    pool: Pool, datastore: Datastore, items: tuple[ImageState, ...], lease: Lease | None
) -> StateVerdict:
    """From the items, and from what the journal says of runs of this site."""
    own = lease if lease is not None and lease.home in ("", pool.fsid()) else None
    running = own is not None and own.verb not in (*enable_plan.VERBS, *runs_state.SETTINGS)
    moved, newest = journal.last_run(pool, runs_state.DRILLS), journal.last_run(pool)
    died = [run for run in (moved, newest) if run is not None and run.interrupted and not running]
    verb = own.verb if own is not None and running else died[0].verb if died else ""
    settings = datastore.settings
    judged = runs_state.judge_state(
        settings.protect, items, settings.rpo_s, verb, bool(died), _lacking(moved)
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


@dataclass(frozen=True)
class _Objects:
    """Images and VMs of the front-end here, drills apart; `answers` False: it does not say."""

    images: tuple[etree._Element, ...] = ()
    vms: tuple[etree._Element, ...] = ()
    protected: frozenset[int] = frozenset()  # datastores
    answers: bool = False


def _objects(frontend: FrontEnd) -> _Objects:
    """A status needs no front-end: without one it says what the records and Ceph say."""
    try:
        images = [image for image in frontend.images() if not is_of_run(image)]
        vms = [vm for vm in frontend.vms() if not is_of_run(vm)]
        return _Objects(tuple(images), tuple(vms), frozenset(datastores.all_of(frontend)), True)
    except FrontEndError:
        return _Objects()


_BY_CHOICE = "has DR_PROTECT=NO"


def is_problem(reason: str) -> bool:
    """Is an item unprotected for another reason than DR_PROTECT=NO?"""
    return _BY_CHOICE not in reason


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


def _unprotected(
    datastore: Datastore, objects: _Objects, facts: tuple[ImageFacts, ...]
) -> dict[str, str]:
    """Images of the datastore, and disks on it of VMs, that are not mirrored; nothing of other datastores.

    Without a front-end the answer is based on Ceph alone.
    """
    if not objects.answers:
        return {fact.name: "; ".join(fact.problems) or "not mirrored" for fact in facts if fact.mode is None}
    by_name = {fact.name: fact for fact in facts}
    found: dict[str, str] = {}
    for image in objects.images:
        if image.findtext("DATASTORE_ID") != str(datastore.datastore_id):
            continue
        name = (image.findtext("SOURCE") or "").partition("/")[2]
        label, state = name or f"image {image.findtext('ID')}", opennebula_objects.image_state(image)
        found.update(_why(datastore, label, by_name.get(name), attributes(image), state))
    for vm in objects.vms:
        found.update(_unprotected_disks(datastore, vm, by_name, objects.protected))
    return found


def _unprotected_disks(
    datastore: Datastore, vm: etree._Element, facts: Mapping[str, ImageFacts], protected: frozenset[int]
) -> dict[str, str]:
    """Of a VM. Volatile disks start empty everywhere: they are no items."""
    found: dict[str, str] = {}
    for disk in opennebula_objects.vm_record(vm, protected | {datastore.datastore_id}).disks:
        name = (disk.rbd or "").rpartition("/")[2]
        if disk.datastore_id != datastore.datastore_id or (not name and disk.image_id is None):
            continue
        label, fact = name or f"disk {disk.disk_id} of VM {vm.findtext('ID')}", facts.get(name)
        if disk.clone and fact is None and opennebula_objects.vm_state(vm) in opennebula_objects.WAITING:
            found.update(_not_deployed(vm, disk.disk_id, name, facts))
        elif not disk.protected:
            if not name or fact is None or fact.mode is None:
                found[label] = f"VM {vm.findtext('ID')}: {disk.reason}"
        elif names.parse_vm_disk(name):
            found.update(_why(datastore, name, fact, attributes(vm, "USER_TEMPLATE"), "USED"))
    return found


def _not_deployed(
    vm: etree._Element, disk_id: int, name: str, facts: Mapping[str, ImageFacts]
) -> dict[str, str]:
    """A clone that is made when its VM is first deployed needs no copy; the VM needs its record somewhere."""
    vm_id = int(vm.findtext("ID") or "-1")
    base = facts.get(names.base_of(name, vm_id, disk_id))
    recorded = {
        record.body.vm_id for fact in facts.values() for record in (fact.vm, *fact.readers)
        if record is not None and isinstance(record.body, VmRecord) and fact.primary
    }
    if base is not None and base.mode is not None and vm_id in recorded:
        return {}
    what = f"VM {vm_id} ({vm.findtext('NAME')}) was never deployed"
    if base is None or base.mode is None:
        return {name: f"{what}, and the image that this disk will be cloned from is not mirrored"}
    return {name: f"{what}, and its record is not written yet; run onedr reconcile"}


def _why(
    datastore: Datastore, name: str, fact: ImageFacts | None, own: Any, image_state: str
) -> dict[str, str]:
    if fact is not None and fact.mode is not None:
        return {}
    if not wants_protection(datastore.settings, own):
        return {name: f"it {_BY_CHOICE}" if datastore.settings.protect else "its datastore is not protected"}
    if image_state in _FAILED:
        return {name: f"image is {image_state}"}
    if fact is None:
        return {name: "there is no RBD image of this name"}
    return {name: "; ".join(fact.problems) or "mirroring has not started; run onedr reconcile"}


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
                    rehearsal=None if own else rehearsed.get(item.origin),
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
    )
