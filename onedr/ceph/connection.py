"""A Ceph cluster and its RBD images, in process through rados and rbd: one connection, no command, no shell.

Every function raises StorageError for what librados and librbd raise.
"""
from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rados
import rbd

from onedr.model.errors import InputError, StorageError
from onedr.model.types import CephAccess

CONNECT_LIMIT_S = 20
OPERATION_LIMIT_S = 60
# librbd waits in one of these threads for another one; two, the default, deadlocked (docs/ceph-facts.md C52)
IO_THREADS = "6"
_left_open: list[rados.Rados] = []  # until the process ends
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Pool:
    """An open pool of one cluster: `io` for rbd calls, `mon` for commands."""

    def __init__(self, cluster: rados.Rados, io: rados.Ioctx, access: CephAccess):
        self.cluster = cluster
        self.io = io
        self.access = access
        self.rbd = rbd.RBD()
        self.is_waited_for = False  # a thread was left behind in a call to the manager

    def mon(self, **command: Any) -> Any:
        """A monitor command's JSON answer."""
        code, out, text = self.cluster.mon_command(
            json.dumps({**command, "format": "json"}), b"", timeout=OPERATION_LIMIT_S
        )
        if code:
            raise StorageError(f"Ceph refused '{command.get('prefix')}': {text or code}")
        return json.loads(out) if out.strip() else None

    def fsid(self) -> str:
        """The cluster's id."""
        return str(self.cluster.get_fsid())

    def mon_host(self) -> str:
        """Monitor addresses as a client needs them, from the monitor map."""
        return mon_host_of(self.mon(prefix="mon dump"))

    def is_full(self) -> bool:
        """Has the pool no free space? Several errors of librbd do not say that."""
        code, out, _ = self.cluster.mon_command(
            '{"prefix": "df", "format": "json"}', b"", timeout=OPERATION_LIMIT_S
        )
        pools = [] if code else json.loads(out)["pools"]
        return any(entry["name"] == self.access.pool and not entry["stats"]["max_avail"] for entry in pools)

    def names(self) -> list[str]:
        """Names of all RBD images of the pool."""
        return list(self.rbd.list(self.io))

    def exists(self, name: str) -> bool:
        """Is there an image of this name?"""
        try:
            with self.image(name, read_only=True):
                return True
        except rbd.ImageNotFound:
            return False

    @contextmanager
    def image(self, name: str, read_only: bool = False) -> Iterator[rbd.Image]:
        """Open an image. rbd.ImageNotFound passes through, for callers that handle a missing image."""
        with rbd.Image(self.io, name, read_only=read_only) as image:
            yield image


def mon_host_of(monitor_map: Any) -> str:
    """The option mon_host of a client, from the answer to `mon dump`."""
    return ",".join(
        "[" + ",".join(f"{a['type']}:{a['addr']}" for a in monitor["public_addrs"]["addrvec"]) + "]"
        for monitor in monitor_map["mons"]
    )


@contextmanager
def connect(
    access: CephAccess, limit_s: int = CONNECT_LIMIT_S, operation_limit_s: int = OPERATION_LIMIT_S
) -> Iterator[Pool]:
    """Connect and open the pool. `limit_s` bounds the connection, `operation_limit_s` each request.

    Raises InputError for a pool, user or configuration file that does not exist, StorageError when the
    cluster does not answer.
    """
    cluster = _cluster(access, limit_s, operation_limit_s)
    pool = None
    try:
        with _plain(f"pool {access.pool}"):
            try:
                io = cluster.open_ioctx(access.pool)
            except rados.ObjectNotFound as error:
                raise InputError(
                    f"Ceph has no pool {access.pool!r}; correct POOL_NAME of the datastore."
                ) from error
            # a full cluster then fails at once instead of blocking, and still allows deletions
            io.set_osdmap_full_try()
            with io:
                pool = Pool(cluster, io, access)
                try:
                    yield pool
                except (rados.Error, rbd.Error) as error:
                    if getattr(error, "errno", None) not in _NO_SPACE and not pool.is_full():
                        raise
                    advice = "add space, or delete images"
                    raise StorageError(f"Ceph pool {access.pool} is full: {advice} ({error}).") from error
    finally:
        if pool is not None and pool.is_waited_for:
            _left_open.append(cluster)  # shutting it down under such a call aborts the process
        else:
            cluster.shutdown()


def _cluster(access: CephAccess, limit_s: int, operation_limit_s: int) -> rados.Rados:
    options = {
        "client_mount_timeout": str(limit_s),
        "rados_mon_op_timeout": str(operation_limit_s),
        "rados_osd_op_timeout": str(operation_limit_s),
        # librbd writes errors to stderr even when Python handles them,
        # and oned would show them to the user (docs/ceph-facts.md C54).
        "log_to_stderr": "false",
        "err_to_stderr": "false",
        "librados_thread_count": IO_THREADS,
    }
    if access.keyfile:
        options["keyfile"] = access.keyfile
    where = f"Ceph as user {access.user or 'admin'} with {access.conf or 'the default configuration'}"
    try:
        conffile = access.conf or rados.Rados.DEFAULT_CONF_FILES
        cluster = rados.Rados(name=f"client.{access.user or 'admin'}", conffile=conffile, conf=options)
        cluster.connect(timeout=limit_s)
    except rados.ObjectNotFound as error:
        hint = "configuration or key not found. Check CEPH_CONF, CEPH_USER and CEPH_KEY."
        raise InputError(f"Cannot reach {where}: {hint}") from error
    except (rados.InvalidArgumentError, rados.PermissionDeniedError, rados.PermissionError) as error:
        hint = "configuration or key is wrong. Check CEPH_CONF, CEPH_USER and CEPH_KEY."
        raise InputError(f"Cannot reach {where}: {hint} ({error})") from error
    except rados.Error as error:
        raise StorageError(f"Cannot reach {where} within {limit_s} s: {error}. Check ceph -s.") from error
    return cluster


@contextmanager
def _plain(what: str) -> Iterator[None]:
    try:
        yield
    except (rados.Error, rbd.Error) as error:
        raise StorageError(f"Ceph, {what}: {error}") from error
