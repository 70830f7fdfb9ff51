"""Files with secrets: replaced whole, readable by their owner only."""
from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from onedr.host import trusted_folder
from onedr.host.atomic_file import write_atomically
from onedr.model.errors import InputError


def write_secret(path: Path, text: str, owner: int | None = None) -> None:
    """Write with mode 0600. `owner`: user id that a new file gets when root writes it. Raises InputError.

    An existing file keeps its owner.
    """
    try:
        trusted_folder.make_folders(path.parent)
        uid = _owner_of_file(path, owner)
        write_atomically(path, text.encode(), 0o600, None if uid is None else (uid, -1))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _owner_of_file(path: Path, otherwise: int | None) -> int | None:
    with trusted_folder.open_folder(path.parent) as folder:
        try:
            found = os.lstat(path.name, dir_fd=folder)
        except FileNotFoundError:
            return otherwise
    return found.st_uid if stat.S_ISREG(found.st_mode) else otherwise


def read_secret(path: Path) -> str:
    """The text of the file. Raises InputError when it cannot be read, or when other users may read it."""
    try:
        with path.open() as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read()
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if stat.S_IMODE(mode) & 0o077:
        raise InputError(
            f"{path} contains a secret and can be read by other users; chmod 600 {path}, and consider the "
            "secret disclosed."
        )
    return text


def remove_secret(path: Path) -> None:
    """Remove the file if it exists. Raises InputError."""
    try:
        trusted_folder.remove_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be removed: {error.strerror}.") from error


def owner_of(folder: Path) -> int | None:
    """User id of the nearest existing folder: the owner of secrets in it."""
    for place in (folder, *folder.parents):
        if place.exists():
            return place.stat().st_uid
    return None


def user_id(name: str) -> int | None:
    """User id of a user of this machine; None when there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None
