"""`onedr setup`: collect facts, plan, apply changes, read back. It may be repeated at any time.

What is going to be changed is noted in the cluster first (pairing.undo_log), so that a run that dies can be
repeated, or undone. A run needs no datastore: `onedr setup --pool` works before OpenNebula knows the pool.
"""
from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onedr.ceph import admin as ceph_admin
from onedr.ceph import pool_mirroring
from onedr.ceph.admin import Admin, Cluster
from onedr.host import config as host_config
from onedr.host import log
from onedr.host.waiting import attempts
from onedr.model import parsing
from onedr.model.errors import InputError, OneDRError, PartialError, RefusedError, StorageError
from onedr.model.types import CephAccess, Mode
from onedr.opennebula.datastores import Datastore
from onedr.pairing import collect as pairing_collect
from onedr.pairing import front_end as pairing_front_end
from onedr.pairing import join as pairing_join
from onedr.pairing import plan as pairing_plan
from onedr.pairing import teardown_plan, undo_log
from onedr.pairing import verify as pairing_verify
from onedr.pairing.apply import ChangeApplier
from onedr.pairing.facts import (
    Change,
    ChangeKind,
    DesiredState,
    PairingFacts,
    PairingPlan,
    Recorded,
    display_value,
)
from onedr.pairing.front_end import PeerFrontEnd
from onedr.pairing.join import JoinSession
from onedr.pairing.undo_log import UndoLog
from onedr.runs.events import ChangeEvent, Event, NoteEvent, VerdictEvent
from onedr.runs.plan_events import ChangeShown, PairingPlanEvent

_STARTS_S = 60


@dataclass(frozen=True)
class SetupRequest:
    """The complete request.

    `join`: path of the other site's join file; `valid_s`: how long ours is valid, seconds.
    """

    admin: Admin
    desired: DesiredState
    join: str = ""
    valid_s: int = 86400
    dry_run: bool = False
    probe: bool = True
    datastore: Datastore | None = None
    front_end: PeerFrontEnd | None = None


def run_setup(request: SetupRequest) -> Iterator[Event]:
    """Set up this site: an event for the plan, one for each change, a verdict. Raises OneDRError.

    RefusedError with all reasons when something blocks the setup; then nothing was changed. PartialError: it
    was set up, but mirroring could not be verified.
    """
    pairing_collect.check_names(request.desired)
    if request.front_end is not None:
        pairing_front_end.verify(request.front_end)
        request = replace(request, desired=_with_front_end(request.desired, request.front_end))
    with ceph_admin.connect_admin(request.admin) as cluster:
        undo = undo_log.load_undo_log(cluster)
        facts, session = pairing_collect.collect_facts(
            cluster, request.admin.conf, request.desired, undo, request.join
        )
        plan = pairing_plan.plan_setup(facts, request.desired)
        yield describe_pairing(plan, "setup", request.dry_run, request.desired.pool)
        if plan.refusals:
            raise RefusedError(" ".join(plan.refusals))
        if request.dry_run:
            return
        _clear(cluster, undo)
        yield from _Run(cluster, undo, request, facts, session).do(plan)
        unverified = []
        if pool_mirroring.pool_peers(cluster, request.desired.pool) and request.probe:
            started = any(change.kind is ChangeKind.DAEMON for change in plan.changes)
            for event in _verify(request, _reporting(cluster, started)):
                unverified += [event.text] if event.level == "unproven" else []
                yield event
        yield from _peer_notes()
        site = request.desired.site or facts.site or ""
        yield VerdictEvent(_verdict(plan, request, facts, site), changed=len(plan.changes))
        if unverified:
            raise PartialError(
                f"Setup finished, but verification failed: {' '.join(unverified)} Fix the cause and run "
                "onedr setup again."
            )


def _with_front_end(desired: DesiredState, way: PeerFrontEnd) -> DesiredState:
    return replace(desired, front_end=way.text, password_file=str(way.auth) if way.is_new else "")


def _peer_notes() -> Iterator[NoteEvent]:
    """What is to be known about the way to the peer's front-end."""
    try:
        endpoint = host_config.load_config().peer_endpoint
    except InputError as error:
        yield NoteEvent("warning", str(error))
        return
    if not endpoint:
        yield NoteEvent(
            "warning",
            "The other site's front-end is not known here: no move and no failback is possible, and a "
            "failover cannot ask which VMs run there. onedr setup --peer-endpoint ADDRESS tests and stores "
            "it (docs/configuration.md).",
        )
    if parsing.in_plain_text(endpoint):
        yield NoteEvent(
            "warning",
            f"The password of the peer's front-end travels readably over http to {endpoint}, as insecure = "
            f"yes in {host_config.path()} wants it.",
        )


def _reporting(cluster: Cluster, started: bool) -> list[str]:
    """The rbd-mirror daemons that report. It waits for one that was just started."""
    found: list[str] = []
    for _ in attempts(_STARTS_S if started else 0, 1):
        found = cluster.mirror_daemons()
        if found:
            break
    return found


def _verify(request: SetupRequest, running: Sequence[str]) -> Iterator[NoteEvent]:
    """Verify as the datastore's user, which tests its caps too."""
    if not running:
        text = (
            "Mirroring is not verified yet, because rbd-mirror does not run here. Start it, then run onedr "
            "setup again."
        )
        yield NoteEvent("warning", text)
        return
    desired = request.desired
    access = CephAccess(desired.pool, desired.user or request.admin.user, request.admin.conf, desired.keyfile)
    yield from pairing_verify.verify(
        access, Mode.SNAPSHOT if desired.schedule else Mode.JOURNAL, request.datastore
    )


