"""The end of a failover to a point in time: its newer state is given up (commit), or comes back (undo)."""
from __future__ import annotations

from functools import partial

from onedr.ceph import connection, mirroring, parallel
from onedr.failover import take_back
from onedr.model.errors import OneDRError, PartialError, RefusedError
from onedr.opennebula.datastores import Datastore
from onedr.replication import image_facts
from onedr.runs import journal

_LIMIT_S = 4 * 3600
_THREADS = 4


def end(target: Datastore, undo: bool, by: str) -> str:
    """Commit or undo all that was taken back in a datastore; returns what was done, for people.

    Raises RefusedError before anything is changed: when nothing was taken back, it is not primary here, or
    with `undo` a VM uses it; PartialError that names what failed and stays as it is.
    """
    with connection.connect(target.access) as pool, journal.Run(pool, "point_end", by=by):
        names = {fact.name for fact in image_facts.of_datastore(pool, target)}
        kept = {each.name: each for each in take_back.newer_states(pool, names)}
        if not kept:
            raise RefusedError(f"Nothing in {target.name} was taken back to a point in time; see onedr kept.")
        away = sorted(
            each.image for each in kept.values() if undo and not mirroring.is_primary_image(pool, each.image)
        )
        if away:
            raise RefusedError(f"Not primary here, so nothing was changed: {', '.join(away)}.")
        if undo:
            take_back.refuse_while_used(pool, list(kept.values()))
        action = partial(take_back.bring_forward if undo else take_back.release, pool)
        results = parallel.each(kept, lambda name: action(kept[name]), _LIMIT_S, _THREADS)
    failed = {name: why for name, why in results.items() if isinstance(why, OneDRError)}
    if failed:
        raise PartialError("; ".join(f"{kept[name].image}: {why}" for name, why in failed.items()))
    if undo:
        return f"{len(kept)} disk(s) of {target.name} have their newest state again. Start their VMs."
    return f"The newer state of {len(kept)} disk(s) of {target.name} was removed."
