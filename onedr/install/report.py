"""Messages for the administrator: what was installed, what was kept, what remains to be done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from onedr.install.manifest import FileChange
from onedr.install.paths import Paths
from onedr.install.registration import Edit
from onedr.install.tree import GUARD, Layout

_CEPH_CONF = "/etc/ceph/ceph.conf"


def show(changes: list[FileChange], edits: list[Edit]) -> None:
    """The changes of a dry run: a line for each file, a diff for each configuration file."""
    for change in changes:
        print(change)
    for edit in edits:
        print(edit.diff(), end="")
    if not changes and not any(e.changed for e in edits):
        print("Nothing to change.")


def installed(paths: Paths, layout: Layout, changes: list[FileChange], edits: list[Edit]) -> None:
    """What an installation changed on disk."""
    links = [i for i in layout.items if i.target]
    print(
        f"OneDR is installed below {paths.var}: {len(layout.items) - len(links)} files, {len(links)} links, "
        f"{len([c for c in changes if c.verb != 'keep'])} of them new or changed."
    )
    kept(changes)
    left_to_stock(layout)
    if not paths.vmm_execrc.exists():
        print(f"There is no {paths.vmm_execrc}: snapshots of running VMs are not registered.")
    changed = [str(e.path) for e in edits if e.changed]
    if changed:
        print(f"Registered in {' and '.join(changed)}. To do: restart oned.")
    if any(c.path.name == GUARD for c in changes):
        print("OpenNebula now starts only after onedr-guard.service (docs/guard.md).")
    if any(_is_for_hosts(paths, c.path) for c in changes):
        print("New files for the hosts. To do: onehost sync --force, as oneadmin.")


def _is_for_hosts(paths: Paths, path: Path) -> bool:
    return any(path.is_relative_to(paths.remotes / folder) for folder in ("vmm", "onedr"))


def kept(changes: list[FileChange]) -> None:
    """Files an administrator edited."""
    for change in changes:
        if change.verb == "keep":
            print(f"Kept {change.path}: it was edited.")


def ceph_configuration(environment: Mapping[str, str]) -> None:
    """Warn when the front-end has no Ceph configuration: the drivers need one, unless a bridge host has it.
    """
    file = environment.get("CEPH_CONF") or _CEPH_CONF
    if not Path(file).is_file():
        print(
            f"There is no {file}: this front-end cannot access Ceph yet. To do: copy the cluster's "
            "configuration and the key of the datastores' CEPH_USER to this machine, or set CEPH_CONF or "
            "BRIDGE_LIST in each datastore."
        )
    elif not os.access(file, os.R_OK):
        print(f"{file} cannot be read by this user; oneadmin must be able to.")


def left_to_stock(found: Layout) -> None:
    """The actions that remain OpenNebula's own."""
    plain = [link.action for link in found.linked if not link.caution]
    if plain:
        print("Left to the stock ceph driver (not related to mirroring): " + " ".join(plain))
    risky = [link for link in found.linked if link.caution]
    if risky:
        print("Left to the stock ceph driver; caution with mirrored disks:")
    for link in risky:
        print(f"  {link.action}: {link.caution}")
