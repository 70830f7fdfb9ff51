"""A move or failover under way: collect facts, plan, do the steps kind by kind, say how it ended."""
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from onedr.ceph import connection, mirroring
from onedr.ceph.connection import Pool
from onedr.failover import (
    collect,
    failback_plan,
    failback_vms,
    final_roles,
    gates,
    outcomes,
    peer_vms,
    planned_move,
    recreate_vms,
    register_images,
    rehearsal_remnants,
    rollback,
    start_order,
    start_waves,
    take_back,
    waves_plan,
)
from onedr.failover import plan as failover_plan
from onedr.failover import promote as failover_promote
from onedr.failover.describe import describe_failover
from onedr.failover.facts import Fence
from onedr.failover.snapshot_lists import SnapshotLists
from onedr.failover.start_queue import StartQueue
from onedr.failover.verdict import RunEnd, judge_end
from onedr.failover.waves import GroupGate
from onedr.host import config as host_config
from onedr.host import process
from onedr.model.errors import FrontEndError, OneDRError, RunStoppedError
from onedr.model.records import Epoch
from onedr.model.text import NOTHING
from onedr.model.types import State
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.replication import both_sites, epoch, peer_ceph
from onedr.replication import sync as replication_sync
from onedr.runs.events import Emit, VerdictEvent
from onedr.runs.journal_entry import started_steps
from onedr.runs.request import Request
from onedr.runs.run import Outcome, Running, utc_text
from onedr.runs.steps import LIMITS_S, Step, StepKind

_FENCES_THE_SITE = (StepKind.STOP, StepKind.FENCE_SITE)  # one failure of these leaves the peer unfenced
_FENCE_GRACE_S = 30  # of a guest whose site's Ceph is gone: its shutdown may hang on its disks
_SAID = 300  # characters of what the fence command said
_THREADS = {
    StepKind.STOP: 32,  # a guest that ignores its shutdown has GRACE_S, and holds up no other
    StepKind.PROMOTE: 100,
    StepKind.TERM: 100,
    StepKind.REWIND: 4,
    StepKind.FENCE: 32,
    StepKind.REGISTER: 4,
    StepKind.CREATE: 4,
    StepKind.RETURN: 4,
}


def failover(target: Datastore, request: Request, emit: Emit, frontend: FrontEnd) -> Outcome | None:
    """Move here what the peer has, or take over. Events go to `emit`; returns None after a dry run, which
    shows the plan as it would be once confirmed.

    Raises RefusedError before anything was changed, when the plan refuses or another run is in progress.
    """
    with connection.connect(target.access) as pool:
        if request.dry_run:
            asked = replace(request, confirm=request.confirm or target.name)
            facts = collect.collect_facts(pool, target, frontend, request).facts
            emit(describe_failover(failover_plan.plan_failover(facts, asked), facts, asked, time.time()))
            return None
        state = State.FAILING_BACK if request.verb == "failback" else State.FAILING_OVER
        with (
            both_sites.begin_run(
                pool, target.settings, request.verb, target.name, request.by, target.datastore_id
            ) as run,
            ExitStack() as stack,
        ):
            running = Running(run, target.datastore_id, request, emit, frontend, state, "primary")
            work = _Failover(pool, target, request, running, stack)
            try:
                return work.execute()
            except RunStoppedError as stopped:
                return work.stop(stopped)


