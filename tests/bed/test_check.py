"""`onedr check`: a healthy pair has no problem; then one thing is broken at a time, for real, and exactly
that is told.
"""
from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import by_hand
import prometheus_client.parser
import pytest
import rbd
import workload as w
from alerts import firing_now, scrape

from onedr.ceph.connection import Pool
from onedr.model.records import VmRecord
from onedr.model.template import to_xml
from sandbox.ceph.cluster import command, connect
from sandbox.cloud import DATASTORE, NETWORK, Cloud
from sandbox.guest import ledger
from sandbox.waiting import until
from tests.prometheus import firing, free_port, held, queries, scraping

if TYPE_CHECKING:
    from conftest import Sites

PROBLEMS = 6  # exit code
REPORTED_S = 60  # rbd-mirror reports an image within 30 s


@dataclass(frozen=True)
class Checked:
    """What `onedr check` said."""

    code: int
    worst: str
    findings: list[dict[str, str]]

    def of(self, level: str) -> set[str]:
        return {finding["code"] for finding in self.findings if finding["level"] == level}

    def text(self, code: str) -> str:
        return " ".join(
            f"{finding['text']} {finding['todo']}" for finding in self.findings if finding["code"] == code
        )


def check(cloud: Cloud, *argv: str) -> Checked:
    done = cloud.run("onedr", "check", *argv, "--json", check=False)
    assert done.returncode in (0, PROBLEMS), done.stderr
    said = json.loads(done.stdout)
    return Checked(done.returncode, said["worst"], said["findings"])


@dataclass
class Ground:
    """A protected pair with one VM at site A; `warned`: what is warned of while it is healthy, by site."""

    sites: Sites
    vm: int
    disks: list[str]
    warned: dict[str, set[str]]


def key_file(cloud: Cloud) -> Path:
    return cloud.one_location / "etc/onedr/record.key"


def write_key(cloud: Cloud, text: str, mode: int = 0o600) -> None:
    key_file(cloud).write_text(text)
    key_file(cloud).chmod(mode)


def reconcile(cloud: Cloud) -> None:
    """It leaves the site's card for the other."""
    cloud.run("onedr", "reconcile", DATASTORE)


@pytest.fixture(scope="module")
def g(sites: Sites) -> Iterator[Ground]:
    a, b = sites.a, sites.b
    w.introduce(a, b)
    w.introduce(b, a)
    key = b64encode(os.urandom(64)).decode()
    for cloud in (a, b):
        write_key(cloud, key)
    base = w.create_image(a, "base", persistent=False, wait=False)
    disk = w.create_image(a, "disk", wait=False)
    for image in (base, disk):
        a.wait_image(image)
    vm = w.create_vm(a, "one", [base, disk], f'NIC=[NETWORK="{NETWORK}"]\n')
    for cloud in (a, b):
        reconcile(cloud)
    disks = w.vm_disks(a, vm)
    w.wait_complete(a, disks)
    made = Ground(sites, vm, disks, {})
    until(
        "healthy sites",
        lambda: all(
            "RBD_MIRROR" not in found.of("warning") | found.of("problem") for found in (check(a), check(b))
        ),
        REPORTED_S,
        1,
    )
    made.warned = {cloud.name: check(cloud).of("warning") for cloud in (a, b)}
    yield made


def only(
    g: Ground, cloud: Cloud, found: Checked, problem: str, *, also_warned: frozenset[str] = frozenset()
) -> None:
    """Exactly this problem is told, and no warning that was not there before."""
    told = [finding for finding in found.findings if finding["level"] != "ok"]
    assert found.of("problem") == {problem}, told
    assert found.of("warning") - g.warned[cloud.name] <= also_warned, told
    assert found.code == PROBLEMS and found.worst == "problem"


