"""What the administrator reads: what was laid down, what was left alone, what remains to be done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from onedr.install import execrc
from onedr.install.manifest import FileChange
from onedr.install.paths import Paths
from onedr.install.registration import Edit
from onedr.install.tree import GUARD, Layout

_CEPH_CONF = "/etc/ceph/ceph.conf"


def show(changes: list[FileChange], edits: list[Edit]) -> None:
    """What a dry run would do: a line per file, a diff per configuration file."""
    for change in changes:
        print(change)
    for edit in edits:
        print(edit.diff(), end="")
    if not changes and not any(e.changed for e in edits):
        print("Nothing to change.")


def laid(paths: Paths, layout: Layout, changes: list[FileChange], edits: list[Edit]) -> None:
    """What an installation did to the disk."""
    links = [i for i in layout.items if i.target]
    print(
        f"OneDR is in place below {paths.var}: {len(layout.items) - len(links)} files,"
        f" {len(links)} links, {len([c for c in changes if c.verb != 'keep'])} of them new or changed."
    )
    kept(changes)
    left_to_stock(layout)
    if not paths.vmm_execrc.exists():
        print(f"There is no {paths.vmm_execrc}: snapshots of running VMs are not registered.")
    repeated(paths, edits)
    changed = [str(e.path) for e in edits if e.changed]
    if changed:
        print(f"Registered in {' and '.join(changed)}. To do: restart oned.")
    if any(c.path.name == GUARD for c in changes):
        print("OpenNebula now starts only after onedr-guard.service (docs/guard.md).")
    if any(_is_for_hosts(paths, c.path) for c in changes):
        print("New files for the hosts. To do: onehost sync --force, as oneadmin.")


def repeated(paths: Paths, edits: list[Edit]) -> None:
    """A variable that vmm_execrc sets more than once."""
    for edit in edits:
        if edit.path == paths.vmm_execrc and (said := execrc.repeated(edit.after, str(edit.path))):
            print(said)


def _is_for_hosts(paths: Paths, path: Path) -> bool:
    return any(path.is_relative_to(paths.remotes / folder) for folder in ("vmm", "onedr"))


def kept(changes: list[FileChange]) -> None:
    """Files an administrator edited."""
    for change in changes:
        if change.verb == "keep":
            print(f"Kept {change.path}: it was edited.")


def ceph_configuration(environment: Mapping[str, str]) -> None:
    """Say so when the front-end has no Ceph configuration: the drivers need one, unless a bridge host has
    it.
    """
    file = environment.get("CEPH_CONF") or _CEPH_CONF
    if not Path(file).is_file():
        print(
            f"There is no {file}: this front-end does not reach Ceph yet. To do: bring the cluster's "
            "configuration and the key of the datastores' CEPH_USER here, or name in each datastore a file "
            "with CEPH_CONF, or hosts with BRIDGE_LIST."
        )
    elif not os.access(file, os.R_OK):
        print(f"{file} cannot be read by this user; oneadmin must be able to.")


def left_to_stock(found: Layout) -> None:
    """The actions that stay OpenNebula's own."""
    plain = [link.action for link in found.linked if not link.caution]
    if plain:
        print("Left to the stock ceph driver (no part in mirroring): " + " ".join(plain))
    risky = [link for link in found.linked if link.caution]
    if risky:
        print("Left to the stock ceph driver; beware on a mirrored disk:")
    for link in risky:
        print(f"  {link.action}: {link.caution}")
