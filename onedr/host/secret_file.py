"""Files with secrets: written whole or not at all, readable by their owner only."""
from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from onedr.model.errors import InputError


def write_secret(path: Path, text: str, owner: int | None = None) -> None:
    """Write with mode 0600; `owner`: a user id to give the file to, heeded when root writes. Raises
    InputError.

    A file that is there keeps its owner.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if os.geteuid() == 0:
            kept = path.stat().st_uid if path.exists() else owner
            os.chown(beside, -1 if kept is None else kept, -1)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def read_secret(path: Path) -> str:
    """Its text. Raises InputError when it cannot be read, or others may read it."""
    try:
        mode, text = path.stat().st_mode, path.read_text()
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if stat.S_IMODE(mode) & 0o077:
        raise InputError(
            f"{path} holds a secret and may be read by others; chmod 600 {path}, and ask who has read it."
        )
    return text


def remove_secret(path: Path) -> None:
    """Gone already is done. Raises InputError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be removed: {error.strerror}.") from error


def owner_of(folder: Path) -> int | None:
    """User id of the nearest folder that is there: whose secrets in it are."""
    for place in (folder, *folder.parents):
        if place.exists():
            return place.stat().st_uid
    return None


def user_id(name: str) -> int | None:
    """Of a user of this machine; None: there is none."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None
