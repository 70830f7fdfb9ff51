"""Repair what events missed: compare oned's objects,
Ceph's images and the records (docs/design.md, "Events are hints").
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial

import rados
import rbd
from lxml import etree

from onedr.ceph import connection, mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.host import config as host_config
from onedr.host.waiting import attempts
from onedr.model import names, parsing
from onedr.model.errors import InputError, OneDRError
from onedr.model.records import DiskRef
from onedr.model.settings import wants_protection
from onedr.model.types import Mode
from onedr.opennebula import datastores as opennebula_datastores
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula import owners_word
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.run_made import is_of_run
from onedr.protection import (
    flatten,
    keeper_lock,
    passes,
    publish_site_info,
    settle,
    settled,
    snapshot_schedule,
)
from onedr.protection.flatten import Queue
from onedr.protection.settled import PoolView
from onedr.rejoin import guard
from onedr.replication import (
    clock,
    clone_order,
    hand_on,
    locked_copies,
    peer_ceph,
    peer_osds,
    preserved_copies,
    quiet_marks,
    reader_records,
    signed_versions,
    site_info,
    write_records,
)
from onedr.replication.mirror_image import (
    PROBLEM_KEY,
    Waiting,
    begin_mirroring,
    mirror_identity,
    must_flatten,
    note_problem,
    write_identity,
)
from onedr.replication.split_brain import Claim
from onedr.replication.write_records import Surroundings
from onedr.runs.answer_events import ReconcileEvent

_FLATTEN_LIMIT_S = 3600
_LIMIT_S = 30


@dataclass
class Report:
    """The result of a pass, by RBD image name.

    `in_use`: mirrored primaries of running VMs; `awaiting`: base of each clone that waits for its base's
    snapshot at the peer; `to_flatten`: clones that must be flattened first.
    """

    recorded: list[str] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    mirrored: set[str] = field(default_factory=set)
    in_use: set[str] = field(default_factory=set)
    awaiting: dict[str, str] = field(default_factory=dict)
    to_flatten: list[str] = field(default_factory=list)
    flattened: list[str] = field(default_factory=list)
    # images that were demoted because the peer had taken over
    demoted: list[str] = field(default_factory=list)
    split: set[str] = field(default_factory=set)  # primary at both sites: nothing of them is touched
    locked: list[str] = field(default_factory=list)  # locked VMs that use such images
    expired: list[str] = field(default_factory=list)  # preserved copies that went to the trash
    # Does the peer read quiet marks, with the same record key? None: it does not answer.
    reads_quiet: bool | None = None
    manager_runs: bool = True  # the schedules of mirror snapshots
    clock_sure: bool = False  # may this site's clock be believed?

    @property
    def repairs(self) -> int:
        """How many items no hook or driver had done."""
        return len({*self.recorded, *self.protected}) + len(self.demoted)

    def as_event(self) -> ReconcileEvent:
        """For people and programs."""
        return ReconcileEvent(
            recorded=tuple(self.recorded), protected=tuple(self.protected), waiting=self.waiting,
            failed=self.failed, mirrored=tuple(sorted(self.mirrored)), in_use=tuple(sorted(self.in_use)),
            awaiting=self.awaiting, to_flatten=tuple(self.to_flatten), flattened=tuple(self.flattened),
            demoted=tuple(self.demoted), locked=tuple(self.locked), expired=tuple(self.expired),
        )


def reconcile(datastore: Datastore, frontend: FrontEnd) -> Report:
    """One pass over a datastore: mirror every image and disk, write every record. One bad item never stops
    the others.

    Clones that must be flattened are flattened with the keeper's limit. It waits for them and for those that
    the keeper flattens.
    """
    begun = time.monotonic()
    with connection.connect(datastore.access) as pool:
        settle.put_right(pool, datastore.datastore_id, frontend)
        datastore = opennebula_datastores.from_element(frontend.datastore(datastore.datastore_id))
        at_once = host_config.limits().flatten_at_once
        queue = Queue(
            flatten.Flattener(pool, datastore.settings),
            flatten.flatten_lock(pool, datastore.datastore_id),
            at_once,
        )
        report = reconcile_pool(pool, datastore, frontend, queue=queue)
        mirror_awaiting(pool, datastore, report)
        for _ in attempts(_FLATTEN_LIMIT_S, 0.2):
            if not queue.busy:
                break
            queue.step()
            flatten.cancel_removed(pool, queue)
        queue.stop()
        for name in queue.done:
            report.flattened.append(name)
            _mirrored(report, name)
        for name, reason in queue.failed().items():
            report.failed[name] = reason
            report.waiting.pop(name, None)
        note_pass(pool, datastore.datastore_id, report, time.monotonic() - begun)
    if report.protected:
        keeper_lock.wake_keeper(datastore.datastore_id)  # to track the initial copies
    return report


def note_pass(pool: Pool, datastore_id: int, report: Report, seconds: float) -> None:
    """Note for metrics a pass that ends now and took so many seconds. Raises rados.Error."""
    passes.note_pass(pool, datastore_id, time.time(), seconds, len(report.failed), report.repairs)


def mirror_awaiting(pool: Pool, datastore: Datastore, report: Report) -> bool:
    """Mirror the clones of `report.awaiting` whose base's snapshot has arrived at the peer.

    Returns whether there were any.
    """
    if not report.awaiting:
        return False
    seen = clone_order.arrived_bases(pool, datastore.settings, sorted(set(report.awaiting.values())))

    def each(name: str) -> Waiting | None:
        # Where the peer cannot be read the arrival will never be seen, so the clone is mirrored now:
        # rbd-mirror retries until it works.
        return begin_mirroring(pool, name, datastore.settings, wait_for_base=report.awaiting[name] in seen)

    found = False
    for name, result in parallel.each(sorted(report.awaiting), each, _LIMIT_S, 8).items():
        if result is None:
            _mirrored(report, name)
            found = True
        else:
            report.waiting[name] = result.reason if isinstance(result, Waiting) else str(result)
    return found


def _mirrored(report: Report, name: str) -> None:
    report.waiting.pop(name, None)
    report.awaiting.pop(name, None)
    report.protected.append(name)
    report.mirrored.add(name)


def reconcile_pool(
    pool: Pool, datastore: Datastore, frontend: FrontEnd,
    tell: Callable[[str, Report], None] = lambda what, report: None,
    queue: Queue | None = None, known: dict[int, str] | None = None,
) -> Report:
    """The same on an open pool. `tell` is called for each object (`image 3`, `VM 7`) when it is finished.
    `known`: what the caller keeps from turn to turn for settled.PoolView.

    Nothing is flattened here: such clones are added to `queue`, whose owner flattens them.
    """
    report = Report()
    if not datastore.settings.protect:
        return report
    _guard(pool, datastore, frontend, report)
    _each(report, "locked points", lambda: locked_copies.hold(pool, time.time()), tell)
    seen = settled.read_pool(pool, datastore.settings, {} if known is None else known)
    images = frontend.images()
    vms = [vm for vm in frontend.vms() if opennebula_objects.vm_state(vm) != "DONE"]
    owners_word.heed_owners(vms, lambda: images)
    needed = owners_word.used_by_others(images, (vm for vm in vms if not is_of_run(vm)))
    own = [each for each in images if each.findtext("DATASTORE_ID") == str(datastore.datastore_id)]
    for image in own:
        action = partial(_image, pool, datastore, image, report, queue, seen, needed)
        _each(report, f"image {image.findtext('ID')}", action, tell)
    datastores = opennebula_datastores.all_of(frontend)
    around = partial(write_records.surroundings, pool, frontend, datastores, cache(frontend.networks))
    for vm in vms:
        action = partial(_vm, pool, datastore, datastores, vm, frontend, report, queue, seen, around)
        _each(report, f"VM {vm.findtext('ID')}", action, tell)
    if seen:
        _each(report, "records of readers", partial(_tidy, pool, vms, report, seen), tell)
    _each(report, "schedules", partial(_schedule, pool, datastore, own, report), tell)
    _each(report, "site settings", partial(publish_site_info.publish, pool, datastore), tell)
    _each(report, "peer", partial(_remember_peer, pool, datastore, report), tell)
    return report


def _tidy(pool: Pool, vms: list[etree._Element], report: Report, seen: PoolView) -> None:
    outdated = reader_records.outdated(seen.images, seen.site.fsid, vms, seen.ledger)
    report.failed.update(reader_records.tidy(pool, outdated))


def _remember_peer(pool: Pool, datastore: Datastore, report: Report) -> None:
    """Where the peer's OSDs are, for the day on which its monitors do not answer; what its OneDR can read. A
    mapping or plan that was set while it did not answer is handed on.
    """
    with ExitStack() as stack:
        peer_status = peer_ceph.probe_peer(pool, datastore.settings)
        there, _ = stack.enter_context(peer_ceph.peer_pool(peer_status, pool.access.pool))
        if there is not None:
            peer_osds.remember_osds(pool, there)
            name = signed_versions.name_there(datastore.name, datastore.settings)
            published = site_info.read_site_info(there).get(name)
            report.reads_quiet = (
                published is not None and quiet_marks.OPTION in published.options
                and published.key == publish_site_info.fingerprint()
            )
            try:
                hand_on.hand_on(pool, there, datastore.name, datastore.settings)
            except rados.Error as error:
                raise OneDRError(f"the mapping or a plan is not at the peer yet: {error}") from error


def _guard(pool: Pool, datastore: Datastore, frontend: FrontEnd, report: Report) -> None:
    """First check whether this site may still write, and remove expired preserved copies."""
    try:
        found = guard.turn(pool, datastore.settings, frontend)
        report.demoted, report.locked = found.demoted, found.locked
        report.failed.update(found.failed)
        report.split = set(found.of(Claim.SPLIT))
        for name in report.split:
            report.failed[name] = "primary at both sites, and nothing says who is right; see docs/guard.md"
        for text in (*found.locked, *found.demoted):
            print(f"{datastore.name}: the peer took over; demoted or locked here: {text}", file=sys.stderr)
        now = time.time()
        report.clock_sure = clock.note_turn(pool, datastore.settings, now)
        if report.clock_sure:
            report.expired = preserved_copies.trash_expired(pool, now)
            preserved_copies.empty_trash(pool, now)
            locked_copies.remove_expired(pool, now)
    except (rados.Error, rbd.Error, OneDRError) as error:
        report.failed["guard"] = str(error)


def _schedule(pool: Pool, datastore: Datastore, images: list[etree._Element], report: Report) -> None:
    if datastore.settings.mode is Mode.SNAPSHOT and report.mirrored:
        own = {parsing.source(each.findtext("SOURCE") or "").name: attributes(each)
               for each in images if each.findtext("SOURCE")}
        report.manager_runs = snapshot_schedule.set_schedules(pool, datastore.settings, own, report.mirrored)


def _each(report: Report, what: str, action: Callable[[], None], tell: Callable[[str, Report], None]) -> None:
    try:
        action()
    except (rbd.Error, OneDRError) as error:
        report.failed[what] = str(error)
    tell(what, report)


def _image(
    pool: Pool, datastore: Datastore, element: etree._Element, report: Report, queue: Queue | None,
    seen: PoolView | None, needed: Collection[int],
) -> None:
    state = opennebula_objects.image_state(element)
    if is_of_run(element) or state not in opennebula_objects.USABLE_IMAGE_STATES:
        return
    name = parsing.source(element.findtext("SOURCE") or "").name
    if name in report.split or (seen and seen.is_copy(name)):
        return
    wanted = number(element, "ID") in needed or wants_protection(datastore.settings, attributes(element))
    if not wanted and not _has_copy(pool, name, seen):  # what is mirrored stays so, with its records
        return
    if seen and seen.image_settled(name, element, state == "READY"):
        report.mirrored.add(name)
        return
    if not _is_primary(pool, name):
        return
    now = time.time()
    if write_records.record_image(pool, datastore.settings, name, element, now):
        report.recorded.append(name)
    if state == "READY" and write_records.remove_vm_record(pool, name):
        report.recorded.append(name)
    _mirror(pool, name, datastore, report, queue)


def _has_copy(pool: Pool, name: str, seen: PoolView | None) -> bool:
    if seen:
        return name in seen.images and seen.images[name].mode is not None
    if not pool.exists(name):
        return False
    with pool.image(name, read_only=True) as image:
        return mirroring.mirror_mode(image) is not None


def _vm(
    pool: Pool, datastore: Datastore, datastores: dict[int, Datastore], summary: etree._Element,
    frontend: FrontEnd, report: Report, queue: Queue | None, seen: PoolView | None,
    surroundings: Callable[[etree._Element], Surroundings],
) -> None:
    if is_of_run(summary) or not opennebula_objects.vms_of_datastore([summary], datastore.datastore_id):
        return
    disks = opennebula_objects.vm_disks(summary, {datastore.datastore_id})
    if {(disk.rbd or "").rpartition("/")[2] for disk in disks} & report.split:
        return
    for disk in disks:
        _disk(pool, datastore, summary, disk, report, queue, seen)
    vm_id, now = number(summary, "ID"), time.time()
    secret = write_records.secret_attributes(datastores)
    state = seen.vm_state(summary, datastores.keys(), secret) if seen else ""
    if seen and seen.known.get(vm_id) == state:
        return
    element = owners_word.read_vm(frontend, vm_id)  # with its secrets, as in the hook
    around = surroundings(element)
    if seen and seen.vm_settled(element, datastores.keys(), around):
        seen.known[vm_id] = state
        return
    written = write_records.record_vm(pool, datastore.settings, element, datastores, now, around)
    for name, result in written.items():
        if result == "written":
            report.recorded.append(name)
        elif result != "unchanged" and not result.startswith("is the peer's"):
            report.failed[name] = result


def _disk(
    pool: Pool, datastore: Datastore, vm: etree._Element, disk: DiskRef, report: Report,
    queue: Queue | None, seen: PoolView | None,
) -> None:
    name = (disk.rbd or "").rpartition("/")[2]
    wanted = disk.protected and wants_protection(datastore.settings, attributes(vm, "USER_TEMPLATE"))
    if wanted and names.parse_vm_disk(name):
        if seen and seen.is_mirrored(name):
            report.mirrored.add(name)
        elif not (seen and seen.is_copy(name)) and pool.exists(name) and _is_primary(pool, name):
            _mirror(pool, name, datastore, report, queue)
    if disk.protected and opennebula_objects.vm_state(vm) == "ACTIVE" and name in report.mirrored:
        report.in_use.add(name)


def _is_primary(pool: Pool, name: str) -> bool:
    primary = mirroring.is_primary_image(pool, name)
    if primary is None:
        raise InputError(f"RBD image {pool.access.pool}/{name} does not exist")
    return primary


def _mirror(pool: Pool, name: str, datastore: Datastore, report: Report, queue: Queue | None) -> None:
    with pool.image(name, read_only=True) as image:
        mirrored, seen = mirroring.mirror_mode(image) is not None, mirror_identity(image)
    if mirrored:
        report.mirrored.add(name)
        if not seen.is_own:
            with pool.image(name) as image:
                write_identity(image)
        if PROBLEM_KEY in seen.values:
            note_problem(pool, name, None)
        return
    waiting = must_flatten(seen.parent, datastore.settings) if seen.parent and queue else None
    if waiting and queue:
        waiting = waiting._replace(reason=queue.request(name, waiting.reason))
        note_problem(pool, name, waiting.reason)
    else:
        waiting = begin_mirroring(pool, name, datastore.settings)
    if waiting is None:
        _mirrored(report, name)
        return
    report.waiting[name] = waiting.reason
    if waiting.base:
        report.awaiting[name] = waiting.base
    if waiting.flatten:
        report.to_flatten.append(name)
