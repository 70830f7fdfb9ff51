"""Where everything of a bed lies: one base folder, two sites, each with its Ceph cluster and front-end tree."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SITE_NAMES = ("site-a", "site-b")
POOL = "one"
REPO = Path(__file__).resolve().parent.parent
DEFAULT_BASE = Path(os.environ.get("SANDBOX_BASE", REPO / ".sandbox"))


@dataclass(frozen=True)
class Site:
    """One site of a bed.

    `address` is the IPv4 address at which everything of the site listens; `netns` the network
    namespace in which all its processes run.
    """

    name: str
    index: int
    base: Path
    address: str
    netns: str

    @property
    def folder(self) -> Path:
        return self.base / self.name

    @property
    def ceph_conf(self) -> Path:
        return self.folder / "ceph.conf"

    @property
    def one_location(self) -> Path:
        return self.folder / "one"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}:2633/RPC2"

    @property
    def one_auth(self) -> Path:
        """File `oneadmin:password`, mode 0600."""
        return self.one_location / "var" / ".one" / "one_auth"

    def environment(self) -> dict[str, str]:
        """What a process of this site (front-end, driver, CLI) gets on top of PATH."""
        return {
            "ONE_LOCATION": str(self.one_location),
            "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": str(self.one_auth),
            "CEPH_CONF": str(self.ceph_conf),
            "SANDBOX_SITE": str(self.folder),
        }