def test_a_healthy_pair_has_no_problem_at_either_site(g: Ground) -> None:
    for cloud in (g.sites.a, g.sites.b):
        found = check(cloud)
        assert (found.code, found.of("problem")) == (0, set()), found.findings
        # The bed: pools of one replica, no delete delay, no systemd, hosts that report no machine types; no
        # probe was made.
        assert found.of("warning") <= {
            "POOL_SIZE",
            "RPO",
            "GUARD_UNIT",
            "FENCE",
            "DISK_DRIVER",
            "PROCESSORS",
            "TRADE",
        }, found.findings
        assert {finding["datastore"] for finding in found.findings} == {"", DATASTORE}
    assert "1 VM(s) would start at the peer" in check(g.sites.a, DATASTORE).text("STARTS_THERE")
    assert "1 VM(s) would start here" in check(g.sites.b, DATASTORE).text("STARTS_HERE")
    assert {finding["datastore"] for finding in check(g.sites.a, DATASTORE).findings} == {DATASTORE}


def samples(cloud: Cloud, path: Path) -> dict[tuple[str, str], float]:
    """What the exporter writes, by name and the label that tells samples of one datastore apart."""
    families = prometheus_client.parser.text_string_to_metric_families(scrape(cloud, path))
    return {
        (sample.name, next((value for key, value in sample.labels.items() if key in ("state", "vm", "role", "reason")), "")):
        sample.value
        for family in families for sample in family.samples
        if sample.labels.get("datastore", DATASTORE) == DATASTORE
    }


def test_the_exporter_tells_of_the_same_pair(g: Ground, tmp_path: Path) -> None:
    a, b = g.sites.a, g.sites.b
    until("a recovery point", lambda: w.status(a)["vms"][0]["age_s"] is not None, 60, 1)
    here, there = samples(a, tmp_path / "a.prom"), samples(b, tmp_path / "b.prom")
    disks = len(w.status(a)["disks"])
    for found, state, role in ((here, "PROTECTED", "primary"), (there, "STANDBY", "secondary")):
        assert found["onedr_datastore_state", state] == found["onedr_datastore_role", role] == 1
        assert found["onedr_datastore_up", ""] == found["onedr_peer_answers", ""] == 1
        assert found["onedr_rbd_mirror_daemons", ""] == found["onedr_record_key_usable", ""] == 1
        assert found["onedr_vm_recoverable", "one"] == 1
        assert 0 <= found["onedr_vm_recovery_point_age_seconds", "one"] < found["onedr_vm_objective_seconds", "one"]
        assert found["onedr_pool_free_bytes", ""] > 0
        assert found["onedr_scrape_front_end_calls", ""] == 3
    assert here["onedr_datastore_items_protected", ""] == here["onedr_datastore_items", ""] == disks
    assert here["onedr_datastore_journal_bytes", ""] >= 64 << 20
    assert here["onedr_reconcile_duration_seconds", ""] > 0 and here["onedr_reconcile_repairs_total", ""] >= 1
    for name, alerts in (("a", set()), ("b", {"OneDRDrillTooOld"})):
        assert firing(held((tmp_path / f"{name}.prom").read_text(), time.time()), tmp_path) == alerts
    until("the peer's report", lambda: ("onedr_datastore_entries_behind", "") in samples(a, tmp_path / "a.prom"), 60, 2)


def test_each_query_of_the_dashboard_finds_what_a_real_exporter_tells(g: Ground, tmp_path: Path) -> None:
    """A Prometheus scrapes it over HTTP. There was no drill, rehearsal or run here."""
    a = g.sites.a
    where = f"{urlsplit(a.endpoint).hostname}:{free_port()}"
    argv, env = [*a.prefix, "onedr", "exporter", "--listen", where], {**os.environ, **a.process_environment()}
    with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL) as exporter:
        try:
            with scraping(where, tmp_path) as prometheus:
                asked = [(title, prometheus.query(text.replace("$datastore", DATASTORE))) for title, text in queries()]
        finally:
            exporter.terminate()
    assert {title for title, series in asked if not series} == {"Since the last good drill", "Rehearsed", "Newest runs"}


def report(cloud: Cloud) -> dict[str, Any]:
    (found,) = json.loads(cloud.run("onedr", "report", "--json").stdout)
    return dict(found)


