"""One Ceph cluster: one monitor, manager, OSD and rbd-mirror, from nothing to a pool in about two seconds."""
from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rados
import rbd

from sandbox import processes
from sandbox.ceph import adminsocket
from sandbox.ceph.conf import write_conf
from sandbox.ceph.keys import write_keyring
from sandbox.layout import POOL, Site
from sandbox.network import inside
from sandbox.waiting import SandboxError, TimedOut, until

COMMANDS = {
    "mon": ["ceph-mon", "-i", "a"],
    "mgr": ["ceph-mgr", "-i", "x"],
    "osd": ["ceph-osd", "-i", "0"],
    "mirror": ["rbd-mirror", "-n", "client.rbd-mirror.a"],
}
# Each is stopped while those that it talks to still answer: all at once takes 5 s instead of 0.1 s.
STOP_ORDER = ("mirror", "mgr", "osd", "mon")
MGR_FILES = ("mgr_module.py", "mgr_util.py", "rbd_support")


def prepare(site: Site, bare: bool = False) -> None:
    """Make conf, keys, monitor and OSD stores of the site's cluster, once. `bare`: only the admin user."""
    ready = site.folder / "ready"
    if ready.exists():
        return
    shutil.rmtree(site.folder, ignore_errors=True)
    for name in ("mon", "mgr", "osd", "crash", "mgr-modules"):
        (site.folder / name).mkdir(parents=True)
    write_conf(site)
    write_keyring(site.folder / "keyring", bare)
    for name in MGR_FILES:
        (site.folder / "mgr-modules" / name).symlink_to(Path("/usr/share/ceph/mgr") / name)
    # Debian 13: bcrypt refuses a second interpreter in a process, and so rbd_support would not load.
    (site.folder / "mgr-modules" / "bcrypt.py").touch()
    fsid, osd_uuid = str(uuid.uuid4()), str(uuid.uuid4())
    (site.folder / "fsid").write_text(f"{fsid}\n")
    (site.folder / "osd-uuid").write_text(f"{osd_uuid}\n")
    monmap, conf = str(site.folder / "monmap"), str(site.ceph_conf)
    address = f"[v2:{site.address}:3300,v1:{site.address}:6789]"
    ciphers = _ciphers(site)
    _call(site, ["monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, *ciphers, monmap])
    making_mon = subprocess.Popen(
        inside(site, ["ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--fsid", fsid, "--monmap", monmap,
                      "--keyring", str(site.folder / "keyring")]),
        stdout=subprocess.DEVNULL,
    )
    _call(site, ["ceph-osd", "-c", conf, "--no-mon-config", "--mkfs", "-i", "0", "--fsid", fsid,
                 "--osd-uuid", osd_uuid])
    if making_mon.wait(60):
        raise SandboxError(f"ceph-mon --mkfs of {site.name} failed, see {site.folder}/mon.a.log")
    ready.touch()


def _ciphers(site: Site) -> list[str]:
    """What makes a cluster beside an older one as an upgrade leaves it: a new one of 20.2 takes no keys of
    type aes, and an older site can read no others.
    """
    if not site.root or "--auth-allowed-ciphers" not in _call(site, ["monmaptool", "--help"]):
        return []
    return ["--auth-allowed-ciphers", "aes,aes256k", "--auth-preferred-cipher", "aes",
            "--auth-service-cipher", "aes"]


def start(site: Site, daemon: str) -> None:
    """Start one daemon of COMMANDS unless it runs."""
    program, *args = COMMANDS[daemon]
    # rbd-mirror finds its own cluster by CEPH_CONF (part of the site's environment), not by -c.
    processes.start(site, daemon, [program, "-c", str(site.ceph_conf), "-f", *args])


def boot(site: Site, bare: bool = False) -> None:
    """Start the cluster but for rbd-mirror and wait until it serves the pool; errors as SandboxError.

    `bare`: the pool is there and no more, neither made for RBD nor mirrored.
    """
    prepare(site, bare)
    start(site, "mon")
    start(site, "mgr")
    try:
        with connect(site) as cluster:
            if 0 not in command(cluster, prefix="osd ls"):
                command(cluster, prefix="osd new", uuid=(site.folder / "osd-uuid").read_text().strip())
            start(site, "osd")
            wait_osd(site, cluster)
            mgr = f"the manager of {site.name}"
            until(mgr, lambda: command(cluster, prefix="mgr dump").get("available"), 60)
            if is_stuck(cluster):
                unstick(site, cluster)
            make_pool(site, cluster, bare=bare)
            # Only rbd_support is there; Ceph calls the other always-on modules failed.
            command(cluster, prefix="health mute", code="MGR_MODULE_ERROR", sticky=True)
    except rados.Error as e:
        raise SandboxError(f"Ceph of {site.name} does not come up: {e}; see {site.folder}/*.log") from e


@contextlib.contextmanager
def connect(site: Site, limit_s: int = 60) -> Iterator[rados.Rados]:
    """A connection as client.admin, closed at the end. Raises rados.Error."""
    cluster = rados.Rados(
        conffile=str(site.ceph_conf), name="client.admin", clustername=None,
        conf={"log_to_stderr": "false", "err_to_stderr": "false"},
    )
    try:
        cluster.connect(timeout=limit_s)
        yield cluster
    finally:
        cluster.shutdown()


def command(cluster: rados.Rados, **words: Any) -> Any:
    """Carry out a monitor command, its JSON answer decoded (None when empty). Raises SandboxError."""
    rc, out, err = cluster.mon_command(json.dumps({**words, "format": "json"}), b"", timeout=30)
    if rc:
        raise SandboxError(f"ceph {words['prefix']}: {err or rc}")
    return json.loads(out) if out.strip() else None


def wait_osd(site: Site, cluster: rados.Rados, limit_s: float = 60) -> None:
    """Wait until the OSD that runs now is up and knows it.

    After a SIGKILL the map still shows the old one up, and what a client sends there costs it 15 s
    (objecter_timeout and a tick).
    """
    if processes.running(site, "osd") is None:
        raise SandboxError(f"the OSD of {site.name} ended at once, see {site.folder}/osd.out and osd.0.log")

    def is_up() -> bool:
        try:
            active = adminsocket.ask(site, "osd", "osd.0", "status")["state"] == "active"
        except SandboxError:  # it starts: no socket yet, or one that does not know the command
            return False
        return active and any(osd["up"] for osd in command(cluster, prefix="osd dump")["osds"])

    until(f"the OSD of {site.name}", is_up, limit_s)


def unstick(site: Site, cluster: rados.Rados) -> None:
    """End an endless wait in PGs that are `laggy`; takes about a second, during which I/O waits.

    An OSD that stood still for longer than its read lease (frozen, starved) marks a PG laggy when an
    operation arrives before the lease was renewed, and clears the mark when a *replica* acknowledges the
    next lease: a pool of size 1 has none. The new interval after a peering clears it.
    """
    command(cluster, prefix="osd down", ids=["0"])
    # Without this the OSD asks for a newer map only after up to 30 s.
    adminsocket.ask(site, "osd", "osd.0", "get_latest_osdmap")
    wait_osd(site, cluster)


def is_stuck(cluster: rados.Rados) -> bool:
    """Whether a PG was laggy when the manager last heard of it (up to 5 s ago)."""
    words = {"prefix": "pg dump", "dumpcontents": ["pgs_brief"], "format": "json"}
    rc, out, err = cluster.mgr_command(json.dumps(words), b"", 20)
    if rc:
        raise SandboxError(f"ceph pg dump: {err or rc}")
    return any("laggy" in pg["state"] for pg in json.loads(out)["pg_stats"])


def answers(site: Site, limit_s: int = 3) -> bool:
    """Whether the monitor lets a client in within `limit_s` seconds."""
    try:
        with connect(site, limit_s):
            return True
    except rados.Error:
        return False


def stop(site: Site) -> None:
    """End all four daemons in good order."""
    for daemon in STOP_ORDER:
        processes.stop(site, daemon)


def make_pool(site: Site, cluster: rados.Rados, pool: str = POOL, bare: bool = False) -> None:
    """A pool whose images are mirrored one by one; there already is fine. `bare`: just a pool."""
    if not cluster.pool_exists(pool):
        command(cluster, prefix="osd pool create", pool=pool, pg_num=8)
    if bare:
        return
    command(cluster, prefix="osd pool application enable", pool=pool, app="rbd")
    with cluster.open_ioctx(pool) as io:
        rbd.RBD().pool_init(io, False)
        if rbd.RBD().mirror_mode_get(io) == rbd.RBD_MIRROR_MODE_DISABLED:
            rbd.RBD().mirror_mode_set(io, rbd.RBD_MIRROR_MODE_IMAGE)
        if rbd.RBD().mirror_site_name_get(cluster) != site.name:
            rbd.RBD().mirror_site_name_set(cluster, site.name)


def _call(site: Site, argv: list[str], limit_s: float = 120) -> str:
    try:
        done = subprocess.run(inside(site, argv), capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired as e:
        raise TimedOut(f"{argv[0]} did not end within {limit_s:g} s") from e
    if done.returncode:
        raise SandboxError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


