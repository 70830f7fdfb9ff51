"""The front-end's two configuration files: read, compare, write with a backup."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from onedr.host.atomic_file import beside, write_atomically
from onedr.install import execrc, oned_conf
from onedr.install.paths import Paths

BACKUP = ".onedr-backup"
UNFINISHED = "onedr-new"  # tag of the file that an interrupted run leaves beside the one it was replacing


@dataclass(frozen=True)
class Edit:
    """A configuration file before and after."""

    path: Path
    before: bytes
    after: bytes

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
    conf = paths.oned_conf.read_bytes()
    edits = [Edit(paths.oned_conf, conf, oned_conf.register_driver(conf, str(paths.oned_conf), str(lenses)))]
    if paths.vmm_execrc.exists():
        rc = paths.vmm_execrc.read_bytes()
        edits.append(Edit(paths.vmm_execrc, rc, execrc.register_execrc(rc, str(paths.vmm_execrc))))
    return edits


def to_unregister(paths: Paths, lenses: Path) -> list[Edit]:
    conf = paths.oned_conf.read_bytes()
    edits = [
        Edit(paths.oned_conf, conf, oned_conf.unregister_driver(conf, str(paths.oned_conf), str(lenses)))
    ]
    if paths.vmm_execrc.exists():
        rc = paths.vmm_execrc.read_bytes()
        edits.append(Edit(paths.vmm_execrc, rc, execrc.unregister_execrc(rc, str(paths.vmm_execrc))))
    return edits


def write_edit(edit: Edit) -> None:
    """Replace the file, keeping its owner and mode, after a backup that is made once and never replaced."""
    backup = edit.path.with_name(edit.path.name + BACKUP)
    for path in (backup, edit.path.resolve()):
        beside(path, UNFINISHED).unlink(missing_ok=True)  # left by an interrupted run
    if not edit.changed:
        return
    if not backup.exists():
        _write_like(backup, edit.before, edit.path)
    # A linked oned.conf remains a link: its target is changed.
    real = edit.path.resolve()
    _write_like(real, edit.after, real)


def drop_backup(edit: Edit) -> Path | None:
    """Remove the backup when the file is the original again; otherwise return the backup's path."""
    backup = edit.path.with_name(edit.path.name + BACKUP)
    if not backup.exists():
        return None
    if backup.read_bytes() != edit.after:
        return backup
    backup.unlink()
    return None


def _write_like(path: Path, content: bytes, model: Path) -> None:
    """Write `path` atomically, with the owner and mode of `model`."""
    found = model.stat()
    write_atomically(path, content, found.st_mode & 0o7777, (found.st_uid, found.st_gid), UNFINISHED)
