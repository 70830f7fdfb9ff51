"""A run that holds the lease at both sites, wherever the peer's Ceph can be reached."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError
from onedr.model.types import PeerState, Settings
from onedr.replication import peer_ceph
from onedr.runs import journal


@contextmanager
def begin_run(
    pool: Pool, settings: Settings, verb: str, datastore: str = "", by: str = ""
) -> Iterator[journal.Run]:
    """The run, which holds the lease as long as the context lasts. `datastore`: its name; `by`: who asked for
    it; both for people.

    Its `alone` says why the lease is held here only; empty when it is held at both sites. Raises
    RunInProgressError when another run is in progress at either.
    """
    with ExitStack() as stack:
        peer, alone = _open_peer(stack, pool, settings)
        site = settings.site or pool.fsid()[:8]
        run = journal.Run(pool, verb, peer, alone, site=site, datastore=datastore, by=by)
        yield stack.enter_context(run)


def _open_peer(stack: ExitStack, pool: Pool, settings: Settings) -> tuple[Pool | None, str]:
    """The peer's pool, with short limits for the lease's small writes; or None and why not."""
    peer_status = peer_ceph.probe_peer(pool, settings)
    if not peer_status.can_connect:
        return None, f"this site has no key to the peer's Ceph ({peer_status.detail})"
    silent = peer_status.peer is PeerState.UNKNOWN and peer_status.addresses_known
    if peer_status.configured is None and (peer_status.peer is PeerState.GONE or silent):
        return None, peer_status.detail
    try:
        return stack.enter_context(peer_ceph.open_peer(peer_status, pool.access.pool)), ""
    except OneDRError as error:
        return None, str(error)
