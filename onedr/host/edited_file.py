"""Configuration files of others: read, compare, replaced with a backup."""
from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from onedr.host import trusted_folder
from onedr.host.atomic_file import beside, write_atomically

BACKUP = ".onedr-backup"
UNFINISHED = "onedr-new"  # tag of the file that an interrupted run leaves beside the one it was replacing
Change = Callable[[bytes, str], bytes]  # of a file's content and path


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
        return diff(self.path, self.before, self.after)


def diff(path: Path, before: bytes, after: bytes) -> str:
    """What changes in a file, as `diff -u` shows it."""
    old, new = (text.decode(errors="replace").splitlines(True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, str(path), f"{path} (new)"))


def read_edit(path: Path, change: Change) -> Edit:
    """The edit of one file; nothing is written. Raises OSError, and what `change` raises."""
    real = trusted_folder.real_path(path)
    before, status = trusted_folder.read_file(real)
    return Edit(path, before, change(before, str(path)), real, status)


def write_edit(edit: Edit) -> None:
    """Replace the file, keeping its owner and mode, after a backup that is made once and never replaced.

    A linked file remains a link: its target is changed. Raises OSError.
    """
    backup = backup_of(edit.path)
    for path in (backup, edit.real):
        trusted_folder.remove_file(beside(path, UNFINISHED))  # left by an interrupted run
    if not edit.changed:
        return
    if not backup.exists():
        _write(backup, edit.before, edit.status)
    _write(edit.real, edit.after, edit.status)


def backup_of(path: Path) -> Path:
    """Where the file as it was before the first edit is kept."""
    return path.with_name(path.name + BACKUP)


def drop_backup(edit: Edit) -> Path | None:
    """Remove the backup when the file is the original again; otherwise return the backup's path."""
    backup = backup_of(edit.path)
    if not backup.exists():
        return None
    if backup.read_bytes() != edit.after:
        return backup
    trusted_folder.remove_file(backup)
    return None


def _write(path: Path, content: bytes, like: os.stat_result) -> None:
    """Write `path` atomically, with the owner and mode that the file had when it was read."""
    write_atomically(path, content, like.st_mode & 0o7777, (like.st_uid, like.st_gid), UNFINISHED)
