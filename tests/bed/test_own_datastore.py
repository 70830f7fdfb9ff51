"""A run touches its own datastore, never what merely lies in the pool, and nothing that is split."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from alerts import firing_now

from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

REFUSED, PARTLY = 2, 5  # exit codes
OTHER = "other"


@dataclass
class Ground:
    """Two protected datastores in one pool at site A, a VM on a clone in each; site B has the first only."""

    sites: Sites
    a: Cloud
    vms: dict[str, int]
    bases: dict[str, str]
    clones: dict[str, str]
    other: int

    def primaries(self) -> tuple[dict[str, bool], dict[str, bool]]:
        with w.open_pool(self.a) as here, w.open_pool(self.sites.b) as there:
            return w.primaries(here), w.primaries(there)


@pytest.fixture(scope="module")
def ground(sites: Sites) -> Iterator[Ground]:
    a, b = w.guestless(sites.a), sites.b
    w.introduce(b, a)
    w.introduce(a, b)
    text = (
        f"NAME={OTHER}\nTYPE=IMAGE_DS\nDS_MAD=ceph_dr\nTM_MAD=ceph_dr\n{a.ceph_attributes()}"
        f'SAFE_DIRS="/var/tmp /tmp"\nDR_PROTECT=YES\nDR_SITE={a.name}\nDR_SITE_INDEX={a.index}\n'
    )
    other = int(a.api.datastore.allocate(text, 0))
    a.wait_datastore(other, lambda found: int(found.get("DR_SITE_INDEX") or 0) == a.index)
    until("room in the other datastore", lambda: int(a.api.datastore.info(other).FREE_MB) > 0, 90)
    images = {DATASTORE: w.create_image(a, "base", persistent=False), OTHER: image_in(a, other, "other-base")}
    vms = {name: w.create_vm(a, f"vm-{name}", [image], "DISK=[TYPE=fs,SIZE=16]\n") for name, image in images.items()}
    bases = {name: w.rbd_name(a, image) for name, image in images.items()}
    clones = {name: f"{bases[name]}-{vms[name]}-0" for name in bases}
    with w.open_pool(b) as there:
        w.wait_recorded(a, vms[DATASTORE], there)
    w.wait_complete(a, [bases[DATASTORE], clones[DATASTORE]])
    w.wait_complete(a, [bases[OTHER], clones[OTHER]], datastore=other)
    yield Ground(sites, a, vms, bases, clones, other)


def image_in(cloud: Cloud, datastore: int, name: str) -> int:
    text = f"NAME={name}\nTYPE=DATABLOCK\nSIZE=32\nPERSISTENT=NO\nDEV_PREFIX=vd\n"
    image = int(cloud.api.image.allocate(text, datastore))
    cloud.wait_image(image)
    return image


def refusal(cloud: Cloud, *argv: str) -> str:
    done = cloud.run("onedr", *argv, check=False)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    return done.stderr


def test_a_datastore_counts_its_own_items_only(ground: Ground) -> None:
    """The VM of the other one, and volatile disks, make neither of them degraded."""
    for name, datastore in ((DATASTORE, None), (OTHER, ground.other)):
        seen: dict[str, Any] = {}

        def settled(into: dict[str, Any] = seen, datastore: int | None = datastore) -> bool:
            into.update(w.status(ground.a, datastore))
            return bool(into["state"] == "PROTECTED")

        until(f"{name} to be protected", settled, 120, 1)
        assert (seen["protected"], seen["total"]) == (2, 2), seen["unprotected"]
        assert {disk["name"] for disk in seen["disks"]} == {ground.bases[name], ground.clones[name]}


def test_a_base_is_not_demoted_under_a_clone_that_has_no_copy(ground: Ground) -> None:
    a, b, bed = ground.a, ground.sites.b, ground.sites.bed
    if ground.sites.real:
        pytest.skip("stopping rbd-mirror is the bed's own doing")
    bed.stop("site-b", "mirror")
    try:
        base = next(image.ID for image in a.api.imagepool.info(-2, -1, -1).IMAGE if image.NAME == "base")
        late = w.create_vm(a, "late", [base])
        clone = f"{ground.bases[DATASTORE]}-{late}-0"
        before = ground.primaries()
        for verb in (("move", DATASTORE), ("failover", DATASTORE, "--confirm", DATASTORE)):
            said = refusal(b, *verb, "--yes")
            assert clone in said and f"--take {ground.bases[DATASTORE]}" in said, said
        assert ground.primaries() == before
    finally:
        bed.start("site-b", "mirror")
    w.wait_complete(a, [clone])
    with w.open_pool(b) as there:
        w.wait_recorded(a, late, there)
    assert not b.onedr("move", DATASTORE, "--dry-run")["refusal"], "with its copy it comes along"


def test_a_move_takes_what_belongs_to_its_datastore(ground: Ground) -> None:
    a, b = ground.a, ground.sites.b
    plan = b.onedr("move", DATASTORE, "--dry-run")
    images = {image["image"] for image in plan["images"]}
    assert {ground.bases[DATASTORE], ground.clones[DATASTORE]} <= images and not plan["refusal"], plan
    assert not {ground.bases[OTHER], ground.clones[OTHER]} & images
    done = b.run("onedr", "move", DATASTORE, "--yes", "--json", check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    here, there = ground.primaries()
    assert not here[ground.bases[DATASTORE]] and there[ground.bases[DATASTORE]]
    for name in (ground.bases[OTHER], ground.clones[OTHER]):
        assert here[name] and not there[name]
    assert a.api.vm.info(ground.vms[OTHER]).STATE == 3  # ACTIVE
    assert "other-base" not in {image.NAME for image in b.api.imagepool.info(-2, -1, -1).IMAGE}
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert "no data lost" in verdict["message"] and verdict["state"] == "PROTECTING"


def test_all_datastores_move_and_one_with_nothing_to_move_stops_no_other(ground: Ground) -> None:
    a, b = ground.a, ground.sites.b
    text = (
        f"NAME={OTHER}\nTYPE=IMAGE_DS\nDS_MAD=ceph_dr\nTM_MAD=ceph_dr\n{b.ceph_attributes()}"
        f"DR_PROTECT=YES\nDR_SITE={b.name}\nDR_SITE_INDEX={b.index}\n"
    )
    number = int(b.api.datastore.allocate(text, 0))
    b.wait_datastore(number, lambda found: int(found.get("DR_SITE_INDEX") or 0) == b.index)
    until("room in the other datastore", lambda: int(b.api.datastore.info(number).FREE_MB) > 0, 90)
    with w.open_pool(b) as there:
        w.wait_recorded(a, ground.vms[OTHER], there)
    done = b.run("onedr", "move", "--all", "--yes", "--json", check=False)
    assert done.returncode == PARTLY and "Not everything was done" in done.stderr, done.stdout[-3000:] + done.stderr
    told = {each["datastore"]: each for each in json.loads(done.stdout.splitlines()[-1])["datastores"]}
    assert "nothing left to do" in told[DATASTORE]["failed"] and not told[OTHER]["failed"], told
    here, there_now = ground.primaries()
    for name in (ground.bases[OTHER], ground.clones[OTHER]):
        assert there_now[name] and not here[name]
    assert "vm-other" in {vm.NAME for vm in b.api.vmpool.info(-2, -1, -1, -2).VM}


@pytest.mark.parametrize("verb", [
    ("move", DATASTORE, "--yes"), ("failover", DATASTORE, "--confirm", DATASTORE), ("failback", DATASTORE, "--yes"),
    ("drill", "start", DATASTORE, "--yes"), ("enable", DATASTORE),
])
def test_nothing_is_done_while_an_image_is_split(ground: Ground, verb: tuple[str, ...]) -> None:
    """Promoted by hand at site A, so that it is primary at both sites with equal terms."""
    name = ground.clones[DATASTORE]
    with w.open_pool(ground.a) as pool, pool.image(name) as image:
        if not w.primaries(pool)[name]:
            image.mirror_image_promote(True)
    before = [found[name] for found in ground.primaries()]
    assert before == [True, True]
    for cloud in (ground.a, ground.sites.b):
        said = refusal(cloud, *verb)
        assert name in said and "reprotect" in said, said
    assert [found[name] for found in ground.primaries()] == before


def test_a_split_image_is_an_alert_at_both_sites(ground: Ground) -> None:
    for cloud in (ground.a, ground.sites.b):
        assert "OneDRSplitBrain" in firing_now(cloud)
