"""Disaster failover: gather facts, let policy plan, execute phase by phase, journal, read back, say how it ended."""
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

from onedr.errors import FrontEndError, OneDRError
from onedr.facts import Term
from onedr.model import Peer, State
from onedr.ops import gather, homecoming, peer, peer_site, planned, protected, recreate, register, storage
from onedr.ops import site as front
from onedr.ops.protected import Datastore
from onedr.ops.running import Emit, Outcome, Running, clock
from onedr.policy import failover as policy
from onedr.policy import inventory, recovery, returning
from onedr.policy import planned as planned_policy
from onedr.policy.inventory import VmItem
from onedr.policy.plan import LIMITS_S, Facts, Kind, Plan, Request, Step
from onedr.policy.state import DRILLS, MOVES
from onedr.policy.steps import listed
from onedr.ports import ceph, journal, terms
from onedr.ports.ceph import Pool
from onedr.ports.frontend import FrontEnd

_THREADS = {
    Kind.PROMOTE: 100, Kind.TERM: 100, Kind.FENCE: 32, Kind.REGISTER: 4, Kind.CREATE: 4, Kind.RETURN: 4, Kind.START: 32,
}


def failover(target: Datastore, request: Request, dry_run: bool, emit: Emit, frontend: FrontEnd) -> Outcome | None:
    """Take over. Events go to `emit`; returns None after a dry run.

    Raises RefusedError before anything was changed, when policy refuses or another run is in progress.
    """
    with ceph.connect(target.access) as pool:
        if dry_run:
            facts, _, _ = _facts(pool, target, frontend)
            emit(describe(policy.plan(facts, request), facts, request, time.time()))
            return None
        state = State.FAILING_BACK if request.only_planned else State.FAILING_OVER
        with journal.Run(pool, "failback" if request.only_planned else "failover") as run, ExitStack() as stack:
            running = Running(run, target.datastore_id, emit, frontend, state, "primary")
            return _Failover(pool, target, request, running, stack).execute()


def _facts(pool: Pool, target: Datastore, frontend: FrontEnd) -> tuple[Facts, peer.Sight, front.Site]:
    images = gather.of_datastore(pool, target, protected.shares_pool(target, frontend))
    sight = peer.look(pool, target.settings, images)
    site = front.survey(frontend, target.datastore_id, pool, target.settings)
    last = journal.last(pool, DRILLS)
    own_vms = frontend.vms()
    there = peer_site.look(pool.access.pool) if sight.peer is Peer.ANSWERS else peer_site.PeerSite(None, None, sight.detail)
    facts = Facts(
        datastore=target.name, here=pool.fsid(), protected=target.settings.protect, images=tuple(images), peer=sight.peer,
        peer_detail=sight.detail, can_fence=sight.can_connect,
        registered=frozenset(site.images.keys() - site.half_images), recovered=front.recovered(own_vms),
        local=front.local(own_vms, pool),
        interrupted=last is not None and last["result"] == "RUNNING" and last["verb"] in MOVES,
        delay_s=target.settings.delay_s, ground=front.ground(site, inventory.vms(images, pool.fsid())), there=there.vms,
        there_detail=there.detail,
    )
    return facts, sight, site


def describe(plan: Plan, facts: Facts, request: Request, now: float) -> dict[str, Any]:
    """The plan as an event: what a person sees before the button is pressed (DESIGN §6 rule 4)."""
    return {
        "event": "plan",
        "datastore": facts.datastore,
        "peer": {"state": facts.peer.value, "detail": facts.peer_detail, "front_end": facts.there_detail},
        "planned": planned_policy.is_planned(facts),
        "refusal": plan.refusal,
        "vms": [_describe_vm(item, plan, request, now) for item in plan.vms],
        "images": [
            {"image": image.name, "recovery_point": image.recovery_point, "complete": image.complete, "primary": image.primary}
            for image in facts.images
        ],
        "steps": listed(plan.steps),
        "left_out": dict(plan.left_out), "delays": {str(priority): seconds for priority, seconds in plan.delays.items()},
    }


def _describe_vm(item: VmItem, plan: Plan, request: Request, now: float) -> dict[str, Any]:
    return {
        "origin": item.origin, "name": item.record.name, "site": item.envelope.site, "vm": item.record.vm_id,
        "state_there": item.record.state, "recovery_point": item.recovery_point,
        "expected_loss_s": recovery.age_s(item.recovery_point, now),
        "starts": policy.wants_start(item, request) and item.origin not in plan.left_out, "priority": policy.priority(item),
        "disks": [image.name for image in item.images], "left_out": plan.left_out.get(item.origin, ""),
        "warnings": [
            *item.warnings, *filter(None, [plan.warnings.get(item.origin), recovery.clock_warning(item.recovery_point, now)])],
    }


