"""Take a drill away: all that carries its mark at this site, and its snapshots at the primary; nothing of it
needs a journal.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from lxml import etree

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.drill import plan as drill_plan
from onedr.drill import rbd_clones
from onedr.drill import report as drill_report
from onedr.drill.leftovers import find_leftovers
from onedr.failover.facts import RunPlan
from onedr.model import names, template
from onedr.model.errors import FrontEndError, OneDRError, RunStoppedError
from onedr.model.records import ImageFacts
from onedr.model.types import PeerState, State
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import NO_SUCH_OBJECT, NOT_POSSIBLE, FrontEnd, attributes
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
_PATIENCE_S = 60  # with a VM that cannot be terminated just now; then it is deleted from where it is stuck
_PAUSE_S = 0.5
_RECOVER_DELETE = 3


def cleanup(target: Datastore, request: Request, emit: Emit, frontend: FrontEnd) -> Outcome | None:
    """Remove every drill of this datastore. Events go to `emit`; returns None after a dry run. Nothing there
    is done.

    Raises RefusedError when another run is in progress, a drill among them.
    """
    with connection.connect(target.access) as pool, ExitStack() as stack:
        if request.dry_run:
            cleaner = _Cleanup(pool, target, frontend, stack)
            emit(describe_cleanup(cleaner.plan(), target.name))
            return None
        with both_sites.begin_run(pool, target.settings, request.verb, target.name, request.by) as run:
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
    keeper_lock.wake_keeper(target.datastore_id)  # shows what is so now
    return outcome


def _state_after(shown: str, receives: bool) -> State:
    """What was shown before, unless it was of the drill that died; the keeper judges anew right after."""
    if shown in State.__members__ and State[shown] not in (State.DRILLING, State.INTERRUPTED):
        return State[shown]
    return State.STANDBY if receives else State.DEGRADED


def describe_cleanup(plan: RunPlan, datastore: str) -> DrillPlanEvent:
    """The plan as an event."""
    return DrillPlanEvent(
        datastore, "drill_cleanup", steps=shown_steps(plan.steps), left_out=dict(plan.left_out)
    )


class _Cleanup:
    """One run. What fails is named and stays for the next one."""

    running: Running

    def __init__(self, pool: Pool, target: Datastore, frontend: FrontEnd, stack: ExitStack):
        self.pool, self.target, self.frontend, self.stack = pool, target, frontend, stack
        self.there: Pool | None = None
        self.receives = False
        self.points: dict[str, float | None] = {}

    def plan(self) -> RunPlan:
        images = image_facts.of_datastore(self.pool, self.target)
        self.receives = any(image.mode is not None and not image.primary for image in images)
        why = self._reach_peer(images) if self.receives else ""
        self.found = find_leftovers(self.pool, self.target, images, self.frontend, self.there, why)
        self.clones = {
            clone.name: rbd_clones.Clone(clone.name, clone.made, clone.trash) for clone in self.found.clones
        }
        self.snapshots = {snapshot.target: snapshot for snapshot in self.found.snapshots}
        plan = drill_plan.plan_cleanup(self.found)
        return (
            plan
            if not why
            else RunPlan("", plan.steps, left_out={**plan.left_out, "the peer": f"was not looked at: {why}"})
        )

    def _reach_peer(self, images: Sequence[ImageFacts]) -> str:
        """Open the peer's pool; says why not when that fails."""
        sight = peer_ceph.probe_peer(self.pool, self.target.settings, images)
        if sight.peer is not PeerState.ANSWERS or not sight.can_connect:
            return (
                sight.detail if sight.peer is not PeerState.ANSWERS else "its Ceph lets nobody in from here"
            )
        try:
            self.there = self.stack.enter_context(
                peer_ceph.open_peer(sight, self.target.access.pool, peer_ceph.PATIENT_S)
            )
        except OneDRError as error:
            return str(error)
        return ""

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
        kept = drill_report.amend(self.target.datastore_id, sorted(self._tags()), {
            "at": time.time(), "removed": running.outcome.done, "left": left, "recovery_points": self.points,
        })
        text = (
            f"Drill cleanup at {utc_text(time.time())}: "
            f"{len(plan.steps) - len(set(left) & self._targets(plan))} thing(s) removed"
        )
        text += (
            f", left: {'; '.join(f'{item}: {why}' for item, why in list(left.items())[:3])}"
            if left
            else ", nothing left"
        )
        verdict = VerdictEvent(f"{text}.")
        if kept:
            verdict = replace(verdict, report=str(kept.json), page=str(kept.html), sha256=kept.digest)
        return running.end(after, "PARTIAL" if left else "DONE", verdict)

    @staticmethod
    def _targets(plan: RunPlan) -> set[str]:
        return {step.target for step in plan.steps}

    def _tags(self) -> set[str]:
        found = [vm.tag for vm in self.found.vms] + [image.tag for image in self.found.images]
        found += [parsed.tag for clone in self.found.clones if (parsed := names.parse_drill(clone.name))]
        return {*found, *(snapshot.tag for snapshot in self.found.snapshots)}

    def _terminate(self, target: str) -> str:
        return terminate(
            self.frontend, int(target.rpartition(" ")[2]), LIMITS_S[StepKind.TERMINATE] - _MARGIN_S
        )

    def _remove(self, name: str) -> str:
        return rbd_clones.remove_clone(self.pool, self.clones[name])

    def _delete(self, target: str) -> str:
        return delete_image(
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
        said = replication_sync.sync(self.pool, there, snapshot.image, half)
        fact = image_facts.image_facts(self.pool, snapshot.image, self.target.settings)
        self.points[snapshot.image] = fact.recovery_point if fact else None
        return f"removed at both sites; replication goes on ({said})"


def terminate(frontend: FrontEnd, vm_id: int, limit_s: float) -> str:
    """End a VM at once and wait until it is DONE.

    Raises OneDRError that says where it stands when it is not.
    """
    begun, asked = time.monotonic(), ""
    while True:
        vm = _or_none(frontend.vm, vm_id)
        state = opennebula_objects.vm_state(vm) if vm is not None else "DONE"
        if state == "DONE":
            return "is DONE"
        waited = time.monotonic() - begun
        if waited > limit_s:
            lcm = vm.findtext("LCM_STATE") if vm is not None else ""
            raise OneDRError(
                f"VM {vm_id} is still {state} (LCM {lcm}) after {limit_s:g} s; onevm show {vm_id}"
            )
        wanted = "terminate" if waited < _PATIENCE_S else "delete"
        if asked != wanted and _asked(frontend, wanted, vm_id):
            asked = wanted
        time.sleep(_PAUSE_S)


def _asked(frontend: FrontEnd, wanted: str, vm_id: int) -> bool:
    """False when it cannot be done just now: it is tried again."""
    try:
        if wanted == "terminate":
            frontend.call("vm.action", "terminate-hard", vm_id)
        else:
            frontend.call("vm.recover", vm_id, _RECOVER_DELETE)
    except FrontEndError as error:
        if error.code not in (NOT_POSSIBLE, NO_SUCH_OBJECT):
            raise
        return False
    return True


def delete_image(frontend: FrontEnd, image_id: int, limit_s: float) -> str:
    """Delete an image whose RBD image is gone, and wait until oned has forgotten it. Raises OneDRError."""
    end, asked = time.monotonic() + limit_s, False
    while True:
        image = _or_none(frontend.image, image_id)
        if image is None:
            return "deleted"
        state = opennebula_objects.image_state(image)
        if state == "ERROR" and asked:
            raise OneDRError(
                f"image {image_id} could not be deleted: "
                f"{template.get(attributes(image), 'DR_MESSAGE') or state}"
            )
        if time.monotonic() > end:
            raise OneDRError(
                f"image {image_id} is still {state} after {limit_s:g} s; oneimage show {image_id}"
            )
        if state != "DELETE" and not asked:
            try:
                frontend.call("image.delete", image_id, False)
                asked = True
            except FrontEndError as error:
                if error.code not in (NOT_POSSIBLE, NO_SUCH_OBJECT):
                    raise
        time.sleep(_PAUSE_S)


def _or_none(ask: Callable[[int], etree._Element], object_id: int) -> etree._Element | None:
    try:
        return ask(object_id)
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return None
        raise
