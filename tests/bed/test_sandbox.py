"""The bed itself: up from any state, side by side, killed, cut, and nothing left after down."""
from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rbd

from sandbox import processes
from sandbox.bed import Bed
from sandbox.ceph.cluster import connect
from sandbox.layout import POOL, REPO, Site
from sandbox.network import CLAIMS, NAMESPACES
from sandbox.temporary import remove_orphans, temporary
from sandbox.waiting import SandboxError, until

MIB = 1 << 20
JOURNALED = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_JOURNALING
CEPH = ("mon", "mgr", "osd", "mirror")


def sandbox(bed: Bed, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", "--base", str(bed.base), *argv]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=240)


def pids(bed: Bed) -> dict[str, dict[str, int]]:
    return {name: {d: site["daemons"][d] for d in CEPH} for name, site in bed.status().items()}


def write(site: Site, image: str, data: bytes) -> None:
    """Write at the image's beginning; it is made, journaled and mirrored, when it does not exist."""
    with connect(site) as cluster, cluster.open_ioctx(POOL) as io:
        if image not in rbd.RBD().list(io):
            rbd.RBD().create(io, image, 8 * MIB, old_format=False, features=JOURNALED)
            with rbd.Image(io, image) as opened:
                opened.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL)
        with rbd.Image(io, image) as opened:
            opened.write(data, 0)


def holds(site: Site, image: str, data: bytes) -> bool:
    with connect(site) as cluster, cluster.open_ioctx(POOL) as io:
        try:
            with rbd.Image(io, image, read_only=True) as opened:
                return bool(opened.read(0, len(data)) == data)
        except rbd.ImageNotFound:
            return False


def reaches(bed: Bed, site: str, address: str, limit_s: float = 30) -> bool:
    """Whether a process inside the site gets the first bytes of the monitor at that address, in time."""
    code = f"import socket; s = socket.create_connection(({address!r}, 6789), {limit_s}); s.recv(4)"
    return bed.run(site, [sys.executable, "-c", code], capture_output=True).returncode == 0


def test_both_clusters_have_a_pool_and_each_other(ceph_bed: Bed) -> None:
    for site in ceph_bed.sites.values():
        with connect(site) as cluster, cluster.open_ioctx(POOL) as io:
            assert rbd.RBD().mirror_mode_get(io) == rbd.RBD_MIRROR_MODE_IMAGE
            (peer,) = rbd.RBD().mirror_peer_list(io)
            assert {peer["site_name"], site.name} == {"site-a", "site-b"}
            assert peer["direction"] == rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX


def test_up_again_changes_nothing(ceph_bed: Bed) -> None:
    before = pids(ceph_bed)
    done = sandbox(ceph_bed, "up", "--no-frontends")
    assert done.returncode == 0, done.stderr
    assert pids(ceph_bed) == before
    assert all(pid for site in before.values() for pid in site.values())


def test_the_client_of_the_product_can_find_the_peer(ceph_bed: Bed) -> None:
    import rados

    here, there = ceph_bed.sites.values()
    with rados.Rados(conffile=str(here.ceph_conf), name="client.oneadmin", clustername=None) as cluster:
        with cluster.open_ioctx(POOL) as io:
            (peer,) = rbd.RBD().mirror_peer_list(io)
            found = rbd.RBD().mirror_peer_get_attributes(io, peer["uuid"])
        assert there.address in found["mon_host"]
        # No more of the store than that.
        words = {"prefix": "config-key get", "key": "mgr/x"}
        assert cluster.mon_command(json.dumps(words), b"")[0] == -13


def test_exec_runs_inside_the_site(ceph_bed: Bed) -> None:
    site = ceph_bed.sites["site-b"]
    done = sandbox(ceph_bed, "exec", "site-b", "--", "sh", "-c", "echo $CEPH_CONF $ONE_XMLRPC; ip -br addr")
    assert done.stdout.splitlines()[0] == f"{site.ceph_conf} {site.endpoint}"
    assert site.address in done.stdout
    assert sandbox(ceph_bed, "exec", "site-b", "--", "sh", "-c", "exit 7").returncode == 7


def test_a_killed_site_comes_back_with_its_data(ceph_bed: Bed) -> None:
    site = ceph_bed.sites["site-a"]
    write(site, "kept", b"before the loss")
    before = pids(ceph_bed)
    helper = ceph_bed.popen("site-a", ["sleep", "60"])
    assert ceph_bed.kill("site-a") >= 5
    assert helper.wait(30) == -9
    status = ceph_bed.status()
    assert not any(status["site-a"]["daemons"].values())
    assert pids(ceph_bed)["site-b"] == before["site-b"]
    ceph_bed.up(frontends=False)
    assert holds(site, "kept", b"before the loss")


def test_a_daemon_stops_and_starts(ceph_bed: Bed) -> None:
    ceph_bed.stop("site-b", "osd")
    assert ceph_bed.status()["site-b"]["daemons"]["osd"] is None
    ceph_bed.start("site-b", "osd")
    write(ceph_bed.sites["site-b"], "after", b"restart")
    with pytest.raises(SandboxError, match="no daemon mds"):
        ceph_bed.start("site-b", "mds")


