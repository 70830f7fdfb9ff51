"""Reprotect: a site that came back after the other took over becomes its standby again (docs/reprotect.md).
"""
from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import rados
import rbd

from onedr.ceph import connection, group_snapshots, mirroring, parallel, receiving, space
from onedr.ceph.connection import Pool
from onedr.failover import peer_vms
from onedr.model.errors import OneDRError, RecordError, RunStoppedError
from onedr.model.records import ImageFacts, VmRecord
from onedr.model.text import Sentence
from onedr.model.types import State
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.vms import PeerVm
from onedr.rejoin import guard, reprotect_plan
from onedr.rejoin.reprotect_plan import ReprotectFacts, ReprotectPlan
from onedr.replication import (
    both_sites,
    copy_rules,
    copy_turns,
    image_facts,
    peer_ceph,
    preserved_copies,
    records,
)
from onedr.replication.preserved_copies import PreservedCopy
from onedr.runs import history, journal
from onedr.runs.events import Emit, PeerShown, ProgressEvent, VerdictEvent
from onedr.runs.plan_events import ReprotectImage, ReprotectPlanEvent
from onedr.runs.request import Request
from onedr.runs.run import Outcome, Running
from onedr.runs.step_docs import shown_steps
from onedr.runs.steps import LIMITS_S, StepKind

VERB = "reprotect"
STALL_S = 900  # a new copy that does not grow for so long is given up; the next onedr reprotect continues it
_LOOK_S = 2.0  # between looks at a copy
_TELL_S = 10.0  # between two tellings
_USAGE_LIMIT_S = 120
_LOOK_LIMIT_S = 20
_GRACE_S = 30
_THREADS = {
    StepKind.LOCK: 16,
    StepKind.DEMOTE: 100,
    StepKind.KEEP: 8,
    StepKind.RESYNC: 32,
    StepKind.AWAIT: 1000,
}


def reprotect(target: Datastore, request: Request, emit: Emit, frontend: FrontEnd) -> Outcome | None:
    """Make this site the standby. Events go to `emit`; returns None after a dry run.

    Raises RefusedError before anything was changed, when policy refuses or another run is in progress.
    """
    with connection.connect(target.access) as pool, ExitStack() as stack:
        if request.dry_run:
            facts, there = _facts(pool, target, frontend, stack)
            emit(_describe(pool, there, facts, reprotect_plan.plan_reprotect(facts, request.confirm)))
            return None
        with both_sites.begin_run(
            pool, target.settings, VERB, target.name, request.by, target.datastore_id
        ) as run:
            running = Running(
                run, target.datastore_id, request, emit, frontend, State.REPROTECTING, "secondary"
            )
            facts, there = _facts(pool, target, frontend, stack)
            plan = reprotect_plan.plan_reprotect(facts, request.confirm)
            described = _describe(pool, there, facts, plan)
            running.begin(described)
            assert there is not None  # else the plan was a refusal
            try:
                return _Reprotect(pool, there, target, facts, plan, described, running).execute()
            except RunStoppedError as stopped:
                running.interrupt(stopped)


def _facts(
    pool: Pool, target: Datastore, frontend: FrontEnd, stack: ExitStack
) -> tuple[ReprotectFacts, Pool | None]:
    """Everything policy needs, and the peer's pool, which stays open as long as `stack`."""
    sight = peer_ceph.probe_peer(pool, target.settings)
    opened = peer_ceph.peer_pool(sight, pool.access.pool, peer_ceph.PATIENT_S)
    there, detail = stack.enter_context(opened)
    unread: dict[str, str] = {}
    here = _side(pool, target, unread)
    replaced = {str(entry["id"]) for entry in pool.rbd.trash_list(pool.io)}
    clones = [name for name, image in here.items() if image.parent]
    on_old = parallel.each(clones, lambda name: _parent_id(pool, name) in replaced, _LOOK_LIMIT_S, 16)
    unread.update({name: str(found) for name, found in on_old.items() if isinstance(found, OneDRError)})
    last = journal.last_run(pool, datastore_id=target.datastore_id)
    return ReprotectFacts(
        datastore=target.name,
        protected=target.settings.protect,
        here=here,
        there=None if there is None else _side(there, target, unread),
        peer_detail=detail,
        split_brain=frozenset(mirroring.split_brained(pool)),
        vms=tuple(_free_vms(pool, frontend)),
        unread=unread,
        on_old_base=frozenset(name for name, found in on_old.items() if found is True),
        interrupted=last is not None and last.interrupted and last.verb == VERB,
        paused=receiving.is_paused(pool),
        at_once=copy_rules.at_once(target.settings, copy_turns.minute_now()),
        window=copy_rules.window_text(target.settings.copy_window) if target.settings.copy_window else "",
    ), there