def test_the_report_is_one_page_and_the_newest_of_each_night_is_kept(g: Ground, tmp_path: Path) -> None:
    a, b = g.sites.a, g.sites.b
    for cloud in (a, b):
        until("an age to be noted", lambda cloud=cloud: report(cloud)["ages"], 90, 1)
        found = report(cloud)
        assert {age["objective_s"] for age in found["ages"]} == {found["status"]["objective_s"]}
        assert len(found["ages"]) <= 2, "one for each ten minutes"
        assert {one["datastore"] for one in found["findings"]} == {DATASTORE}
        page = tmp_path / f"{cloud.name}.html"
        for told in ("the first report", "The last one was of"):
            cloud.run("onedr", "report", DATASTORE, "--html", "--output", str(page))
            assert page.stat().st_mode & 0o777 == 0o600 and told in page.read_text()
        assert f"one ({g.vm} at {a.name})" in page.read_text()
    kept = a.one_location / "var" / "onedr" / "reports" / f"{a.datastore_id}.html"
    assert not kept.exists()
    a.api.datastore.update(a.datastore_id, "DR_REPORT=YES", 1)
    until("the report of the night", kept.exists, 90, 1)
    a.api.datastore.update(a.datastore_id, "DR_REPORT=NO", 1)
    assert "by the keeper" in kept.read_text() and kept.stat().st_mode & 0o777 == 0o640


def state_of(cloud: Cloud) -> Any:
    """What a check could change: images with their metadata, snapshots and roles, and the datastore's
    attributes.
    """
    with w.open_pool(cloud) as pool:
        images = {}
        for name in pool.names():
            values = {key for key in w.values_of(pool, name) if key not in w.MARKS}
            with pool.image(name, read_only=True) as image:
                images[name] = (values, [snap["name"] for snap in image.list_snaps()])
        objects = {
            entry.key
            for entry in pool.io.list_objects()
            if entry.key.startswith("onedr.") and "alone" not in entry.key and ".quiet." not in entry.key
        }
    shown = cloud.api.datastore.info(cloud.datastore_id).TEMPLATE
    return images, objects, {key: value for key, value in dict(shown).items() if key != "DR_RECOVERY_POINT"}


def test_it_changes_nothing(g: Ground) -> None:
    before = [state_of(cloud) for cloud in (g.sites.a, g.sites.b)]
    for cloud in (g.sites.a, g.sites.b):
        check(cloud)
    assert [state_of(cloud) for cloud in (g.sites.a, g.sites.b)] == before


def test_a_record_key_that_others_may_read(g: Ground) -> None:
    a = g.sites.a
    key_file(a).chmod(0o644)
    try:
        found = check(a)
        # with no key here, no record of this site can be proven either
        assert found.of("problem") == {"RECORD_KEY", "STARTS_THERE"}, found.findings
        assert "chmod 600" in found.text("RECORD_KEY")
        assert firing_now(a) - {"OneDRReconcileFails"} == {"OneDRRecordKeyMissing"}, "a keeper's pass may fail too"
    finally:
        key_file(a).chmod(0o600)
        reconcile(a)  # the keeper may have told the peer meanwhile that there is none


def test_another_record_key_and_none(g: Ground) -> None:
    a, b = g.sites.a, g.sites.b
    key = key_file(b).read_text()
    try:
        write_key(b, b64encode(os.urandom(64)).decode())
        reconcile(b)
        only(g, a, check(a), "RECORD_KEYS")
        assert "different record keys" in check(b, DATASTORE).text("RECORD_KEYS")
        key_file(b).unlink()
        reconcile(b)
        found = check(a)
        only(g, a, found, "RECORD_KEYS")
        assert "the peer has no record key" in found.text("RECORD_KEYS")
        only(g, b, check(b), "RECORD_KEYS", also_warned=frozenset({"RECORD_KEY"}))
    finally:
        write_key(b, key)
        reconcile(b)


