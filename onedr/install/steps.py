"""The installer's steps.

Each step plans everything first, so that problems are found before anything is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onedr.host import edited_file
from onedr.host.release import installed_release
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
from onedr.sunstone import run as sunstone_run

if TYPE_CHECKING:
    from onedr.opennebula.api import FrontEnd


@dataclass(frozen=True)
class InstallTarget:
    """The target folders, the source tree, and the interpreter of the executables."""

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
    edits: list[edited_file.Edit]


def _plan(target: InstallTarget) -> InstallPlan:
    target.paths.require_opennebula()
    release_text = release.require_known(target.paths, target.force_version)
    edits = registration.to_register(target.paths, target.lenses)
    _templates(target)
    wanted = layout(target.source, target.paths, target.python)
    record = manifest.load_manifest(target.paths.manifest)
    changes = manifest.to_install(wanted.items, record)
    _check_writable([*(c.path for c in changes), target.paths.manifest, *(e.path for e in edits)])
    return InstallPlan(release_text, wanted, record, changes, edits)


def _check_writable(files: Iterable[Path]) -> None:
    """Check write access to every folder to be written to, or to its nearest existing parent."""
    denied = set()
    for file in files:
        folder = file.parent
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            denied.add(str(folder))
    if denied:
        raise InputError(
            f"No permission to write to {', '.join(sorted(denied))}. Run this as root, or as the owner of "
            "the front-end's folders."
        )


def preflight(target: InstallTarget) -> int:
    """Report problems before an environment is built."""
    _plan(target)
    return 0


def install(target: InstallTarget, dry_run: bool) -> int:
    plan = _plan(target)
    print(plan.release)
    if dry_run:
        install_report.show(plan.changes, plan.edits)
        install_report.left_to_stock(plan.layout)
    else:
        paths = target.paths
        manifest.apply_changes(plan.changes, plan.layout.items, plan.manifest, paths.manifest, paths.remotes)
        for edit in plan.edits:
            edited_file.write_edit(edit)
        _read_back(target, plan.layout)
        install_report.installed(paths, plan.layout, plan.changes, plan.edits)
        _print_lines(units.after_install(plan.changes))
    install_report.ceph_configuration(os.environ)
    _ask_oned(target, dry_run)
    return 0


def _read_back(target: InstallTarget, wanted: Layout) -> None:
    """Check that everything is installed.

    Raises OneDRError when it is not: another process changes the files at the same time.
    """
    left = manifest.to_install(wanted.items, manifest.load_manifest(target.paths.manifest))
    undone = [str(change.path) for change in left if change.verb != "keep"]
    undone += [
        str(edit.path) for edit in registration.to_register(target.paths, target.lenses) if edit.changed
    ]
    if undone:
        raise OneDRError(
            f"These files changed during the installation: {', '.join(undone[:5])}. Check whether another "
            "install.sh runs, then run this again."
        )


def _ask_oned(target: InstallTarget, dry_run: bool) -> None:
    try:
        frontend = hooks.connect_front_end(os.environ)
        _set_hooks(frontend, _templates(target), dry_run)
        _print_lines(install_verify.running(frontend, installed_release(target.paths.remotes)))
    except FrontEndError as error:
        print(f"Hooks: not created. {error}\nRun `install.sh --hooks` once oned runs.")


def hooks_only(target: InstallTarget, dry_run: bool) -> int:
    target.paths.require_opennebula()
    if not (target.paths.hooks / DRIVER).is_dir():
        raise InputError(
            f"There is no {target.paths.hooks / DRIVER}, so the hooks would have nothing to call. Run "
            "install.sh first."
        )
    frontend = hooks.connect_front_end(os.environ)
    _set_hooks(frontend, _templates(target), dry_run)
    _print_lines(install_verify.running(frontend, installed_release(target.paths.remotes)))
    return 0


def sunstone(target: InstallTarget, dry_run: bool) -> int:
    """What `onedr sunstone install` does, for the view admin."""
    target.paths.require_opennebula()
    sunstone_run.install(sunstone_run.folders(), ("admin",), dry_run, print)
    return 0


def _take_out_of_sunstone(dry_run: bool) -> None:
    """Sunstone must not go on naming scripts of a OneDR that is gone."""
    where = sunstone_run.folders()
    found = sunstone_run.look(where) if where.modules.is_dir() else None
    if found is not None and found.installed:
        sunstone_run.remove(where, dry_run, print)


def _templates(target: InstallTarget) -> list[hooks.Hook]:
    return hooks.load_hooks(target.templates, target.paths.hooks, target.lenses)


def _set_hooks(frontend: FrontEnd, wanted: list[hooks.Hook], dry_run: bool) -> None:
    found = hooks.compare(frontend, wanted)
    unsupported = [] if dry_run else hooks.apply_hooks(frontend, found)
    print(("Would be: " if dry_run else "") + hooks.summary(found, unsupported))


def uninstall(target: InstallTarget, dry_run: bool, force: bool) -> int:
    target.paths.require_opennebula()
    record = manifest.load_manifest(target.paths.manifest)
    edits = registration.to_unregister(target.paths, target.lenses)
    changes = manifest.to_remove(record)
    if dry_run:
        install_report.show(changes, edits)
        _take_out_of_sunstone(dry_run)
        return 0
    _check_writable([*(c.path for c in changes), *(e.path for e in edits)])
    _check_unused(target, force)
    _remove_hooks(target, force)
    _take_out_of_sunstone(dry_run)
    _print_lines(units.before_removal(changes))
    for edit in edits:
        edited_file.write_edit(edit)
    manifest.apply_changes(changes, (), record, target.paths.manifest, target.paths.remotes)
    _print_lines(units.removed(changes))
    for edit in edits:
        backup = edited_file.drop_backup(edit)
        if backup:
            print(f"Kept {backup}: {edit.path} was changed by others since then.")
    install_report.kept(changes)
    print(f"OneDR is removed from {target.paths.var}. Restart oned.")
    return 0


def _check_unused(target: InstallTarget, force: bool) -> None:
    try:
        used = hooks.datastores_in_use(hooks.connect_front_end(os.environ))
    except FrontEndError as error:
        if force:
            return
        raise RefusedError(
            f"Cannot determine whether a datastore uses {DRIVER}: {error} Start oned and run this again, or "
            "add --force."
        ) from error
    if used and not force:
        raise RefusedError(
            f"These datastores use {DRIVER}: {', '.join(used)}. Without it nothing on them can be created, "
            "started or deleted. Disable their protection first (onedr disable, which sets TM_MAD and "
            "DS_MAD to ceph), or add --force."
        )


def _remove_hooks(target: InstallTarget, force: bool) -> None:
    try:
        _set_hooks(hooks.connect_front_end(os.environ), [], dry_run=False)
    except FrontEndError as error:
        if not force:
            raise
        print(
            f"Hooks: not removed. {error} Delete those named {HOOK_PREFIX}* with onehook.", file=sys.stderr
        )


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
