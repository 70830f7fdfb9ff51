"""Files that are replaced whole: a reader sees the old content or the new one, never a part of it."""
from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from onedr.host import trusted_folder


def write_atomically(
    path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None, tag: str = ""
) -> None:
    """Write a file beside `path`, then rename it. `owner`: user id and group id, set when root writes.

    The content is never readable by others than `mode` allows. `tag` names the file beside it (see `beside`).
    Raises OSError; then nothing is left behind.
    """
    half = beside(path, tag).name
    with trusted_folder.open_folder(path.parent) as folder:
        try:
            with suppress(FileNotFoundError):
                os.unlink(half, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            handle = os.open(half, flags, 0o600, dir_fd=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
                if owner is not None and trusted_folder.is_root():
                    os.fchown(handle, *owner)
                os.fchmod(handle, mode)
            os.replace(half, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(half, dir_fd=folder)
            raise


def beside(path: Path, tag: str = "") -> Path:
    """Where the new content is written first; without a tag the name is this process's own."""
    return path.with_name(f".{path.name}.{tag or os.getpid()}")
