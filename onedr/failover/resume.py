"""An interrupted run: found, resumed, or rolled back."""
from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import rbd

from onedr.ceph import connection, mirroring
from onedr.ceph.connection import Pool
from onedr.failover import rollback
from onedr.model import template
from onedr.model.errors import NothingInterruptedError, OneDRError, RefusedError, RunInProgressError
from onedr.model.text import Sentence, filled
from onedr.model.types import State
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.replication import both_sites, image_facts, peer_ceph
from onedr.runs import journal
from onedr.runs import lease as runs_lease
from onedr.runs.events import Emit, VerdictEvent
from onedr.runs.journal_entry import JournalEntry, asked_again
from onedr.runs.request import Request
from onedr.runs.run import Outcome, Running, utc_text
from onedr.runs.state import DRILLS, MOVES
from onedr.runs.steps import StepKind

# Verbs that gather facts again and continue, when asked for the same again.
RESUMED = ("move", "failover", "failback", "reprotect")
_AT_THE_PEER = {kind.value for kind in (StepKind.SYNC, StepKind.STOP, StepKind.DRAIN, StepKind.FENCE)}


def find_interrupted(target: Datastore) -> JournalEntry:
    """Journal of the run that was interrupted.

    Raises RefusedError when there is none, or a run is in progress.
    """
    with connection.connect(target.access) as pool:
        lease = runs_lease.in_force(pool)
        if lease is not None:
            raise RunInProgressError(
                f"A run is in progress: {runs_lease.describe(lease)}. Nothing is interrupted; see onedr "
                "status."
            )
        last = journal.last_run(pool, datastore_id=target.datastore_id)
    if last is None or not last.interrupted:
        ended = f"the last run, {last.run}, ended as {last.result}" if last else "there never was a run"
        raise NothingInterruptedError(
            f"Nothing is interrupted on {target.name}: {ended}. See onedr history {target.name}."
        )
    return last


def resumed_request(target: Datastore, asked: Request) -> Request:
    """What the interrupted run was asked for, with the confirmation of whoever resumes it (`asked`).

    Raises RefusedError when there is none, or it is not one that can be resumed.
    """
    last = find_interrupted(target)
    if last.verb in DRILLS:
        raise RefusedError(_of_a_drill(target))
    if last.verb not in RESUMED:
        raise RefusedError(Sentence(
            f"The interrupted run is a {last.verb}, which is not resumed; run onedr {last.verb} again."
        ))
    again = asked_again(last, asked.by, f"resume by {asked.trigger}")
    other = tuple(pair for pair in asked.attributes if pair[0] == "RECOVERY_PLAN")
    kept = template.without(again.attributes, "RECOVERY_PLAN") if other else again.attributes
    return replace(
        again, dry_run=asked.dry_run, confirm=_confirmation(last, asked, again), attributes=(*kept, *other)
    )


def _confirmation(last: JournalEntry, asked: Request, again: Request) -> str:
    """The plan that was confirmed then is not the one of now: of what was begun the datastore's name stays
    confirmed, and the digest goes. Of a run that began no step nothing stays where nobody sees today's plan.
    """
    if asked.confirm or (asked.trigger == "DR_ACTION" and not last.kinds):
        return asked.confirm
    return again.confirmed


def _of_a_drill(target: Datastore) -> Sentence:
    text = f"The interrupted run is a drill's: onedr drill cleanup {target.name} removes what it left."
    return Sentence(text)


def abort(target: Datastore, asked: Request, emit: Emit, frontend: FrontEnd) -> Outcome:
    """End an interrupted move that has promoted nothing yet: the peer gets its images and VMs back.

    The journal of that run says ABORTED, by whom and what came of each item. One that cannot be rolled back
    whole stays interrupted, and another abort tries again. Raises RefusedError when something was promoted,
    or nothing is interrupted.
    """
    with (
        connection.connect(target.access) as pool,
        both_sites.begin_run(
            pool, target.settings, "abort", target.name, asked.by, target.datastore_id
        ) as run,
        ExitStack() as stack,
    ):
        last = run.interrupted
        if last is None:
            return _nothing(pool, target, emit)
        if last.verb in DRILLS:
            raise RefusedError(_of_a_drill(target))
        if last.verb not in MOVES:
            raise RefusedError(Sentence(
                f"The interrupted run is a {last.verb}, which cannot be aborted; onedr resume continues it."
            ))
        names = _not_promoted(pool, last)
        run.peer_needed = False  # what it is needed for says so itself
        running = Running(run, target.datastore_id, asked, emit, frontend, State.FAILING_OVER, "secondary")
        running.take_over(last, asked)  # its own journal says how it ended
        return _take_back(pool, target, running, names, stack)


def _nothing(pool: Pool, target: Datastore, emit: Emit) -> Outcome:
    last = journal.last_run(pool, datastore_id=target.datastore_id)
    if last is None or last.result not in ("ABORTED", "ROLLED_BACK"):
        raise NothingInterruptedError(
            "Nothing is interrupted, so there is nothing to abort; onedr history shows how the runs ended."
        )
    outcome = Outcome(State.STANDBY, f"Run {last.run} was rolled back already: {last.message}")
    emit(VerdictEvent(outcome.message, outcome.state.value))
    return outcome


def _not_promoted(pool: Pool, last: JournalEntry) -> list[str]:
    """Images that the run was to promote, none of which it has. Raises RefusedError otherwise."""
    names = last.planned_targets(StepKind.PROMOTE.value)
    here = [name for name in names if _is_primary(pool, name)]
    go_on = "onedr resume continues it; to go back afterwards, run onedr failback at the other site"
    if here:
        text = f"{len(here)} of {len(names)} image(s) are promoted here already"
        raise RefusedError(Sentence(f"{text}, {here[0]} among them: {go_on}.", f"{text}: {go_on}."))
    if last.planned_steps and not names:
        raise RefusedError(Sentence(f"Its images were promoted by a run before: {go_on}."))
    return names


def _is_primary(pool: Pool, name: str) -> bool:
    try:
        with pool.image(name, read_only=True) as image:
            return mirroring.is_primary(image)
    except rbd.ImageNotFound:
        return False


def _take_back(
    pool: Pool, target: Datastore, running: Running, names: list[str], stack: ExitStack
) -> Outcome:
    last = running.log
    reached = last.kinds
    results: dict[str, str | OneDRError] = {}
    if reached & _AT_THE_PEER:
        sight = peer_ceph.probe_peer(pool, target.settings, image_facts.all_images(pool, target.settings))
        opened = peer_ceph.peer_pool(sight, pool.access.pool, peer_ceph.PATIENT_S, refusal="")
        there, _ = stack.enter_context(opened)
        results = rollback.roll_back(pool, there, names, StepKind.FENCE.value in reached)
    running.run.check_leases()
    undone = {item: str(result) for item, result in results.items() if isinstance(result, OneDRError)}
    running.log.rollback = {item: str(result) for item, result in results.items()}
    running.outcome.done.clear()
    running.outcome.failed = undone
    if undone:
        why = Sentence(rollback.first_few_reasons(undone), f"{len(undone)} item(s), see onedr history")
        text = filled(f"The {last.verb} could not be rolled back completely: {{}}.", why)
        text = text.then(Sentence(" Fix the cause, then run onedr abort again."))
        return running.end(State.INTERRUPTED, "RUNNING", VerdictEvent(text))
    text = Sentence(
        f"The {last.verb} of {utc_text(last.began)} was aborted before anything was promoted; the peer "
        "is as before."
    )
    return running.end(State.STANDBY, "ABORTED", VerdictEvent(text))
