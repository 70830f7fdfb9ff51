"""The probe measures what the installed Ceph does: journal mode carries everything, snapshot mode damages clones on 16.2.15."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from onedr.ceph import cluster_info, connection, mirroring
from onedr.ceph.connection import Pool
from onedr.check import probe, probe_results
from onedr.model.errors import RefusedError
from onedr.model.records import ProbeResult
from onedr.model.types import CephAccess, Mode, Settings
from sandbox.bed import Bed
from sandbox.layout import REPO, Site

LONGEST_S = 200
DAMAGED = ("16.2.15",)  # releases known to damage clones in snapshot mode


@contextmanager
def opened(site: Site) -> Iterator[Pool]:
    with connection.connect(CephAccess("one", "oneadmin", str(site.ceph_conf))) as pool:
        yield pool


def measure(bed: Bed, mode: Mode, site: str = "site-a") -> tuple[ProbeResult, list[str]]:
    stages: list[str] = []
    with opened(bed.sites[site]) as pool:
        return probe.run_probe(pool, Settings(), mode, stages.append), stages


def contents(site: Site) -> dict[str, Any]:
    """Images, Ceph's trash, locks and notes of the probe; the object that holds verdicts stays on purpose."""
    with opened(site) as pool:
        ours = {entry.key for entry in pool.io.list_objects() if entry.key.startswith("onedr.")}
        stays = {probe_results.OBJECT, "onedr.alone"}
        return {"images": pool.names(), "trash": list(pool.rbd.trash_list(pool.io)), "objects": ours - stays}


CLEAN: dict[str, Any] = {"images": [], "trash": [], "objects": set()}


@pytest.fixture(autouse=True)
def clean(ceph_bed: Bed) -> Iterator[None]:
    """Nothing of a probe stays, at either site."""
    yield
    assert [contents(site) for site in ceph_bed.sites.values()] == [CLEAN, CLEAN]


def kept(bed: Bed, mode: Mode) -> list[ProbeResult | None]:
    found = []
    for site in bed.sites.values():
        with opened(site) as pool:
            found.append(probe_results.last_result(pool).get(mode))
    return found


def test_snapshot_mode_on_the_installed_release(ceph_bed: Bed) -> None:
    proof, stages = measure(ceph_bed, Mode.SNAPSHOT)
    assert (proof.why, proof.arrives, proof.returns) == ("", True, True)
    assert len(stages) == 4
    with opened(ceph_bed.sites["site-a"]) as pool:
        assert proof.releases == cluster_info.releases(pool)
    if proof.releases == DAMAGED:
        assert (proof.clones, proof.discards) == (False, False), "this release is better than it was; see docs/clones.md"
    assert kept(ceph_bed, Mode.SNAPSHOT) == [proof, proof], "both sites keep the verdict"


def test_two_probes_at_once_are_refused(ceph_bed: Bed) -> None:
    """The second waits for its turn; a place is free a minute after its holder died, so a wait that long is no answer."""
    here, there = ceph_bed.sites.values()
    with opened(here) as one, opened(there) as other, pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "_LOCK_LIMIT_S", 1)
        with probe._exclusive(one, other), pytest.raises(RefusedError, match="another probe"), probe._exclusive(other, one):
            pass


def test_without_the_peer_nothing_is_made(ceph_bed: Bed) -> None:
    ceph_bed.cut()
    try:
        with pytest.raises(RefusedError, match="must be reached"):
            measure_inside(ceph_bed)
    finally:
        ceph_bed.heal()


def measure_inside(bed: Bed) -> None:
    """A probe begun inside the site, whose line is cut: from outside both are reached."""
    done = subprocess.run([*inside(bed), sys.executable, "-c", PROGRAM, "JOURNAL"], env=environment(bed), capture_output=True,
                          text=True, timeout=LONGEST_S)
    if "RefusedError" in done.stderr:
        raise RefusedError(done.stderr.strip().splitlines()[-1])


def inside(bed: Bed) -> list[str]:
    return ["ip", "netns", "exec", bed.sites["site-a"].netns]


def environment(bed: Bed) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPO), "PROBED": str(bed.sites["site-a"].ceph_conf)}


PROGRAM = """
import os, sys
from onedr.ceph import connection
from onedr.check import probe
from onedr.model.types import CephAccess, Mode, Settings
with connection.connect(CephAccess("one", "oneadmin", os.environ["PROBED"])) as pool:
    print(probe.run_probe(pool, Settings(), Mode[sys.argv[1]], lambda text: print(text, flush=True)))
"""


@pytest.mark.long
def test_journal_mode_carries_everything(ceph_bed: Bed) -> None:
    proof, _ = measure(ceph_bed, Mode.JOURNAL)
    assert (proof.why, proof.arrives, proof.discards, proof.clones, proof.returns) == ("", True, True, True, True)
    assert kept(ceph_bed, Mode.JOURNAL) == [proof, proof]
    from_b, _ = measure(ceph_bed, Mode.JOURNAL, "site-b")
    assert from_b.why == "" and kept(ceph_bed, Mode.JOURNAL) == [from_b, from_b]


@pytest.mark.long
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_what_a_killed_probe_left_goes_with_the_next(ceph_bed: Bed, stage: int) -> None:
    child = subprocess.Popen([*inside(ceph_bed), sys.executable, "-c", PROGRAM, "JOURNAL"], env=environment(ceph_bed), text=True,
                             stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(stage + 1):  # it is in the midst of the stage before the last that it told of
        child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with opened(ceph_bed.sites["site-a"]) as pool:
        assert [name for name in pool.names() if name.startswith("onedr-probe-")], "it was killed too late to leave anything"
    proof, _ = measure(ceph_bed, Mode.JOURNAL)
    assert proof.why == ""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_line_cut_midway_leaves_nothing_once_it_is_back(ceph_bed: Bed) -> None:
    before = kept(ceph_bed, Mode.JOURNAL)
    child = subprocess.Popen([*inside(ceph_bed), sys.executable, "-c", PROGRAM, "JOURNAL"], env=environment(ceph_bed), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(2):
        child.stdout.readline()
    ceph_bed.cut()
    try:
        _, complaints = child.communicate(timeout=500)
    finally:
        ceph_bed.heal()
    assert child.returncode, complaints
    assert kept(ceph_bed, Mode.JOURNAL) == before, "a probe that did not end says nothing"
    proof, _ = measure(ceph_bed, Mode.JOURNAL)
    assert proof.why == ""


@pytest.mark.long
def test_a_delete_delay_keeps_none_of_its_copies(ceph_bed: Bed) -> None:
    option = ["client", "rbd_mirroring_delete_delay"]
    for site in ceph_bed.sites:
        ceph_bed.run(site, ["ceph", "config", "set", *option, "3600"], check=True, capture_output=True)
    try:
        proof, _ = measure(ceph_bed, Mode.SNAPSHOT)
    finally:
        for site in ceph_bed.sites:
            ceph_bed.run(site, ["ceph", "config", "rm", *option], check=True, capture_output=True)
    assert proof.why == ""


def test_a_pool_without_a_peer_is_refused(ceph_bed: Bed) -> None:
    """Last: the peer's pool loses its peer."""
    here, there = ceph_bed.sites.values()
    with opened(there) as pool:
        (uuid,) = mirroring.mirror_peers(pool)
    argv = ["rbd", "mirror", "pool", "peer", "remove", "one", uuid]
    ceph_bed.run("site-b", argv, check=True, capture_output=True)
    with opened(here) as pool, pytest.raises(RefusedError, match="at the peer, pool one has no peer"):
        probe.run_probe(pool, Settings())
