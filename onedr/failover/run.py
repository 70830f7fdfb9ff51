"""Disaster failover: gather facts, let policy plan, execute phase by phase, journal, read back, say how it
ended.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.failover import (
    failback_plan,
    failback_vms,
    peer_vms,
    planned_move,
    recreate_vms,
    register_images,
    rollback,
    start_order,
    target_site,
)
from onedr.failover import plan as failover_plan
from onedr.failover import (
    promote as failover_promote,
)
from onedr.failover.facts import FailoverFacts, RunPlan
from onedr.model.errors import FrontEndError, OneDRError
from onedr.model.records import Epoch
from onedr.model.types import PeerState, State
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.replication import epoch, image_facts, inventory, peer_ceph, recovery_point
from onedr.replication import sync as replication_sync
from onedr.replication.inventory import VmItem
from onedr.runs import journal
from onedr.runs.events import Emit, PeerShown, VerdictEvent
from onedr.runs.journal_entry import VmOutcome, started_steps
from onedr.runs.plan_events import FailoverImage, FailoverPlanEvent, FailoverVm
from onedr.runs.request import Request
from onedr.runs.run import Outcome, Running, utc_text
from onedr.runs.state import DRILLS, MOVES
from onedr.runs.step_docs import shown_steps
from onedr.runs.steps import LIMITS_S, Step, StepKind

_THREADS = {
    StepKind.PROMOTE: 100,
    StepKind.TERM: 100,
    StepKind.FENCE: 32,
    StepKind.REGISTER: 4,
    StepKind.CREATE: 4,
    StepKind.RETURN: 4,
    StepKind.START: 32,
}


def failover(target: Datastore, request: Request, emit: Emit, frontend: FrontEnd) -> Outcome | None:
    """Take over. Events go to `emit`; returns None after a dry run.

    Raises RefusedError before anything was changed, when policy refuses or another run is in progress.
    """
    with connection.connect(target.access) as pool:
        if request.dry_run:
            facts, _, _ = _facts(pool, target, frontend)
            emit(describe_failover(failover_plan.plan_failover(facts, request), facts, request, time.time()))
            return None
        state = State.FAILING_BACK if request.only_planned else State.FAILING_OVER
        with (
            journal.Run(pool, request.verb) as run,
            ExitStack() as stack,
        ):
            running = Running(run, target.datastore_id, request, emit, frontend, state, "primary")
            return _Failover(pool, target, request, running, stack).execute()


def _facts(
    pool: Pool, target: Datastore, frontend: FrontEnd
) -> tuple[FailoverFacts, peer_ceph.PeerStatus, target_site.Site]:
    images = image_facts.of_datastore(pool, target, datastores.shares_pool(target, frontend))
    sight = peer_ceph.probe_peer(pool, target.settings, images)
    site = target_site.survey(frontend, target.datastore_id, pool, target.settings)
    last = journal.last_run(pool, DRILLS)
    own_vms = frontend.vms()
    there = (
        peer_vms.collect_peer_vms(pool.access.pool)
        if sight.peer is PeerState.ANSWERS
        else peer_vms.PeerVms(None, None, sight.detail)
    )
    facts = FailoverFacts(
        datastore=target.name,
        here=pool.fsid(),
        protected=target.settings.protect,
        images=tuple(images),
        peer=sight.peer,
        peer_detail=sight.detail,
        can_fence=sight.can_connect,
        registered=frozenset(site.images.keys() - site.half_images),
        recovered=target_site.recovered(own_vms),
        local=target_site.local(own_vms, pool),
        interrupted=last is not None and last.interrupted and last.verb in MOVES,
        delay_s=target.settings.delay_s,
        ground=target_site.placement_here(site, inventory.vms(images, pool.fsid())),
        there=there.vms,
        there_detail=there.detail,
    )
    return facts, sight, site


def describe_failover(
    plan: RunPlan, facts: FailoverFacts, request: Request, now: float
) -> FailoverPlanEvent:
    """The plan as an event: what a person sees before anything is changed."""
    return FailoverPlanEvent(
        datastore=facts.datastore,
        verb=request.verb,
        peer=PeerShown(facts.peer_detail, facts.peer.value, facts.there_detail),
        planned=planned_move.is_planned(facts),
        refusal=plan.refusal,
        vms=tuple(_describe_vm(item, plan, request, now) for item in plan.vms),
        images=tuple(
            FailoverImage(image.name, image.recovery_point, image.complete, image.primary)
            for image in facts.images
        ),
        steps=shown_steps(plan.steps),
        left_out=dict(plan.left_out),
        delays={str(priority): seconds for priority, seconds in plan.delays.items()},
    )


def _describe_vm(item: VmItem, plan: RunPlan, request: Request, now: float) -> FailoverVm:
    more = [plan.warnings.get(item.origin), recovery_point.clock_warning(item.recovery_point, now)]
    return FailoverVm(
        origin=item.origin,
        name=item.record.name,
        site=item.envelope.site,
        vm=item.record.vm_id,
        state_there=item.record.state,
        recovery_point=item.recovery_point,
        expected_loss_s=recovery_point.age_s(item.recovery_point, now),
        starts=start_order.wants_start(item, request) and item.origin not in plan.left_out,
        priority=start_order.priority(item),
        disks=tuple(image.name for image in item.images),
        left_out=plan.left_out.get(item.origin, ""),
        warnings=(*item.warnings, *(text for text in more if text)),
    )


class _Failover:
    """One run. Phases in the order of Kind; a failed item takes what depends on it out, never the others."""

    def __init__(
        self, pool: Pool, target: Datastore, request: Request, running: Running, stack: ExitStack
    ):
        self.pool, self.target, self.request, self.running, self.stack = pool, target, request, running, stack
        self.frontend, self.outcome = running.frontend, running.outcome
        self._peer_pool: Pool | None = None

    def execute(self) -> Outcome:
        self.facts, self.sight, self.site = _facts(self.pool, self.target, self.frontend)
        self.plan = failover_plan.plan_failover(self.facts, self.request)
        described = describe_failover(self.plan, self.facts, self.request, self.running.began)
        self.items = {item.origin: item for item in self.plan.vms}
        self.running.log.loss = {vm.origin: self._loss(vm.origin, vm.expected_loss_s) for vm in described.vms}
        self.running.begin(described)
        self.images = {image.name: image for image in self.facts.images}
        back = failback_plan.taken_back(self.facts.local, self.facts.images, self.facts.here)
        self.homes = {**back, **failback_plan.homes(self.plan.vms, self.facts.local)}
        self.outcome.failed.update(self.plan.left_out)
        self.vm_ids = {origin: found.vm_id for origin, found in self.facts.recovered.items()}
        self.site.half_vms = {
            o: found.vm_id for o, found in self.facts.recovered.items() if not found.finished
        }
        for kind in self._actions():  # in the order of Kind
            self._phase(
                kind, [step for step in self.plan.steps if step.kind is kind and self._possible(step)]
            )
            if (
                kind in planned_move.BEFORE_PROMOTION
                and self.outcome.failed
                and planned_move.is_planned(self.facts)
            ):
                return self._roll_back()
        return self._finish()

    def _loss(self, origin: str, now: float | None) -> float | None:
        """Seconds a VM may lose: `now` by its recovery point, none in a planned move; as said when its disks
        were promoted.
        """
        interrupted = self.running.run.interrupted
        before = interrupted.loss if interrupted else {}
        if origin in before and all(image.primary for image in self.items[origin].images):
            return before[origin]
        return 0.0 if planned_move.is_planned(self.facts) else now

    def _phase(self, kind: StepKind, steps: list[Step]) -> None:
        if kind in (StepKind.SYNC, StepKind.DRAIN, StepKind.FENCE) and steps:
            try:
                self._there()
            except OneDRError as error:  # nothing is promoted that could not be fenced
                self.outcome.failed.update({step.target: f"{kind.value}: {error}" for step in steps})
                return
        if kind is StepKind.START:
            self._start_groups(steps)
            return
        self.running.do(steps, self._actions()[kind], _THREADS.get(kind, 1))
        if kind is StepKind.FENCE:
            failover_promote.wait_for_demotion(
                self.pool, {step.target for step in steps} - self.outcome.failed.keys()
            )

    def _actions(self) -> dict[StepKind, Callable[[str], str]]:
        return {
            StepKind.SYNC: self._sync,
            StepKind.STOP: self._stop,
            StepKind.DRAIN: self._sync,
            StepKind.FENCE: self._fence,
            StepKind.CUT: self._cut,
            StepKind.PROMOTE: self._promote,
            StepKind.TERM: self._leave_term,
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
            self._peer_pool = self.stack.enter_context(self._connect())
        return self._peer_pool

    def _connect(self) -> AbstractContextManager[Pool]:
        return peer_ceph.open_peer(self.sight, self.target.access.pool, peer_ceph.PATIENT_S)

    def _sync(self, name: str) -> str:
        return replication_sync.sync(self.pool, self._there(), name, LIMITS_S[StepKind.DRAIN] - 5)

    def _stop(self, vm_id: str) -> str:
        return peer_vms.lock_vm(peer_vms.peer_front_end(), int(vm_id), LIMITS_S[StepKind.STOP] - 10)

    def _fence(self, name: str) -> str:
        peer_ceph.fence(self._there(), name)
        return "demoted at the peer"

    def _roll_back(self) -> Outcome:
        """Nothing is promoted here yet: the peer gets its images and VMs back."""
        why = rollback.first_few_reasons(self.outcome.failed)
        names = [step.target for step in self.plan.steps if step.kind is StepKind.PROMOTE]
        there = self._peer_pool or rollback.open_peer_if_reachable(self.stack, self._connect)
        fenced = StepKind.FENCE.value in started_steps([self.running.log, self.running.run.interrupted])
        results = rollback.roll_back(self.pool, there, names, fenced)
        undone = {item: str(result) for item, result in results.items() if isinstance(result, OneDRError)}
        text = f"The move was taken back, the peer is the primary as before ({why})."
        if undone:
            text = (
                f"The move failed ({why}) and could not be taken back whole "
                f"({rollback.first_few_reasons(undone)}); onedr abort tries again."
            )
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
            self.pool, name, self.facts.peer is PeerState.ANSWERS, self.images[name].mode
        )

    def _leave_term(self, name: str) -> str:
        fact, here, site = self.images[name], self.facts.here, self.target.settings.site
        term = Epoch(epoch.next_epoch(fact.epoch), here, site or here[:8], time.time(), fact.recovery_point)
        return failover_promote.leave_term(self.pool, name, term)

    def _register(self, name: str) -> str:
        owner = next(
            (item for item in self.items.values() if name in {image.name for image in item.images}), None
        )
        return register_images.register_image(self.site, self.images[name], owner)

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
            self.site, item, home, start_order.wants_start(item, self.request), self.images
        )

    def _start(self, origin: str) -> str:
        if origin in self.homes:
            home = replace(self.homes[origin], held="ACTIVE")
            self.vm_ids[origin] = home.vm_id
            return f"VM {home.vm_id} {peer_vms.unlock_vm(self.frontend, home, LIMITS_S[StepKind.START] - 10)}"
        return recreate_vms.start_vm(self.site, self.vm_ids[origin], LIMITS_S[StepKind.START] - 10)

    def _start_groups(self, steps: list[Step]) -> None:
        """Group by group: the next when all of the former run, failed or are out of time, and after its
        delay if any runs.
        """
        groups = start_order.groups(steps, self.items)
        for at, (priority, group) in enumerate(groups):
            self.running.do(group, self._start, _THREADS[StepKind.START])
            delay = self.plan.delays.get(priority, 0)
            if (
                delay
                and at + 1 < len(groups)
                and any(step.target not in self.outcome.failed for step in group)
            ):
                self.running.wait(delay, f"{delay} s between priority {priority} and {groups[at + 1][0]}")

    def _finish(self) -> Outcome:
        if planned_move.is_planned(self.facts) and not self.request.vms and not self.outcome.failed:
            try:
                failback_vms.follow_images(self.site, self.images)
            except FrontEndError as error:
                self.site.warn(
                    self.facts.datastore,
                    f"images changed or deleted at the other site are not followed: {error}",
                )
        vms = [
            step.target
            for step in self.plan.steps
            if step.kind in (StepKind.CREATE, StepKind.RETURN, StepKind.START)
        ]
        vms = [origin for origin in vms if origin in {*self.items, *self.homes, *self.facts.recovered}]
        vms += [origin for origin in self.plan.left_out if origin in self.items]
        if self.facts.interrupted:  # by the run that did not end
            started = f"{StepKind.START.value} "
            vms += [
                *self.facts.recovered,
                *(key[len(started) :] for key in self.running.ended if key.startswith(started)),
            ]
        bad = sorted({origin for origin in vms if origin in self.outcome.failed})
        good = len(set(vms)) - len(bad)
        names = ", ".join(
            self.items[origin].record.name if origin in self.items else origin for origin in bad
        )
        self.running.log.vms = tuple(self._journaled(origin) for origin in dict.fromkeys(vms))
        ended = time.time()
        text = (
            f"This site took over at {utc_text(ended)} in {ended - self.running.began:.0f} s: {good} VM(s) "
            "recovered"
        )
        if self.outcome.failed:
            text += f", {len(bad)} not ({names})" if bad else ""
            again = f"onedr history shows why, onedr {self.running.run.verb} goes on with them"
            text += f"; {len(self.outcome.failed)} item(s) failed: {again}."
        elif planned_move.is_planned(self.facts):
            text += ", nothing lost. The copies go the other way now."
        else:
            text += ". There is no copy at the peer until it is back and reprotected."
        verdict = VerdictEvent(
            text,
            warnings={self._label(item): tuple(texts) for item, texts in self.site.warnings.items()},
            vms={origin: self.vm_ids[origin] for origin in vms if origin in self.vm_ids},
        )
        result = "PARTIAL" if self.outcome.failed else "DONE"
        return self.running.end(State.ACTIVE_UNPROTECTED, result, verdict, self._label)

    def _journaled(self, origin: str) -> VmOutcome:
        """A VM for the history: `rto_s` from the command until it ran (None: it did not), `rpo_s` the loss
        at most.
        """
        item, ran_at = self.items.get(origin), self.running.ended.get(f"{StepKind.START.value} {origin}")
        name = item.record.name if item else self.homes[origin].name if origin in self.homes else ""
        return VmOutcome(
            origin=origin, name=name, site=item.envelope.site if item else "",
            here=self.vm_ids.get(origin), failed=self.outcome.failed.get(origin, ""),
            rto_s=round(ran_at - self.running.asked_at, 3) if ran_at else None,
            rpo_s=self.running.log.loss.get(origin),
        )

    def _label(self, item: str) -> str:
        """What a person calls an item: a VM's origin is for machines."""
        return self.items[item].label if item in self.items else item
