"""Folders by descriptor: root reaches them from `/` down, and follows no link that others could have laid.

Between a look at a path and its use, whoever owns a folder on the way may put a link in its place. So root
opens each level below the one before (openat(2), O_NOFOLLOW), and all that it then makes, renames, removes or
gives away is named relative to the descriptor. A link counts only where every folder on the way is root's
alone. Other users have no more rights than they have themselves: for them a path is a path.
"""
from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40  # as in path_resolution(7)


def is_root() -> bool:
    """Does this process have rights that the owners of the folders it writes to do not have?"""
    return os.geteuid() == 0


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """A descriptor of an existing folder, for `dir_fd`.

    Raises OSError, for root also with ELOOP where the way leads through a link that others could have laid.
    """
    handle = _walk(path) if is_root() else os.open(path, _FOLDER)
    try:
        yield handle
    finally:
        os.close(handle)


def _walk(path: Path) -> int:
    handle, trusted, links = os.open("/", _FOLDER), True, 0
    parts = list(path.absolute().parts[1:])
    try:
        while parts:
            name = parts.pop(0)
            trusted = trusted and _is_roots(handle)
            target = _link(name, handle)
            if target is None:
                deeper = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
            else:
                links += 1
                if not trusted or links > _MOST_LINKS:
                    raise OSError(
                        errno.ELOOP, "a link on the way that another user could have laid", str(path)
                    )
                parts[:0] = [part for part in target.split("/") if part not in ("", ".")]
                deeper = os.open("/" if target.startswith("/") else ".", _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = deeper
    except OSError as error:
        os.close(handle)
        error.filename = str(path)
        raise
    return handle


def _link(name: str, folder: int) -> str | None:
    """Where a link of root's leads; None for what is no link. Raises OSError for one of another user."""
    found = os.lstat(name, dir_fd=folder)
    if not stat.S_ISLNK(found.st_mode):
        return None
    if found.st_uid != 0:
        raise OSError(errno.ELOOP, "a link on the way that another user has laid", name)
    return os.readlink(name, dir_fd=folder)


def is_roots_alone(path: Path) -> bool:
    """May nobody but root put another file in the place of one in this folder? Raises OSError."""
    with open_folder(path) as folder:
        return _is_roots(folder)


def _is_roots(folder: int) -> bool:
    """May nobody but root put something else in the place of what root has in this folder?"""
    found = os.fstat(folder)
    return found.st_uid == 0 and (not found.st_mode & 0o022 or bool(found.st_mode & stat.S_ISVTX))


def real_path(path: Path) -> Path:
    """Where a file is that may be a link. Raises OSError as `open_folder` does."""
    for _ in range(_MOST_LINKS):
        with open_folder(path.parent) as folder:
            if not os.path.lexists(path) or not stat.S_ISLNK(os.lstat(path.name, dir_fd=folder).st_mode):
                return path
            if is_root() and not _is_roots(folder):
                raise OSError(errno.ELOOP, "a link that another user could have laid", str(path))
            path = path.parent / os.readlink(path.name, dir_fd=folder)
    raise OSError(errno.ELOOP, "too many links", str(path))


def make_folder(path: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make one folder unless it exists. `owner`: user and group id when root makes it; None: those of the
    folder it is in, so that it shuts nobody out. Raises OSError.
    """
    with open_folder(path.parent) as above:
        try:
            os.mkdir(path.name, mode, dir_fd=above)
        except FileExistsError:
            if not path.is_dir():
                raise
            return
        if is_root():
            made = os.open(path.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            try:
                found = os.fstat(above)
                os.fchown(made, *(owner or (found.st_uid, found.st_gid)))
            finally:
                os.close(made)


def make_folders(path: Path, mode: int = 0o755) -> None:
    """The folder and those above it that are missing, as `make_folder` makes each."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        make_folder(folder, mode)


def remove_file(path: Path) -> None:
    """Remove a file or link if it exists. Raises OSError."""
    try:
        with open_folder(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
    except FileNotFoundError:
        return


def remove_folder(path: Path) -> None:
    """Remove an empty folder. Raises OSError."""
    with open_folder(path.parent) as above:
        os.rmdir(path.name, dir_fd=above)


def make_link(path: Path, target: str, beside: Path) -> None:
    """A link, made as `beside` in the same folder and then renamed. Raises OSError.

    It stays root's when root makes it: whose a link is matters to nobody.
    """
    with open_folder(path.parent) as folder:
        remove_file(beside)
        os.symlink(target, beside.name, dir_fd=folder)
        os.replace(beside.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Content and status of one and the same file. Raises OSError."""
    with open_folder(path.parent) as folder:
        flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_NOFOLLOW if is_root() else 0)
        with os.fdopen(os.open(path.name, flags, dir_fd=folder), "rb") as file:
            return file.read(), os.fstat(file.fileno())


def append_to(path: Path, mode: int) -> int:
    """A descriptor for appending to a file, which is made when it is missing. Raises OSError.

    What root makes belongs to the folder's owner, who may not have put another's file in its place.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    if not is_root():
        return os.open(path, flags, mode)
    with open_folder(path.parent) as folder:
        above = os.fstat(folder)
        handle = os.open(path.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode, dir_fd=folder)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            os.close(handle)
            raise OSError(errno.EPERM, "it is another file under this name", str(path))
        if found.st_uid == 0 and found.st_size == 0:
            os.fchown(handle, above.st_uid, above.st_gid)
        return handle
