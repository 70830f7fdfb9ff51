"""The lease on a pool's runs in RADOS: one run at a time, whatever machine it is on.

Omap of object `onedr.run`: `lock` is the lease, rewritten with every renewal; `holder` changes with its
owner only. Every write of a run compares `holder` in the same operation: a run that lost its lease can write
nothing more. `cancel` asks the holder to stop; `note` says what it is at (docs/history.md).
"""
from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host import threads
from onedr.model.errors import LeaseLostError, RunInProgressError
from onedr.model.json_form import parsed
from onedr.runs.lease_watch import Lease, Sight, Watch, decode, encode

OBJECT = "onedr.run"
NOTE = "note"
_LOCK, _HOLDER, _CANCEL = "lock", "holder", "cancel"
# verbs of automatic runs, and how long other runs wait for them
_BRIEF, _PATIENCE_S, _PAUSE_S = ("guard",), 60, 0.3


@dataclass(frozen=True)
class Times:
    """Seconds: between renewals; after which the owner no longer relies on the last one; after which a
    watcher takes it for dead. The owner gives up well before.
    """

    renew_s: float = 3.0
    trust_s: float = 45.0
    dead_s: float = 60.0


TIMES = Times()


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


def machine() -> str:
    """What pids count on: this boot of the kernel and the namespace of pids.

    Two machines may share a host name.
    """
    with open("/proc/sys/kernel/random/boot_id") as file:
        return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"


def _is_here(lease: Lease) -> bool:
    """Is its owner a process of this machine? Leases of releases before say the host's name only."""
    return lease.machine == machine() if lease.machine else lease.host == socket.gethostname()


def _has_ended(lease: Lease) -> bool:
    """Is its owner known to have ended? Only of a process of this machine."""
    _, _, rest = lease.owner.partition(":")
    pid, _, started = rest.partition(":")
    return _is_here(lease) and pid.isdecimal() and _started(int(pid)) != started


def is_free(lease: Lease | None) -> bool:
    """Never taken, given back, or its owner, a process of this machine, has ended."""
    return lease is None or lease.released or _has_ended(lease)


def current_lease(pool: Pool) -> Lease | None:
    """The lease as written, in force or not; None when nothing ever ran."""
    return decode(_text(pool))


def in_force(pool: Pool, times: Times = TIMES) -> Lease | None:
    """The lease of the run in progress; None when there is none.

    Where only watching tells, this takes a renewal (3 s) when it lives, and a minute when it is dead; that is
    then noted, so that it is known at once the next time.
    """
    watch = Watch(times.dead_s)
    while True:  # no `waiting.attempts`: the watch ends it, after a renewal or `dead_s` without one
        text = _text(pool)
        lease = decode(text)
        sight = watch.see(text, is_free(lease), time.monotonic())
        if lease is None or sight is Sight.FREE:
            return None
        if sight is Sight.ALIVE or _is_here(lease):
            return lease
        if sight is Sight.DEAD and _bury(pool, text, lease):
            return None
        time.sleep(_PAUSE_S)


def _bury(pool: Pool, text: str, lease: Lease) -> bool:
    """Note that a lease is dead, and shut its owner out; False when it was renewed at this moment."""
    dead = replace(lease, generation=lease.generation + 1, released=True)
    return _swap(pool, text, dead)


def describe(lease: Lease) -> str:
    """Verb, who, where and since when, for people."""
    by = f" by {lease.by}" if lease.by else ""
    site = f" of site {lease.site}" if lease.site else ""
    since = f" since {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(lease.began))}" if lease.began else ""
    return f"{lease.verb}{by} on {lease.host}{site}{since} (process {lease.owner})"


def _refusal(lease: Lease, ended: bool) -> str:
    after = (
        "It has ended by now: look at onedr status, then ask again."
        if ended
        else "Wait for it (onedr status), or ask it to stop (onedr cancel)."
    )
    return f"Another run is in progress on this datastore: {describe(lease)}. {after}"


def ask_to_stop(pool: Pool, lease: Lease, by: str) -> bool:
    """Ask the run that holds the lease to stop. False when it does not hold it any more."""
    holder = _holder(lease)
    asked = json.dumps({"holder": holder, "by": by, "at": time.time()})
    return _write(pool, {_CANCEL: asked}, _HOLDER, holder)


