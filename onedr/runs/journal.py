"""The journal of a datastore's runs in RADOS, which outlives the front-end.

Keys `run.<id>` of the omap that holds the lease; written only while the lease is held. The peer's pool gets
a small note of the run, key `note`, under its own lease.
"""
from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host import log, siem
from onedr.model.errors import RunInProgressError, RunStoppedError, StorageError
from onedr.model.json_form import parsed
from onedr.model.text import Sentence
from onedr.runs import chain as runs_chain
from onedr.runs import lease as runs_lease
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.lease import HeldLease, Times
from onedr.runs.state import SETTINGS

_RUN, _MEASURED = "run.", "measured."
UNREADABLE = "UNREADABLE"  # result of a run whose journal is damaged
_DRILLS_READ = 5  # newest ones, for the times of VMs in drills


class Run:
    """A run that holds the lease here and, with `peer`, in the peer's pool: a context manager.

    `alone`: why it does not hold the peer's; empty when it does. `peer_needed`: must it stop when the peer
    cannot be reached any more? Raises RunInProgressError when another run is in progress at either site.
    """

    def __init__(
        self, pool: Pool, verb: str, peer: Pool | None = None, alone: str = "", *, site: str = "",
        datastore: str = "", datastore_id: int | None = None, by: str = "", times: Times = runs_lease.TIMES,
    ):
        self.pool = pool
        self.verb, self.datastore, self._datastore_id = verb, datastore, datastore_id
        self.id = _next_id(pool, verb)
        self._claim = runs_lease.claim(verb, self.id, pool.fsid(), site, datastore, by)
        self.alone, self.peer_needed = alone, True
        self._here = HeldLease(pool, self._claim, times)
        self._there: HeldLease | None = None
        if peer is not None and peer.fsid() != pool.fsid():
            self._there = HeldLease(peer, self._claim, times)
        self._order = [self._here, *filter(None, [self._there])]
        if peer is not None and peer.fsid() < pool.fsid():
            self._order.reverse()  # by cluster id at both sites, so that two runs cannot wait for each other
        self._stack = ExitStack()
        self.interrupted: JournalEntry | None = None  # the run before, when its process died

    def __enter__(self) -> Run:
        with ExitStack() as taken:
            for held in self._order:
                try:
                    taken.enter_context(held)
                except rados.Error as error:
                    if held is self._here:
                        raise
                    self._there, self.alone = None, f"the peer's pool does not take it: {error}"
            if _newest_number(self.pool) >= _number(self.id):
                raise RunInProgressError(
                    "Another run began and ended at this moment: look at onedr status, then ask again."
                )
            newest = last_run(self.pool, datastore_id=self._datastore_id)
            self.interrupted = newest if newest is not None and newest.interrupted else None
            self._stack = taken.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def cancelled_by(self) -> str:
        """Who asked this run to stop, at either site; empty when no one did."""
        return self._here.cancelled_by or (self._there.cancelled_by if self._there else "")

    def look(self) -> None:
        """See at once, and not only with the next renewal, whether this run was asked to stop."""
        self._here.look()
        if self._there is not None and not self._there.trouble:
            with suppress(rados.Error):  # `check` judges whether the peer is there
                self._there.look()

    def check(self) -> None:
        """May the next step be taken? Raises LeaseLostError, or RunStoppedError when it should not be."""
        self.check_leases()
        if self.cancelled_by:
            raise RunStoppedError(Sentence(f"{self.cancelled_by} asked the {self.verb} to stop."))

    def check_leases(self) -> None:
        """Raises LeaseLostError when another run took the lease at either site, RunStoppedError when the peer
        is out of reach and needed. Where it is not needed the run goes on with this site's lease, for good.
        """
        self._here.check()
        there = self._there
        if there is None:
            return
        if there.taken:
            there.check()
        if not there.trusted:
            why = f"the peer's Ceph cannot be reached any more ({there.trouble})"
            if self.peer_needed:
                raise RunStoppedError(Sentence(f"The {self.verb} stopped before its next step: {why}."))
            self.alone, self._there = why, None
            there.give_up()

    def save(self, entry: JournalEntry) -> None:
        """Write the run's journal, and a note of it at the peer. Raises LeaseLostError."""
        self._write(self.id, entry)
        there = self._there
        if there is None or there.trouble:
            return
        claim = self._claim
        note = {
            "run": self.id, "verb": self.verb, "by": claim.by, "host": claim.host, "site": claim.site,
            "datastore": claim.datastore, "began": entry.began, "result": entry.result,
            "message": entry.message, "updated": entry.updated,
        }
        try:
            there.write({runs_lease.NOTE: json.dumps(note)})
        except rados.Error as error:  # it is tried again with the next renewal; `check` judges
            there.trouble = str(error)

    def note_measured(self, found: Mapping[str, Mapping[str, float]], site: str, at: float) -> None:
        """Note in the peer's pool what was really lost in runs of the peer: seconds by VM's origin, by run.
        Their journals stay as they are. `found` includes what was noted before (history.with_earlier).

        Raises LeaseLostError, rados.Error.
        """
        if self._there is not None and found:
            self._there.write({
                f"{_MEASURED}{run}": json.dumps({"by": self.id, "site": site, "at": at, "loss_s": dict(loss)})
                for run, loss in found.items()
            })

    def amend(self, entry: JournalEntry) -> None:
        """Write an earlier run's journal, as read: how a run ended that could not say so itself.

        Raises LeaseLostError.
        """
        self._write(entry.run, entry)

    def _write(self, run: str, entry: JournalEntry) -> None:
        """A journal, and in the same operation a link of the chain when the run has ended."""
        text = json.dumps(entry.to_json())
        if entry.interrupted and entry.abort is None:  # an abort writes on in a journal that may be linked
            self._here.write({f"{_RUN}{run}": text})
            return
        key, link = runs_chain.next_link(_newest_link(self.pool), run, text.encode(), time.time())
        self._here.write({f"{_RUN}{run}": text, key: link})
        _tell(self.datastore, run, entry, key, runs_chain.digest(link.encode()))