class _Failover:
    """One run. Phases in the order of Kind; a failed item takes what depends on it out, never the others."""

    def __init__(self, pool: Pool, target: Datastore, request: Request, running: Running, stack: ExitStack):
        self.pool, self.target, self.request, self.running, self.stack = pool, target, request, running, stack
        self.frontend, self.outcome = running.frontend, running.outcome
        self._peer_pool: Pool | None = None

    def execute(self) -> Outcome:
        self.facts, self.sight, self.site = _facts(self.pool, self.target, self.frontend)
        self.plan = policy.plan(self.facts, self.request)
        described = describe(self.plan, self.facts, self.request, self.running.began)
        self.items = {item.origin: item for item in self.plan.vms}
        self.running.log["loss"] = {vm["origin"]: self._loss(vm["origin"], vm["expected_loss_s"]) for vm in described["vms"]}
        self.running.begin(described, self.plan.refusal)
        self.images = {image.name: image for image in self.facts.images}
        back = returning.taken_back(self.facts.local, self.facts.images, self.facts.here)
        self.homes = {**back, **returning.homes(self.plan.vms, self.facts.local)}
        self.outcome.failed.update(self.plan.left_out)
        self.vm_ids = {origin: found.vm_id for origin, found in self.facts.recovered.items()}
        self.site.half_vms = {o: found.vm_id for o, found in self.facts.recovered.items() if not found.finished}
        for kind in self._actions():  # in the order of Kind
            self._phase(kind, [step for step in self.plan.steps if step.kind is kind and self._possible(step)])
            if kind in planned_policy.BEFORE_PROMOTION and self.outcome.failed and planned_policy.is_planned(self.facts):
                return self._roll_back()
        return self._finish()

    def _loss(self, origin: str, now: float | None) -> float | None:
        """Seconds a VM may lose: `now` by its recovery point, none in a planned move; as said when its disks were promoted."""
        before = (self.running.run.interrupted or {}).get("loss", {})
        if origin in before and all(image.primary for image in self.items[origin].images):
            return before[origin]  # type: ignore[no-any-return]
        return 0.0 if planned_policy.is_planned(self.facts) else now

    def _phase(self, kind: Kind, steps: list[Step]) -> None:
        if kind in (Kind.SYNC, Kind.DRAIN, Kind.FENCE) and steps:
            try:
                self._there()
            except OneDRError as error:  # nothing is promoted that could not be fenced
                self.outcome.failed.update({step.target: f"{kind.value}: {error}" for step in steps})
                return
        if kind is Kind.START:
            self._start_groups(steps)
            return
        self.running.do(steps, self._actions()[kind], _THREADS.get(kind, 1))
        if kind is Kind.FENCE:
            storage.wait_for_demotion(self.pool, {step.target for step in steps} - self.outcome.failed.keys())

    def _actions(self) -> dict[Kind, Callable[[str], str]]:
        return {
            Kind.SYNC: self._sync, Kind.STOP: self._stop, Kind.DRAIN: self._sync, Kind.FENCE: self._fence, Kind.CUT: self._cut,
            Kind.PROMOTE: self._promote, Kind.TERM: self._leave_term, Kind.REGISTER: self._register, Kind.RETURN: self._return,
            Kind.CREATE: self._create, Kind.START: self._start,
        }

    def _possible(self, step: Step) -> bool:
        """Is everything the step rests on done? What failed before is named already."""
        if step.kind in (Kind.CREATE, Kind.RETURN, Kind.START) and step.target in self.items:
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
        return peer.connect(self.sight, self.target.access.pool, peer.PATIENT_S)

    def _sync(self, name: str) -> str:
        return planned.sync(self.pool, self._there(), name, LIMITS_S[Kind.DRAIN] - 5)

    def _stop(self, vm_id: str) -> str:
        return peer_site.hold(peer_site.frontend(), int(vm_id), LIMITS_S[Kind.STOP] - 10)

    def _fence(self, name: str) -> str:
        peer.fence(self._there(), name)
        return "demoted at the peer"

    def _roll_back(self) -> Outcome:
        """Nothing is promoted here yet: the peer gets its images and VMs back."""
        why = planned.some(self.outcome.failed)
        names = [step.target for step in self.plan.steps if step.kind is Kind.PROMOTE]
        there = self._peer_pool or planned.way_there(self.stack, self._connect)
        logs = [self.running.log, self.running.run.interrupted or {}]
        fenced = Kind.FENCE.value in {entry["kind"] for log in logs for entry in log.get("steps", ())}
        results = planned.roll_back(self.pool, there, names, fenced)
        undone = {item: str(result) for item, result in results.items() if isinstance(result, OneDRError)}
        text = f"The move was taken back, the peer is the primary as before ({why})."
        if undone:
            text = f"The move failed ({why}) and could not be taken back whole ({planned.some(undone)}); onedr abort tries again."
        self.running.log["rollback"] = {item: str(result) for item, result in results.items()}
        self.outcome.done.clear()
        state = State.INTERRUPTED if undone else State.STANDBY
        return self.running.end(state, "RUNNING" if undone else "ROLLED_BACK", text, self._label)

    def _cut(self, _: str) -> str:
        return storage.cut_off(self.pool, [step.target for step in self.plan.steps if step.kind is Kind.PROMOTE])

    def _promote(self, name: str) -> str:
        return storage.promote(self.pool, name, self.facts.peer is Peer.ANSWERS, self.images[name].mode)

    def _leave_term(self, name: str) -> str:
        fact, here, site = self.images[name], self.facts.here, self.target.settings.site
        term = Term(terms.following(fact.term), here, site or here[:8], time.time(), fact.recovery_point)
        return storage.leave_term(self.pool, name, term)

    def _register(self, name: str) -> str:
        owner = next((item for item in self.items.values() if name in {image.name for image in item.images}), None)
        return register.register(self.site, self.images[name], owner)

    def _create(self, origin: str) -> str:
        item = self.items[origin]
        made = recreate.create(self.site, item, policy.wants_start(item, self.request))
        self.vm_ids[origin] = int(made.rpartition(" ")[2])
        return made

    def _return(self, origin: str) -> str:
        if origin not in self.items:
            return homecoming.leave(self.site, self.facts.local[origin].vm_id, origin)
        item, home = self.items[origin], self.homes[origin]
        self.vm_ids[origin] = home.vm_id
        return homecoming.take_back(self.site, item, home, policy.wants_start(item, self.request), self.images)

    def _start(self, origin: str) -> str:
        if origin in self.homes:
            home = replace(self.homes[origin], held="ACTIVE")
            self.vm_ids[origin] = home.vm_id
            return f"VM {home.vm_id} {peer_site.release(self.frontend, home, LIMITS_S[Kind.START] - 10)}"
        return recreate.start(self.site, self.vm_ids[origin], LIMITS_S[Kind.START] - 10)

    def _start_groups(self, steps: list[Step]) -> None:
        """Group by group: the next when all of the former run, failed or are out of time, and after its delay if any runs."""
        groups = policy.groups(steps, self.items)
        for at, (priority, group) in enumerate(groups):
            self.running.do(group, self._start, _THREADS[Kind.START])
            delay = self.plan.delays.get(priority, 0)
            if delay and at + 1 < len(groups) and any(step.target not in self.outcome.failed for step in group):
                self.running.wait(delay, f"{delay} s between priority {priority} and {groups[at + 1][0]}")

    def _finish(self) -> Outcome:
        if planned_policy.is_planned(self.facts) and not self.request.vms and not self.outcome.failed:
            try:
                homecoming.follow_images(self.site, self.images)
            except FrontEndError as error:
                self.site.warn(self.facts.datastore, f"images changed or deleted at the other site are not followed: {error}")
        vms = [step.target for step in self.plan.steps if step.kind in (Kind.CREATE, Kind.RETURN, Kind.START)]
        vms = [origin for origin in vms if origin in {*self.items, *self.homes, *self.facts.recovered}]
        vms += [origin for origin in self.plan.left_out if origin in self.items]
        if self.facts.interrupted:  # by the run that did not end
            started = f"{Kind.START.value} "
            vms += [*self.facts.recovered, *(key[len(started):] for key in self.running.ended if key.startswith(started))]
        bad = sorted({origin for origin in vms if origin in self.outcome.failed})
        good = len(set(vms)) - len(bad)
        names = ", ".join(self.items[origin].record.name if origin in self.items else origin for origin in bad)
        self.running.log["vms"] = [self._journaled(origin) for origin in dict.fromkeys(vms)]
        ended = time.time()
        text = f"This site took over at {clock(ended)} in {ended - self.running.began:.0f} s: {good} VM(s) recovered"
        if self.outcome.failed:
            text += f", {len(bad)} not ({names})" if bad else ""
            again = f"onedr history shows why, onedr {self.running.run.verb} goes on with them"
            text += f"; {len(self.outcome.failed)} item(s) failed: {again}."
        elif planned_policy.is_planned(self.facts):
            text += ", nothing lost. The copies go the other way now."
        else:
            text += ". There is no copy at the peer until it is back and reprotected."
        return self.running.end(
            State.ACTIVE_UNPROTECTED, "PARTIAL" if self.outcome.failed else "DONE", text, self._label,
            warnings={self._label(item): texts for item, texts in self.site.warnings.items()},
            vms={origin: self.vm_ids[origin] for origin in vms if origin in self.vm_ids},
        )

    def _journaled(self, origin: str) -> dict[str, Any]:
        """A VM for the history: `rto_s` from the command until it ran (None: it did not), `rpo_s` the loss at most."""
        item, ran_at = self.items.get(origin), self.running.ended.get(f"{Kind.START.value} {origin}")
        name = item.record.name if item else self.homes[origin].name if origin in self.homes else ""
        return {
            "origin": origin, "name": name, "site": item.envelope.site if item else "",
            "here": self.vm_ids.get(origin), "failed": self.outcome.failed.get(origin, ""),
            "rto_s": round(ran_at - self.running.asked_at, 3) if ran_at else None,
            "rpo_s": self.running.log["loss"].get(origin),
        }

    def _label(self, item: str) -> str:
        """What a person calls an item: a VM's origin is for machines."""
        return self.items[item].label if item in self.items else item
