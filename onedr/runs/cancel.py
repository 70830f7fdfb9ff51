"""Ask a run in progress to stop; also the other site's, which holds the lease here too."""
from __future__ import annotations

from onedr.ceph import connection
from onedr.model.errors import RefusedError
from onedr.model.text import Sentence
from onedr.model.types import CephAccess
from onedr.runs import lease as runs_lease
from onedr.runs.state import CANCELLABLE


def cancel(access: CephAccess, datastore: str, by: str) -> str:
    """Ask it, and say what follows. `by`: who asks. Raises RefusedError when nothing can be asked."""
    with connection.connect(access) as pool:
        lease = runs_lease.in_force(pool)
        if lease is None:
            text = f"No run is in progress on {datastore}; see onedr history {datastore}."
            raise RefusedError(Sentence(text))
        said = runs_lease.describe(lease)
        if lease.home == pool.fsid() and lease.datastore not in ("", datastore):
            text = f"The run in progress is of {lease.datastore}, which shares the pool: {said}."
            raise RefusedError(Sentence(text))
        if lease.verb not in CANCELLABLE:
            raise RefusedError(Sentence(f"This run cannot be cancelled, it ends by itself: {said}."))
        if not runs_lease.ask_to_stop(pool, lease, by):
            raise RefusedError(Sentence(f"The run ended, or was taken over, at this moment: {said}."))
    return (
        f"Asked to stop after the step it is in: {said}. Before its first promotion a move is rolled back; "
        "after it the run ends as INTERRUPTED, and onedr resume continues it."
    )