def missing_answers(request: SetupRequest) -> set[str]:
    """What the operator still has to answer: `site`, its name; `file`, the join file to write or to use;
    `front end`, the peer's address, which may stay open.
    """
    with ceph_admin.connect_admin(request.admin) as cluster:
        pool, undo = request.desired.pool, undo_log.load_undo_log(cluster)
        missing = set()
        if not request.desired.site and cluster.stored(pool_mirroring.SITE_NAME) is None:
            missing.add("site")
        joined = pool_mirroring.application(cluster, pool) is not None and pool_mirroring.pool_peers(
            cluster, pool
        )
        if not joined and not (
            request.desired.offer
            or request.join
            or pairing_join.pending_offer(cluster, undo, pool, time.time())
        ):
            missing.add("file")
        if request.front_end is None and pairing_front_end.is_asked_for():
            missing.add("front end")
        return missing


def _clear(cluster: Cluster, undo: UndoLog) -> None:
    """Invalidate join files that were used or have expired."""
    old = pairing_join.expired_offers(cluster, undo, time.time())
    for join_id in old:
        pairing_join.withdraw(cluster, undo, join_id)
    if old:
        undo.save(cluster)


def describe_pairing(plan: PairingPlan, verb: str, dry_run: bool, pool: str) -> PairingPlanEvent:
    """The plan as an event."""
    steps = tuple(
        ChangeShown(change.kind.value, change.text, change.now, change.then, change.cost)
        for change in plan.changes
    )
    return PairingPlanEvent(pool, verb, dry_run, tuple(plan.refusals), tuple(plan.notes), steps)


def change_made(change: Change) -> ChangeEvent:
    """A change that was made and read back, as an event; logged too."""
    log.info(f"{change.text}: {change.then}")
    return ChangeEvent(change.kind.value, change.text, change.now, change.then)


def _verdict(plan: PairingPlan, request: SetupRequest, facts: PairingFacts, site: str) -> str:
    done = (
        f"{len(plan.changes)} change(s) made and read back." if plan.changes else "Nothing had to be changed."
    )
    if any(change.kind is ChangeKind.OFFER for change in plan.changes) or (facts.offered and not facts.peers):
        path = request.desired.offer or facts.offered
        return (
            f"{done} Take {path} to the other site over a secure channel (scp), and run there: onedr setup … "
            f"--join {Path(str(path)).name}. It works once, until it expires."
        )
    if facts.join_offer is not None:
        return (
            f"{done} Pools {request.desired.pool} of {site} and {facts.join_offer.site} mirror each other. "
            f"Remove {request.join}."
        )
    return done


class _Run:
    """Applies the changes of one plan."""

    def __init__(
        self,
        cluster: Cluster,
        undo: UndoLog,
        request: SetupRequest,
        facts: PairingFacts,
        session: JoinSession | None,
    ):
        self.cluster, self.undo, self.request, self.facts, self.session = (
            cluster,
            undo,
            request,
            facts,
            session,
        )
        self.site = request.desired.site or facts.site or ""
        record_key = session.record_key if session else None
        self.applier = ChangeApplier(cluster, request.admin.conf, record_key, request.front_end)

    def do(self, plan: PairingPlan) -> Iterator[Event]:
        if not plan.changes:
            return
        before = list(self.undo.changes)
        self.undo.announce(plan.changes, socket.gethostname())
        self.undo.save(self.cluster)
        done: list[Change] = []
        for change in plan.changes:
            try:
                self._make(change)
            except OneDRError:
                if change.kind is ChangeKind.PEER:
                    self._take_back(done, before)
                raise
            done.append(change)
            yield change_made(change)
        noted = {(each.kind, each.key) for each in self.undo.changes}
        self.undo.settle(
            {
                name: self.applier.read(*name)
                for change in done
                if (name := (change.kind, change.key)) in noted
            }
        )
        self.undo.save(self.cluster)

    def _make(self, change: Change) -> None:
        desired = self.request.desired
        if change.kind is ChangeKind.OFFER:
            key = self.applier.own_record_key()
            path = Path(desired.offer).absolute()
            pairing_join.offer(
                self.cluster,
                self.undo,
                path,
                desired.pool,
                self.site,
                self.request.valid_s,
                key,
                desired.site_index,
            )
        elif change.kind is ChangeKind.PEER and self.session is not None:
            pairing_join.join_site(self.cluster, self.undo, self.session, self.site, time.time())
        else:
            self.applier.write(change)
            read_back(self.applier, change)

    def _take_back(self, done: list[Change], before: list[Recorded]) -> None:
        """The other site refused: undo the changes of this run."""
        for change in reversed(done):
            if change.kind not in teardown_plan.UNTOUCHED:
                self.applier.write(Change(change.kind, change.key, change.after, change.before, change.text))
        self.undo.changes = before
        self.undo.save(self.cluster)


def read_back(applier: ChangeApplier, change: Change) -> None:
    """Check that the change took effect. Raises StorageError."""
    found = applier.read(change.kind, change.key)
    surprising = found is None if change.kind is ChangeKind.KEY and change.after else found != change.after
    if surprising and not (
        change.kind is ChangeKind.SETTING
        and change.after is not None
        and pairing_plan.same_number(found, change.after)
    ):
        what = f"{change.kind.value} {change.key}".strip()
        raise StorageError(
            f"{what} is {display_value(change.kind, found)} after it was set to {change.then}; "
            "check whether another administrator or tool changes it too."
        )
