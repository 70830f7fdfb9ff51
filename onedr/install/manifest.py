"""Installing and removing files, with a record of what is ours.

The record (`lib/onedr/installed.json`) contains the digest of each file as it was written, so that a later
run knows what it may replace or remove: files of an earlier release are removed, configuration that an
administrator edited is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from onedr.host import trusted_folder
from onedr.host.atomic_file import beside, write_atomically
from onedr.host.edited_file import UNFINISHED
from onedr.install.tree import TreeItem
from onedr.model.errors import InputError, RefusedError

# Shared folders: a file there with another digest was installed by others, such as OneDR's own package.
_SHARED = ("bin", "man1", "completions")


@dataclass
class Manifest:
    """Digest by path of each installed file (two, on separate lines, while one replaces the other), and
    folders created for them.
    """

    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FileChange:
    """One change on disk: copy, link, remove, or keep."""

    verb: str
    path: Path
    item: TreeItem | None = None

    def __str__(self) -> str:
        arrow = f" -> {self.item.target}" if self.item and self.item.target else ""
        return f"{self.verb:7}{self.path}{arrow}"


def load_manifest(path: Path) -> Manifest:
    """The record of an earlier run; an empty one when there was none."""
    if not path.exists():
        return Manifest()
    try:
        raw = json.loads(path.read_text())
        return Manifest({str(k): str(v) for k, v in raw["files"].items()}, [str(f) for f in raw["folders"]])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}). Remove it, then run install.sh again.") from error


def to_install(items: Iterable[TreeItem], manifest: Manifest) -> list[FileChange]:
    """The changes after which exactly `items` are installed."""
    wanted = {str(i.path): i for i in items}
    changes = [_for_item(item, manifest.files.get(path)) for path, item in wanted.items()]
    stale = [_for_removal(Path(p), digest) for p, digest in manifest.files.items() if p not in wanted]
    return [c for c in (*changes, *stale) if c]


def to_remove(manifest: Manifest) -> list[FileChange]:
    """The changes after which nothing of ours remains."""
    return [c for c in (_for_removal(Path(p), d) for p, d in manifest.files.items()) if c]


def _for_item(item: TreeItem, recorded: str | None) -> FileChange | None:
    current = _current(item.path)
    if current == _digest(item):
        return None
    if current and _is_configuration(item.path) and not _is_ours(current, recorded):
        return FileChange("keep", item.path, item)
    if current and recorded is None and item.path.parent.name == "bin":
        raise RefusedError(
            f"{item.path} exists but was not installed by OneDR. Move it away, or remove its package, then "
            "run this again."
        )
    return FileChange("link" if item.target else "copy", item.path, item)


def _for_removal(path: Path, recorded: str) -> FileChange | None:
    current = _current(path)
    if not current or (path.parent.name in _SHARED and not _is_ours(current, recorded)):
        return None
    return FileChange(
        "keep" if _is_configuration(path) and not _is_ours(current, recorded) else "remove", path
    )


def _is_ours(current: str, recorded: str | None) -> bool:
    return recorded is not None and current in recorded.split("\n")


def _is_configuration(path: Path) -> bool:
    """Files below remotes/etc, and onedr.conf: after their installation they belong to the administrator."""
    parts = path.parts
    return path.name == "onedr.conf" or any(pair == ("remotes", "etc") for pair in zip(parts, parts[1:]))


def _digest(item: TreeItem) -> str:
    if item.target:
        return f"-> {item.target}"
    return f"{hashlib.sha256(item.content).hexdigest()} {_mode(item):o}"


def _mode(item: TreeItem) -> int:
    return 0o755 if item.executable else 0o644


def _current(path: Path) -> str:
    """The digest of the existing file; empty when there is none."""
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    if not path.exists():
        return ""
    if path.is_dir():
        raise RefusedError(
            f"{path} is a folder, but OneDR must install a file there. Move it away, then run this again."
        )
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode & 0o777:o}"


def apply_changes(
    changes: Iterable[FileChange], items: Iterable[TreeItem], manifest: Manifest, where: Path, owner: Path
) -> None:
    """Record the planned files, apply the changes, record the result.

    `owner`: the remotes folder (see _owner).
    """
    wanted = {str(item.path): _digest(item) for item in items}
    if wanted:
        absent = _missing([*(Path(p).parent for p in wanted), where.parent])
        known = {
            path: "\n".join(sorted({manifest.files.get(path, digest), digest}))
            for path, digest in wanted.items()
        }
        intended = Manifest({**manifest.files, **known}, [*manifest.folders, *map(str, absent)])
        _make(_missing([where.parent]), owner)
        _save(intended, where, owner)
        _make(absent, owner)
        manifest.folders = intended.folders
    for change in changes:
        if change.item is None and change.verb == "remove":
            trusted_folder.remove_file(change.path)
        elif change.item is not None and change.verb != "keep":
            _write_item(change.item, owner)
    for path in manifest.files:
        trusted_folder.remove_file(beside(Path(path), UNFINISHED))  # left by an interrupted run
    manifest.files = wanted
    manifest.folders = _without_empty(manifest.folders)
    if wanted:
        _save(manifest, where, owner)
        return
    for record in (where, beside(where, UNFINISHED)):
        trusted_folder.remove_file(record)
    # Also the record's own folder, if an interrupted run created but did not record it.
    _without_empty([*manifest.folders, str(where.parent)])


def _missing(folders: Iterable[Path]) -> list[Path]:
    """The folders that do not exist yet, outer ones first."""
    absent = set()
    for folder in folders:
        while not folder.exists():
            absent.add(folder)
            folder = folder.parent
    return sorted(absent)


def _make(folders: Iterable[Path], owner: Path) -> None:
    for folder in folders:
        trusted_folder.make_folder(folder, 0o755, _owner(folder, owner))


def _without_empty(folders: Iterable[str]) -> list[str]:
    """Remove our empty folders, inner ones first. Returns the others."""
    kept = []
    for folder in sorted(folders, reverse=True):
        if os.path.isdir(folder) and not os.listdir(folder):
            trusted_folder.remove_folder(Path(folder))
        elif os.path.isdir(folder):
            kept.append(folder)
    return sorted(kept)


def _save(manifest: Manifest, where: Path, owner: Path) -> None:
    text = json.dumps({"files": manifest.files, "folders": sorted(manifest.folders)}, indent=1) + "\n"
    _write_item(TreeItem(where, text.encode()), owner)


def _write_item(item: TreeItem, owner: Path) -> None:
    """Write beside, then rename: a process that runs the old file keeps it."""
    if not item.target:
        write_atomically(item.path, item.content, _mode(item), _owner(item.path, owner), UNFINISHED)
        return
    trusted_folder.make_link(item.path, item.target, beside(item.path, UNFINISHED))


def _owner(path: Path, owner: Path) -> tuple[int, int]:
    """The front-end's user for what is below remotes and for the settings, else the owner of the folder.

    A record, command or unit that oneadmin may change would be a way to become root.
    """
    own = path.is_relative_to(owner) or {"etc", "onedr"} <= set(path.parts)
    with trusted_folder.open_folder(owner if own else path.parent) as folder:
        found = os.fstat(folder)
    return found.st_uid, found.st_gid