def test_a_frozen_site_answers_again(ceph_bed: Bed) -> None:
    address = ceph_bed.sites["site-a"].address
    ceph_bed.freeze("site-a")
    with socket.create_connection((address, 6789), 2) as line:
        line.settimeout(1)
        with pytest.raises(TimeoutError):
            line.recv(4)
    ceph_bed.thaw("site-a")
    # More often than an OSD lets itself be marked down with Ceph's stock settings.
    for turn in range(7):
        write(ceph_bed.sites["site-a"], "thawed", b"%d" % turn)
        ceph_bed.freeze("site-a")
        ceph_bed.thaw("site-a")
    write(ceph_bed.sites["site-a"], "thawed", b"x")


@pytest.mark.long
def test_a_cut_line_holds_the_mirror_back_until_healed(ceph_bed: Bed) -> None:
    a, b = ceph_bed.sites.values()
    write(a, "line", b"first")
    until("the first copy", lambda: holds(b, "line", b"first"), 120)
    ceph_bed.cut()
    ceph_bed.cut()
    try:
        assert not reaches(ceph_bed, "site-b", a.address, 2)
        assert not reaches(ceph_bed, "site-a", b.address)
        assert reaches(ceph_bed, "site-a", a.address)
        write(a, "line", b"later")
        assert holds(a, "line", b"later")
        # Uncut, the peer has it within a second.
        time.sleep(5)
        assert holds(b, "line", b"first")
    finally:
        ceph_bed.heal()
    assert reaches(ceph_bed, "site-b", a.address)
    until("the peer to catch up", lambda: holds(b, "line", b"later"), 120)


def test_two_beds_side_by_side_and_nothing_is_left(ceph_bed: Bed) -> None:
    before = pids(ceph_bed)
    with temporary(frontends=False) as other:
        sites = other.sites
        assert {s.address for s in sites.values()}.isdisjoint(s.address for s in ceph_bed.sites.values())
        write(sites["site-a"], "mine", b"x")
        assert not holds(ceph_bed.sites["site-a"], "mine", b"x")
        running = [pid for site in pids(other).values() for pid in site.values()]
        guest_like = other.popen("site-b", ["sleep", "60"])
    assert guest_like.wait(30) == -9
    assert not other.base.exists()
    assert not any(Path(f"/proc/{pid}").exists() and pid_of(pid, other) for pid in running)
    assert not any((NAMESPACES / s.netns).exists() for s in sites.values())
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert not any(s.netns in links for s in sites.values())
    assert str(other.base) not in [file.read_text() for file in CLAIMS.glob("*")]
    assert pids(ceph_bed) == before


def test_what_a_killed_process_left_is_taken_down_by_the_next_one_and_what_lives_stays(ceph_bed: Bed) -> None:
    """Ceph's library ends a test's process by a signal, which runs no `finally`."""
    code = ("import sys\nfrom sandbox.temporary import remove_orphans, temporary\n"
            "with temporary(frontends=False, bare=True) as bed:\n    print(bed.base, flush=True)\n    sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdin=-1, stdout=-1, text=True) as owner:
        assert owner.stdout is not None
        left = Bed(Path(owner.stdout.readline().strip()))
        running = [pid for site in left.sites.values() for pid in processes.of_site(site)]
        assert running and left.base not in remove_orphans(), "its process lives"
        owner.kill()
    assert left.base in remove_orphans() and not left.base.exists()
    assert not any(pid_of(pid, left) for pid in running if Path(f"/proc/{pid}").exists())
    assert str(left.base) not in [file.read_text() for file in CLAIMS.glob("*")]
    assert all(pids(ceph_bed)["site-a"].values())


def pid_of(pid: int, bed: Bed) -> bool:
    return str(bed.base).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def empty() -> Iterator[Bed]:
    with tempfile.TemporaryDirectory(prefix="bed-", dir="/tmp") as folder:
        yield Bed(Path(folder) / "none")


def test_down_of_nothing(empty: Bed) -> None:
    assert sandbox(empty, "down").returncode == 0
    assert not empty.base.exists()


def test_verbs_without_a_bed_say_so(empty: Bed) -> None:
    done = sandbox(empty, "status")
    assert done.returncode == 1
    assert "there is no bed under" in done.stderr


def test_a_base_too_long_for_sockets_is_refused(empty: Bed) -> None:
    bed = Bed(empty.base.parent / ("long" * 20))
    try:
        with pytest.raises(SandboxError, match="choose a shorter base"):
            bed.up(frontends=False)
    finally:
        bed.down()
    assert not bed.base.exists()


def test_the_users_own_files_survive_down(empty: Bed) -> None:
    empty.base.mkdir()
    (empty.base / "mine").touch()
    empty.down()
    assert (empty.base / "mine").exists()
