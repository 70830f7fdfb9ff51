"""Disaster failover: gather facts, let policy plan, execute phase by phase, journal, read back, say how it ended."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from onedr.errors import OneDRError, RefusedError
from onedr.model import Peer, State
from onedr.ops import gather, homecoming, parallel, peer, peer_site, planned, protected, recreate, register, storage
from onedr.ops import site as front
from onedr.ops.protected import Datastore
from onedr.policy import failover as policy
from onedr.policy import inventory, returning
from onedr.policy import planned as planned_policy
from onedr.policy.inventory import VmItem
from onedr.policy.plan import LIMITS_S, Facts, Kind, Plan, Request, Step
from onedr.ports import ceph, journal, mirror
from onedr.ports.ceph import Pool
from onedr.ports.frontend import FrontEnd

Emit = Callable[[dict[str, Any]], None]
_THREADS = {Kind.PROMOTE: 100, Kind.FENCE: 32, Kind.REGISTER: 4, Kind.CREATE: 4, Kind.RETURN: 4, Kind.START: 32}


@dataclass
class Outcome:
    """How a run ended. `failed`: item -> why."""

    state: State
    message: str
    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def failover(target: Datastore, request: Request, dry_run: bool, emit: Emit, frontend: FrontEnd) -> Outcome | None:
    """Take over. Events go to `emit`; returns None after a dry run.

    Raises RefusedError before anything was changed, when policy refuses or another run is in progress.
    """
    with ceph.connect(target.access) as pool:
        if dry_run:
            facts, _, _ = _facts(pool, target, frontend)
            emit(describe(policy.plan(facts, request), facts, request, time.time()))
            return None
        with journal.Run(pool, "failback" if request.only_planned else "failover") as run, ExitStack() as stack:
            return _Failover(pool, target, request, emit, frontend, run, stack).execute()


def _facts(pool: Pool, target: Datastore, frontend: FrontEnd) -> tuple[Facts, peer.Sight, front.Site]:
    images = gather.all_images(pool, target.settings)
    if protected.shares_pool(target, frontend):
        images = inventory.of_datastores(images, protected.names(target))
    sight = peer.look(pool, target.settings, (record for image in images for record in (image.vm, image.image)))
    site = front.survey(frontend, target.datastore_id, pool, target.settings)
    last = journal.last(pool)
    own_vms = frontend.vms()
    there = peer_site.look(pool.access.pool) if sight.peer is Peer.ANSWERS else peer_site.PeerSite(None, None, sight.detail)
    facts = Facts(
        datastore=target.name, here=pool.fsid(), protected=target.settings.protect, images=tuple(images), peer=sight.peer,
        peer_detail=sight.detail, can_fence=sight.can_connect,
        registered=frozenset(site.images.keys() - site.half_images), recovered=front.recovered(own_vms),
        local=front.local(own_vms, pool),
        interrupted=last is not None and last["result"] == "RUNNING",
        ground=front.ground(site, inventory.vms(images, pool.fsid())), there=there.vms, there_detail=there.detail,
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
        "steps": [
            {"kind": step.kind.value, "target": step.target, "text": step.text, "limit_s": step.limit_s} for step in plan.steps
        ],
        "left_out": dict(plan.left_out),
    }


def _describe_vm(item: VmItem, plan: Plan, request: Request, now: float) -> dict[str, Any]:
    return {
        "origin": item.origin, "name": item.record.name, "site": item.envelope.site, "vm": item.record.vm_id,
        "state_there": item.record.state, "recovery_point": item.recovery_point,
        "expected_loss_s": policy.expected_loss_s(item.recovery_point, now),
        "starts": policy.wants_start(item, request) and item.origin not in plan.left_out,
        "disks": [image.name for image in item.images], "left_out": plan.left_out.get(item.origin, ""),
        "warnings": [*item.warnings, *filter(None, [plan.warnings.get(item.origin)])],
    }


class _Failover:
    """One run. Phases in the order of Kind; a failed item takes what depends on it out, never the others."""

    def __init__(self, pool: Pool, target: Datastore, request: Request, emit: Emit, frontend: FrontEnd, run: journal.Run,
                 stack: ExitStack):
        self.stack = stack  # closes what stays open during the run
        self.pool, self.target, self.request, self.emit, self.frontend, self.run = pool, target, request, emit, frontend, run
        self.began = time.time()
        self.outcome = Outcome(State.ACTIVE_UNPROTECTED, "")
        self._peer_pool: Pool | None = None
        self.state = State.FAILING_BACK if request.only_planned else State.FAILING_OVER
        self.log: dict[str, Any] = {"run": run.id, "verb": run.verb, "owner": journal.me(), "began": self.began, "steps": []}

    def execute(self) -> Outcome:
        self.facts, self.sight, self.site = _facts(self.pool, self.target, self.frontend)
        self.plan = policy.plan(self.facts, self.request)
        described = describe(self.plan, self.facts, self.request, self.began)
        self.emit(described)
        if self.plan.refusal:
            self._journal(result="REFUSED", message=self.plan.refusal)
            raise RefusedError(self.plan.refusal)
        self.log["plan"] = described
        self._journal(result="RUNNING")
        self._tell(self.state, f"A {self.run.verb} runs since {_clock(self.began)}: {len(self.plan.steps)} steps.")
        self.items = {item.origin: item for item in self.plan.vms}
        self.images = {image.name: image for image in self.facts.images}
        self.homes = returning.homes(self.plan.vms, self.facts.local)
        self.outcome.failed.update(self.plan.left_out)
        self.vm_ids = {origin: found.vm_id for origin, found in self.facts.recovered.items()}
        self.site.half_vms = {o: found.vm_id for o, found in self.facts.recovered.items() if not found.finished}
        for kind in Kind:
            self._phase(kind, [step for step in self.plan.steps if step.kind is kind])
            if kind in planned_policy.BEFORE_PROMOTION and self.outcome.failed and planned_policy.is_planned(self.facts):
                return self._roll_back()
        return self._finish()

    def _phase(self, kind: Kind, steps: list[Step]) -> None:
        ready = [step for step in steps if self._possible(step)]
        if not ready:
            return
        self._tell(self.state, f"A {self.run.verb} runs: {kind.value} {len(ready)} of {len(self.plan.steps)} steps.")
        if kind is Kind.FENCE:
            results = self._fence(ready)
        elif kind is Kind.START:
            results = self._start_by_priority(ready)
        else:
            results = self._do(ready)
        self.log["steps"].append({"kind": kind.value, "at": time.time(), "results": {k: str(v) for k, v in results.items()}})
        self._journal(result="RUNNING")

    def _do(self, steps: Iterable[Step]) -> dict[str, str | OneDRError]:
        ordered = {step.target: step for step in steps}
        kind = next(iter(ordered.values())).kind
        action = {
            Kind.SYNC: self._sync, Kind.STOP: self._stop, Kind.DRAIN: self._sync, Kind.CUT: self._cut,
            Kind.PROMOTE: self._promote, Kind.REGISTER: self._register, Kind.CREATE: self._create, Kind.RETURN: self._return,
            Kind.START: self._start,
        }[kind]

        def one(name: str) -> str:
            begun = time.monotonic()
            try:
                done = action(name)
            except OneDRError as error:
                self._step_event(ordered[name], "failed", str(error), begun)
                raise
            self._step_event(ordered[name], "done", done, begun)
            return done

        results = parallel.each(ordered, one, LIMITS_S[kind], _THREADS.get(kind, 1))
        for name, result in results.items():
            if isinstance(result, OneDRError):
                self.outcome.failed.setdefault(name, f"{kind.value}: {result}")
            else:
                self.outcome.done[name] = result
        return results

    def _step_event(self, step: Step, result: str, detail: str, begun: float) -> None:
        self.emit({
            "event": "step", "kind": step.kind.value, "target": step.target, "text": step.text, "result": result,
            "detail": detail, "seconds": round(time.monotonic() - begun, 3),
        })

    def _possible(self, step: Step) -> bool:
        """Is everything the step rests on done? What failed before is named already."""
        if step.kind in (Kind.CREATE, Kind.RETURN, Kind.START) and step.target in self.items:
            needed = [image.name for image in self.items[step.target].images]
            bad = next((name for name in needed if name in self.outcome.failed), None)
            if bad:
                self.outcome.failed.setdefault(step.target, f"its disk {bad}: {self.outcome.failed[bad]}")
        return step.target not in self.outcome.failed

    def _fence(self, steps: list[Step]) -> dict[str, str | OneDRError]:
        names = [step.target for step in steps]
        try:
            there = self._there()
            results = parallel.each(names, lambda name: peer.fence(there, name), LIMITS_S[Kind.FENCE], 32)
        except OneDRError as error:
            results = dict.fromkeys(names, error)  # nothing is promoted that could not be fenced
        answers: dict[str, str | OneDRError] = {}
        for name, result in results.items():
            answers[name] = result if isinstance(result, OneDRError) else "demoted at the peer"
            if isinstance(result, OneDRError):
                self.outcome.failed[name] = f"fence: {result}"
            self.emit({
                "event": "step", "kind": Kind.FENCE.value, "target": name, "text": f"demote {name} at the peer", "seconds": 0,
                "result": "failed" if name in self.outcome.failed else "done", "detail": str(answers[name]),
            })
        storage.wait_for_demotion(self.pool, {name for name in names if name not in self.outcome.failed})
        return answers

    def _there(self) -> Pool:
        """The peer's pool, opened once."""
        if self._peer_pool is None:
            self._peer_pool = self.stack.enter_context(peer.connect(self.sight, self.target.access.pool))
        return self._peer_pool

    def _sync(self, name: str) -> str:
        return planned.sync(self.pool, self._there(), name, LIMITS_S[Kind.DRAIN] - 5)

    def _stop(self, vm_id: str) -> str:
        return peer_site.hold(peer_site.frontend(), int(vm_id), LIMITS_S[Kind.STOP] - 10)

    def _roll_back(self) -> Outcome:
        """Nothing is promoted here yet: the peer gets its images and VMs back."""
        why = "; ".join(f"{item}: {reason}" for item, reason in self.outcome.failed.items())
        names = [step.target for step in self.plan.steps if step.kind is Kind.PROMOTE]
        results = planned.roll_back(self.pool, self._there(), names)
        undone = {item: str(result) for item, result in results.items() if isinstance(result, OneDRError)}
        text = f"The move was taken back, the peer is the primary as before ({why})."
        if undone:
            text = f"The move failed ({why}) and could not be taken back whole ({undone}); onedr abort tries again."
        self.outcome.message, self.outcome.state = text, State.STANDBY
        self.log["rollback"] = {item: str(result) for item, result in results.items()}
        self._journal(result="RUNNING" if undone else "ROLLED_BACK", message=text)
        self.frontend.update_datastore(self.target.datastore_id, (("DR_STATE", State.STANDBY.value), ("DR_MESSAGE", text)))
        self.emit({
            "event": "verdict", "state": State.STANDBY.value, "message": text, "seconds": round(time.time() - self.began, 3),
            "done": {}, "failed": {self._label(item): reason for item, reason in self.outcome.failed.items()}, "warnings": {},
            "vms": {},
        })
        return self.outcome

    def _cut(self, _: str) -> str:
        names = [step.target for step in self.plan.steps if step.kind is Kind.PROMOTE]
        addresses = mirror.blocklist_replayers(self.pool, names)
        return f"{len(addresses)} address(es) of rbd-mirror blocklisted for 60 s"

    def _promote(self, name: str) -> str:
        return storage.promote(self.pool, name, self.facts.peer is Peer.ANSWERS)

    def _register(self, name: str) -> str:
        owner = next((item for item in self.items.values() if name in {image.name for image in item.images}), None)
        return register.register(self.site, self.images[name], owner)

    def _create(self, origin: str) -> str:
        item = self.items[origin]
        made = recreate.create(self.site, item, policy.wants_start(item, self.request))
        self.vm_ids[origin] = int(made.rpartition(" ")[2])
        return made

    def _return(self, origin: str) -> str:
        item, home = self.items[origin], self.homes[origin]
        self.vm_ids[origin] = home.vm_id
        return homecoming.take_back(self.site, item, home, policy.wants_start(item, self.request))

    def _start(self, origin: str) -> str:
        if origin in self.homes:
            home = replace(self.homes[origin], held="ACTIVE")
            return f"VM {home.vm_id} {peer_site.release(self.frontend, home, LIMITS_S[Kind.START] - 10)}"
        return recreate.start(self.site, self.vm_ids[origin], LIMITS_S[Kind.START] - 10)

    def _start_by_priority(self, steps: list[Step]) -> dict[str, str | OneDRError]:
        groups: dict[int, list[Step]] = {}
        for step in steps:
            item = self.items.get(step.target)
            groups.setdefault(policy.priority(item) if item else 3, []).append(step)
        results: dict[str, str | OneDRError] = {}
        for _, group in sorted(groups.items()):
            results.update(self._do(group))
        return results

    def _finish(self) -> Outcome:
        vms = [step.target for step in self.plan.steps if step.kind in (Kind.CREATE, Kind.RETURN, Kind.START)]
        vms += [origin for origin in self.plan.left_out if origin in self.items]
        vms += list(self.facts.recovered) if self.facts.interrupted else []  # by the run that did not end
        bad = sorted({origin for origin in vms if origin in self.outcome.failed})
        good = len(set(vms)) - len(bad)
        names = ", ".join(self.items[origin].record.name if origin in self.items else origin for origin in bad)
        ended = time.time()
        text = f"This site took over at {_clock(ended)} in {ended - self.began:.0f} s: {good} VM(s) recovered"
        if self.outcome.failed:
            text += f", {len(bad)} not ({names})" if bad else ""
            again = f"onedr history shows why, onedr {self.run.verb} goes on with them"
            text += f"; {len(self.outcome.failed)} item(s) failed: {again}."
        elif planned_policy.is_planned(self.facts):
            text += ", nothing lost. The copies go the other way now."
        else:
            text += ". There is no copy at the peer until it is back and reprotected."
        self.outcome.message = text
        warnings = {self._label(item): texts for item, texts in self.site.warnings.items()}
        self.log["warnings"] = warnings
        self._journal(result="PARTIAL" if self.outcome.failed else "DONE", message=text)
        self._tell(State.ACTIVE_UNPROTECTED, text)
        self.outcome.failed = {self._label(item): why for item, why in self.outcome.failed.items()}
        self.emit({
            "event": "verdict", "state": self.outcome.state.value, "message": text, "seconds": round(ended - self.began, 3),
            "done": self.outcome.done, "failed": self.outcome.failed, "warnings": warnings,
            "vms": {origin: self.vm_ids[origin] for origin in vms if origin in self.vm_ids},
        })
        return self.outcome

    def _label(self, item: str) -> str:
        """What a person calls an item: a VM's origin is for machines."""
        found = self.items.get(item)
        return f"VM {found.record.name} ({found.record.vm_id} at {found.envelope.site})" if found else item

    def _journal(self, result: str, message: str = "") -> None:
        self.log.update(result=result, message=message, updated=time.time(), failed=self.outcome.failed, done=self.outcome.done)
        self.run.save(self.log)

    def _tell(self, state: State, message: str) -> None:
        attributes = (("DR_STATE", state.value), ("DR_ROLE", "primary"), ("DR_MESSAGE", message))
        self.frontend.update_datastore(self.target.datastore_id, attributes)


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))

