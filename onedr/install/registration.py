"""The front-end's two configuration files: read, compare, write with a backup."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from onedr.host import trusted_folder
from onedr.host.atomic_file import beside, write_atomically
from onedr.install import execrc, oned_conf
from onedr.install.paths import Paths

BACKUP = ".onedr-backup"
Change = Callable[[bytes, str], bytes]
UNFINISHED = "onedr-new"  # tag of the file that an interrupted run leaves beside the one it was replacing


@dataclass(frozen=True)
class Edit:
    """A configuration file before and after. `path` may be a link to `real`, of which `status` is."""

    path: Path
    before: bytes
    after: bytes
    real: Path
    status: os.stat_result

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        before, after = (t.decode(errors="replace").splitlines(True) for t in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, str(self.path), f"{self.path} (new)"))


def to_register(paths: Paths, lenses: Path) -> list[Edit]:
    """The edits that register `ceph_dr` in both files.

    Raises before anything is written when one cannot be read.
    """
    return _edits(
        paths,
        lambda text, where: oned_conf.register_driver(text, where, str(lenses)),
        execrc.register_execrc,
    )


def to_unregister(paths: Paths, lenses: Path) -> list[Edit]:
    """The edits that take it out again."""
    return _edits(
        paths,
        lambda text, where: oned_conf.unregister_driver(text, where, str(lenses)),
        execrc.unregister_execrc,
    )


def _edits(paths: Paths, conf: Change, rc: Change) -> list[Edit]:
    edits = [_edit(paths.oned_conf, conf)]
    if paths.vmm_execrc.exists():
        edits.append(_edit(paths.vmm_execrc, rc))
    return edits


def _edit(path: Path, change: Change) -> Edit:
    real = trusted_folder.real_path(path)
    before, status = trusted_folder.read_file(real)
    return Edit(path, before, change(before, str(path)), real, status)


def write_edit(edit: Edit) -> None:
    """Replace the file, keeping its owner and mode, after a backup that is made once and never replaced.

    A linked oned.conf remains a link: its target is changed.
    """
    backup = edit.path.with_name(edit.path.name + BACKUP)
    for path in (backup, edit.real):
        trusted_folder.remove_file(beside(path, UNFINISHED))  # left by an interrupted run
    if not edit.changed:
        return
    if not backup.exists():
        _write(backup, edit.before, edit.status)
    _write(edit.real, edit.after, edit.status)


def drop_backup(edit: Edit) -> Path | None:
    """Remove the backup when the file is the original again; otherwise return the backup's path."""
    backup = edit.path.with_name(edit.path.name + BACKUP)
    if not backup.exists():
        return None
    if backup.read_bytes() != edit.after:
        return backup
    trusted_folder.remove_file(backup)
    return None


def _write(path: Path, content: bytes, like: os.stat_result) -> None:
    """Write `path` atomically, with the owner and mode that the file had when it was read."""
    write_atomically(path, content, like.st_mode & 0o7777, (like.st_uid, like.st_gid), UNFINISHED)
