"""Make an empty, self-contained front-end tree: `python -m sandbox.frontend.tree --location X`."""
from __future__ import annotations

import argparse
import os
import secrets
import shutil
from pathlib import Path

from sandbox.frontend import VERSION, tree_conf

FOLDERS = ("etc/vmm_exec", "var/.one", "var/vms", "var/datastores", "var/remotes/datastore",
           "var/remotes/tm", "var/remotes/vmm", "var/remotes/hooks", "var/remotes/etc/datastore/ceph", "lib",
           "bin", "share")
STOCK = Path(__file__).resolve().parent / "stock"
GUEST_DRIVER = Path(__file__).resolve().parent.parent / "guest" / "vmm"
VMM_NAME = "sandbox"


def make(location: Path, password: str = "") -> None:
    """Make a tree; an existing one keeps its password and everything added to it."""
    for folder in FOLDERS:
        (location / folder).mkdir(parents=True, exist_ok=True)
    files = {"etc/oned.conf": tree_conf.ONED_CONF, "etc/defaultrc": tree_conf.DEFAULTRC,
             "etc/vmm_exec/vmm_execrc": tree_conf.VMM_EXECRC, "etc/onehem-server.conf": tree_conf.ONEHEM_CONF,
             "var/remotes/etc/datastore/ceph/ceph.conf": tree_conf.CEPH_CONF,
             "var/remotes/VERSION": f"{VERSION}\n"}
    for name, text in files.items():
        if not (location / name).exists():
            (location / name).write_text(text)
    _write_auth(location / "var" / ".one" / "one_auth", password)
    _copy_stock(location)
    _link_guest_driver(location)


def _write_auth(path: Path, password: str) -> None:
    if path.exists() and not password:
        return
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"oneadmin:{password or secrets.token_hex(16)}\n")


def _copy_stock(location: Path) -> None:
    """Copy the stand-ins for actions that OpenNebula ships."""
    remotes = location / "var" / "remotes"
    for source in sorted(STOCK.rglob("*")):
        target = remotes / source.relative_to(STOCK)
        if source.is_dir() or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        target.chmod(0o755)


def _link_guest_driver(location: Path) -> None:
    link = location / "var" / "remotes" / "vmm" / VMM_NAME
    if not link.is_symlink() and not link.exists():
        link.symlink_to(GUEST_DRIVER)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--location", type=Path, required=True)
    parser.add_argument("--owner-password", default="", help="of oneadmin; random if not given")
    options = parser.parse_args()
    make(options.location.resolve(), options.owner_password)


if __name__ == "__main__":
    main()
