"""Files that are replaced whole: a reader sees the old content or the new one, never a part of it."""
from __future__ import annotations

import os
from pathlib import Path


def write_atomically(
    path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None, tag: str = ""
) -> None:
    """Write a file beside `path`, then rename it. `owner`: user id and group id, set when root writes.

    The content is never readable by others than `mode` allows. `tag` names the file beside it (see `beside`).
    Raises OSError; then nothing is left behind.
    """
    half = beside(path, tag)
    try:
        half.unlink(missing_ok=True)
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
            if owner is not None and os.geteuid() == 0:
                os.fchown(handle, *owner)
            os.fchmod(handle, mode)
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise


def beside(path: Path, tag: str = "") -> Path:
    """Where the new content is written first; without a tag the name is this process's own."""
    return path.with_name(f".{path.name}.{tag or os.getpid()}")
