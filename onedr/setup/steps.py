"""The installer's steps. Each plans everything first, so that a problem is found before anything is changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from onedr.errors import FrontEndError, InputError, RefusedError
from onedr.setup import hooks, manifest, registration
from onedr.setup.manifest import Change, Manifest
from onedr.setup.oned_conf import DRIVER
from onedr.setup.paths import Paths
from onedr.setup.tree import GUARD, Layout, layout


@dataclass(frozen=True)
class Place:
    """Where OneDR goes, where it comes from, and the interpreter its executables will name."""

    paths: Paths
    source: Path
    python: Path

    @property
    def lenses(self) -> Path:
        return self.source / "share/augeas"

    @property
    def templates(self) -> Path:
        return self.source / "hooks" / DRIVER / "templates"


@dataclass(frozen=True)
class Plan:
    layout: Layout
    manifest: Manifest
    changes: list[Change]
    edits: list[registration.Edit]


def _plan(place: Place) -> Plan:
    place.paths.require_opennebula()
    edits = registration.to_register(place.paths, place.lenses)
    _templates(place)
    wanted = layout(place.source, place.paths, place.python)
    record = manifest.load(place.paths.manifest)
    changes = manifest.to_install(wanted.items, record)
    _check_writable([*(c.path for c in changes), place.paths.manifest, *(e.path for e in edits)])
    return Plan(wanted, record, changes, edits)


def _check_writable(files: Iterable[Path]) -> None:
    """Every folder to be written to, or the nearest one above it that exists."""
    denied = set()
    for file in files:
        folder = file.parent
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            denied.add(str(folder))
    if denied:
        raise InputError(
            f"No right to write to {', '.join(sorted(denied))}."
            " Run this as root, or as the user who owns the front-end's folders."
        )


def preflight(place: Place) -> int:
    """Say what is wrong before an environment is built for nothing."""
    _plan(place)
    return 0


def install(place: Place, dry_run: bool) -> int:
    plan = _plan(place)
    if dry_run:
        _show(plan.changes, plan.edits)
        _report_links(plan.layout)
        return _hooks_if_oned_answers(place, dry_run)
    paths = place.paths
    manifest.carry_out(plan.changes, plan.layout.items, plan.manifest, paths.manifest, paths.remotes)
    for edit in plan.edits:
        registration.write(edit)
    _report(place, plan)
    return _hooks_if_oned_answers(place, dry_run)


def _hooks_if_oned_answers(place: Place, dry_run: bool) -> int:
    try:
        _set_hooks(place, _templates(place), dry_run)
    except FrontEndError as error:
        print(f"Hooks: not created. {error}\nRun `install.sh --hooks` once oned runs.")
    return 0


def hooks_only(place: Place, dry_run: bool) -> int:
    place.paths.require_opennebula()
    if not (place.paths.hooks / DRIVER).is_dir():
        raise InputError(f"There is no {place.paths.hooks / DRIVER}: the hooks would call nothing. Run install.sh first.")
    _set_hooks(place, _templates(place), dry_run)
    return 0


def _templates(place: Place) -> list[hooks.Hook]:
    return hooks.load(place.templates, place.paths.hooks, place.lenses)


def _set_hooks(place: Place, wanted: list[hooks.Hook], dry_run: bool) -> None:
    server = hooks.connect(place.paths, os.environ)
    found = hooks.compare(server, wanted)
    unsupported = [] if dry_run else hooks.carry_out(server, found)
    print(("Would be: " if dry_run else "") + hooks.summary(found, unsupported))


def uninstall(place: Place, dry_run: bool, force: bool) -> int:
    place.paths.require_opennebula()
    record = manifest.load(place.paths.manifest)
    edits = registration.to_unregister(place.paths, place.lenses)
    changes = manifest.to_remove(record)
    if dry_run:
        _show(changes, edits)
        return 0
    _check_writable([*(c.path for c in changes), *(e.path for e in edits)])
    _check_unused(place, force)
    _remove_hooks(place, force)
    for edit in edits:
        registration.write(edit)
    manifest.carry_out(changes, (), record, place.paths.manifest, place.paths.remotes)
    for edit in edits:
        kept = registration.drop_backup(edit)
        if kept:
            print(f"Kept {kept}: {edit.path} was changed since by other hands.")
    for change in changes:
        if change.verb == "keep":
            print(f"Kept {change.path}: it was edited.")
    print(f"OneDR is removed from {place.paths.var}. Restart oned.")
    return 0


def _check_unused(place: Place, force: bool) -> None:
    try:
        used = hooks.datastores_in_use(hooks.connect(place.paths, os.environ))
    except FrontEndError as error:
        if force:
            return
        raise RefusedError(
            f"Whether a datastore uses {DRIVER} could not be told: {error} Start oned and run this again, or add --force."
        ) from error
    if used and not force:
        raise RefusedError(
            f"These datastores use {DRIVER}: {', '.join(used)}. Without it nothing on them can be created, started or"
            " deleted. Set their TM_MAD and DS_MAD to ceph first, or add --force."
        )


def _remove_hooks(place: Place, force: bool) -> None:
    try:
        _set_hooks(place, [], dry_run=False)
    except FrontEndError as error:
        if not force:
            raise
        print(f"Hooks: not removed. {error} Delete those named {hooks.PREFIX}* with onehook.", file=sys.stderr)


# -- what the administrator reads ---------------------------------------------------------------------


def _show(changes: list[Change], edits: list[registration.Edit]) -> None:
    for change in changes:
        print(change)
    for edit in edits:
        print(edit.diff(), end="")
    if not changes and not any(e.changed for e in edits):
        print("Nothing to change.")


def _report(place: Place, plan: Plan) -> None:
    links = [i for i in plan.layout.items if i.target]
    print(
        f"OneDR is in place below {place.paths.var}: {len(plan.layout.items) - len(links)} files,"
        f" {len(links)} links, {len([c for c in plan.changes if c.verb != 'keep'])} of them new or changed."
    )
    for change in plan.changes:
        if change.verb == "keep":
            print(f"Kept {change.path}: it was edited.")
    _report_links(plan.layout)
    if not place.paths.vmm_execrc.exists():
        print(f"There is no {place.paths.vmm_execrc}: snapshots of running VMs are not registered.")
    changed = [str(e.path) for e in plan.edits if e.changed]
    if changed:
        print(f"Registered in {' and '.join(changed)}. To do: restart oned.")
    if any(c.path.name == GUARD for c in plan.changes):
        print("OpenNebula now starts only after onedr-guard.service. To do: systemctl daemon-reload.")
    if any("vmm" in c.path.parts for c in plan.changes):
        print("New files for the hosts. To do: onehost sync --force, as oneadmin.")


def _report_links(found: Layout) -> None:
    plain = [link.action for link in found.linked if not link.caution]
    if plain:
        print("Left to the stock ceph driver (no part in mirroring): " + " ".join(plain))
    risky = [link for link in found.linked if link.caution]
    if risky:
        print("Left to the stock ceph driver; beware on a mirrored disk:")
    for link in risky:
        print(f"  {link.action}: {link.caution}")
