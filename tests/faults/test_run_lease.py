"""The lease of a run on real clusters: at both sites, judged by watching, lost and asked for."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from test_prefix import pool_of

from onedr.ceph import connection, omap
from onedr.ceph.connection import Pool
from onedr.model.errors import LeaseLostError, RunInProgressError, RunStoppedError
from onedr.model.types import CephAccess
from onedr.runs import cancel, journal
from onedr.runs import lease as runs_lease
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.lease import HeldLease, Times
from onedr.runs.lease_watch import Lease, encode
from sandbox.waiting import until

if TYPE_CHECKING:
    from sandbox.bed import Bed

QUICK = Times(renew_s=0.2, trust_s=4.0, dead_s=6.0)
YEAR_S = 365 * 86400
ELSEWHERE = Lease("far-host:17:99", "move", 5, machine="another boot", by="ada@desk", began=1.7e9)


@dataclass(frozen=True)
class Pools:
    """Both sites' pools, each opened twice: as a site's own, and as a peer sees it, with short limits."""

    a: Pool
    b: Pool
    a_from_b: Pool
    b_from_a: Pool


@contextmanager
def brief(bed: Bed, site: str) -> Iterator[Pool]:
    with connection.connect(CephAccess("one", "admin", str(bed.sites[site].ceph_conf)), 3, 3) as pool:
        yield pool


def _note(pool: Pool) -> dict[str, object]:
    """What the run of the other site that came here last said of itself; empty when there was none."""
    return dict(json.loads(omap.read_keys(pool, runs_lease.OBJECT, (runs_lease.NOTE,)).get(runs_lease.NOTE, b"{}")))


@pytest.fixture
def pools(ceph_bed: Bed) -> Iterator[Pools]:
    with ExitStack() as stack:
        made = Pools(
            *(stack.enter_context(pool_of(ceph_bed, site)) for site in ("site-a", "site-b")),
            *(stack.enter_context(brief(ceph_bed, site)) for site in ("site-a", "site-b")),
        )
        for pool in (made.a, made.b):
            journal.remove_journals(pool)
        yield made


def run_at(here: Pool, there: Pool, verb: str, site: str) -> journal.Run:
    return journal.Run(here, verb, there, site=site, datastore="ceph", by="ada@one", times=QUICK)


def put(pool: Pool, text: str) -> None:
    omap.write_keys(pool, runs_lease.OBJECT, {"lock": text.encode()})


def entry(run: journal.Run, message: str = "") -> JournalEntry:
    return JournalEntry(run.id, run.verb, runs_lease.me(), 1.0, message=message, updated=2.0)


def test_a_run_holds_it_at_both_sites_and_the_second_is_refused_at_either(pools: Pools) -> None:
    with run_at(pools.b, pools.a_from_b, "move", "B") as run:
        for here, there, site in ((pools.a, pools.b_from_a, "A"), (pools.b, pools.a_from_b, "B")):
            with pytest.raises(RunInProgressError) as refused, run_at(here, there, "failover", site):
                pass
            said = str(refused.value)
            assert runs_lease.me() in said and "move by" in said and "of site B" in said and "since 20" in said
        run.save(entry(run))
        assert runs_lease.in_force(pools.a) is not None and runs_lease.in_force(pools.b) is not None
        assert _note(pools.a)["run"] == run.id and not _note(pools.b)
        assert not journal.load_runs(pools.a) and list(journal.load_runs(pools.b)) == [run.id]
    assert runs_lease.in_force(pools.a) is None and runs_lease.in_force(pools.b) is None
    with run_at(pools.a, pools.b_from_a, "failover", "A"):
        pass


def test_who_came_while_another_ran_is_refused_though_that_one_ends_before_it_is_seen_to_live(pools: Pools) -> None:
    put(pools.a, encode(ELSEWHERE))
    ending = threading.Timer(0.8, put, (pools.a_from_b, encode(replace(ELSEWHERE, renewal=1, released=True))))
    ending.start()
    with pytest.raises(RunInProgressError, match="move by ada@desk on far-host.*has ended by now"), \
            run_at(pools.a, pools.b_from_a, "failover", "A"):
        pass
    ending.join()
    with run_at(pools.a, pools.b_from_a, "failover", "A"):
        pass


def test_two_that_begin_at_once_at_both_sites_never_both_hold_it(pools: Pools) -> None:
    inside, refused, most = [0], [0], [0]
    mutex, done = threading.Lock(), threading.Event()

    def contend(here: Pool, there: Pool, site: str) -> None:
        try:
            with run_at(here, there, "failover", site) as run:
                with mutex:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                done.wait(1.0)
                run.save(entry(run))
                with mutex:
                    inside[0] -= 1
        except RunInProgressError:
            refused[0] += 1

    for _ in range(5):
        pair = [
            threading.Thread(target=contend, args=(pools.a, pools.b_from_a, "A")),
            threading.Thread(target=contend, args=(pools.b, pools.a_from_b, "B")),
        ]
        for each in pair:
            each.start()
        for each in pair:
            each.join(60)
    assert most[0] == 1 and refused[0] == 5, (most, refused)


@pytest.mark.parametrize("text", [
    encode(replace(ELSEWHERE, began=time.time() + YEAR_S)),
    json.dumps({"owner": "far-host:17:99", "verb": "failover", "generation": 7, "until": time.time() + YEAR_S}),
    "garbage",
], ids=["a clock a year ahead", "of a release before, a year ahead", "damaged"])
def test_a_lease_that_nobody_renews_shuts_nobody_out(pools: Pools, text: str) -> None:
    put(pools.a, text)
    begun = time.monotonic()
    with run_at(pools.a, pools.b_from_a, "move", "A") as run:
        assert QUICK.dead_s <= time.monotonic() - begun < QUICK.dead_s + 15
        run.save(entry(run))


def test_one_whose_clock_says_1970_is_in_force_while_it_is_renewed(pools: Pools) -> None:
    put(pools.a, encode(replace(ELSEWHERE, began=0.0)))
    ended = threading.Event()

    def renew() -> None:
        for number in range(1, 1000):
            put(pools.a_from_b, encode(replace(ELSEWHERE, began=0.0, renewal=number)))
            if ended.wait(0.3):
                return

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with pytest.raises(RunInProgressError, match="move by ada@desk on far-host"), \
                run_at(pools.a, pools.b_from_a, "failover", "A"):
            pass
        assert runs_lease.in_force(pools.a, QUICK) is not None
    finally:
        ended.set()
        renewing.join()
    assert runs_lease.in_force(pools.a, QUICK) is None, "seen not renewed"
    begun = time.monotonic()
    assert runs_lease.in_force(pools.a, QUICK) is None and time.monotonic() - begun < 2, "and that is noted"


def test_an_owner_of_this_machine_that_has_ended_has_lost_it_at_once(pools: Pools) -> None:
    put(pools.a, encode(replace(ELSEWHERE, owner="this:1:0", machine=runs_lease.machine())))
    begun = time.monotonic()
    with run_at(pools.a, pools.b_from_a, "move", "A"):
        assert time.monotonic() - begun < QUICK.dead_s


def test_whoever_lost_it_at_either_site_writes_nothing_more(pools: Pools) -> None:
    for stolen in (pools.a, pools.b):
        with run_at(pools.b, pools.a_from_b, "move", "B") as run:
            run.save(entry(run))
            omap.write_keys(stolen, runs_lease.OBJECT, {"holder": b"9 far-host:1:1", "lock": encode(ELSEWHERE).encode()})
            with pytest.raises(LeaseLostError, match="far-host"):
                run.save(entry(run, message="after it was lost"))
            with pytest.raises(LeaseLostError):
                run.check()
        put(stolen, encode(replace(ELSEWHERE, released=True)))
    assert all(run.message == "" for run in list(journal.load_runs(pools.b).values())[1:])


def test_a_write_that_went_through_although_its_answer_was_lost_costs_nothing(pools: Pools) -> None:
    """The next renewal compares the holder, not what the last one wrote."""
    claim = runs_lease.claim("move", "r", pools.a.fsid())
    with HeldLease(pools.a, claim, QUICK) as held:
        lease = runs_lease.current_lease(pools.a)
        assert lease is not None
        put(pools.a, encode(replace(lease, renewal=lease.renewal + 500)))
        until("renewals go on", lambda: (runs_lease.current_lease(pools.a) or lease).renewal < 500, 10)
        held.write({"x": "y"})


def test_a_run_is_asked_to_stop_from_either_site_and_the_next_one_is_not(pools: Pools) -> None:
    access = {pool: CephAccess("one", "admin", pool.access.conf) for pool in (pools.a, pools.b)}
    for pool in (pools.a, pools.b):
        with run_at(pools.b, pools.a_from_b, "failover", "B") as run:
            run.check()
            assert "failover by" in cancel.cancel(access[pool], "ceph", "olga@desk")
            run.look()
            with pytest.raises(RunStoppedError, match="olga@desk asked the failover to stop"):
                run.check()
            run.save(entry(run))
        with run_at(pools.b, pools.a_from_b, "failover", "B") as run:
            run.look()
            run.check()


def test_a_peer_out_of_reach_stops_the_run_where_it_needs_it_and_not_elsewhere(ceph_bed: Bed, pools: Pools) -> None:
    for needed in (True, False):
        with run_at(pools.b, pools.a_from_b, "move", "B") as run:
            run.peer_needed = needed
            run.check()
            ceph_bed.freeze("site-a")
            try:
                if needed:
                    with pytest.raises(RunStoppedError, match="cannot be reached"):
                        keep_checking(run, 30)
                else:
                    until("it goes on alone", lambda run=run: _alone(run), 30, 0.2)
                    run.save(entry(run, message="alone"))
            finally:
                ceph_bed.thaw("site-a")
        journal.remove_journals(pools.a)


def keep_checking(run: journal.Run, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        run.check()
        time.sleep(0.1)


def _alone(run: journal.Run) -> bool:
    run.check()
    return "cannot be reached" in run.alone
