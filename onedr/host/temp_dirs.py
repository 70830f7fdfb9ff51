"""Folders for what lies on disk only while an action runs.

A killed action's folder goes with the next action's beginning.
"""
from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "onedr-staging-"  # nobody else names a folder so: what carries it and is not locked is removed


@contextmanager
def temp_folder(below: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards.

    Its lock says that its maker lives: the kernel lets go of it however a process ends.
    """
    import shutil  # it and tempfile cost a driver 5 ms

    _sweep(below)
    made, lock = _locked_folder(below)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder(below: Path) -> tuple[Path, int | None]:
    import tempfile

    while True:
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=below))
        try:
            lock = _lock(made, fcntl.LOCK_EX)
        except FileNotFoundError:  # swept before it was locked
            continue
        except OSError:  # a file system without locks on folders (NFS): nothing is swept there either
            return made, None
        if made.exists():
            return made, lock
        os.close(lock)


def _lock(path: Path, how: int) -> int:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, how)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _sweep(below: Path) -> None:
    """Remove folders whose maker is dead; what cannot be locked or removed is somebody else's."""
    import shutil

    for left in below.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = _lock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
