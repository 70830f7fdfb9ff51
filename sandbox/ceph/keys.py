"""The keyring of a cluster, written before the first daemon starts, so that no `ceph auth` call is needed."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sandbox.waiting import SandboxError

# What lets a client of `profile rbd` read where the peer is (rbd_mirror_peer_get_attributes): the
# monitor keeps address and key of a peer below this prefix of its config-key store.
PEER_ATTRIBUTES = 'allow command \\"config-key get\\" with key prefix rbd/mirror/peer/'

CAPS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *", "mds": "allow *"},
    "client.oneadmin": {"mon": f"profile rbd, {PEER_ATTRIBUTES}", "osd": "profile rbd", "mgr": "profile rbd"},
    "client.rbd-mirror.a": {"mon": "profile rbd-mirror", "osd": "profile rbd", "mgr": "profile rbd"},
    "mgr.x": {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"},
}


def new_key() -> str:
    """A fresh cephx secret of the kind that this release makes: 20.2 takes other ones than 18.2.

    Raises SandboxError.
    """
    done = subprocess.run(["ceph-authtool", "--gen-print-key"], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise SandboxError(f"ceph-authtool: {done.stderr.strip()}")
    return done.stdout.strip()


OUR_OWN = ("client.oneadmin", "client.rbd-mirror.a")  # whom a new cluster does not have


def write_keyring(path: Path, bare: bool = False) -> None:
    """Write a keyring, mode 0600, with new keys for the names in CAPS; `bare`: only what any cluster has."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        for name, caps in CAPS.items():
            if bare and name in OUR_OWN:
                continue
            f.write(f"[{name}]\n\tkey = {new_key()}\n")
            f.writelines(f'\tcaps {service} = "{cap}"\n' for service, cap in caps.items())