class _Failover:
    """One run. Phases in the order of Kind; a failed item takes what depends on it out, never the others."""

    def __init__(
        self, pool: Pool, target: Datastore, request: Request, running: Running, stack: ExitStack
    ):
        self.pool, self.target, self.request, self.running, self.stack = pool, target, request, running, stack
        self.frontend, self.outcome = running.frontend, running.outcome
        self._peer_pool: Pool | None = None
        self.pending: set[str] = set()  # origins of VMs that were PENDING there and are here

    def execute(self) -> Outcome:
        rehearsal_remnants.give_way(self.pool, self.target.datastore_id, self.frontend)
        alone = self.running.run.alone
        collected = collect.collect_facts(self.pool, self.target, self.frontend, self.request, alone)
        self.facts, self.sight, self.site = collected.facts, collected.sight, collected.site
        most_s = self.facts.delay_max_s * _THREADS[StepKind.REGISTER]
        self.lists = SnapshotLists(self.site, alone=True, most_s=most_s)
        self.stack.callback(self.lists.close)
        self.plan = failover_plan.plan_failover(self.facts, self.request)
        described = describe_failover(self.plan, self.facts, self.request, self.running.began)
        self.items = {item.origin: item for item in self.plan.vms}
        before = self.running.run.interrupted
        log = self.running.log
        log.loss = outcomes.loss(described, self.items, before.loss if before else {})
        log.loss_bytes = outcomes.lost_bytes(described, self.items, before.loss_bytes if before else {})
        self.running.begin(described)
        self.images = {image.name: image for image in self.facts.images}
        back = failback_plan.taken_back(self.facts.local, self.facts.images, self.facts.here)
        self.homes = {**back, **failback_plan.homes(self.plan.vms, self.facts.local)}
        self.outcome.failed.update(self.plan.left_out)
        self.vm_ids = {origin: found.vm_id for origin, found in self.facts.recovered.items()}
        self.site.half_vms = {
            o: found.vm_id for o, found in self.facts.recovered.items() if not found.finished
        }
        for kind in self._actions():  # in the order of StepKind
            steps = [step for step in self.plan.steps if step.kind is kind and self._possible(step)]
            self._phase(kind, steps)
            if kind is StepKind.FENCE:  # the peer cannot write any more, or is gone as the operator confirmed
                self.running.run.peer_needed = False
            if kind is StepKind.PROMOTE:
                self._read_roles()
                names = [step.target for step in self.plan.steps if step.kind is StepKind.TERM]
                self._terms_there = final_roles.read_terms(self._peer_now(), names)
            if self._must_roll_back(kind, steps):
                return self._roll_back()
        return self._finish()

    def _must_roll_back(self, kind: StepKind, steps: list[Step]) -> bool:
        """A move that cannot be lossless any more, or a peer that is not fenced: then nothing is promoted."""
        failed = self.outcome.failed.keys() - self.plan.left_out.keys()
        if kind in planned_move.BEFORE_PROMOTION:
            return bool(failed) and (self.request.lossless or kind in _FENCES_THE_SITE)
        nothing = kind is StepKind.PROMOTE and failed >= {step.target for step in steps}
        return bool(steps) and nothing and self.request.lossless

    def stop(self, stopped: RunStoppedError) -> Outcome:
        """Before the first promotion a move is rolled back; else it is interrupted, and says what is left."""
        promotes = any(step.kind is StepKind.PROMOTE for step in self.plan.steps)
        if self.request.lossless and promotes and StepKind.PROMOTE.value not in self._begun():
            self.outcome.failed["the run"] = str(stopped)
            return self._roll_back()
        self.running.interrupt(stopped, self._label)

    def _begun(self) -> set[str]:
        """Kinds of steps that this run, or the interrupted one that it continues, has begun."""
        return set(started_steps([self.running.log, self.running.run.interrupted]))

    def _read_roles(self) -> final_roles.FinalRoles:
        """Of both sites, as they are now. What is wrong with an image takes its VMs out."""
        steps = [step.target for step in self.plan.steps if step.kind is StepKind.PROMOTE]
        done = [name for name in steps if name not in self.outcome.failed]
        unreachable = self.running.run.alone or "its Ceph cannot be reached any more"
        found = final_roles.read_roles(self.pool, self._peer_now(), unreachable, done, self.images)
        self.outcome.failed.update(found.failures())
        return found

    def _peer_now(self) -> Pool | None:
        """The peer's pool; None when it cannot be reached. What the lease has shown is not tried again."""
        return None if self.running.run.alone else self._try_there()

    def _try_there(self) -> Pool | None:
        if self._peer_pool is None:
            name = self.target.access.pool
            opened = peer_ceph.peer_pool(self.sight, name, peer_ceph.PATIENT_S, refusal="")
            self._peer_pool, _ = self.stack.enter_context(opened)
        return self._peer_pool

    def _phase(self, kind: StepKind, steps: list[Step]) -> None:
        if kind in (StepKind.SYNC, StepKind.DRAIN, StepKind.FENCE) and steps:
            try:
                self._there()
            except OneDRError as error:  # nothing is promoted that could not be fenced
                self.outcome.failed.update({step.target: f"{kind.value}: {error}" for step in steps})
                return
        if kind is StepKind.START:
            self._start_vms(steps)
            return
        if kind is StepKind.STOP and self.request.lossless:
            self._stop_vms(steps)
            return
        self.running.do(steps, self._actions()[kind], _THREADS.get(kind, 1))
        if kind is StepKind.FENCE:
            failover_promote.wait_for_demotion(
                self.pool, {step.target for step in steps} - self.outcome.failed.keys()
            )

    def _actions(self) -> dict[StepKind, Callable[..., str]]:
        return {
            StepKind.SYNC: self._sync,
            StepKind.STOP: self._stop,
            StepKind.DRAIN: self._sync,
            StepKind.FENCE_SITE: self._fence_site,
            StepKind.FENCE: self._fence,
            StepKind.CUT: self._cut,
            StepKind.PROMOTE: self._promote,
            StepKind.TERM: self._leave_term,
            StepKind.REWIND: self._take_back,
            StepKind.REGISTER: self._register,
            StepKind.RETURN: self._return,
            StepKind.CREATE: self._create,
            StepKind.START: self._start,
        }

    def _possible(self, step: Step) -> bool:
        """Is everything the step rests on done? What failed before is named already."""
        if step.kind in (StepKind.CREATE, StepKind.RETURN, StepKind.START) and step.target in self.items:
            needed = [image.name for image in self.items[step.target].images]
            bad = next((name for name in needed if name in self.outcome.failed), None)
            if bad:
                self.outcome.failed.setdefault(step.target, f"its disk {bad}: {self.outcome.failed[bad]}")
        return step.target not in self.outcome.failed

    def _there(self) -> Pool:
        """The peer's pool, opened once."""
        if self._peer_pool is None:
            opened = peer_ceph.open_peer(self.sight, self.target.access.pool, peer_ceph.PATIENT_S)
            self._peer_pool = self.stack.enter_context(opened)
        return self._peer_pool

    def _sync(self, name: str) -> str:
        known = self.images[name].recovery_point
        return replication_sync.sync(self.pool, self._there(), name, LIMITS_S[StepKind.DRAIN] - 5, known)

    def _stop_vms(self, steps: list[Step]) -> None:
        """In the reverse order of a recovery plan. Once one cannot be stopped, the move goes back."""
        for group in waves_plan.stops_in_order(self.facts.recovery.plan, steps, self.plan.waves, self.items):
            if any(step.target in self.outcome.failed for step in steps):
                return
            self.running.do(group, self._stop, _THREADS[StepKind.STOP])

    def _stop(self, vm_id: str) -> str:
        there, limit_s = peer_vms.peer_front_end(), LIMITS_S[StepKind.STOP] - 10
        grace_s = peer_vms.GRACE_S if self.request.lossless else _FENCE_GRACE_S
        return peer_vms.lock_vm(there, int(vm_id), limit_s, grace_s)

    def _fence_site(self, _: str) -> str:
        """The command of onedr.conf; that it ended with 0 is the evidence."""
        limit_s = host_config.load_config().fence_limit_s
        said = " ".join(process.run_program(self.facts.fence_command, limit_s).split())[-_SAID:]
        return f"ended with 0{f': {said}' if said else ''}"

    def _fence(self, name: str) -> str:
        peer_ceph.fence(self._there(), name)
        return "demoted at the peer"

    def _roll_back(self) -> Outcome:
        """Nothing is promoted here yet: the peer gets its images and VMs back."""
        why = rollback.first_few_reasons(self.outcome.failed)
        names = [step.target for step in self.plan.steps if step.kind is StepKind.PROMOTE]
        there = self._try_there() if self.plan.fence is Fence.DEMOTE else self._peer_pool
        fenced = StepKind.FENCE.value in self._begun()
        results = rollback.roll_back(self.pool, there, names, fenced)
        undone = {item: str(result) for item, result in results.items() if isinstance(result, OneDRError)}
        verb = self.request.verb
        text = rollback.said(verb, why, undone)
        self.running.log.rollback = {item: str(result) for item, result in results.items()}
        self.outcome.done.clear()
        state = State.INTERRUPTED if undone else State.STANDBY
        result = "RUNNING" if undone else "ROLLED_BACK"
        return self.running.end(state, result, VerdictEvent(text), self._label)

    def _cut(self, _: str) -> str:
        return failover_promote.cut_off(
            self.pool, [step.target for step in self.plan.steps if step.kind is StepKind.PROMOTE]
        )

    def _promote(self, name: str) -> str:
        return failover_promote.promote(
            self.pool, name, self.plan.fence is Fence.DEMOTE, self.images[name].mode
        )

    def _leave_term(self, name: str) -> str:
        fact, here, site = self.images[name], self.facts.here, self.target.settings.site
        number = epoch.next_epoch(fact.epoch, self._terms_there.get(name))
        term = Epoch(number, here, site or here[:8], time.time(), fact.recovery_point)
        return failover_promote.leave_term(self.pool, name, term)

    def _take_back(self, name: str) -> str:
        item = next(each for each in self.items.values() if name in {image.name for image in each.images})
        vm, site = f"{item.record.name} ({item.record.vm_id})", item.envelope.site
        return take_back.take_back(self.pool, name, self.plan.points[name], vm, site, time.time())

    def _register(self, name: str) -> str:
        owner = next(
            (item for item in self.items.values() if name in {image.name for image in item.images}), None
        )
        return register_images.register_image(self.site, self.images[name], owner, self.lists)

    def _create(self, origin: str) -> str:
        item = self.items[origin]
        made = recreate_vms.create_vm(self.site, item, start_order.wants_start(item, self.request))
        self.vm_ids[origin] = int(made.rpartition(" ")[2])
        return made

    def _return(self, origin: str) -> str:
        if origin not in self.items:
            return failback_vms.release_vm(self.site, self.facts.local[origin].vm_id, origin)
        item, home = self.items[origin], self.homes[origin]
        self.vm_ids[origin] = home.vm_id
        return failback_vms.return_vm(
            self.site, item, home, start_order.wants_start(item, self.request), self.images, self.lists
        )

    def _start(self, origin: str, wait_s: float) -> str:
        item, home = self.items.get(origin), self.homes.get(origin)
        if home is not None:
            self.vm_ids[origin] = home.vm_id
            done = peer_vms.start_home(self.frontend, home, wait_s)
        else:
            was_pending = item is not None and start_order.was_pending(item)
            done = recreate_vms.start_vm(self.site, self.vm_ids[origin], wait_s, was_pending)
        self.pending |= {origin} if "PENDING" in done else set()
        return done

    def _start_vms(self, steps: list[Step]) -> None:
        queue = StartQueue(self.running, self._start, self.facts.delay_max_s, self.plan.vm_delays)
        start_waves.start_waves(self.running, queue, self.plan.waves, steps, self._pass_gate)

    def _pass_gate(self, gate: GroupGate) -> str:
        vm_ids = {**self.vm_ids, **{origin: home.vm_id for origin, home in self.homes.items()}}
        return gates.pass_gate(
            self.frontend, gate, vm_ids, self.outcome.failed, self._label, self.running.run.check
        )

    def _finish(self) -> Outcome:
        roles = self._read_roles()
        closed = {gate.step.target for wave in self.plan.waves for gate in wave.gates}
        if self.request.lossless and not self.request.vms and self.outcome.failed.keys() <= closed:
            self._follow_images()
        vms = self._vms()
        bad = sorted({origin for origin in vms if origin in self.outcome.failed})
        own, ended = mirroring.roles(self.pool), time.time()
        self.running.log.vms = tuple(
            outcomes.vm_outcome(origin, self.items.get(origin), self.homes.get(origin), self._measured(ended))
            for origin in dict.fromkeys(vms)
        )
        state, result, text = judge_end(RunEnd(
            self.request.verb, self.request.lossless, utc_text(ended), ended - self.running.began,
            active=sum(1 for name in self.images if name in own and own[name].primary),
            recovered=len(set(vms)) - len(bad),
            lacking=tuple(self.items[item].record.name if item in self.items else item for item in bad),
            failed=len(self.outcome.failed), unread=roles.unread,
            split=roles.warning() if roles.split else NOTHING,
        ))
        verdict = VerdictEvent(
            text,
            warnings={self._label(item): tuple(texts) for item, texts in self.site.warnings.items()},
            vms={origin: self.vm_ids[origin] for origin in vms if origin in self.vm_ids},
            outcomes=self.running.log.vms,
        )
        return self.running.end(state, result, verdict, self._label)

    def _follow_images(self) -> None:
        try:
            failback_vms.follow_images(self.site, self.images, self.lists)
        except FrontEndError as error:
            text = f"images changed or deleted at the other site are not followed: {error}"
            self.site.warn(self.facts.datastore, text)

    def _vms(self) -> list[str]:
        """Origins of the VMs that this run was about, and those of the interrupted one it continued."""
        kinds = (StepKind.CREATE, StepKind.RETURN, StepKind.START)
        vms = [step.target for step in self.plan.steps if step.kind in kinds]
        vms = [origin for origin in vms if origin in {*self.items, *self.homes, *self.facts.recovered}]
        vms += [origin for origin in self.plan.left_out if origin in self.items]
        if self.facts.interrupted:
            started = f"{StepKind.START.value} "
            ended = [key[len(started) :] for key in self.running.ended if key.startswith(started)]
            vms += [*self.facts.recovered, *ended]
        return vms

    def _measured(self, ended: float) -> outcomes.Measured:
        starts = {step.target for step in self.plan.steps if step.kind is StepKind.START}
        return outcomes.Measured(
            self.running.asked_at, ended, self.running.ended, self.vm_ids, self.outcome.failed,
            self.running.log.loss, self.running.log.loss_bytes, starts, self.pending, self.facts.drilled,
        )

    def _label(self, item: str) -> str:
        """What a person calls an item: a VM's origin is for machines."""
        return self.items[item].label if item in self.items else item
