"""A bed for as long as a process lives; what a killed one left is taken down by the next that makes one."""
from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.bed import Bed

_PLACE, _PREFIX = Path("/tmp"), "bed-"  # short enough for the paths of sockets
_OWNER = "owner"  # a file in the bed's folder, locked as long as the process lives that made the bed


@contextlib.contextmanager
def temporary(*, frontends: bool = True, bare: bool = False) -> Iterator[Bed]:
    """A running bed in a folder of its own below /tmp, taken down in any case; arguments as of `Bed.up`."""
    remove_orphans()
    made = Bed(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PLACE)))
    unnamed = made.base / f"{_OWNER}.new"
    with unnamed.open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        unnamed.rename(made.base / _OWNER)  # it never stands there unlocked, as an orphan's does
        try:
            made.up(frontends=frontends, bare=bare)
            yield made
        finally:
            (made.base / _OWNER).unlink()
            made.down()


def remove_orphans() -> list[Path]:
    """Take down the beds whose process ended without doing it, as one does that a signal ends.

    Returns their folders. A bed that has no owner was made by hand (`sandbox up`) and stays.
    """
    return [owner.parent for owner in _PLACE.glob(f"{_PREFIX}*/{_OWNER}") if _remove(owner)]


def _remove(owner: Path) -> bool:
    try:
        with owner.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process lives
            if not os.path.samestat(os.fstat(file.fileno()), owner.stat()):
                return False
            owner.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    Bed(owner.parent).down()
    return True
