"""Where an OpenNebula front-end keeps things: self-contained below ONE_LOCATION, else system-wide
(docs/opennebula-facts.md O32).
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

SYNCED = "ONEDR_REMOTES"  # set by remotes/onedr/bridge


class Places(NamedTuple):
    """Folders of the front-end this process belongs to."""

    etc: Path
    var: Path
    synced: Path | None = None  # on a bridge host: the remotes that `onehost sync` laid there

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
    def log(self) -> Path:
        """OneDR's log, where OpenNebula has its own: /var/log/one, or below ONE_LOCATION."""
        folder = Path("/var/log/one") if self.etc == Path("/etc/one") else self.state
        return folder / "onedr.log"

    @property
    def record_key(self) -> Path:
        """The key both sites share to seal secrets in records; mode 0600."""
        return self.etc / "onedr" / "record.key"


def places() -> Places:
    """Places from the environment oned gives its drivers and hooks."""
    location, synced = os.environ.get("ONE_LOCATION"), os.environ.get(SYNCED)
    if location:
        return Places(Path(location) / "etc", Path(location) / "var")
    return Places(Path("/etc/one"), Path("/var/lib/one"), Path(synced) if synced else None)


def credentials() -> str:
    """`user:password` for the API, from ONE_AUTH or the front-end's own file.

    Raises OSError when there is none.
    """
    candidates = [os.environ.get("ONE_AUTH"), str(places().var / ".one" / "one_auth"), "~/.one/one_auth"]
    for candidate in filter(None, candidates):
        path = Path(candidate).expanduser()
        if path.exists():
            return path.read_text().strip()
    raise FileNotFoundError(
        f"no OpenNebula credentials in {', '.join(filter(None, candidates))}; set ONE_AUTH"
    )


def endpoint() -> str:
    """URL of the XML-RPC API."""
    return os.environ.get("ONE_XMLRPC") or "http://localhost:2633/RPC2"