def _parent_id(pool: Pool, name: str) -> str:
    with pool.image(name, read_only=True) as image:
        return str(image.parent_id())


def _side(pool: Pool, target: Datastore, unread: dict[str, str]) -> dict[str, ImageFacts]:
    images = image_facts.of_datastore(pool, target)
    unread.update({image.name: "; ".join(image.problems) for image in images if not image.rbd_id})
    return {image.name: image for image in images if image.mode is not None and image.rbd_id}


def _free_vms(pool: Pool, frontend: FrontEnd) -> list[PeerVm]:
    """VMs here on the pool that are not stopped and locked yet."""
    found = [peer_vms.of_element(element, pool.access.pool) for element in frontend.vms()]
    return [vm for vm in found if vm.images and not peer_vms.is_held(vm)]


def _describe(
    pool: Pool, there: Pool | None, facts: ReprotectFacts, plan: ReprotectPlan
) -> ReprotectPlanEvent:
    """The plan as an event: what will be kept, what it holds that the peer has not, what goes over the line.
    """
    moved = [step.target for step in plan.steps if step.kind is StepKind.AWAIT]
    sizes = (
        parallel.each(moved, lambda name: space.own_bytes(there, name), _USAGE_LIMIT_S, 16)
        if there is not None
        else {}
    )
    known = {name: size for name, size in sizes.items() if not isinstance(size, OneDRError)}
    return ReprotectPlanEvent(
        datastore=facts.datastore,
        refusal=plan.refusal,
        left_out=dict(plan.left_out),
        only_here=tuple(plan.only_here),
        peer=PeerShown(facts.peer_detail),
        images=tuple(
            ReprotectImage(
                image=name,
                kept=name in plan.kept,
                again=name in plan.resync,
                vm=_vm(facts.here.get(name)),
                loss_s=_loss(pool, facts, name) if name in plan.kept else None,
                bytes=known.get(name),
            )
            for name in moved
        ),
        steps=shown_steps(plan.steps),
        note=reprotect_plan.note(facts, plan),
    )


def _vm(image: ImageFacts | None) -> str:
    body = image.vm.body if image is not None and image.vm is not None else None
    return f"{body.name} ({body.vm_id})" if isinstance(body, VmRecord) else ""


def _loss(pool: Pool, facts: ReprotectFacts, name: str) -> float | None:
    """Seconds from the point at which the peer took over to the last mark set here:
    what only this site's image has.
    """
    taken = (facts.there or {})[name].epoch
    if taken is None or taken.point is None:
        return None
    try:
        with pool.image(name, read_only=True) as image:
            mark = records.read_mark(records.metadata(image))
    except (rbd.Error, RecordError):
        return None
    return None if mark is None else max(0.0, round(mark.at - taken.point, 1))


