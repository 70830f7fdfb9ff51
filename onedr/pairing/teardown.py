"""`onedr teardown`: undo what `onedr setup` changed at this site, and nothing else.

It may be repeated at any time.
"""
from __future__ import annotations

import socket
from collections.abc import Iterator

from onedr.ceph import admin as ceph_admin
from onedr.ceph import pool_mirroring
from onedr.ceph.admin import Admin, Cluster
from onedr.ceph.connection import Pool
from onedr.check import probe_results
from onedr.model.errors import FrontEndError, InputError, RefusedError
from onedr.model.types import CephAccess
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.pairing import collect as pairing_collect
from onedr.pairing import join as pairing_join
from onedr.pairing import run as pairing_run
from onedr.pairing import teardown_plan, undo_log
from onedr.pairing.apply import ChangeApplier
from onedr.pairing.facts import PairingPlan
from onedr.pairing.undo_log import UndoLog
from onedr.runs.events import Event, VerdictEvent


def run_teardown(admin: Admin, pool: str, dry_run: bool) -> Iterator[Event]:
    """Undo what `onedr setup` changed for a pool at this site.

    Raises RefusedError while something in the pool is protected.
    """
    with ceph_admin.connect_admin(admin) as cluster:
        undo = undo_log.load_undo_log(cluster)
        if pool not in undo.pools() and not any(offer.pool == pool for offer in undo.offers.values()):
            known = ", ".join(sorted(undo.pools())) or "none"
            raise InputError(
                f"onedr setup changed nothing for pool {pool} in this cluster (it did for: {known})."
            )
        _refuse_protected(cluster, pool)
        applier = ChangeApplier(cluster, admin.conf)
        host = socket.gethostname()
        here = [each for each in undo.changes if not each.host or each.host == host]
        current = {(each.kind, each.key): applier.read(each.kind, each.key) for each in here}
        plan = teardown_plan.plan_teardown(undo.changes, current, pool, host, _users_in_use())
        yield pairing_run.describe_pairing(plan, "teardown", dry_run, pool)
        if dry_run:
            return
        yield from _undo(cluster, undo, applier, plan, pool)
        running = cluster.mirror_daemons()
        more = (
            f" rbd-mirror ({', '.join(running)}) still reports: stop it."
            if running and not undo.changes
            else ""
        )
        text = (
            f"{len(plan.changes)} change(s) undone.{more} Run onedr teardown at the other site too."
        )
        yield VerdictEvent(text, changed=len(plan.changes))


def _undo(
    cluster: Cluster, undo: UndoLog, applier: ChangeApplier, plan: PairingPlan, pool: str
) -> Iterator[Event]:
    for join_id in [join_id for join_id, offer in undo.offers.items() if offer.pool == pool]:
        pairing_join.withdraw(cluster, undo, join_id)
        undo.save(cluster)
    for change in plan.changes:
        applier.write(change)
        pairing_run.read_back(applier, change)
        yield pairing_run.change_made(change)
    if pool_mirroring.application(cluster, pool) is not None:
        probe_results.forget_results(Pool(cluster.rados, cluster.pool(pool), CephAccess(pool)))
    undo.changes = teardown_plan.remaining_records(undo.changes, pool, socket.gethostname())
    undo.save(cluster)


def _refuse_protected(cluster: Cluster, pool: str) -> None:
    try:
        named = sorted(
            each.name for each in datastores.all_of(FrontEnd()).values() if each.access.pool == pool
        )
    except FrontEndError as error:
        text = (
            f"Nothing was undone: it is unknown whether a datastore in pool {pool} is protected ({error})"
        )
        raise RefusedError(text) from error
    if named:
        text = (
            f"Nothing was undone: {', '.join(named)} is protected in pool {pool}. First run onedr disable "
            f"{named[0]}."
        )
        raise RefusedError(text)
    count = pool_mirroring.mirrored_count(cluster, pool) if pool_mirroring.application(cluster, pool) else 0
    if count:
        raise RefusedError(
            f"Nothing was undone: {count} image(s) of pool {pool} are still mirrored or are copies of the "
            "other site's. First disable the datastore at the site where they are primary."
        )


def _users_in_use() -> set[str]:
    """The Ceph users of this front-end's datastores."""
    found = [pairing_collect.user_of(element) for element in FrontEnd().datastores()]
    return {f"client.{user}" for user in found if user}