def test_the_same_site_index(g: Ground) -> None:
    a, b = g.sites.a, g.sites.b
    b.api.datastore.update(b.datastore_id, f"DR_SITE_INDEX={a.index}", 1)
    try:
        reconcile(b)
        for cloud in (a, b):
            only(g, cloud, check(cloud), "SITE_INDEX")
    finally:
        b.api.datastore.update(b.datastore_id, f"DR_SITE_INDEX={b.index}", 1)
        reconcile(b)


def test_a_network_that_is_missing_at_the_peer(g: Ground) -> None:
    a, b = g.sites.a, g.sites.b
    network = next(net.ID for net in b.api.vnpool.info(-2, -1, -1).VNET if net.NAME == NETWORK)
    b.api.vn.rename(network, "elsewhere")
    try:
        found = check(a)
        only(g, a, found, "STARTS_THERE", also_warned=frozenset({"UNMAPPED_THERE"}))
        assert f"network '{NETWORK}' has no counterpart" in found.text("STARTS_THERE")
        only(g, b, check(b), "STARTS_HERE", also_warned=frozenset({"UNMAPPED_HERE"}))
        b.api.datastore.update(b.datastore_id, f'DR_NETWORK_MAP="{NETWORK}=elsewhere, x=nowhere"', 1)
        found = check(b, DATASTORE)
        assert found.of("problem") == {"NETWORK_MAP"} and "x=nowhere" in found.text("NETWORK_MAP"), (
            found.findings
        )
    finally:
        b.api.vn.rename(network, NETWORK)
        b.api.datastore.update(b.datastore_id, 'DR_NETWORK_MAP=""', 1)


def locked(pool: Pool, name: str, cookie: str) -> bool:
    """Lock it as `rbd lock add` does; False while another client holds it."""
    try:
        with pool.image(name) as opened:
            opened.lock_exclusive(cookie)
    except rbd.ImageBusy:
        return False
    return True


def test_a_lock_and_a_group_that_others_made(g: Ground) -> None:
    """The locker is gone, as a host that died is; what is to be typed is typed."""
    a = g.sites.a
    image = w.create_image(a, "spare")
    name = f"one-{image}"
    w.wait_complete(a, [name])
    try:
        with w.open_pool(a) as pool:
            pool.rbd.group_create(pool.io, "others")
            rbd.Group(pool.io, "others").add_image(pool.io, name)
            until("the keeper to let go of the image", lambda: locked(pool, name, "host 1"), 30, 0.1)
        found = check(a)
        unreported = {"RBD_MIRROR"}  # rbd-mirror reports a new image within half a minute
        only(g, a, found, "LOCKS", also_warned=frozenset({"GROUPS", *unreported}))
        assert f"{name} is locked by rbd lock add (host 1" in found.text("LOCKS")
        assert f"{name} (others)" in found.text("GROUPS")
        for code in ("LOCKS", "GROUPS"):
            (todo,) = [each["todo"] for each in found.findings if each["code"] == code]
            words = shlex.split(todo[todo.index("rbd "):])
            g.sites.bed.run("site-a", words, check=True, capture_output=True)
        found = check(a)
        assert found.of("problem") == set() and found.of("warning") - g.warned[a.name] <= unreported
    finally:
        with w.open_pool(a) as pool:
            pool.rbd.group_remove(pool.io, "others")
            with pool.image(name, read_only=True) as opened:
                for client, cookie, _ in (opened.list_lockers() or {}).get("lockers", []):
                    opened.break_lock(client, cookie)
        a.run("oneimage", "delete", str(image))


def test_the_line_between_the_sites(g: Ground) -> None:
    """What site A's monitors say to the user of site B's rbd-mirror is read at both sites."""
    a, b = g.sites.a, g.sites.b
    words = {"who": "client.rbd-mirror-peer", "name": "ms_client_mode"}
    with connect(g.sites.bed.sites["site-a"]) as cluster:
        assert "here: what the other site's rbd-mirror reads is not encrypted" in check(a, DATASTORE).text("LINE")
        command(cluster, prefix="config set", **words, value="secure")
        try:
            assert "here: what the other site's rbd-mirror reads is encrypted" in check(a, DATASTORE).text("LINE")
            assert "at the peer: what the other site's rbd-mirror reads is encrypted" in check(b, DATASTORE).text("LINE")
        finally:
            command(cluster, prefix="config rm", **words)


