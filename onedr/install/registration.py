"""The front-end's two configuration files: read, compare, write with a backup."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from onedr.install import execrc, oned_conf
from onedr.install.paths import Paths

BACKUP = ".onedr-backup"


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
    """What `ceph_dr` needs in both files. Raises before anything is written when one cannot be read."""
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
    """Write the file whole, keeping its owner and mode, after a backup that is made once and never replaced.
    """
    backup = edit.path.with_name(edit.path.name + BACKUP)
    for path in (backup, edit.path.resolve()):
        _beside(path).unlink(missing_ok=True)  # of a run that was cut off
    if not edit.changed:
        return
    if not backup.exists():
        _write_like(backup, edit.before, edit.path)
    # A linked oned.conf stays a link: the file it leads to is the one to change.
    real = edit.path.resolve()
    _write_like(real, edit.after, real)


def drop_backup(edit: Edit) -> Path | None:
    """Remove the backup when the file is again what it was; otherwise return where it was kept."""
    backup = edit.path.with_name(edit.path.name + BACKUP)
    if not backup.exists():
        return None
    if backup.read_bytes() != edit.after:
        return backup
    backup.unlink()
    return None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.onedr-new")


def _write_like(path: Path, content: bytes, model: Path) -> None:
    """Write `path` in one go, with the owner and the mode of `model`."""
    held = model.stat()
    beside = _beside(path)
    # The file may hold the data base's password: nobody else may read it, not even for a moment.
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if os.geteuid() == 0:
        os.chown(beside, held.st_uid, held.st_gid)
    os.chmod(beside, held.st_mode & 0o7777)
    os.replace(beside, path)
