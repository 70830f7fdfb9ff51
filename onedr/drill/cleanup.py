"""Drill cleanup: remove everything with a drill's tag at this site, and its snapshots at the primary.

No journal is needed.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.drill import plan as drill_plan
from onedr.drill import rbd_clones
from onedr.drill import report as drill_report
from onedr.drill.remnants import find_remnants
from onedr.drill.show_report import show_report
from onedr.failover.facts import RunPlan
from onedr.model import names, template
from onedr.model.errors import RunStoppedError
from onedr.model.records import ImageFacts
from onedr.model.text import Sentence, first_few
from onedr.model.types import State
from onedr.opennebula import removal
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.datastores import Datastore
from onedr.protection import keeper_lock
from onedr.replication import both_sites, image_facts, peer_ceph
from onedr.replication import sync as replication_sync
from onedr.runs.events import Emit, VerdictEvent
from onedr.runs.plan_events import DrillPlanEvent
from onedr.runs.request import Request
from onedr.runs.run import Outcome, Running, utc_text
from onedr.runs.step_docs import shown_steps
from onedr.runs.steps import LIMITS_S, StepKind

_THREADS = {StepKind.TERMINATE: 16, StepKind.REMOVE: 8, StepKind.DELETE: 8, StepKind.UNSNAP: 16}
_MARGIN_S = 10


def cleanup(target: Datastore, request: Request, emit: Emit, frontend: FrontEnd) -> Outcome | None:
    """Remove all drills of this datastore, if any. Events go to `emit`. Returns None after a dry run.

    Raises RefusedError when another run, or a drill, is in progress.
    """
    with connection.connect(target.access) as pool, ExitStack() as stack:
        if request.dry_run:
            cleaner = _Cleanup(pool, target, frontend, stack)
            emit(describe_cleanup(cleaner.plan(), target.name))
            return None
        with both_sites.begin_run(
            pool, target.settings, request.verb, target.name, request.by, target.datastore_id
        ) as run:
            run.peer_needed = False  # it changes no roles
            shown = template.get(attributes(frontend.datastore(target.datastore_id)), "DR_STATE")
            cleaner = _Cleanup(pool, target, frontend, stack)
            plan = cleaner.plan()
            role = "secondary" if cleaner.receives else "primary"
            cleaner.running = Running(
                run, target.datastore_id, request, emit, frontend, State.DRILLING, role
            )
            try:
                outcome = cleaner.execute(plan, _state_after(shown, cleaner.receives))
            except RunStoppedError as stopped:
                cleaner.running.interrupt(stopped)
    keeper_lock.wake_keeper(target.datastore_id)  # to show the current state
    return outcome


def _state_after(shown: str, receives: bool) -> State:
    """The state that was shown before, unless it was that of an interrupted drill.

    The keeper updates it right after.
    """
    if shown in State.__members__ and State[shown] not in (State.DRILLING, State.INTERRUPTED):
        return State[shown]
    return State.STANDBY if receives else State.DEGRADED


def describe_cleanup(plan: RunPlan, datastore: str) -> DrillPlanEvent:
    """The plan as an event."""
    return DrillPlanEvent(
        datastore, "drill_cleanup", steps=shown_steps(plan.steps), left_out=dict(plan.left_out)
    )


class _Cleanup:
    """One run. What fails is reported, and removed by the next run."""

    running: Running

    def __init__(self, pool: Pool, target: Datastore, frontend: FrontEnd, stack: ExitStack):
        self.pool, self.target, self.frontend, self.stack = pool, target, frontend, stack
        self.there: Pool | None = None
        self.receives = False
        self.points: dict[str, float | None] = {}

    def plan(self) -> RunPlan:
        images = image_facts.of_datastore(self.pool, self.target)
        self.receives = any(image.mode is not None and not image.primary for image in images)
        self.known = {image.name: image.recovery_point for image in images}
        why = self._reach_peer(images) if self.receives else ""
        self.found = find_remnants(self.pool, self.target, images, self.frontend, self.there, why)
        self.clones = {
            clone.name: rbd_clones.Clone(clone.name, clone.made, clone.trash) for clone in self.found.clones
        }
        self.snapshots = {snapshot.target: snapshot for snapshot in self.found.snapshots}
        plan = drill_plan.plan_cleanup(self.found)
        return (
            plan
            if not why
            else RunPlan(
                "", plan.steps, left_out={**plan.left_out, "the peer": f"could not be checked: {why}"}
            )
        )

    def _reach_peer(self, images: Sequence[ImageFacts]) -> str:
        """Open the peer's pool. Returns why that is not possible; empty when it is open."""
        status = peer_ceph.probe_peer(self.pool, self.target.settings, images)
        self.there, seen = self.stack.enter_context(
            peer_ceph.peer_pool(status, self.target.access.pool, peer_ceph.PATIENT_S)
        )
        return "" if self.there else seen

    def execute(self, plan: RunPlan, after: State) -> Outcome:
        running = self.running
        running.begin(describe_cleanup(plan, self.target.name))
        running.outcome.failed.update(plan.left_out)
        actions: dict[StepKind, Callable[[str], str]] = {
            StepKind.TERMINATE: self._terminate,
            StepKind.REMOVE: self._remove,
            StepKind.DELETE: self._delete,
            StepKind.UNSNAP: self._unsnap,
        }
        for kind, action in actions.items():
            running.do([step for step in plan.steps if step.kind is kind], action, _THREADS[kind])
        left = dict(running.outcome.failed)
        saved = drill_report.amend(self.target.datastore_id, sorted(self._tags()), {
            "at": time.time(), "removed": running.outcome.done, "left": left, "recovery_points": self.points,
        })
        text = (
            f"Drill cleanup at {utc_text(time.time())}: "
            f"{len(plan.steps) - len(set(left) & self._targets(plan))} object(s) removed"
        )
        reasons = first_few([f"{item}: {why}" for item, why in left.items()], separator="; ")
        said = Sentence(f"{text}, nothing remains.") if not left else Sentence(
            f"{text}, remaining: {reasons}.", f"{text}, {len(left)} remain; see onedr history."
        )
        verdict = VerdictEvent(said)
        if saved:
            show_report(self.pool, self.target, saved)
            verdict = replace(verdict, report=str(saved.json), page=str(saved.html), sha256=saved.digest)
        return running.end(after, "PARTIAL" if left else "DONE", verdict)

    @staticmethod
    def _targets(plan: RunPlan) -> set[str]:
        return {step.target for step in plan.steps}

    def _tags(self) -> set[str]:
        found = [vm.tag for vm in self.found.vms] + [image.tag for image in self.found.images]
        found += [parsed.tag for clone in self.found.clones if (parsed := names.parse_drill(clone.name))]
        return {*found, *(snapshot.tag for snapshot in self.found.snapshots)}

    def _terminate(self, target: str) -> str:
        return removal.terminate(
            self.frontend, int(target.rpartition(" ")[2]), LIMITS_S[StepKind.TERMINATE] - _MARGIN_S
        )

    def _remove(self, name: str) -> str:
        return rbd_clones.remove_clone(self.pool, self.clones[name])

    def _delete(self, target: str) -> str:
        return removal.delete_image(
            self.frontend, int(target.rpartition(" ")[2]), LIMITS_S[StepKind.DELETE] - _MARGIN_S
        )

    def _unsnap(self, target: str) -> str:
        snapshot = self.snapshots[target]
        if snapshot.primary == "here":
            rbd_clones.drop_drill_snapshot(self.pool, snapshot.image, snapshot.tag)
            rbd_clones.wait_without(self.pool, snapshot.image, snapshot.tag, _MARGIN_S)
            return "removed here"
        there = self.there
        assert there is not None
        rbd_clones.drop_drill_snapshot(there, snapshot.image, snapshot.tag)
        half = LIMITS_S[StepKind.UNSNAP] / 2 - _MARGIN_S
        rbd_clones.wait_without(self.pool, snapshot.image, snapshot.tag, half)
        known = self.known.get(snapshot.image)
        outcome = replication_sync.sync(self.pool, there, snapshot.image, half, known)
        fact = image_facts.image_facts(self.pool, snapshot.image, self.target.settings)
        self.points[snapshot.image] = fact.recovery_point if fact else None
        return f"removed at both sites; replication continues ({outcome})"