@contextmanager
def direction(g: Ground, site: str, wanted: str) -> Iterator[None]:
    def peer(*argv: str) -> str:
        return str(
            g.sites.bed.run(
                site, ["rbd", "mirror", "pool", *argv], check=True, capture_output=True, text=True
            ).stdout
        )

    uuid = json.loads(peer("info", "one", "--format", "json"))["peers"][0]["uuid"]
    peer("peer", "set", "one", uuid, "direction", wanted)
    try:
        yield
    finally:
        peer("peer", "set", "one", uuid, "direction", "rx-tx")


def test_one_way_peering(g: Ground) -> None:
    a, b = g.sites.a, g.sites.b
    with direction(g, "site-a", "tx-only"):
        found = check(a)
        only(g, a, found, "PEERING", also_warned=frozenset({"RBD_MIRROR"}))
        assert "here: the pool takes nothing from its peer" in found.text("PEERING")
        assert "at the peer: the pool takes nothing from its peer" in check(b, DATASTORE).text("PEERING")


def test_an_image_taken_out_of_mirroring(g: Ground, tmp_path: Path) -> None:
    a, name = g.sites.a, g.disks[1]
    found: list[Checked] = []
    scraped: list[dict[tuple[str, str], float]] = []

    def told() -> bool:
        """A keeper may mirror it again before the check has looked."""
        with w.open_pool(a) as pool, pool.image(name) as image:
            image.mirror_image_disable(False)
        scraped[:] = [samples(a, tmp_path / "a.prom")]
        found[:] = [check(a, DATASTORE)]
        return "UNPROTECTED" in found[0].of("problem") and scraped[0].get(("onedr_datastore_items_unprotected", "not_mirrored")) == 1

    until("the image to be told of", told, 60, 0.1)
    alerts = firing(held((tmp_path / "a.prom").read_text(), time.time()), tmp_path)
    assert "OneDRUnprotected" in alerts, alerts
    assert f"{name} is not protected" in found[0].text("UNPROTECTED")
    assert found[0].of("problem") <= {"UNPROTECTED", "STATE", "NAMES", "STARTS_THERE"}, found[0].findings
    reconcile(a)
    w.wait_complete(a, [name])


def test_a_line_that_is_cut(g: Ground) -> None:
    a = g.sites.a
    dark = frozenset(
        {
            "PEER_FRONT_END",
            "PEER_READ",
            "PEERING",
            "RBD_MIRROR",
            "RELEASES",
            "LINE",
            "CIPHERS",
            "POOL_SIZE",
            "ROOM",
            "CLOCK",
            "RPO",
            "TRADE",
            "SITE_INDEX",
            "NAMES",
            "NAMESPACES",
            "DATA_POOL",
            "RECORD_KEYS",
            "STARTS_THERE",
            "RULES_HERE",
            "RULES_THERE",
            "UNMAPPED_THERE",
            "FIDELITY_THERE",
            "SNAPSHOTS_THERE",
            "FILES_THERE",
            "OWNERS_THERE",
            "CAPACITY_THERE",
            "FAILBACK",
            "STATE",
        }
    )
    g.sites.bed.cut()
    try:
        found, alerts = check(a), firing_now(a)
    finally:
        g.sites.bed.heal()
    assert alerts == {"OneDRAgeUnknown"}
    only(g, a, found, "PEER", also_warned=dark)
    asked = {finding["code"] for finding in found.findings if finding["level"] == "ok"}
    assert not asked & (dark - {"PEERING", "RBD_MIRROR", "RELEASES", "LINE", "POOL_SIZE", "ROOM", "RPO", "STATE"}), (
        "ok and unknown"
    )


