"""Runs of a datastore in RADOS: a lease so that there is one at a time, and a journal that outlives the
front-end.

Object `onedr.run` of the pool (docs/design.md, "One run at a time"); its omap holds `lock`, the lease as
JSON, and `run.<id>`, a run's journal. Every write compares the lease first, in the same operation: a run that
lost it can write nothing more.
"""
from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host import threads
from onedr.model.errors import LeaseLostError, RunInProgressError
from onedr.runs.journal_entry import JournalEntry

_OBJECT = "onedr.run"
_LOCK = "lock"
_RUN = "run."
_LEASE_S = 60
# runs that nobody asked for, and how long who is asked for waits for them
_BRIEF, _PATIENCE_S, _PAUSE_S = ("guard",), 60, 0.5


def me() -> str:
    """This process as owner: host, pid, and the pid's start time, so that a reused pid is not taken for it.
    """
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _started(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return "gone"


@dataclass(frozen=True)
class Lease:
    """Who runs what until when (epoch seconds). `generation` grows with every owner."""

    owner: str
    verb: str
    generation: int
    until: float

    def alive(self, now: float) -> bool:
        """Is it in force? An owner on this machine that has ended has lost it at once."""
        host, pid, started = self.owner.rsplit(":", 2)
        ended = host == socket.gethostname() and _started(int(pid)) != started
        return now < self.until and not ended


def current_lease(pool: Pool) -> Lease | None:
    """The lease as it stands, in force or not; None when nobody ever ran."""
    text = omap.read_keys(pool, _OBJECT, (_LOCK,)).get(_LOCK)
    return Lease(**json.loads(text)) if text else None


class Run:
    """A run that holds the lease: a context manager. Raises RefusedError when another run is in progress.

    A guard's turn is waited for: it comes by itself, and whoever types a command just then is not to be
    refused.
    """

    def __init__(self, pool: Pool, verb: str):
        self._pool = pool
        self.verb = verb
        self.id = f"{int(time.time() * 1000)}-{verb}"
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._lease = ""
        self.interrupted: JournalEntry | None = None  # the run before, when its process died

    def __enter__(self) -> Run:
        before = self._seen()
        lease = Lease(**json.loads(before)) if before else None
        end = time.monotonic() + _PATIENCE_S
        while (
            lease
            and lease.alive(time.time())
            and lease.verb in _BRIEF
            and self.verb not in _BRIEF
            and time.monotonic() < end
        ):
            time.sleep(_PAUSE_S)
            before = self._seen()
            lease = Lease(**json.loads(before))
        if lease and lease.alive(time.time()):
            raise RunInProgressError(
                f"Another run is in progress on this datastore: {lease.verb} by {lease.owner}. Wait for it "
                "(onedr status); if its machine died, it may be taken over in "
                f"{max(1, int(lease.until - time.time()))} s."
            )
        self._generation = (lease.generation if lease else 0) + 1
        self._lease = before
        self._renew()
        self._renewer = threads.start(self._keep)
        newest = last_run(self._pool)
        self.interrupted = newest if newest is not None and newest.interrupted else None
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._renewer.join()
        self._swap(Lease(me(), self.verb, self._generation, 0.0))

    def save(self, entry: JournalEntry) -> None:
        """Write the run's journal. Raises RefusedError when the lease was lost."""
        with self._mutex:
            self._write({f"{_RUN}{self.id}": json.dumps(entry.to_json())})

    def amend(self, entry: JournalEntry) -> None:
        """Write an earlier run's journal, as read: how a run ended that could not say so itself.

        Raises RefusedError.
        """
        with self._mutex:
            self._write({f"{_RUN}{entry.run}": json.dumps(entry.to_json())})

    def _seen(self) -> str:
        with rados.WriteOpCtx() as operation:
            operation.new(rados.LIBRADOS_CREATE_IDEMPOTENT)
            self._pool.io.operate_write_op(operation, _OBJECT)
        return omap.read_keys(self._pool, _OBJECT, (_LOCK,)).get(_LOCK, b"").decode()

    def _renew(self) -> None:
        self._swap(Lease(me(), self.verb, self._generation, time.time() + _LEASE_S))

    def _keep(self) -> None:
        while not self._stop.wait(_LEASE_S / 4):
            self._renew()

    def _swap(self, lease: Lease) -> None:
        text = json.dumps(asdict(lease))
        with self._mutex:
            self._write({_LOCK: text})
            self._lease = text

    def _write(self, values: dict[str, str]) -> None:
        with rados.WriteOpCtx() as operation:
            operation.omap_cmp(_LOCK, self._lease)
            self._pool.io.set_omap(
                operation, tuple(values), tuple(value.encode() for value in values.values())
            )
            try:
                self._pool.io.operate_write_op(operation, _OBJECT)
            except rados.OSError as error:
                message = (
                    f"This run lost its lease on the datastore to another one ({error}); see onedr status."
                )
                raise LeaseLostError(message) from error


def load_runs(pool: Pool) -> dict[str, JournalEntry]:
    """Every run's journal by run id, oldest first; empty when there never was a run."""
    return {
        key[len(_RUN) :]: JournalEntry.from_json(json.loads(value))
        for key, value in omap.read_all(pool, _OBJECT, _RUN).items()
    }


def in_progress(pool: Pool, runs: Mapping[str, JournalEntry]) -> str:
    """Id of the run that is in progress; empty when none is."""
    lease = current_lease(pool)
    alive = lease is not None and lease.alive(time.time())
    return next(reversed(list(runs)), "") if alive else ""


def remove_journals(pool: Pool) -> None:
    """Remove lease and journals from the pool; gone is done."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(_OBJECT)


def last_run(pool: Pool, ignored: Sequence[str] = ()) -> JournalEntry | None:
    """The newest run that was not refused, verbs `ignored` passed over; `RUNNING` without a lease in force
    was interrupted.
    """
    for key in reversed(omap.list_keys(pool, _OBJECT, _RUN)):
        run = JournalEntry.from_json(json.loads(omap.read_keys(pool, _OBJECT, (key,))[key]))
        if run.result != "REFUSED" and run.verb not in ignored:
            return run
    return None
