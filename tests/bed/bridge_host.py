"""Bridge hosts for tests: real sshds on loopback inside a site, where alone a Ceph configuration is to be found."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from onedr.install import tree
from sandbox.cloud import Cloud
from sandbox.layout import REPO, Site
from sandbox.network import inside
from sandbox.waiting import until

SSHD = "/usr/sbin/sshd"
# words of a test, the names are arguments; sshd wants /run/sshd, which systemd makes elsewhere
_MOUNT = 'mount --bind "$1" "$2" && mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Bridges:
    """Names a BRIDGE_LIST may hold: each of `ports` is a running sshd, `dead` and `bare` are not fit for work."""

    folder: Path
    ports: dict[str, int]
    dead: str = "dead-bridge"  # refuses connections
    bare: str = "bare-bridge"  # a host on which nobody ran onehost sync

    @property
    def ceph_conf(self) -> Path:
        """The site's configuration, which only sessions on a bridge find."""
        return self.folder / "ceph" / "ceph.conf"

    @property
    def path(self) -> str:
        """A PATH whose `ssh` knows the bridges."""
        return f"{self.folder / 'bin'}:{os.environ['PATH']}"

    @property
    def location(self) -> Path:
        """A front-end's ONE_LOCATION; its oned.conf says where the bridges keep their code."""
        return self.folder / "one"

    def logins(self, name: str) -> int:
        """How often a bridge was used."""
        return (self.folder / f"{name}.log").read_text().count("Accepted publickey")

    def commands(self) -> list[str]:
        """Every ssh command line so far."""
        return (self.folder / "commands").read_text().splitlines()


def only_by_bridge(cloud: Cloud, line: Bridges) -> None:
    """Let a site know Ceph by its bridge alone: its CEPH_CONF is to be found there only."""
    with (cloud.one_location / "etc/oned.conf").open("a") as conf:
        conf.write((line.location / "etc/oned.conf").read_text())
    text = f'CEPH_CONF="{line.ceph_conf}"\nBRIDGE_LIST="{line.dead} bridge-1"\n'
    cloud.api.datastore.update(cloud.datastore_id, text, 1)


@contextmanager
def bridges(folder: Path, site: Site, names: Sequence[str] = ("bridge-1", "bridge-2")) -> Iterator[Bridges]:
    """Start one sshd per name inside the site; the code is laid as `onehost sync` would, from what install.sh lays."""
    made = Bridges(folder, {name: _free_port() for name in names})
    _keys(folder)
    _synced(folder / "synced")
    (made.location / "etc").mkdir(parents=True)
    (made.location / "etc/oned.conf").write_text(f'SCRIPTS_REMOTE_DIR="{folder / "synced"}"\n')
    made.ceph_conf.parent.mkdir()
    _client(made)
    with ExitStack() as stack:
        for name, port in made.ports.items():
            stack.enter_context(_sshd(made, site, name, port))
        yield made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _keys(folder: Path) -> None:
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)


def _synced(remotes: Path) -> None:
    """What of the front-end's remotes a bridge needs."""
    for item in tree.bridge_files(REPO, remotes, Path(sys.executable)):
        item.path.parent.mkdir(parents=True, exist_ok=True)
        item.path.write_bytes(item.content)


def _client(made: Bridges) -> None:
    """An `ssh` that reads our configuration (ssh takes the one of the passwd home else) and notes its arguments."""
    hosts = {**made.ports, made.dead: 1, made.bare: next(iter(made.ports.values()))}
    config = "".join(f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n" for name, port in hosts.items())
    common = f"IdentityFile {made.folder / 'user'}\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n"
    (made.folder / "config").write_text(common + config)
    (made.folder / "commands").touch()
    shim = made.folder / "bin/ssh"
    shim.parent.mkdir()
    ssh = f"exec /usr/bin/ssh -F {made.folder}/config"
    shim.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >>{made.folder}/commands\n'
        f'case " $* " in *" {made.bare} "*) {ssh} {made.bare} /usr/bin/python3 /nowhere/bridge;; esac\n'
        f'{ssh} "$@"\n'
    )
    shim.chmod(0o755)


@contextmanager
def _sshd(made: Bridges, site: Site, name: str, port: int) -> Iterator[None]:
    """One sshd; its sessions see the site's configuration in the folder that is empty elsewhere."""
    config = made.folder / f"{name}.conf"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {made.folder / 'host'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {made.folder / 'user.pub'}\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    log = made.folder / f"{name}.log"
    command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(site.ceph_conf.parent), str(made.ceph_conf.parent)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            inside(site, [*command, SSHD, "-D", "-e", "-f", str(config)]), stdout=output, stderr=output, start_new_session=True
        )
    try:
        until(f"the sshd of {name}", lambda: "Server listening" in log.read_text() or _ended(server, log), 60)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _ended(server: subprocess.Popen[bytes], log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    return False
