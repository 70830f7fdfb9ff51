"""The journal of a datastore's runs in RADOS, which outlives the front-end.

Keys `run.<id>` of the omap that holds the lease; written only while the lease is held.
"""
from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.runs import lease as runs_lease

_RUN = "run."


class Run:
    """A run that holds the lease: a context manager. Raises RefusedError when another run is in progress."""

    def __init__(self, pool: Pool, verb: str):
        self._pool = pool
        self.verb = verb
        self.id = f"{int(time.time() * 1000)}-{verb}"
        self._held = runs_lease.HeldLease(pool, verb)
        self.interrupted: dict[str, Any] | None = None  # the run before, when it died on the way

    def __enter__(self) -> Run:
        self._held.__enter__()
        newest = last_run(self._pool)
        self.interrupted = newest if newest is not None and newest["result"] == "RUNNING" else None
        return self

    def __exit__(self, *error: object) -> None:
        self._held.__exit__(*error)

    def save(self, entry: dict[str, Any]) -> None:
        """Write the run's journal. Raises RefusedError when the lease was lost."""
        self._held.write({f"{_RUN}{self.id}": json.dumps(entry)})

    def amend(self, entry: dict[str, Any]) -> None:
        """Write an earlier run's journal, as read: how a run ended that could not say so itself.

        Raises RefusedError.
        """
        self._held.write({f"{_RUN}{entry['run']}": json.dumps(entry)})


def load_runs(pool: Pool) -> dict[str, dict[str, Any]]:
    """Every run's journal by run id, oldest first; empty when there never was a run."""
    found = omap.read_all(pool, runs_lease.OBJECT, _RUN)
    return {key[len(_RUN) :]: json.loads(value) for key, value in found.items()}


def remove_journals(pool: Pool) -> None:
    """Remove lease and journals from the pool; gone is done."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(runs_lease.OBJECT)


def last_run(pool: Pool, ignored: Sequence[str] = ()) -> dict[str, Any] | None:
    """The newest run that was not refused, verbs `ignored` passed over; `RUNNING` without a lease in force
    was interrupted.
    """
    for key in reversed(omap.list_keys(pool, runs_lease.OBJECT, _RUN)):
        run: dict[str, Any] = json.loads(omap.read_keys(pool, runs_lease.OBJECT, (key,))[key])
        if run["result"] != "REFUSED" and run["verb"] not in ignored:
            return run
    return None
