"""OpenNebula's own Ceph scripts, run from a tree outside the repository, as oned runs them."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge_host import bridges

from sandbox.layout import Site

PARTS = ("var/remotes/tm/ceph", "var/remotes/datastore/ceph", "var/remotes/etc", "lib/sh", "bin/onevm")
"""What a self-contained OpenNebula (its `install.sh -d DIR`) has, and the scripts read."""
HOSTS = ("localhost", "127.0.0.1")  # the VMs' host, and the bridge


@contextmanager
def prepared(scripts: Path, site: Site, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment in which the scripts run, with an sshd for each host inside the site.

    `scripts` is only read. Ends the program when it is no such tree.
    """
    missing = [part for part in PARTS if not (scripts / part).exists()]
    if missing:
        sys.exit(
            f"bench/drivers: {scripts} has no {', '.join(missing)}; give the folder into which OpenNebula's "
            "own install.sh -d installed it."
        )
    folder = site.folder / "bench_ssh"
    folder.mkdir()
    with bridges(folder, site, HOSTS) as hosts:
        # the scripts put the system's folders before PATH, and take their ssh from SSH
        path, ssh = f"{scripts / 'bin'}:{environment['PATH']}", str(folder / "bin" / "ssh")
        yield {**environment, "ONE_LOCATION": str(scripts), "PATH": path, "SSH": ssh, "LANG": "C.UTF-8"}
        used = {name: hosts.logins(name) for name in HOSTS}
    print(f"sessions of ssh: {used}", file=sys.stderr)
