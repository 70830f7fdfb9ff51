"""Where an OpenNebula front-end keeps things: self-contained below ONE_LOCATION, else system-wide
(docs/opennebula-facts.md O32).
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SYNCED = "ONEDR_REMOTES"  # set by remotes/onedr/bridge


class FrontEndPaths(NamedTuple):
    """Folders of the front-end that this process belongs to."""

    etc: Path
    var: Path
    synced: Path | None = None  # on a bridge host: the remotes that `onehost sync` copied there

    @property
    def remotes(self) -> Path:
        return self.synced or self.var / "remotes"

    @property
    def drivers(self) -> Path:
        """The datastore driver executables, the DR actions among them."""
        return self.remotes / "datastore" / "ceph_dr"

    @property
    def state(self) -> Path:
        """OneDR's own files, never in /tmp."""
        return self.var / "onedr"

    @property
    def drills(self) -> Path:
        """Reports of drills."""
        return self.state / "drills"

    @property
    def log(self) -> Path:
        """OneDR's log, where OpenNebula has its own: /var/log/one, or below ONE_LOCATION."""
        folder = Path("/var/log/one") if self.etc == Path("/etc/one") else self.state
        return folder / "onedr.log"

    @property
    def record_key(self) -> Path:
        """The key that both sites share, which encrypts the secrets in records; mode 0600."""
        return self.etc / "onedr" / "record.key"


def front_end_paths(environment: Mapping[str, str] = os.environ) -> FrontEndPaths:
    """The folders that ONE_LOCATION names, as in the environment that oned gives its drivers and hooks."""
    location, synced = environment.get("ONE_LOCATION"), environment.get(SYNCED)
    if location:
        return FrontEndPaths(Path(location) / "etc", Path(location) / "var")
    return FrontEndPaths(Path("/etc/one"), Path("/var/lib/one"), Path(synced) if synced else None)


def credentials(environment: Mapping[str, str] = os.environ) -> str:
    """`user:password` for the API: the file that ONE_AUTH names, else the front-end's own, else the user's.

    Raises OSError when there is none.
    """
    named = environment.get("ONE_AUTH")
    home = Path(environment.get("HOME") or "~").expanduser()
    own = front_end_paths(environment).var / ".one" / "one_auth"
    candidates = [Path(named).expanduser()] if named else [own, home / ".one" / "one_auth"]
    for path in candidates:
        if path.is_file():
            return path.read_text().strip()
    raise FileNotFoundError(
        f"no OpenNebula credentials in {' or '.join(map(str, candidates))}; set ONE_AUTH to the path of a "
        "file that holds user:password"
    )


def endpoint(environment: Mapping[str, str] = os.environ) -> str:
    """URL of the XML-RPC API."""
    return environment.get("ONE_XMLRPC") or "http://localhost:2633/RPC2"