def _tell(datastore: str, run: str, entry: JournalEntry, key: str, digest: str) -> None:
    """The log, and a SIEM, know how a run ended and the digest of its link, wherever the pool is."""
    siem.attach()
    by = entry.request.by or entry.owner.split(":")[0]
    log.history(
        f"history: {key} {digest} of run {run}", entry.result == "DONE", run=run, datastore=datastore,
        verb=entry.verb, result=entry.result, person=by, trigger=entry.request.trigger,
        link=key[len(runs_chain.PREFIX):].lstrip("0"), digest=digest,
    )


def _newest_link(pool: Pool) -> tuple[str, bytes] | None:
    for key in reversed(omap.list_keys(pool, runs_lease.OBJECT, runs_chain.PREFIX)):
        return key, omap.read_keys(pool, runs_lease.OBJECT, (key,))[key]
    return None


def verify_chain(pool: Pool) -> runs_chain.ChainVerdict:
    """Are all journals as their runs left them? Raises rados.Error."""
    chain = omap.read_all(pool, runs_lease.OBJECT, runs_chain.PREFIX)
    runs = omap.read_all(pool, runs_lease.OBJECT, _RUN)
    return runs_chain.verify(chain, {key[len(_RUN):]: value for key, value in runs.items()})


def _next_id(pool: Pool, verb: str) -> str:
    """Milliseconds since the epoch and the verb. Later than every run before, whatever the clocks of the
    machines were that began them: the newest run is the one that resume, abort and status are about.
    """
    return f"{max(int(time.time() * 1000), _newest_number(pool) + 1)}-{verb}"


def _newest_number(pool: Pool) -> int:
    return max((_number(key[len(_RUN):]) for key in omap.list_keys(pool, runs_lease.OBJECT, _RUN)), default=0)


def _number(run_id: str) -> int:
    number = run_id.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def load_runs(pool: Pool) -> dict[str, JournalEntry]:
    """Every run's journal by run id, oldest first; empty when there never was a run. A damaged one has the
    result UNREADABLE.
    """
    return {
        key[len(_RUN):]: _shown(pool, key, value)
        for key, value in omap.read_all(pool, runs_lease.OBJECT, _RUN).items()
    }


