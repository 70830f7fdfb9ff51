"""Schedules of mirror snapshots, which Ceph's manager runs (its module rbd_support), and what became of them.

Where the manager cannot run them the keeper takes the snapshots (protection.snapshot_schedule): Debian 13's
manager does not load the module, and says so in the cluster's health only.
"""
from __future__ import annotations

import errno
import json
from contextlib import suppress

from onedr.ceph import parallel
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError, StorageError, TimedOutError

_LIMIT_S = 10
_NO_SUCH_COMMAND = "No handler found"  # of a module that could not be loaded, with EINVAL
_NOT_RUNNING = (errno.EOPNOTSUPP, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN)


class NoSchedulesError(StorageError):
    """The manager runs no schedules of mirror snapshots at the moment."""

    word = "ceph-no-schedules"
    meaning = "Ceph's manager runs no schedules of mirror snapshots; the keeper takes them."
    todo = "Look at `ceph health detail` and `ceph mgr module ls` for `rbd_support`."


def add_schedule(pool: Pool, name: str, interval: str) -> None:
    """Schedule mirror snapshots of an image every `interval`, at least 60 s. Raises StorageError,
    NoSchedulesError.
    """
    what = f"the mirror snapshot schedule {interval} of {name}"
    _ask(pool, "add", f"{pool.access.pool}/{name}", what, interval=interval)


def schedules(pool: Pool) -> dict[str, tuple[str, ...]]:
    """Intervals by the name of each of the pool's images that has a mirror snapshot schedule of its own here.
    Raises StorageError, NoSchedulesError.
    """
    out = _ask(pool, "list", f"{pool.access.pool}/", f"to list the schedules of pool {pool.access.pool}")
    return {
        str(entry["name"]).rpartition("/")[2]: tuple(str(each["interval"]) for each in entry["schedule"])
        for entry in json.loads(out or b"{}").values()
    }


def remove_schedules(pool: Pool, name: str) -> None:
    """Remove all schedules of one image, if any. A manager that runs none has none to remove: Ceph drops
    those of an image that is gone. Raises StorageError.
    """
    with suppress(NoSchedulesError):
        _ask(pool, "remove", f"{pool.access.pool}/{name}", f"to remove the schedule of {name}", errno.ENOENT)


def _ask(pool: Pool, verb: str, spec: str, what: str, fine: int = 0, **words: str) -> bytes:
    """The manager's answer. `fine`: an error that is none."""
    prefix = f"rbd mirror snapshot schedule {verb}"
    command = json.dumps({"prefix": prefix, "level_spec": spec, "format": "json", **words})
    # python-rados ignores its timeout: without an active manager the call never ends
    found = parallel.each((command,), lambda _: pool.cluster.mgr_command(command, b""), _LIMIT_S)[command]
    if isinstance(found, TimedOutError):
        pool.is_waited_for = True
        raise NoSchedulesError(f"Ceph's manager does not answer ({prefix}); see ceph -s")
    if isinstance(found, OneDRError):
        raise found
    code, out, text = found
    if code in (0, -fine):
        return bytes(out)
    why = text or f"error {code}"
    if -code in _NOT_RUNNING or text.startswith(_NO_SUCH_COMMAND):
        raise NoSchedulesError(f"Ceph's manager runs no mirror snapshot schedules: {why}")
    raise StorageError(f"Ceph refused {what}: {why}")