def test_a_front_end_that_is_down_is_told_and_hides_nothing_else(g: Ground) -> None:
    a = g.sites.a
    if g.sites.real:
        pytest.skip("the real front-ends are not ours to stop")
    g.sites.bed.stop("site-a", "frontend")
    try:
        found, alerts = check(a), firing_now(a)
    finally:
        g.sites.bed.start("site-a", "frontend")
    assert found.of("problem") == {"ONED"} and {"HOOKS", "DATASTORES"} <= found.of("warning"), found.findings
    assert alerts == {"OneDRFrontEndDown"}


def test_bad_attributes_are_told_and_nothing_else_of_that_datastore(g: Ground) -> None:
    a = g.sites.a
    a.api.datastore.update(a.datastore_id, 'DR_RPO="soon"\nDR_DELAY="2h"', 1)
    try:
        found = check(a)
        own = [finding for finding in found.findings if finding["datastore"] == DATASTORE]
        assert [finding["code"] for finding in own] == ["ATTRIBUTES"]
        assert "DR_RPO" in own[0]["text"] and "DR_DELAY" in own[0]["text"]
        assert firing_now(a) == {"OneDRDatastoreUnread"}
    finally:
        a.api.datastore.update(a.datastore_id, 'DR_RPO=""\nDR_DELAY=""', 1)


@pytest.mark.long
@pytest.mark.parametrize("site, where", [("site-b", "at the peer"), ("site-a", "here")])
def test_an_rbd_mirror_that_was_killed(g: Ground, site: str, where: str) -> None:
    import signal

    from sandbox import processes

    a, bed = g.sites.a, g.sites.bed
    pid = processes.running(bed.sites[site], "mirror")
    assert pid is not None
    processes.send(pid, bed.sites[site], signal.SIGKILL)
    try:
        until(
            "the dead rbd-mirror to be told of",
            lambda: "RBD_MIRROR" in check(a, DATASTORE).of("problem"),
            180,
            1,
        )
        found = check(a, DATASTORE)
        assert f"{where}: " in found.text("RBD_MIRROR")
        assert found.of("problem") <= {"RBD_MIRROR", "STATE"}, found.findings
        watched = g.sites.b if site == "site-b" else a
        until("the alert", lambda: "OneDRMirrorDaemonGone" in firing_now(watched), 180, 2)
        if site == "site-b":
            a.api.datastore.update(a.datastore_id, "DR_RPO=1m", 1)
            until("late copies", lambda: {"OneDRLate", "OneDRVmLate"} <= firing_now(a), 180, 2)
    finally:
        a.api.datastore.update(a.datastore_id, 'DR_RPO=""', 1)
        bed.start(site, "mirror")
    until(
        "rbd-mirror to report again",
        lambda: (
            "RBD_MIRROR" in check(a, DATASTORE).of("ok")
            and "RBD_MIRROR" not in check(a, DATASTORE).of("problem") | check(a, DATASTORE).of("warning")
        ),
        180,
        2,
    )


def test_status_of_all_of_a_vm_and_of_a_system_datastore(g: Ground) -> None:
    """After the faults, where nothing is broken any more."""
    a = g.sites.a
    until("all is well", lambda: w.status(a)["state"] == "PROTECTED", 90, 1)
    until("its age", lambda: all(vm["age_s"] is not None for vm in w.status(a)["vms"]), 90, 1)
    done = a.run("onedr", "status")
    assert DATASTORE in done.stdout and "PROTECTED" in done.stdout
    of_vm = a.run("onedr", "status", "--vm", "one").stdout
    assert "A failover would lose at most" in of_vm and " disk " in of_vm
    system = next(str(found.ID) for found in a.api.datastorepool.info().DATASTORE if int(found.TYPE) == 1)
    assert "never mirrored" in a.run("onedr", "status", system).stdout
    titles = {disk["name"]: disk["title"] for disk in w.status(a)["disks"]}
    assert set(titles.values()) >= {"base", "disk"}, titles


@dataclass
class Book:
    """The run book of site B, printed while all is well, and a VM of site A that is off, with odd names."""

    text: str
    vm: int
    disks: list[str]
    sums: list[str]
    told: dict[str, list[ledger.Record]] = field(default_factory=dict)  # by disk of the running VM
    aside: Path = Path()  # where OneDR's programs of site B are


