"""The files of a bed: one base folder, two sites, each with a Ceph cluster and a front-end tree."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

SITE_NAMES = ("site-a", "site-b")
POOL = "one"
REPO = Path(__file__).resolve().parent.parent
DEFAULT_BASE = Path(os.environ.get("SANDBOX_BASE", REPO / ".sandbox"))
ALLOCATION = "network.json"
"""File in the base folder: which addresses and namespaces the bed was given (see network.py)."""


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

    @property
    def guests(self) -> Path:
        """Folder with one folder per VM: console log, QMP socket, pid file."""
        return self.folder / "vm"

    @property
    def root(self) -> str:
        """The tree of another release in which everything of the site runs (sandbox/mixed), else empty."""
        return os.environ.get(f"SANDBOX_ROOT_{self.name[-1].upper()}", "")

    def console(self, vm_id: int) -> Path:
        """Console log of a VM's guest, appended over its boots (sandbox/guest/ledger.py reads it)."""
        return self.guests / str(vm_id) / "console.log"

    def environment(self) -> dict[str, str]:
        """What a process of this site (front-end, driver, CLI) gets on top of PATH."""
        return {
            "ONE_LOCATION": str(self.one_location),
            "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": str(self.one_auth),
            "CEPH_CONF": str(self.ceph_conf),
            "SANDBOX_SITE": str(self.folder),
            # As in oned's environment: compiled once, or each driver's start would take twice as long.
            "PYTHONDONTWRITEBYTECODE": "",
        }


def addresses(slot: int) -> dict[str, str]:
    """The addresses of bed number `slot`: of each site by name, and of the root namespace as `root`.

    198.18.0.0/15 is set aside for test networks (RFC 2544); each bed takes one /24 of 198.18.
    """
    sites = {name: f"198.18.{slot}.{11 + index}" for index, name in enumerate(SITE_NAMES)}
    return {**sites, "root": f"198.18.{slot}.1"}


def sites_of_slot(base: Path, slot: int) -> dict[str, Site]:
    """The sites of bed number `slot` under `base`."""
    given = addresses(slot)
    return {
        name: Site(name, index, base, given[name], f"onedr-{slot}-{name[-1]}")
        for index, name in enumerate(SITE_NAMES)
    }


def load_sites(base: Path) -> dict[str, Site]:
    """The sites of the bed that was set up under `base`, by name.

    Raises FileNotFoundError when there is no bed.
    """
    base = base.resolve()
    slot = json.loads((base / ALLOCATION).read_text())["slot"]
    return sites_of_slot(base, slot)
