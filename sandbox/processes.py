"""Processes of a site: started in its network namespace, found again by pid file or environment, ended.

A process is only ever signalled after /proc confirmed that it is one of the site: its environment
carries SANDBOX_SITE=<site folder>.
"""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from sandbox.layout import Site
from sandbox.network import inside
from sandbox.waiting import TimedOut, until


def pid_file(site: Site, daemon: str) -> Path:
    return site.folder / f"{daemon}.pid"


def running(site: Site, daemon: str) -> int | None:
    """The pid of that daemon of the site, None when it does not run."""
    try:
        pid = int(pid_file(site, daemon).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if belongs(pid, site) else None


def start(site: Site, daemon: str, argv: list[str], env: dict[str, str] | None = None) -> int:
    """Start `argv` as the site's `daemon` unless it runs; its output goes to <site>/<daemon>.out.

    Returns the pid, which is also in <site>/<daemon>.pid. The process outlives this one.
    """
    pid = running(site, daemon)
    if pid is not None:
        return pid
    with (site.folder / f"{daemon}.out").open("ab") as out:
        process = subprocess.Popen(
            inside(site, argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            env={**os.environ, **site.environment(), **(env or {})},
        )
    _children[process.pid] = process
    pid_file(site, daemon).write_text(f"{process.pid}\n")
    return process.pid


def stop(site: Site, daemon: str, limit_s: float = 10) -> None:
    """End a daemon with SIGTERM, after `limit_s` seconds with SIGKILL; returns when it is gone."""
    pid = running(site, daemon)
    if pid is not None:
        send(pid, site, signal.SIGCONT)
        send(pid, site, signal.SIGTERM)
        try:
            until(f"{daemon} of {site.name} to end", lambda: not belongs(pid, site), limit_s, 0.02)
        except TimedOut:
            send(pid, site, signal.SIGKILL)
            until(f"{daemon} of {site.name} to die", lambda: not belongs(pid, site), 10, 0.02)
        for socket in site.folder.glob(f"*.{pid}.*asok"):
            socket.unlink(missing_ok=True)
    pid_file(site, daemon).unlink(missing_ok=True)


def kill_all(site: Site, limit_s: float = 20) -> int:
    """SIGKILL every process of the site except this one and its ancestors; returns how many there were.

    Looks again until none is left, because a process may be born while another is killed.
    """
    seen: set[int] = set()

    def none_left() -> bool:
        found = of_site(site)
        for pid in found:
            send(pid, site, signal.SIGKILL)
        seen.update(found)
        return not found

    until(f"every process of {site.name} to die", none_left, limit_s, 0.02)
    for file in (*site.folder.glob("*.pid"), *site.folder.glob("*.asok")):
        file.unlink(missing_ok=True)
    return len(seen)


def of_site(site: Site) -> list[int]:
    """The pids of all processes of the site, but not of this one and its ancestors."""
    spared = _ancestors()
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if pid not in spared and belongs(pid, site)]


def belongs(pid: int, site: Site) -> bool:
    """Whether `pid` is a living process (no zombie) of the site."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return False
    return f"SANDBOX_SITE={site.folder}".encode() in _environ(pid).split(b"\0")


def send(pid: int, site: Site, number: signal.Signals) -> None:
    """Signal a process if it is one of the site."""
    if belongs(pid, site):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def stands_still(pid: int) -> bool:
    """Are all threads of a process stopped? True for one that is no more."""
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state = thread.read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state not in "TtZX":
            return False
    return True


# Daemons started by this very process must be reaped by it, else they stay as zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


def _environ(pid: int) -> bytes:
    """The environment of a process, empty for one that is no more (a zombie, too) and for kernel threads."""
    folder = Path(f"/proc/{pid}")
    # In the midst of exec a process shows none for a moment, though it has a program.
    for _ in range(20):
        try:
            environ = (folder / "environ").read_bytes()
            if environ:
                return environ
            (folder / "exe").readlink()
        except OSError:
            return b""
        time.sleep(0.002)
    return b""


def _ancestors() -> set[int]:
    pid, found = os.getpid(), set()
    while pid > 0:
        found.add(pid)
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return found