def _read_json(pool: Pool, key: str) -> dict[str, object]:
    """A key's JSON object; empty when there is none, or it is damaged."""
    try:
        found = parsed(omap.read_keys(pool, OBJECT, (key,)).get(key, b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(pool: Pool) -> str:
    return omap.read_keys(pool, OBJECT, (_LOCK,)).get(_LOCK, b"").decode(errors="replace")


def _holder(lease: Lease) -> str:
    return f"{lease.generation} {lease.owner}"


def _swap(pool: Pool, seen: str, lease: Lease) -> bool:
    """Take the lease if it is still as seen; what was asked of the holder before is forgotten."""
    values = {_LOCK: encode(lease), _HOLDER: _holder(lease)}
    return _write(pool, values, _LOCK, seen, (_CANCEL,))


def _write(
    pool: Pool, values: Mapping[str, str], key: str, expected: str, dropped: Iterable[str] = ()
) -> bool:
    """Set keys if `key` is as expected, in one operation; False when it is not. Raises rados.Error."""
    with rados.WriteOpCtx() as operation:
        operation.omap_cmp(key, expected)
        pool.io.set_omap(operation, tuple(values), tuple(value.encode() for value in values.values()))
        for name in dropped:
            pool.io.remove_omap_keys(operation, (name,))
        try:
            pool.io.operate_write_op(operation, OBJECT)
        except rados.OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            return False
    return True


class HeldLease:
    """The lease of one run on one pool: a context manager. Raises RunInProgressError when another run is in
    progress, rados.Error when the pool cannot be read or written.

    A guard's turn is waited for: it is automatic, and must not refuse a command that is typed meanwhile.
    """

    def __init__(self, pool: Pool, claim: Lease, times: Times = TIMES):
        self._pool, self._claim, self._times = pool, claim, times
        self._stop = threading.Event()
        self._lost = ""
        self._trusted_until = 0.0
        self.trouble = ""  # why the last write did not go through; empty when it did
        self.cancelled_by = ""  # who asked this run to stop

    def __enter__(self) -> HeldLease:
        with rados.WriteOpCtx() as operation:
            operation.new(rados.LIBRADOS_CREATE_IDEMPOTENT)
            self._pool.io.operate_write_op(operation, OBJECT)
        self._acquire()
        self._renewer = threads.start(self._keep)
        return self

    def _acquire(self) -> None:
        """Take it when it is free or seen to be dead. Who came while another ran is refused, also when that
        one ends meanwhile: what was asked for was meant for the sites as they were before it.
        """
        watch, end = Watch(self._times.dead_s), time.monotonic() + _PATIENCE_S
        other: Lease | None = None  # the run that was in progress when this one came
        while True:  # no `waiting.attempts`: the watch ends it, after a renewal or `dead_s` without one
            text = _text(self._pool)
            lease = decode(text)
            sight = watch.see(text, is_free(lease), time.monotonic())
            if sight in (Sight.WATCHED, Sight.ALIVE):
                other = lease
            patient = other is not None and self._waits_for(other) and time.monotonic() < end
            ended = sight is Sight.FREE and lease is not None and lease.released
            if other is not None and not patient and (sight is Sight.ALIVE or ended):
                raise RunInProgressError(_refusal(other, ended))
            if sight in (Sight.FREE, Sight.DEAD):
                if self._take(text, lease):
                    return
                continue
            time.sleep(_PAUSE_S)

    def give_up(self) -> None:
        """Renew it no more: it is left to be taken for dead."""
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        given_up = self._stop.is_set()
        self._stop.set()
        self._renewer.join()
        if given_up:
            return
        with suppress(rados.Error, LeaseLostError):  # then its process has ended, or it is seen not renewed
            self._renew(released=True)

    def write(self, values: Mapping[str, str]) -> None:
        """Set keys of the object's omap. Raises LeaseLostError, rados.Error."""
        if not _write(self._pool, values, _HOLDER, _holder(self._claim)):
            self._lose()

    def check(self) -> None:
        """Raises LeaseLostError when the lease is another's, or may be: it was not renewed for too long."""
        if self._lost:
            raise LeaseLostError(self._lost)
        if not self.trusted:
            raise LeaseLostError(
                f"This run could not renew its lease for {self._times.trust_s:g} s ({self.trouble}), so "
                "another may take it; it stopped before its next step. onedr history shows how far it came."
            )

    @property
    def trusted(self) -> bool:
        """Was it renewed lately enough for no watcher to take it for dead?"""
        return _now() < self._trusted_until

    @property
    def taken(self) -> bool:
        """Did another run take it?"""
        return bool(self._lost)

    def look(self) -> None:
        """See whether this run was asked to stop. Raises rados.Error."""
        asked = _read_json(self._pool, _CANCEL)
        if asked.get("holder") == _holder(self._claim):
            self.cancelled_by = str(asked.get("by"))

    def _waits_for(self, lease: Lease) -> bool:
        return lease.verb in _BRIEF and self._claim.verb not in _BRIEF

    def _take(self, text: str, before: Lease | None) -> bool:
        self._claim = replace(self._claim, generation=(before.generation if before else 0) + 1)
        begun = _now()
        taken = _swap(self._pool, text, self._claim)
        self._trusted_until = begun + self._times.trust_s
        return taken

    def _keep(self) -> None:
        while not self._stop.wait(self._times.renew_s) and not self._lost:
            try:
                self._renew()
                self.look()
                self.trouble = ""
            except rados.Error as error:
                self.trouble = str(error)
            except LeaseLostError:
                return

    def _renew(self, released: bool = False) -> None:
        begun = _now()
        self._claim = replace(self._claim, renewal=self._claim.renewal + 1, released=released)
        if not _write(self._pool, {_LOCK: encode(self._claim)}, _HOLDER, _holder(self._claim)):
            self._lose()
        self._trusted_until = begun + self._times.trust_s

    def _lose(self) -> None:
        self._lost = "This run lost its lease on the datastore"
        with suppress(rados.Error):
            lease = current_lease(self._pool)
            self._lost += f" to another one: {describe(lease)}" if lease else ""
        self._lost += ". It stopped before its next step; see onedr status."
        raise LeaseLostError(self._lost)


def claim(
    verb: str, run: str, home: str, site: str = "", datastore: str = "", by: str = ""
) -> Lease:
    """A lease for this process. `by`: who asked for the run."""
    return Lease(
        owner=me(), verb=verb, generation=0, machine=machine(), home=home, site=site, datastore=datastore,
        run=run, by=by, began=time.time(),
    )


def _now() -> float:
    """Seconds that also pass while this machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
