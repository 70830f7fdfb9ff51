"""The installer's steps.

Each plans everything first, so that a problem is found before anything is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onedr.install import (
    hooks,
    manifest,
    registration,
    release,
    units,
)
from onedr.install import (
    report as install_report,
)
from onedr.install import (
    verify as install_verify,
)
from onedr.install.manifest import FileChange, Manifest
from onedr.install.paths import Paths
from onedr.install.tree import Layout, layout
from onedr.model.errors import FrontEndError, InputError, OneDRError, RefusedError
from onedr.model.types import DRIVER, HOOK_PREFIX

if TYPE_CHECKING:
    from onedr.opennebula.api import FrontEnd


@dataclass(frozen=True)
class InstallTarget:
    """Where OneDR goes, where it comes from, and the interpreter its executables will name."""

    paths: Paths
    source: Path
    python: Path
    force_version: bool = False

    @property
    def lenses(self) -> Path:
        return self.source / "share/augeas"

    @property
    def templates(self) -> Path:
        return self.source / "hooks" / DRIVER / "templates"


@dataclass(frozen=True)
class InstallPlan:
    release: str
    layout: Layout
    manifest: Manifest
    changes: list[FileChange]
    edits: list[registration.Edit]


def _plan(place: InstallTarget) -> InstallPlan:
    place.paths.require_opennebula()
    said = release.require_known(place.paths, place.force_version)
    edits = registration.to_register(place.paths, place.lenses)
    _templates(place)
    wanted = layout(place.source, place.paths, place.python)
    record = manifest.load_manifest(place.paths.manifest)
    changes = manifest.to_install(wanted.items, record)
    _check_writable([*(c.path for c in changes), place.paths.manifest, *(e.path for e in edits)])
    return InstallPlan(said, wanted, record, changes, edits)


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
            f"No right to write to {', '.join(sorted(denied))}. Run this as root, or as the user who owns "
            "the front-end's folders."
        )


def preflight(place: InstallTarget) -> int:
    """Say what is wrong before an environment is built for nothing."""
    _plan(place)
    return 0


def install(place: InstallTarget, dry_run: bool) -> int:
    plan = _plan(place)
    print(plan.release)
    if dry_run:
        install_report.show(plan.changes, plan.edits)
        install_report.left_to_stock(plan.layout)
    else:
        paths = place.paths
        manifest.carry_out(plan.changes, plan.layout.items, plan.manifest, paths.manifest, paths.remotes)
        for edit in plan.edits:
            registration.write_edit(edit)
        _read_back(place, plan.layout)
        install_report.laid(paths, plan.layout, plan.changes, plan.edits)
        _say(units.laid(plan.changes))
    install_report.ceph_configuration(os.environ)
    _ask_oned(place, dry_run)
    return 0


def _read_back(place: InstallTarget, wanted: Layout) -> None:
    """Everything promised is there.

    Raises OneDRError when it is not: somebody else writes here at the same time.
    """
    left = manifest.to_install(wanted.items, manifest.load_manifest(place.paths.manifest))
    undone = [str(change.path) for change in left if change.verb != "keep"]
    undone += [str(edit.path) for edit in registration.to_register(place.paths, place.lenses) if edit.changed]
    if undone:
        raise OneDRError(
            f"Not as it was written: {', '.join(undone[:5])}. Does another install.sh run? Run this again."
        )


def _ask_oned(place: InstallTarget, dry_run: bool) -> None:
    try:
        frontend = hooks.connect_front_end(os.environ)
        _set_hooks(frontend, _templates(place), dry_run)
        _say(install_verify.running(frontend, release.installed(place.paths)))
    except FrontEndError as error:
        print(f"Hooks: not created. {error}\nRun `install.sh --hooks` once oned runs.")


def hooks_only(place: InstallTarget, dry_run: bool) -> int:
    place.paths.require_opennebula()
    if not (place.paths.hooks / DRIVER).is_dir():
        raise InputError(
            f"There is no {place.paths.hooks / DRIVER}: the hooks would call nothing. Run install.sh first."
        )
    frontend = hooks.connect_front_end(os.environ)
    _set_hooks(frontend, _templates(place), dry_run)
    _say(install_verify.running(frontend, release.installed(place.paths)))
    return 0


def _templates(place: InstallTarget) -> list[hooks.Hook]:
    return hooks.load_hooks(place.templates, place.paths.hooks, place.lenses)


def _set_hooks(frontend: FrontEnd, wanted: list[hooks.Hook], dry_run: bool) -> None:
    found = hooks.compare(frontend, wanted)
    unsupported = [] if dry_run else hooks.carry_out(frontend, found)
    print(("Would be: " if dry_run else "") + hooks.summary(found, unsupported))


def uninstall(place: InstallTarget, dry_run: bool, force: bool) -> int:
    place.paths.require_opennebula()
    record = manifest.load_manifest(place.paths.manifest)
    edits = registration.to_unregister(place.paths, place.lenses)
    changes = manifest.to_remove(record)
    if dry_run:
        install_report.show(changes, edits)
        return 0
    _check_writable([*(c.path for c in changes), *(e.path for e in edits)])
    _check_unused(place, force)
    _remove_hooks(place, force)
    _say(units.before_removal(changes))
    for edit in edits:
        registration.write_edit(edit)
    manifest.carry_out(changes, (), record, place.paths.manifest, place.paths.remotes)
    _say(units.removed(changes))
    for edit in edits:
        backup = registration.drop_backup(edit)
        if backup:
            print(f"Kept {backup}: {edit.path} was changed since by other hands.")
    install_report.kept(changes)
    print(f"OneDR is removed from {place.paths.var}. Restart oned.")
    return 0


def _check_unused(place: InstallTarget, force: bool) -> None:
    try:
        used = hooks.datastores_in_use(hooks.connect_front_end(os.environ))
    except FrontEndError as error:
        if force:
            return
        raise RefusedError(
            f"Whether a datastore uses {DRIVER} could not be told: {error} Start oned and run this again, or "
            "add --force."
        ) from error
    if used and not force:
        raise RefusedError(
            f"These datastores use {DRIVER}: {', '.join(used)}. Without it nothing on them can be created, "
            "started or deleted. End their protection first (`onedr disable`, which gives TM_MAD and DS_MAD "
            "back to ceph), or add --force."
        )


def _remove_hooks(place: InstallTarget, force: bool) -> None:
    try:
        _set_hooks(hooks.connect_front_end(os.environ), [], dry_run=False)
    except FrontEndError as error:
        if not force:
            raise
        print(
            f"Hooks: not removed. {error} Delete those named {HOOK_PREFIX}* with onehook.", file=sys.stderr
        )


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
