"""A machine to install into: this one, with a writable layer of its own on top (overlayfs, a mount namespace,
chroot).

The front-end in it is system-wide, as a package lays it: /etc/one, /var/lib/one, /usr/lib/one, units, user
oneadmin.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from oned import ROOT, Oned

LAYER = """
set -e
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
for folder in dev proc sys; do mount --rbind /$folder root/$folder; done
echo ready
read -r _
"""
PLACES = {
    "etc": "/etc/one",
    "var": "/var/lib/one",
    "lib": "/usr/lib/one",
    "bin": "/srv/bin",
    "share": "/srv/share",
}
# What an installation may change; oned's own logs and data are not of it.
WATCHED = (
    "etc/one",
    "var/lib/one/remotes",
    "usr/lib/one",
    "etc/systemd/system",
    "usr/share/onedr",
    "srv/own",
)
SHARED = (
    "usr/bin",
    "usr/share/man/man1",
    "usr/share/bash-completion/completions",
    "usr/lib/python3/dist-packages",
    "usr/share/doc",
)  # large; of these only what is called onedr


class Machine:
    """Commands run in it as root, files are seen below `root`."""

    def __init__(self, layer: subprocess.Popen[str], folder: str):
        self._enter = ["nsenter", "--target", str(layer.pid), "--mount", "chroot", f"{folder}/root"]
        self.root = Path(f"/proc/{layer.pid}/root{folder}/root")
        self.oned = Oned(Path("/srv/one"), self.root / "var/lib/one", self._enter)

    def run(
        self, *command: str, user: int = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Its output, standard error behind standard output."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        argv = [*self._enter, *become, *command]
        return subprocess.run(
            argv,
            env=self._environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def done(self, *command: str, env: dict[str, str] | None = None) -> str:
        """The same, of what must succeed."""
        result = self.run(*command, env=env)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def _environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {
            "PATH": path,
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "ONE_XMLRPC": self.oned.endpoint,
            **(more or {}),
        }

    def make_front_end(self) -> None:
        """A system-wide front-end that belongs to oneadmin; oned does not run."""
        self.done("useradd", "--system", "--home-dir", "/var/lib/one", "oneadmin")
        self.done("mkdir", "-p", "/srv/one", *PLACES.values())
        for name, place in PLACES.items():
            self.done("ln", "-s", place, f"/srv/one/{name}")
        self.done(
            sys.executable,
            "-m",
            "sandbox.frontend.tree",
            "--location",
            "/srv/one",
            env={"PYTHONPATH": str(ROOT)},
        )
        self.done("chown", "-R", "oneadmin:", "/etc/one", "/var/lib/one")

    def lend_modules(self) -> None:
        """What the package needs beside the modules of packages.apt may be this checkout's own, not
        Debian's.
        """
        lent = Path(sysconfig.get_path("purelib"))
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for name in ("click", "rich", "pygments", "markdown_it", "mdurl"):
            if (lent / name).is_dir():
                shutil.copytree(
                    lent / name,
                    self.root / f"usr/local/lib/{version}/dist-packages" / name,
                    dirs_exist_ok=True,
                )

    def make_own_tree(self, location: str, user: int) -> None:
        """A self-contained front-end of somebody's."""
        self.done(
            sys.executable,
            "-m",
            "sandbox.frontend.tree",
            "--location",
            location,
            env={"PYTHONPATH": str(ROOT)},
        )
        self.done("chown", "-R", f"{user}:{user}", location)

    def snapshot(self) -> dict[str, str]:
        """Every path an installation may touch with its kind, owner, mode and content."""
        found = [path for place in SHARED for path in (self.root / place).glob("onedr*")]
        for place in WATCHED:
            for folder, folders, files in os.walk(self.root / place):
                found += [Path(folder, name) for name in [*files, *folders]]
        return {str(path.relative_to(self.root)): _held(path) for path in found}


def _held(path: Path) -> str:
    status = path.lstat()
    owner = f"{status.st_uid}:{status.st_gid}"
    if path.is_symlink():
        return f"{owner} -> {os.readlink(path)}"
    content = "" if path.is_dir() else path.read_bytes().hex()
    return f"{owner} {status.st_mode:o} {content}"


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """One that is gone afterwards. Raises OSError where there is no right to make it."""
    folder = tempfile.mkdtemp(prefix="onedr-machine-")
    argv = ["unshare", "--mount", "bash", "-c", LAYER, "bash", folder]
    layer = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert layer.stdin and layer.stdout
    try:
        said = layer.stdout.readline().strip()
        if said != "ready":
            raise OSError(f"no layer could be made: {said}")
        made = Machine(layer, folder)
        try:
            yield made
        finally:
            made.oned.stop()
    finally:
        layer.stdin.close()
        layer.stdout.close()
        layer.wait(30)
        os.rmdir(folder)
