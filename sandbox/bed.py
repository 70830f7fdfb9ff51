"""A bed: two sites, the line between them, and the ways to hurt both. For tests and the demo.

    bed = Bed(Path("/tmp/bed"))
    bed.up()
    bed.run("site-a", ["rbd", "-n", "client.oneadmin", "ls", "one"])
    bed.kill("site-a")
    bed.down()
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import rados

from sandbox import frontends as front
from sandbox import network, processes
from sandbox.ceph import cluster, peers
from sandbox.guest.booted import booted
from sandbox.layout import ALLOCATION, SITE_NAMES, Site, load_sites, sites_of_slot
from sandbox.waiting import SandboxError, until

DAEMONS = (*cluster.COMMANDS, *front.COMMANDS)

PROGRAMS = {
    "ceph-mon": "ceph-mon", "ceph-mgr": "ceph-mgr", "ceph-osd": "ceph-osd", "rbd-mirror": "rbd-mirror",
    "monmaptool": "ceph-base", "ip": "iproute2", "nft": "nftables", "nsenter": "util-linux",
    "qemu-system-x86_64": "qemu-system-x86", "cpio": "cpio",
}
"""What a bed runs, and the Debian package that has it."""


class Bed:
    """The bed under a base folder; nothing runs until `up`. Errors are SandboxError."""

    def __init__(self, base: Path) -> None:
        self.base = base.absolute()

    @property
    def sites(self) -> dict[str, Site]:
        """The sites by name; SandboxError when the bed was never up."""
        try:
            return load_sites(self.base)
        except FileNotFoundError as e:
            raise SandboxError(f"there is no bed under {self.base}: run `sandbox up` first") from e

    def up(self, sites: Iterable[str] = SITE_NAMES, *, frontends: bool = True, bare: bool = False) -> None:
        """Bring everything (or some sites) up from any state; what runs already stays.

        Returns when both clusters serve I/O and rbd-mirror has reported to its own cluster. `bare`: clusters
        with an empty pool and client.admin only: no mirroring, no other user, no rbd-mirror.
        """
        _check_machine()
        booted()  # here, where Debian's archive can be reached: a site's network namespace leads nowhere
        with self._lock():
            slot = network.claim(self.base)
            every = sites_of_slot(self.base, slot)
            network.build(slot, every)
            wanted = [every[name] for name in sites]
            _each(wanted, lambda site: cluster.boot(site, bare))
            if not bare:
                if len(wanted) == len(every):
                    peers.join(wanted[0], wanted[1])
                _each(wanted, lambda site: cluster.start(site, "mirror"))
            if frontends:
                _each(wanted, front.up)
            if not bare:
                self.wait_healthy(120, [s.name for s in wanted])

    def down(self) -> None:
        """End every process of the bed and remove all its files and its network; fine when nothing is up."""
        if not self.base.exists():
            return
        with self._lock():
            slot = network.claimed(self.base)
            sites = sites_of_slot(self.base, slot) if slot is not None else {}
            if not sites and (self.base / ALLOCATION).exists():
                sites = load_sites(self.base)
            for site in sites.values():
                processes.kill_all(site)
            network.remove(sites)
            for name in SITE_NAMES:
                shutil.rmtree(self.base / name, ignore_errors=True)
            network.release(self.base)
            with contextlib.suppress(OSError):  # the caller's own files stay
                self.base.rmdir()

    def kill(self, site: str) -> int:
        """SIGKILL everything of the site at once, as a loss of power would; returns how many processes."""
        return processes.kill_all(self.sites[site])

    def start(self, site: str, daemon: str) -> None:
        """Start one of DAEMONS (mon, mgr, osd, mirror, frontend, hooks) and wait until it serves."""
        self._known(daemon)
        where = self.sites[site]
        if daemon in front.COMMANDS:
            front.start(where, daemon)
            return
        cluster.start(where, daemon)
        if daemon == "osd":
            with cluster.connect(where) as connection:
                cluster.wait_osd(where, connection)

    def stop(self, site: str, daemon: str) -> None:
        """End one of DAEMONS in good order."""
        self._known(daemon)
        processes.stop(self.sites[site], daemon)

    def freeze(self, site: str) -> None:
        """SIGSTOP everything of the site: it keeps its connections but no longer answers."""
        self._signal(site, signal.SIGSTOP)
        where = self.sites[site]
        until(
            f"{site} to stand still",
            lambda: all(processes.stands_still(pid) for pid in processes.of_site(where)), 20, 0.01,
        )

    def thaw(self, site: str) -> None:
        """Undo `freeze`; returns when the cluster serves again."""
        self._signal(site, signal.SIGCONT)
        where = self.sites[site]
        if processes.running(where, "osd") is not None:
            with cluster.connect(where) as connection:
                cluster.unstick(where, connection)

    def cut(self) -> None:
        """Cut the line between the sites, silently; the root namespace still reaches both."""
        network.cut(self.sites)

    def heal(self) -> None:
        """Undo `cut`."""
        network.heal(self.sites)

    def popen(self, site: str, argv: list[str], **kw: Any) -> subprocess.Popen[Any]:
        """Start a command inside the site: its network namespace, its environment over os.environ.

        `env` in `kw` is merged over both; all else goes to subprocess.Popen.
        """
        where = self.sites[site]
        return subprocess.Popen(network.inside(where, argv), env=_merged(where, kw.pop("env", None)), **kw)

    def run(self, site: str, argv: list[str], **kw: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command inside the site as `popen` does; `kw` goes to subprocess.run (timeout: 120 s)."""
        where = self.sites[site]
        kw.setdefault("timeout", 120)
        return subprocess.run(network.inside(where, argv), env=_merged(where, kw.pop("env", None)), **kw)

    def status(self) -> dict[str, dict[str, Any]]:
        """Per site: pid of each daemon (None when down), number of guests, whether the line is cut."""
        found: dict[str, dict[str, Any]] = {}
        for site in self.sites.values():
            pids = {daemon: processes.running(site, daemon) for daemon in DAEMONS}
            written = map(_read_pid, site.guests.glob("*/pid"))
            guests = [pid for pid in written if processes.belongs(pid, site)]
            found[site.name] = {
                "address": site.address, "netns": site.netns, "daemons": pids, "guests": len(guests),
                "cut": network.is_cut(site),
            }
        return found

    def wait_healthy(self, limit_s: float = 60, sites: Iterable[str] = SITE_NAMES) -> None:
        """Wait until each site serves its pool and its rbd-mirror has registered with the manager."""
        _each([self.sites[name] for name in sites], lambda site: _wait_site(site, limit_s))

    def _known(self, daemon: str) -> None:
        if daemon not in DAEMONS:
            raise SandboxError(f"no daemon {daemon}; there are: {', '.join(DAEMONS)}")

    def _signal(self, site: str, number: signal.Signals) -> None:
        where = self.sites[site]
        for pid in processes.of_site(where):
            processes.send(pid, where, number)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Two `up` or `down` of one bed come one after the other; the lock is on the folder itself."""
        while True:
            self.base.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.base, os.O_RDONLY)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if _same(fd, self.base):
                    yield
                    return
            finally:
                os.close(fd)


def _read_pid(file: Path) -> int:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _same(fd: int, path: Path) -> bool:
    """False when a `down` removed the folder while this process waited for the lock."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _check_machine() -> None:
    """SandboxError, naming the packages, when this machine cannot carry a bed."""
    if os.geteuid() != 0:
        raise SandboxError("network namespaces need root: run as root")
    absent = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if absent:
        raise SandboxError(f"not installed: apt-get install --no-install-recommends {' '.join(absent)}")


def _merged(site: Site, env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **site.environment(), **(env or {})}


def _each(sites: list[Site], do: Any) -> None:
    with ThreadPoolExecutor(max(1, len(sites))) as pool:
        list(pool.map(do, sites))


def _wait_site(site: Site, limit_s: float) -> None:
    try:
        with cluster.connect(site, int(limit_s)) as connection:
            if processes.running(site, "mirror") is None:
                raise SandboxError(f"rbd-mirror of {site.name} does not run, see {site.folder}/mirror.out")
            cluster.wait_osd(site, connection, limit_s)
            since = processes.pid_file(site, "mirror").stat().st_mtime - 1
            until(f"rbd-mirror of {site.name}", lambda: peers.mirror_registered(connection, since), limit_s)
    except rados.Error as e:
        raise SandboxError(f"the monitor of {site.name} does not answer: {e}") from e
