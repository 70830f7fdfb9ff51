"""Join, protect, move, fail back, lose site A, take over, reprotect, fail back: one VM all the way, in both modes.

Each site may run a release of its own (sandbox/mixed). One story; each step is a fixture that stands on the step
before. The VM's disk holds what its guest appends, and 1 MiB that was there before and must be the same all the time.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
import rbd
import workload as w
from test_setup import POOL, USER, start_mirror

from sandbox.bed import Bed
from sandbox.ceph.cluster import command, connect
from sandbox.cloud import DATASTORE, Cloud, of_site
from sandbox.guest import ledger
from sandbox.temporary import temporary
from sandbox.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
MODES = {"JOURNAL": "", "SNAPSHOT": "DR_MODE=SNAPSHOT\nDR_SCHEDULE=1m\n"}
LIMIT_S = 300
FIXED, FIXED_AT = 1 << 20, 16 << 20


@dataclass
class Trip:
    """`vm` is its id at site A; `fixed`: digest of what must never change."""

    bed: Bed
    a: Cloud
    b: Cloud
    mode: str
    vm: int = -1
    disk: str = ""
    fixed: str = ""
    refused: str | None = None  # what B said when it was to give A a key that A cannot read; None: it can

    @property
    def there(self) -> int:
        """Its id at site B."""
        return next(int(vm.ID) for vm in self.b.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.NAME == "db")


def fixed_part(cloud: Cloud, disk: str) -> str:
    with w.open_pool(cloud) as pool, pool.image(disk, read_only=True) as image:
        return hashlib.sha256(image.read(FIXED_AT, FIXED)).hexdigest()


def onedr(cloud: Cloud, verb: str, *more: str) -> dict[str, object]:
    """The last event of a command that must end well."""
    done = cloud.run("onedr", verb, str(cloud.datastore_id), *more, "--yes", "--json", check=False, limit_s=LIMIT_S * 2)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    print(f"\n{cloud.name}: {verb} {' '.join(more)}: {json.loads(done.stdout.splitlines()[-1]).get('seconds')} s")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def lost_between(last: ledger.Record, told: list[ledger.Record]) -> int:
    """How many records a guest that went on after `last` left out."""
    return next(record.number for record in told if record.number > last.number) - last.number - 1


def wait_copy(active: Cloud, standby: Cloud, disk: str, vm: int) -> None:
    """Wait until the standby has all it needs of the VM."""
    w.wait_complete(active, [disk], LIMIT_S)
    with w.open_pool(standby) as pool:
        until("the VM's record", partial(w.recorded, active, vm, pool), LIMIT_S, 0.5)
    w.wait_point(standby, ["db"], limit_s=LIMIT_S)
    active.wait_datastore(active.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)


@pytest.fixture(scope="module", params=MODES)
def joined(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trip]:
    """Two empty clusters, joined by one file that was carried from A to B; each knows the other's front-end."""
    with temporary(frontends=True, bare=True) as bed:
        a, b = (of_site(site) for site in bed.sites.values())
        file = str(tmp_path_factory.mktemp("carried") / "join")
        setup(a, "--offer", file)
        refused = refused_for_its_key(bed, b, file)
        setup(b, "--join", file)
        for cloud in (a, b):
            start_mirror(bed, cloud)
        mode = request.param
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda cloud: cloud.furnish(MODES[mode]), (a, b)))
        w.introduce(a, b)
        w.introduce(b, a)
        yield Trip(bed, a, b, mode, refused=refused)


def setup(cloud: Cloud, *way: str, check: bool = True) -> str:
    """What `onedr setup` of a site's pool complains of."""
    given = ("--pool", POOL, "--ceph-conf", str(cloud.ceph_conf), "--ceph-user", USER, "--yes", "--no-probe")
    return cloud.run("onedr", "setup", *given, "--site", cloud.name, *way, check=check, limit_s=LIMIT_S).stderr


def refused_for_its_key(bed: Bed, b: Cloud, file: str) -> str | None:
    """Let site B make keys of the new type, where it knows them and site A does not, and try to join."""
    knows = []
    for site in bed.sites.values():
        with connect(site) as cluster:
            knows.append("auth_preferred_cipher" in command(cluster, prefix="mon dump"))
    if knows != [False, True]:
        return None
    words = ["ceph", "-c", str(b.ceph_conf), "mon", "set", "auth_preferred_cipher"]
    bed.run(b.name, [*words, "aes256k"], check=True)
    try:
        return setup(b, "--join", file, check=False)
    finally:
        bed.run(b.name, [*words, "aes"], check=True)


@pytest.fixture(scope="module")
def protected(joined: Trip) -> Trip:
    """A VM at site A whose copy is whole."""
    trip, a = joined, joined.a
    image = w.create_image(a, "db-disk")
    trip.disk = w.rbd_name(a, image)
    with w.open_pool(a) as pool, pool.image(trip.disk) as opened:
        opened.write(os.urandom(FIXED), FIXED_AT)
    trip.fixed = fixed_part(a, trip.disk)
    trip.vm = w.create_vm(a, "db", [image])
    wait_copy(a, trip.b, trip.disk, trip.vm)
    until("the fixed part at site B", lambda: fixed_part(trip.b, trip.disk) == trip.fixed, LIMIT_S, 0.5)
    w.wait_writing(a, trip.vm)
    return trip