ODD = "odd *(`touch pwned`)\u009b2J --hold"
NOTE = 'x <b> & "c" \n END_OF_FILE'
SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def book(g: Ground) -> Book:
    a, b = g.sites.a, g.sites.b
    users = {cloud.name: int(cloud.api.user.allocate("dora", "password-of-dora", "core", [])) for cloud in (b, a)}
    base = next(int(image.ID) for image in a.api.imagepool.info(-2, -1, -1).IMAGE if image.NAME == "base")
    image = w.create_image(a, "odd-disk", 'NOTE="mine"\n')
    context = f'CONTEXT=[NETWORK="YES",PASSWORD="{SECRET}",ROLE="`id`"]\n'
    vm = w.create_vm(a, "odd", [image, base], f'NIC=[NETWORK="{NETWORK}",IP="192.0.2.33"]\nDR_PRIORITY=1\n{context}')
    a.api.vm.rename(vm, ODD)
    a.api.vm.update(vm, to_xml((("NOTE", NOTE),)), 1)
    for kind, number in (("vm", vm), ("image", image)):
        getattr(a.api, kind).chown(number, users[a.name], -1)
        getattr(a.api, kind).chmod(number, 1, 1, 0, 1, 0, 0, 0, 0, 0)
    a.api.vm.action("poweroff-hard", vm)
    a.wait_vm(vm, "POWEROFF")
    disks = w.vm_disks(a, vm)
    with w.open_pool(a) as pool:
        for name in disks:
            with pool.image(name) as opened:
                opened.write(os.urandom(1 << 20), 9 << 20)
    with w.open_pool(b) as there:
        until("its records at the peer", lambda: all(_is_recorded(w.vm_record(there, name)) for name in disks), 90, 0.5)
    w.wait_complete(a, [*disks, *g.disks])
    here, _ = w.wait_equal(a, b, disks)
    w.wait_writing(a, g.vm, 3)
    w.wait_point(b, [ODD, "one"])
    file = b.one_location / "var" / "book.md"
    b.run("onedr", "runbook", DATASTORE, "--output", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    return Book(file.read_text(), vm, disks, [here[name] for name in disks])


def _is_recorded(found: VmRecord | None) -> bool:
    """As it is now. Its secret is sealed, so it cannot be compared with the VM."""
    return found is not None and (found.name, found.owner, found.state) == (ODD, "dora", "POWEROFF") and (
        dict(found.user_template).get("NOTE") == NOTE
    )


def test_the_book_is_for_the_standby_and_holds_no_secret(g: Ground, book: Book) -> None:
    done = g.sites.a.run("onedr", "runbook", DATASTORE, check=False)
    assert done.returncode == 2 and "Nothing to take over" in done.stderr, done.stdout + done.stderr
    assert SECRET not in book.text and "CONTEXT/PASSWORD" in book.text
    assert all(letter.isprintable() or letter == "\n" for letter in book.text)
    assert b_roles(g) == {False}, "it only looks"


def b_roles(g: Ground) -> set[bool]:
    with w.open_pool(g.sites.b) as pool:
        return set(w.primaries(pool).values())


def test_a_peer_whose_ceph_is_killed(g: Ground, book: Book) -> None:
    """From here on site A is dead: its monitors refuse, which is told at once."""
    b = g.sites.b
    g.sites.kill_a()
    book.told = ledger.read_console(w.console(g.sites.a, g.vm))
    found = check(b)
    assert "PEER" in found.of("problem"), found.findings
    assert "refuse" in found.text("PEER")


@pytest.mark.timeout(900)
def test_the_printed_commands_bring_the_vms_back_without_onedr(g: Ground, book: Book, tmp_path: Path) -> None:
    """What the book was before site A died is what is pasted, twice: nothing is made twice."""
    b, bed = g.sites.b, g.sites.bed
    book.aside = tmp_path / "aside"
    by_hand.remove_onedr(b, book.aside)
    bed.stop("site-b", "mirror")
    said = by_hand.paste(b, tmp_path, "\n".join(by_hand.blocks(book.text)))
    vms = {vm.NAME: b.api.vm.info(vm.ID) for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    assert set(vms) == {ODD, "one"}, said
    images = [image.NAME for image in b.api.imagepool.info(-2, -1, -1).IMAGE]
    by_hand.paste(b, tmp_path, "\n".join(by_hand.blocks(book.text)))
    assert len(b.api.vmpool.infoextended(-2, -1, -1, -1).VM) == 2
    assert [image.NAME for image in b.api.imagepool.info(-2, -1, -1).IMAGE] == images
    assert not list(tmp_path.rglob("pwned"))
    _as_it_was(g, vms[ODD], book)
    b.wait_vm(vms["one"].ID, limit_s=400)  # oned first looks at the datastores' space, each 300 s
    w.wait_writing(b, vms["one"].ID)
    assert b.api.datastore.info(b.datastore_id).DS_MAD == "ceph", "nothing took it back"
    b.api.vm.action("poweroff-hard", vms["one"].ID)
    b.wait_vm(vms["one"].ID, "POWEROFF")
    for target, name in zip(("vda", "vdb"), g.disks):
        with w.open_pool(b) as pool, pool.image(name, read_only=True) as image:
            kept = ledger.read_image(image)  # raises for a hole or a damaged record
        lost = ledger.lost(book.told[target], kept)
        assert len(lost) < len(book.told[target]) and len(kept) > len(book.told[target]) - len(lost)


def _as_it_was(g: Ground, vm: Any, book: Book) -> None:
    """The VM that was off: on hold, with its data, owner, rights, address and attributes, without its secret."""
    b = g.sites.b
    assert int(vm.STATE) == 2 and vm.UNAME == "dora"
    bits = vm.PERMISSIONS
    assert (bits.OWNER_U, bits.OWNER_M, bits.GROUP_U, bits.GROUP_M) == (1, 1, 1, 0)
    assert vm.USER_TEMPLATE["NOTE"] == NOTE and vm.TEMPLATE["NIC"]["IP"] == "192.0.2.33"
    assert vm.TEMPLATE["CONTEXT"]["ROLE"] == "`id`" and "PASSWORD" not in vm.TEMPLATE["CONTEXT"]
    sources = [disk["SOURCE"] for disk in vm.TEMPLATE["DISK"]]
    assert sources == [f"one/{name}" for name in book.disks]
    assert [w.digest(b, name) for name in book.disks] == book.sums
    owners = {image.NAME: image.UNAME for image in b.api.imagepool.info(-2, -1, -1).IMAGE}
    assert owners["odd-disk"] == "dora" and owners["base"] == "oneadmin"
    registered = next(image for image in b.api.imagepool.info(-2, -1, -1).IMAGE if image.NAME == "odd-disk")
    assert b.api.image.info(registered.ID).TEMPLATE["NOTE"] == "mine"


def test_onedr_gets_the_datastore_back_as_the_book_says(g: Ground, book: Book) -> None:
    """Last."""
    b = g.sites.b
    vms = sorted(vm.NAME for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM)
    by_hand.put_back(b, book.aside)
    g.sites.bed.start("site-b", "mirror")
    said = by_hand.paste(b, book.aside.parent, by_hand.elsewhere(book.text)[-1])
    found = b.api.datastore.info(b.datastore_id)
    assert (found.DS_MAD, found.TM_MAD) == ("ceph_dr", "ceph_dr"), said
    done = b.run("onedr", "reconcile", DATASTORE, check=False)
    print(done.stdout, done.stderr)
    shown = w.status(b)
    print(shown)
    assert {disk["role"] for disk in shown["disks"]} == {"primary"}

    def known() -> list[str]:
        return sorted(vm["name"] for vm in w.status(b)["vms"] if vm["here"])

    until("OneDR to know the VMs as this site's own", lambda: known() == vms, 90, 1)