class _Reprotect:
    """One run. An image that fails takes its later steps out, never the others."""

    def __init__(
        self,
        pool: Pool,
        there: Pool,
        target: Datastore,
        facts: ReprotectFacts,
        plan: ReprotectPlan,
        described: ReprotectPlanEvent,
        running: Running,
    ):
        self.pool, self.there, self.target, self.facts, self.plan = pool, there, target, facts, plan
        self.running, self.outcome = running, running.outcome
        self._about = {image.image: image for image in described.images}
        self._done: dict[str, int] = {}  # bytes of the new copy by image
        self._told = time.monotonic()
        self._began = time.monotonic()
        self._mutex = threading.Lock()

    def execute(self) -> Outcome:
        self.outcome.failed.update(self.plan.left_out)
        # a member of a group, which a killed keeper left, could not be resynchronised
        group_snapshots.remove_left(self.pool, f"{self.target.datastore_id}-")
        actions = {
            StepKind.LOCK: self._lock_vm,
            StepKind.DEMOTE: lambda name: guard.demote(self.pool, name),
            StepKind.KEEP: self._keep,
            StepKind.RESYNC: self._resync,
            StepKind.AWAIT: self._await,
        }
        steps = list(self.plan.steps)
        while steps:  # runs of one kind, in the plan's order
            kind = steps[0].kind
            if kind is StepKind.RESYNC:
                self._note_loss()  # what this site had is about to be replaced
            end = next((at for at, step in enumerate(steps) if step.kind is not kind), len(steps))
            self._began = time.monotonic()
            group = [step for step in steps[:end] if step.target not in self.outcome.failed]
            self.running.do(group, actions[kind], _THREADS[kind])
            steps = steps[end:]
        return self._finish()

    def _note_loss(self) -> None:
        """Correct what the peer's history says of the failover that made this site lose its writes."""
        lost: dict[str, float] = {}
        for name in self.plan.kept:
            found, about = self.facts.here[name].vm, self._about.get(name)
            if found is None or not isinstance(found.body, VmRecord) or about is None or about.loss_s is None:
                continue
            origin = f"{found.fsid}:{found.body.vm_id}"
            lost[origin] = max(about.loss_s, lost.get(origin, 0.0))
        try:
            now_found = history.measured(journal.load_runs(self.there), lost)
            runs = history.with_earlier(now_found, journal.load_measured(self.there))
            self.running.run.note_measured(runs, self.target.settings.site, time.time())
        except rados.Error as error:
            self.outcome.failed["the history at the peer"] = f"what was lost is not noted there: {error}"

    def _lock_vm(self, vm_id: str) -> str:
        """A VM that cannot be stopped does not keep its disks from being demoted: that ends its writes."""
        return peer_vms.lock_vm(self.running.frontend, int(vm_id), LIMITS_S[StepKind.LOCK] - 10, _GRACE_S)

    def _keep(self, name: str) -> str:
        now = time.time()
        with self.pool.image(name, read_only=True) as image:
            snapshot = preserved_copies.snapshot_of(image)
        made = preserved_copies.copy_name(
            name, snapshot or f"-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
        )
        settings = self.target.settings
        preserved_copies.preserve(
            self.pool,
            PreservedCopy(
                made,
                name,
                self._about[name].vm,
                settings.site,
                now,
                now + settings.keep_s,
                self._about[name].loss_s,
            ),
            snapshot,
        )
        return f"kept as {made}" + ("" if snapshot else ", a full copy")

    def _resync(self, name: str) -> str:
        """Prove once more, at this moment, that the peer holds the later one; then let Ceph replace ours."""
        with self.there.image(name, read_only=True) as image:
            if not mirroring.is_primary(image):
                raise OneDRError(
                    "the peer's image is not primary any more: a resync could leave no copy at all"
                )
        if name in self.plan.kept and not any(
            each.image == name for each in preserved_copies.all_copies(self.pool)
        ):
            raise OneDRError("what only this site holds is not kept; nothing is deleted")
        with self.pool.image(name) as image:
            if mirroring.is_primary(image):
                raise OneDRError(f"{name} is primary here; it is not replaced")
            image.mirror_image_resync()
        self._publish(name)
        return "is being replaced"

    def _publish(self, name: str) -> None:
        """In snapshot mode the term travels with a mirror snapshot only."""
        with self.there.image(name) as image:
            mirroring.publish_changes(self.there, image)

    def _await(self, name: str) -> str:
        settings, begun = self.target.settings, time.monotonic()
        moved, moved_at, resynced = -1, begun, name in self.plan.resync
        if not resynced:
            self._publish(name)
        while True:  # no `waiting.attempts`: what ends it is a stall, however long a copy that grows takes
            self.running.run.check()
            fact, wanted = (
                image_facts.image_facts(self.pool, name, settings),
                image_facts.image_facts(self.there, name, settings),
            )
            if wanted is None or not wanted.primary:
                raise OneDRError("the peer's image is gone, or not primary any more")
            if (
                fact is not None
                and not fact.primary
                and self._is_new(fact)
                and reprotect_plan.is_arrived(fact, wanted)
            ):
                self._done[name] = self._about[name].bytes or 0
                return f"complete in {time.monotonic() - begun:.0f} s"
            if not resynced and name in mirroring.split_brained(self.pool):
                raise OneDRError(
                    "Ceph calls it split-brain: it holds what the peer never had. Repeat onedr reprotect"
                )
            done = self._progress(name, fact)
            if done != moved:
                moved, moved_at = done, time.monotonic()
            if time.monotonic() - moved_at > STALL_S:
                raise OneDRError(
                    f"its new copy did not grow for {STALL_S} s; is rbd-mirror running here? Repeat onedr "
                    "reprotect"
                )
            time.sleep(_LOOK_S)

    def _is_new(self, fact: ImageFacts) -> bool:
        """Ceph takes a moment until it deletes what it was given for a resync."""
        return fact.name not in self.plan.resync or fact.rbd_id != self.facts.here[fact.name].rbd_id

    def _progress(self, name: str, fact: ImageFacts | None) -> int:
        try:
            done = 0 if fact is None else space.own_bytes(self.pool, name)
        except rbd.ImageNotFound:  # deleted at this moment, and created again
            done = 0
        with self._mutex:
            self._done[name] = done
            if time.monotonic() - self._told >= _TELL_S:
                self._told = time.monotonic()
                self._tell()
        return done

    def _tell(self) -> None:
        """How far all copies are, and when they may be there at this pace:
        bytes that Ceph holds, not its status.
        """
        total = sum(about.bytes or 0 for about in self._about.values())
        done = min(total, sum(self._done.values()))
        passed = time.monotonic() - self._began
        left_s = None if not done else round(passed * (total - done) / done)
        percent = 100 * done // total if total else 0
        left = "" if left_s is None else f", about {left_s} s left"
        text = f"reprotect in progress: {done >> 20} of {total >> 20} MiB copied{left}."
        images = {
            name: {"bytes": count, "total": self._about[name].bytes} for name, count in self._done.items()
        }
        self.running.emit(ProgressEvent(text, done, total, percent, left_s, images))
        self.running.tell(State.REPROTECTING, Sentence(text), f"{percent} %")

    def _finish(self) -> Outcome:
        waited = [name for name in self._about if name not in self.outcome.failed]
        text = f"This site is the standby again: {len(waited)} copies are complete"
        copies = [name for name in self.plan.kept if name in waited]
        if copies:
            text += f"; what only it held of {len(copies)} is kept, see onedr kept"
        if self.plan.only_here:
            text += f"; {len(self.plan.only_here)} image(s) that the peer never took over stay this site's"
        if not self.outcome.failed:
            verdict = VerdictEvent(Sentence(f"{text}."), only_here=tuple(self.plan.only_here))
            return self.running.end(State.STANDBY, "DONE", verdict)
        text += (
            f"; {len(self.outcome.failed)} item(s) failed: onedr history shows why, onedr reprotect goes on "
            "with them."
        )
        verdict = VerdictEvent(Sentence(text), only_here=tuple(self.plan.only_here))
        return self.running.end(State.RETURNED, "PARTIAL", verdict)


def kept_copies(target: Datastore) -> list[PreservedCopy]:
    """The kept copies in the datastore's pool. Raises StorageError."""
    with connection.connect(target.access) as pool:
        return preserved_copies.all_copies(pool)


def remove_kept(target: Datastore, name: str) -> None:
    """Remove one. Raises InputError for a name that is none."""
    with connection.connect(target.access) as pool:
        preserved_copies.remove_copy(pool, name)