def newest_keys(pool: Pool) -> str:
    """Names the newest run and the newest that ended: others mean that there is news. Raises rados.Error."""
    runs, links = (
        omap.list_keys(pool, runs_lease.OBJECT, prefix)[-1:] for prefix in (_RUN, runs_chain.PREFIX)
    )
    return f"{runs} {links}"


def newest_runs(pool: Pool, count: int, verb: str = "") -> list[JournalEntry]:
    """At most `count` journals, the newest first, of all verbs or one. A damaged one is UNREADABLE."""
    keys = omap.list_keys(pool, runs_lease.OBJECT, _RUN)
    wanted = [key for key in keys if not verb or key.endswith(f"-{verb}")][:-count - 1:-1]
    found = omap.read_keys(pool, runs_lease.OBJECT, wanted)
    return [_shown(pool, key, found[key]) for key in wanted if key in found]


def _read(pool: Pool, key: str, value: bytes) -> JournalEntry:
    """Raises StorageError for a damaged one."""
    try:
        return JournalEntry.from_json(parsed(value))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        rados_of = f"rados -p {pool.access.pool}"
        raise StorageError(
            f"The journal of run {key[len(_RUN):]} is damaged ({type(error).__name__}: {error}). Keep it: "
            f"{rados_of} getomapval {runs_lease.OBJECT} {key} FILE. Look at the images: onedr status at both "
            f"sites. Then remove it: {rados_of} rmomapkey {runs_lease.OBJECT} {key}"
        ) from error


def _shown(pool: Pool, key: str, value: bytes) -> JournalEntry:
    try:
        return _read(pool, key, value)
    except StorageError as error:
        run = key[len(_RUN):]
        verb = run.partition("-")[2]
        return JournalEntry(run, verb, "", _number(run) / 1000, result=UNREADABLE, message=str(error))


def load_measured(pool: Pool) -> dict[str, dict[str, float]]:
    """By run id, seconds of writes that each VM (by origin) lost, as a reprotect of the other site found.
    A damaged note counts as none: it hides no other.
    """
    found: dict[str, dict[str, float]] = {}
    for key, value in omap.read_all(pool, runs_lease.OBJECT, _MEASURED).items():
        with suppress(ValueError, OverflowError, TypeError, KeyError, AttributeError):
            loss = parsed(value)["loss_s"]
            found[key[len(_MEASURED):]] = {str(vm): float(lost) for vm, lost in loss.items()}
    return found


def drill_times(pool: Pool) -> dict[str, float]:
    """By origin, seconds until a VM ran in the newest drill that it was in."""
    drills = [key for key in omap.list_keys(pool, runs_lease.OBJECT, _RUN) if key.endswith("-drill")]
    found: dict[str, float] = {}
    for key, value in omap.read_keys(pool, runs_lease.OBJECT, drills[:-_DRILLS_READ - 1:-1]).items():
        entry = _shown(pool, key, value)
        found.update({vm.origin: vm.rto_s for vm in entry.vms if vm.rto_s is not None})
    return found


def in_progress(pool: Pool, runs: Mapping[str, JournalEntry]) -> str:
    """Id of the run that is in progress; empty when none is."""
    lease = runs_lease.in_force(pool)
    if lease is None:
        return ""
    return lease.run or next(reversed(list(runs)), "")  # releases before did not say


def remove_journals(pool: Pool) -> None:
    """Remove lease and journals from the pool; gone is done."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(runs_lease.OBJECT)


def last_run(
    pool: Pool, ignored: Sequence[str] = (), datastore_id: int | None = None
) -> JournalEntry | None:
    """The newest run that was not refused, of a datastore; verbs `ignored` and those that set something
    passed over, and runs of other datastores in the pool. `RUNNING` without a lease in force was interrupted.
    Raises StorageError for a damaged one.
    """
    for key in reversed(omap.list_keys(pool, runs_lease.OBJECT, _RUN)):
        run = _read(pool, key, omap.read_keys(pool, runs_lease.OBJECT, (key,))[key])
        other = None not in (datastore_id, run.datastore_id) and run.datastore_id != datastore_id
        if run.result != "REFUSED" and run.verb not in (*ignored, *SETTINGS) and not other:
            return run
    return None
