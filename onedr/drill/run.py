"""A drill: the peer's VMs are started here from clones, isolated from production,
which keeps running and is replicated.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import rbd

from onedr.ceph import connection, rewind
from onedr.ceph.connection import Pool
from onedr.drill import drill_networks, rbd_clones, remnants
from onedr.drill import plan as drill_plan
from onedr.drill import report as drill_report
from onedr.drill import vms as drill_vms
from onedr.drill.checks import Checks, DrillGuest, run_checks
from onedr.drill.evidence import Evidence
from onedr.drill.show_report import show_report
from onedr.failover import collect, gates, plan_choice, recreate_vms, start_order, target_site
from onedr.failover.facts import RunPlan
from onedr.failover.placement import Placement
from onedr.failover.start_queue import StartQueue
from onedr.failover.start_waves import start_waves
from onedr.failover.waves import GroupGate
from onedr.model import names
from onedr.model.errors import RunStoppedError
from onedr.model.text import NOTHING, Sentence, first_few
from onedr.model.types import State
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.replication import both_sites, image_claims, image_facts, inventory, peer_ceph, recovery_point
from onedr.replication import sync as replication_sync
from onedr.replication.inventory import VmItem
from onedr.runs.events import Emit, PeerShown, VerdictEvent
from onedr.runs.journal_entry import VmOutcome
from onedr.runs.plan_events import DrillPlanEvent, DrillVm
from onedr.runs.request import Request
from onedr.runs.run import Outcome, Running, utc_text
from onedr.runs.step_docs import shown_steps
from onedr.runs.steps import LIMITS_S, Step, StepKind

_THREADS = {
    StepKind.SNAPSHOT: 8,
    StepKind.ARRIVE: 16,
    StepKind.CLONE: 8,
    StepKind.REWIND: 4,
    StepKind.REGISTER: 4,
    StepKind.CREATE: 4,
    StepKind.CHECK: 32,
    StepKind.PROVE: 16,
}
_MARGIN_S = 10


def drill(
    target: Datastore, request: Request, checks: Checks, emit: Emit, frontend: FrontEnd
) -> Outcome | None:
    """Run a drill. Its VMs run until `cleanup`. Events go to `emit`. Returns None after a dry run.

    Raises RefusedError before anything is changed, when the plan is a refusal or another run is in progress.
    """
    with connection.connect(target.access) as pool:
        if request.dry_run:
            seen = _look(pool, target, request, frontend)
            emit(describe_drill(drill_plan.plan_drill(seen.facts, request), seen.facts, request, time.time()))
            return None
        begun = both_sites.begin_run(
            pool, target.settings, "drill", target.name, request.by, target.datastore_id
        )
        with begun as run, ExitStack() as stack:
            run.peer_needed = False  # it changes no roles
            running = Running(run, target.datastore_id, request, emit, frontend, State.DRILLING, "secondary")
            held = Drill(pool, target, request, checks, running, stack)
            try:
                return held.execute()
            except RunStoppedError as stopped:
                running.interrupt(stopped, held.label)


@dataclass(frozen=True)
class _Seen:
    facts: drill_plan.DrillFacts
    peer_status: peer_ceph.PeerStatus
    site: target_site.Site


def _look(pool: Pool, target: Datastore, request: Request, frontend: FrontEnd) -> _Seen:
    images = image_facts.of_datastore(pool, target)
    peer_status = peer_ceph.probe_peer(pool, target.settings, images)
    with ExitStack() as stack:
        peer, _ = stack.enter_context(peer_ceph.peer_pool(peer_status, pool.access.pool))
        split = image_claims.split_images(pool, peer, [image.name for image in images])
        mapping = collect.map_in_force(pool, target, peer)
        chosen = plan_choice.read(pool, target, request, peer)
    site = target_site.survey(frontend, target.datastore_id, pool, target.settings, mapping)
    hosts = target_site.placement_here(site, ()).hosts
    found = remnants.find_remnants(pool, target, images, frontend, None, "")
    facts = drill_plan.DrillFacts(
        datastore=target.name,
        here=pool.fsid(),
        protected=target.settings.protect,
        images=tuple(images),
        peer=peer_status.peer,
        peer_detail=peer_status.detail,
        can_connect=peer_status.can_connect,
        network=target.settings.drill_network,
        placement=Placement(site.counterparts, {}, hosts),
        remaining=drill_plan.remaining(found),
        split=split,
        recovery=chosen,
    )
    return _Seen(facts, peer_status, site)


def describe_drill(
    plan: RunPlan, facts: drill_plan.DrillFacts, request: Request, now: float
) -> DrillPlanEvent:
    """The plan as an event."""
    return DrillPlanEvent(
        datastore=facts.datastore,
        network=drill_networks.names(facts.placement.counterparts, facts.network, plan.vms),
        refusal=plan.refusal,
        peer=PeerShown(facts.peer_detail, facts.peer.value),
        vms=tuple(_describe_vm(item, plan, request, now) for item in plan.vms),
        steps=shown_steps(plan.steps),
        left_out=dict(plan.left_out),
        recovery_plan=facts.recovery.label,
    )


def _describe_vm(item: VmItem, plan: RunPlan, request: Request, now: float) -> DrillVm:
    more = [plan.warnings.get(item.origin), recovery_point.clock_warning(item.recovery_point, now)]
    return DrillVm(
        origin=item.origin,
        name=item.record.name,
        site=item.envelope.site,
        vm=item.record.vm_id,
        recovery_point=item.recovery_point,
        age_s=recovery_point.age_s(item.recovery_point, now),
        starts=start_order.wants_start(item, request) and item.origin not in plan.left_out,
        disks=tuple(image.name for image in item.images),
        left_out=plan.left_out.get(item.origin, ""),
        warnings=(*item.warnings, *(text for text in more if text)),
    )


class Drill:
    """One run.

    Phases in the order of the plan's steps. A failed item excludes what depends on it, never the others.
    """

    def __init__(
        self,
        pool: Pool,
        target: Datastore,
        request: Request,
        checks: Checks,
        running: Running,
        stack: ExitStack,
    ):
        self.pool, self.target, self.request, self.checks = pool, target, request, checks
        self.running, self.stack, self.frontend, self.outcome = (
            running,
            stack,
            running.frontend,
            running.outcome,
        )
        self.evidence = Evidence()
        self._opening = threading.Lock()
        self._peer_pool: Pool | None = None
        self.registered: dict[str, int] = {}

    def execute(self) -> Outcome:
        self.seen = _look(self.pool, self.target, self.request, self.frontend)
        facts = self.seen.facts
        self.plan = drill_plan.plan_drill(facts, self.request)
        self.running.begin(describe_drill(self.plan, facts, self.request, self.running.began))
        self.items = {item.origin: item for item in self.plan.vms}
        self.images = {image.name: image for image in facts.images}
        self.outcome.failed.update(self.plan.left_out)
        self.evidence.tag = names.drill_tag(
            facts.here, self.target.datastore_id, int(self.running.run.id.partition("-")[0])
        )
        disks = [step.target for step in self.plan.steps if step.kind is StepKind.SNAPSHOT]
        self.evidence.before = {name: self.images[name].recovery_point for name in disks}
        for kind, action in self._actions().items():
            steps = [step for step in self.plan.steps if step.kind is kind and self._possible(step)]
            if kind is not StepKind.START:
                self.running.do(steps, action, _THREADS[kind])
            else:
                queue = StartQueue(self.running, self._start, self.target.settings.delay_max_s, {})
                start_waves(self.running, queue, self.plan.waves, steps, self._pass_gate, may_stop=False)
                self.evidence.during = {name: self._point(name) for name in disks}
        return self._finish()

    def _actions(self) -> dict[StepKind, Callable[..., str]]:
        return {
            StepKind.SNAPSHOT: self._snapshot,
            StepKind.ARRIVE: self._arrive,
            StepKind.CLONE: self._clone,
            StepKind.REWIND: self._rewind,
            StepKind.REGISTER: self._register,
            StepKind.CREATE: self._create,
            StepKind.START: self._start,
            StepKind.CHECK: self._check,
            StepKind.PROVE: self._prove,
        }

    def _possible(self, step: Step) -> bool:
        item = self.items.get(step.target)
        bad = (
            next((image.name for image in item.images if image.name in self.outcome.failed), None)
            if item
            else None
        )
        if bad:
            self.outcome.failed.setdefault(step.target, f"its disk {bad}: {self.outcome.failed[bad]}")
        return step.target not in self.outcome.failed

    def _there(self) -> Pool:
        with self._opening:
            if self._peer_pool is None:
                self._peer_pool = self.stack.enter_context(
                    peer_ceph.open_peer(self.seen.peer_status, self.target.access.pool, peer_ceph.PATIENT_S)
                )
            return self._peer_pool

    def _snapshot(self, name: str) -> str:
        at = rbd_clones.take_snapshot(self._there(), name, self.evidence.tag)
        self.evidence.snapshot_at[name] = at
        return f"contains everything written before {utc_text(at)}"

    def _arrive(self, name: str) -> str:
        return rbd_clones.wait_for(self.pool, name, self.evidence.tag, LIMITS_S[StepKind.ARRIVE] - _MARGIN_S)

    def _clone(self, name: str) -> str:
        self.evidence.clones[name] = rbd_clones.make_clone(self.pool, name, self.evidence.tag)
        return self.evidence.clones[name]

    def _rewind(self, name: str) -> str:
        """The clone is of the drill's snapshot: a group snapshot cannot be cloned before Ceph 20."""
        point = self.plan.points[name]
        compared = rewind.write_back(
            self.pool, name, point.snapshot, self.evidence.clones[name], self.evidence.tag
        )
        self.evidence.snapshot_at[name] = point.note.at
        return f"as of {utc_text(point.note.at)}, {compared >> 20} MiB compared"

    def _register(self, name: str) -> str:
        owner = next(item for item in self.plan.vms if name in {image.name for image in item.images})
        self.registered[name] = drill_vms.register_clone(
            self.seen.site, self.evidence.tag, self.images[name], owner
        )
        return f"image {self.registered[name]}"

    def _create(self, origin: str) -> str:
        vm_id = drill_vms.create_drill_vm(
            self.seen.site, self.evidence.tag, self.items[origin], self.registered
        )
        self.evidence.vm_ids[origin] = vm_id
        self.evidence.nics[origin] = drill_vms.vm_nics(self.seen.site, vm_id)
        return f"VM {vm_id}"

    def _start(self, origin: str, wait_s: float) -> str:
        outcome = recreate_vms.start_vm(self.seen.site, self.evidence.vm_ids[origin], wait_s)
        self.evidence.running_s[origin] = time.time() - self.running.began
        return outcome

    def _pass_gate(self, gate: GroupGate) -> str:
        return gates.pass_gate(
            self.frontend, gate, self.evidence.vm_ids, self.outcome.failed, self.label, self.running.run.check
        )

    def _check(self, origin: str) -> str:
        item, vm_id = self.items[origin], self.evidence.vm_ids[origin]
        writable = [
            self.evidence.clones[image.name] for image in item.images if not inventory.is_cdrom(image)
        ]
        address = drill_vms.vm_address(self.seen.site, vm_id)
        guest = DrillGuest(vm_id, item.record.name, address, writable)
        outcome = run_checks(
            self.pool, self.frontend, guest, self.checks, self.evidence.checks.setdefault(origin, []).append
        )
        self.evidence.passed_s[origin] = time.time() - self.running.began
        return outcome

    def _prove(self, name: str) -> str:
        limit_s, known = LIMITS_S[StepKind.PROVE] - _MARGIN_S, self.evidence.before.get(name)
        outcome = replication_sync.sync(self.pool, self._there(), name, limit_s, known)
        self.evidence.after[name] = self._point(name)
        return f"a mark written at the peer {outcome}"

    def _point(self, name: str) -> float | None:
        with suppress(rbd.Error):
            fact = image_facts.image_facts(self.pool, name, self.target.settings)
            return fact.recovery_point if fact is not None else None
        return None

    def _finish(self) -> Outcome:
        evidence, objective = self.evidence, self.target.settings.rto_s
        wanted = [step.target for step in self.plan.steps if step.kind is StepKind.CHECK]
        passed = [origin for origin in wanted if origin in evidence.passed_s]
        rto_s = (
            max(evidence.passed_s[origin] for origin in wanted)
            if wanted and len(passed) == len(wanted)
            else None
        )
        failed = {self.label(item): why for item, why in self.outcome.failed.items()}
        reasons = drill_plan.drill_verdict(failed, self._unproven(), len(wanted), rto_s, objective)
        result = "FAILED" if reasons else "PASSED"
        report = drill_report.build_report(self._described(), result, reasons, rto_s)
        saved = drill_report.save_report(self.target.datastore_id, evidence.tag, report)
        show_report(self.pool, self.target, saved)
        self.frontend.update_datastore(
            self.target.datastore_id, (("DR_LAST_DRILL", f"{utc_text(time.time())} {result}"),)
        )
        text = f"The drill {result} at {utc_text(time.time())}: {len(passed)} of {len(wanted)} VM(s) came up"
        text += f" in {rto_s:.0f} s" if rto_s is not None else ""
        text += f" (DR_RTO {objective} s)" if objective else ""
        why = Sentence(f"; {first_few(reasons, separator='; ')}", f"; {len(reasons)} reason(s)")
        until = f". Its VMs run until onedr drill cleanup {self.target.name}; report: "
        said = Sentence(text).then(why if reasons else NOTHING).then(
            Sentence(f"{until}{saved.html}.", f"{until}onedr drill report {self.target.name}.")
        )
        if reasons:
            self.outcome.failed.setdefault("the drill", "; ".join(reasons))
        self.running.log.vms = tuple(self._outcome(item) for item in self.plan.vms)
        verdict = VerdictEvent(
            said,
            warnings={self.label(item): tuple(texts) for item, texts in self.seen.site.warnings.items()},
            vms=dict(evidence.vm_ids),
            drill=result,
            rto_s=rto_s,
            report=str(saved.json),
            page=str(saved.html),
            sha256=saved.digest,
        )
        return self.running.end(State.STANDBY, "PARTIAL" if reasons else "DONE", verdict, self.label)

    def _outcome(self, item: VmItem) -> VmOutcome:
        """For the history, and for the plans of later failovers."""
        evidence, why = self.evidence, self.outcome.failed.get(item.origin, "")
        return VmOutcome(
            item.origin, item.record.name, item.envelope.site, evidence.vm_ids.get(item.origin), why,
            rto_s=evidence.running_s.get(item.origin),
        )

    def _described(self) -> drill_report.DrillRun:
        return drill_report.DrillRun(
            self.running, self.target, self.request, self.checks, self.seen.facts, self.plan, self.evidence,
            self.seen.site.warnings, self.pool, self._peer_pool,
        )

    def _unproven(self) -> list[str]:
        """Images whose replication could not be verified:
        `after` comes from a mark written at the peer after the checks.
        """
        evidence = self.evidence
        return [
            name
            for name in evidence.snapshot_at
            if name not in self.outcome.failed
            and (evidence.after.get(name) or 0) <= (evidence.before[name] or 0)
        ]

    def label(self, item: str) -> str:
        return self.items[item].label if item in self.items else item