@pytest.fixture(scope="module")
def moved(protected: Trip) -> int:
    """Records lost by a move to site B."""
    trip = protected
    onedr(trip.b, "move")
    trip.b.wait_vm(trip.there)
    w.wait_writing(trip.b, trip.there)
    return int(w.told(trip.b, trip.there)[0].number - w.told(trip.a, trip.vm)[-1].number - 1)


@pytest.fixture(scope="module")
def home(protected: Trip, moved: int) -> int:
    """Records lost by the way back."""
    return go_home(protected)


def go_home(trip: Trip) -> int:
    wait_copy(trip.b, trip.a, trip.disk, trip.there)
    onedr(trip.a, "failback")
    last = w.told(trip.b, trip.there)[-1]
    trip.a.wait_vm(trip.vm)
    w.wait_writing(trip.a, trip.vm)
    return lost_between(last, w.told(trip.a, trip.vm))


@pytest.fixture(scope="module")
def lost(protected: Trip, home: int) -> tuple[float, float]:
    """Site A dies, site B takes over: seconds from the first lost write to the last, and what the plan said at most."""
    trip, a, b = protected, protected.a, protected.b
    wait_copy(a, b, trip.disk, trip.vm)
    before = len(w.told(b, trip.there))
    w.wait_writing(a, trip.vm, 5)
    trip.bed.kill("site-a")
    told = w.told(a, trip.vm)
    plan = b.onedr("failover", str(b.datastore_id), "--dry-run", "--confirm", DATASTORE)
    (point,) = [vm["recovery_point"] for vm in plan["vms"]]
    onedr(b, "failover", "--confirm", DATASTORE)
    b.wait_vm(trip.there)
    w.wait_writing(b, trip.there)
    first = w.told(b, trip.there)[before].number
    gone = [record.time_ms for record in told if record.number >= first]
    return (gone[-1] - gone[0] if gone else 0) / 1000, told[-1].time_ms / 1000 - point


@pytest.fixture(scope="module")
def returned(protected: Trip, lost: tuple[float, float]) -> int:
    """Site A comes back, becomes the standby, and gets everything back: records lost on the way home."""
    trip, bed, a = protected, protected.bed, protected.a
    bed.up(["site-a"], frontends=False, bare=True)
    start_mirror(bed, a)
    a.run("onedr", "guard", "--json", limit_s=LIMIT_S)
    bed.up(["site-a"], bare=True)
    onedr(a, "reprotect")
    return go_home(trip)


def test_an_older_site_gets_no_key_that_it_cannot_read(joined: Trip) -> None:
    if joined.refused is None:
        pytest.skip("site A reads each key that site B makes")
    assert "ceph mon set auth_preferred_cipher aes; then onedr setup --join" in joined.refused


def test_a_copy_arrives_whole(protected: Trip) -> None:
    with w.open_pool(protected.b) as pool, pool.image(protected.disk, read_only=True) as image:
        assert image.mirror_image_get_info()["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED
    assert fixed_part(protected.b, protected.disk) == protected.fixed


def levels(cloud: Cloud) -> dict[str, str]:
    """What `onedr check` says of the releases at a site."""
    findings = json.loads(cloud.run("onedr", "check", "--json", check=False).stdout)["findings"]
    return {each["code"]: each["level"] for each in findings if each["code"] in ("CIPHERS", "RELEASES")}


def test_the_check_wants_two_releases_probed_together(protected: Trip) -> None:
    a, b = protected.a, protected.b
    mixed = len({site.root for site in protected.bed.sites.values()}) > 1
    told = {"CIPHERS": "ok", "RELEASES": "warning" if mixed else "ok"}
    assert (levels(a), levels(b)) == (told, told)
    a.run("onedr", "check", str(a.datastore_id), "--probe", check=False, limit_s=LIMIT_S)
    assert (levels(a)["RELEASES"], levels(b)["RELEASES"]) == ("ok", "ok")


def test_a_move_and_the_way_back_lose_nothing(protected: Trip, moved: int, home: int) -> None:
    assert (moved, home) == (0, 0)
    assert fixed_part(protected.a, protected.disk) == protected.fixed


def test_a_failover_loses_no_more_than_its_plan_said(protected: Trip, lost: tuple[float, float]) -> None:
    print(f"\n{protected.mode}: lost {lost[0]:.2f} s, at most {lost[1]:.2f} s promised")
    assert 0 <= lost[0] <= lost[1]
    assert fixed_part(protected.b, protected.disk) == protected.fixed


def test_a_site_that_was_lost_gets_everything_back(protected: Trip, returned: int) -> None:
    trip = protected
    assert returned == 0
    trip.a.api.vm.action("poweroff-hard", trip.vm)
    trip.a.wait_vm(trip.vm, "POWEROFF")
    with w.open_pool(trip.a) as pool, rbd.Image(pool.io, trip.disk, read_only=True) as image:
        records = ledger.read_image(image)  # raises for a hole or a damaged record
    assert records[-1].number >= w.told(trip.a, trip.vm)[-1].number
    assert fixed_part(trip.a, trip.disk) == trip.fixed
