"""`onedr teardown`: what `onedr setup` changed at this site is taken back, and nothing else. It may be run again at any time."""
from __future__ import annotations

import socket
from collections.abc import Iterator

from onedr.errors import FrontEndError, InputError, RefusedError
from onedr.model import CephAccess
from onedr.ops import protected, setup, setup_join, setup_ledger, setup_look
from onedr.ops.setup import Event
from onedr.ops.setup_hands import Hands
from onedr.ops.setup_ledger import Ledger
from onedr.policy import teardown as policy
from onedr.policy.setup import Plan
from onedr.ports import cluster as clusters
from onedr.ports import peering, proofs
from onedr.ports.ceph import Pool
from onedr.ports.cluster import Admin, Cluster
from onedr.ports.frontend import FrontEnd


def run(admin: Admin, pool: str, dry_run: bool) -> Iterator[Event]:
    """Take back what `onedr setup` changed for a pool at this site. Raises RefusedError while something there is protected."""
    with clusters.connect(admin) as cluster:
        ledger = setup_ledger.load(cluster)
        if pool not in ledger.pools() and not any(entry["pool"] == pool for entry in ledger.offers.values()):
            known = ", ".join(sorted(ledger.pools())) or "none"
            raise InputError(f"onedr setup changed nothing for pool {pool} in this cluster (for these it did: {known}).")
        _refuse_protected(cluster, pool)
        hands = Hands(cluster, admin.conf)
        host = socket.gethostname()
        here = [each for each in ledger.changes if not each.host or each.host == host]
        current = {(each.kind, each.key): hands.read(each.kind, each.key) for each in here}
        plan = policy.undo(ledger.changes, current, pool, host, _in_use())
        yield setup.told(plan, dry_run, pool)
        if dry_run:
            return
        yield from _undo(cluster, ledger, hands, plan, pool)
        running = cluster.mirror_daemons()
        more = f" rbd-mirror ({', '.join(running)}) reports still: end it." if running and not ledger.changes else ""
        text = f"{len(plan.changes)} change(s) taken back.{more} The other site has its own: onedr teardown there."
        yield {"event": "verdict", "message": text, "changed": len(plan.changes)}


def _undo(cluster: Cluster, ledger: Ledger, hands: Hands, plan: Plan, pool: str) -> Iterator[Event]:
    for join_id in [join_id for join_id, entry in ledger.offers.items() if entry["pool"] == pool]:
        setup_join.withdraw(cluster, ledger, join_id)
        ledger.save(cluster)
    for change in plan.changes:
        hands.write(change)
        setup.read_back(hands, change)
        yield {"event": "step", **setup.step(change)}
    if peering.application(cluster, pool) is not None:
        proofs.forget(Pool(cluster.rados, cluster.pool(pool), CephAccess(pool)))
    ledger.changes = policy.left(ledger.changes, pool, socket.gethostname())
    ledger.save(cluster)


def _refuse_protected(cluster: Cluster, pool: str) -> None:
    try:
        named = sorted(each.name for each in protected.all_of(FrontEnd()).values() if each.access.pool == pool)
    except FrontEndError as error:
        text = f"Nothing is taken back: whether a datastore in pool {pool} is protected is not known ({error})"
        raise RefusedError(text) from error
    if named:
        text = f"Nothing is taken back: {', '.join(named)} is protected in pool {pool}. First: onedr disable {named[0]}."
        raise RefusedError(text)
    count = peering.mirrored(cluster, pool) if peering.application(cluster, pool) else 0
    if count:
        raise RefusedError(
            f"Nothing is taken back: {count} image(s) of pool {pool} are mirrored still, or copies of the other site's: first "
            "disable the datastore at the site that writes them."
        )


def _in_use() -> set[str]:
    """Ceph users as which datastores of this front-end come."""
    found = [setup_look.user_of(element) for element in FrontEnd().datastores()]
    return {f"client.{user}" for user in found if user}
