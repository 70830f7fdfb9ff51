"""OpenNebula's own Ceph scripts, run from a tree outside the repository, as oned runs them."""
from __future__ import annotations

import sys
from pathlib import Path

PARTS = ("var/remotes/tm/ceph", "var/remotes/datastore/ceph", "var/remotes/etc", "lib/sh", "bin/onevm")
"""What a self-contained OpenNebula (its `install.sh -d DIR`) has, and the scripts read."""
_SSH = """#!/bin/bash
# Stands in for ssh: the command runs on this machine, without a connection, a key exchange or a log-in.
while [ "${1#-}" != "$1" ]; do
    case $1 in
        -o) shift 2 ;;
        *) shift ;;
    esac
done
shift
exec bash -c "$*"
"""


def prepared(scripts: Path, folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment in which the scripts run, with a stand-in for `ssh` written to `folder`.

    `scripts` is only read. Ends the program when it is no such tree.
    """
    missing = [part for part in PARTS if not (scripts / part).exists()]
    if missing:
        sys.exit(
            f"bench/drivers: {scripts} has no {', '.join(missing)}; give the folder into which OpenNebula's "
            "own install.sh -d installed it."
        )
    folder.mkdir(parents=True)
    ssh = folder / "ssh"
    ssh.write_text(_SSH)
    ssh.chmod(0o755)
    path = f"{folder}:{scripts / 'bin'}:{environment['PATH']}"
    return {**environment, "ONE_LOCATION": str(scripts), "PATH": path, "LANG": "C.UTF-8"}
