"""A run that holds the lease at both sites, wherever the peer's Ceph can be reached."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from onedr.ceph.connection import Pool
from onedr.model.types import PeerState, Settings
from onedr.replication import peer_ceph
from onedr.runs import journal


@contextmanager
def begin_run(
    pool: Pool, settings: Settings, verb: str, datastore: str = "", by: str = "",
    datastore_id: int | None = None,
) -> Iterator[journal.Run]:
    """The run, which holds the lease as long as the context lasts. `datastore`: its name; `by`: who asked for
    it; both for people. `datastore_id`: only a run of this datastore is one that was interrupted before.

    Its `alone` says why the lease is held here only; empty when it is held at both sites. Raises
    RunInProgressError when another run is in progress at either.
    """
    with ExitStack() as stack:
        # short limits, for the lease's small writes
        status = peer_ceph.probe_peer(pool, settings)
        opened = peer_ceph.peer_pool(status, pool.access.pool, refusal=_refusal(status))
        peer, seen = stack.enter_context(opened)
        site = settings.site or pool.fsid()[:8]
        run = journal.Run(
            pool, verb, peer, "" if peer else seen, site=site, datastore=datastore, by=by,
            datastore_id=datastore_id,
        )
        yield stack.enter_context(run)


def _refusal(status: peer_ceph.PeerStatus) -> str:
    """Why the peer's Ceph need not be tried; empty when only a connection tells."""
    if not status.can_connect:
        return f"this site has no key to the peer's Ceph ({status.detail})"
    silent = status.peer is PeerState.UNKNOWN and status.addresses_known
    closed = status.configured is None and (status.peer is PeerState.GONE or silent)
    return status.detail if closed else ""
