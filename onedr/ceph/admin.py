"""A Ceph cluster as its administrator sees it: users, settings, keys of the monitors' store. For `onedr
setup` only.

Every method raises StorageError, NoRightError when the user may not. No secret is ever a word of a command:
the monitors write commands, not what comes with them, into their audit log.
"""
from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import rados
import rbd

from onedr.ceph.connection import mon_host_of
from onedr.model.errors import InputError, RefusedError, StorageError

LIMIT_S = 10
_COMMAND_LIMIT_S = 30
_DENIED = (errno.EACCES, errno.EPERM)
_OPTIONS = {
    "log_to_stderr": "false",
    "err_to_stderr": "false",
    "rados_osd_op_timeout": "30",
    "rados_mon_op_timeout": "30",
}


class NoRightError(RefusedError):
    """The Ceph user may not do this."""


class AbsentError(StorageError):
    """Ceph knows nothing of that name."""


@dataclass(frozen=True)
class Admin:
    """As whom to come: configuration file (empty: Ceph's own places), user, keyring file (empty: as the
    configuration says).
    """

    conf: str = ""
    user: str = "admin"
    keyring: str = ""

    @property
    def entity(self) -> str:
        return f"client.{self.user}"


@dataclass
class Cluster:
    """A connection. `io`: pools opened so far."""

    rados: rados.Rados
    who: str
    _pools: dict[str, rados.Ioctx] = field(default_factory=dict)

    def mon(self, prefix: str, secret: str = "", **words: Any) -> Any:
        """A monitor command, its JSON answer; `secret` goes with it, not in it."""
        return _read(self._text(self.rados.mon_command, prefix, secret, words))

    def mgr(self, prefix: str, **words: Any) -> Any:
        """A manager command, its JSON answer."""
        return _read(self._text(self.rados.mgr_command, prefix, "", words))

    def _text(self, send: Any, prefix: str, secret: str, words: Mapping[str, Any]) -> str:
        command = json.dumps({"prefix": prefix, **words, "format": "json"})
        code, out, text = send(command, secret.encode(), timeout=_COMMAND_LIMIT_S)
        if -code in _DENIED:
            raise NoRightError(
                f"Ceph user {self.who} may not do '{prefix}': onedr setup needs an administrator (mon 'allow "
                "*'), by --admin-user and --admin-keyring."
            )
        if code == -errno.ENOENT:
            raise AbsentError(f"Ceph refused '{prefix}': {text or 'there is none of that name'}")
        if code:
            raise StorageError(f"Ceph refused '{prefix}': {text or errno.errorcode.get(-code, code)}")
        return str(out.decode(errors="replace"))

    def fsid(self) -> str:
        """The cluster's id."""
        return str(self.rados.get_fsid())

    def mon_host(self) -> str:
        """Monitor addresses as a client needs them."""
        return mon_host_of(self.mon("mon dump"))

    def pool(self, name: str) -> rados.Ioctx:
        """An open pool. Raises rados.ObjectNotFound."""
        if name not in self._pools:
            self._pools[name] = self.rados.open_ioctx(name)
        return self._pools[name]

    def caps(self, entity: str) -> dict[str, str] | None:
        """Rights of a user; None: there is none."""
        try:
            return dict(self.mon("auth get", entity=entity)[0]["caps"])
        except AbsentError:
            return None

    def key(self, entity: str) -> str | None:
        """A user's secret key; None: there is no such user."""
        try:
            return str(self.mon("auth get", entity=entity)[0]["key"])
        except AbsentError:
            return None

    def set_caps(self, entity: str, caps: Mapping[str, str]) -> None:
        """Make the user with a new key, or give the one there is these rights."""
        words = [word for pair in caps.items() for word in pair]
        self.mon("auth add" if self.caps(entity) is None else "auth caps", entity=entity, caps=words)

    def remove_user(self, entity: str) -> None:
        """Gone already is done: Ceph says so itself."""
        self.mon("auth rm", entity=entity)

    def stored(self, key: str) -> str | None:
        """A value of the monitors' store; None: none."""
        try:
            return self._text(self.rados.mon_command, "config-key get", "", {"key": key})
        except AbsentError:
            return None

    def store(self, key: str, value: str | None) -> None:
        """Set a value, or with None remove it; not there already is done."""
        if value is None:
            try:
                self.mon("config-key rm", key=key)
            except AbsentError:
                return
        else:
            self.mon("config-key set", value, key=key)

    def settings(self) -> dict[tuple[str, str], str]:
        """Settings kept by the monitors: value by (section, name); those with a mask are not ours and left
        out.
        """
        found = [each for each in self.mon("config dump") if not each["mask"]]
        return {(str(each["section"]), str(each["name"])): str(each["value"]) for each in found}

    def effective(self, who: str, name: str) -> str:
        """What a daemon of this name would get from the monitors, Ceph's default included."""
        return (
            self._text(self.rados.mon_command, "config get", "", {"who": who, "key": name}).strip().strip('"')
        )

    def set_setting(self, who: str, name: str, value: str | None) -> None:
        """Set it, or with None take it off."""
        if value is None:
            self.mon("config rm", who=who, name=name)
        else:
            self.mon("config set", who=who, name=name, value=value)

    def mirror_daemons(self) -> list[str]:
        """User ids (`rbd-mirror.a`) of the rbd-mirror daemons that report to the manager."""
        found = self.mon("service dump")["services"].get("rbd-mirror", {}).get("daemons", {})
        return sorted({str(each["metadata"]["id"]) for each in found.values() if isinstance(each, dict)})


def _read(text: str) -> Any:
    return json.loads(text) if text.strip() else None


@contextmanager
def connect_admin(admin: Admin) -> Iterator[Cluster]:
    """Connect as an administrator.

    Raises InputError: no configuration, no key; StorageError: no answer within 10 s.
    """
    options = {
        **_OPTIONS,
        "client_mount_timeout": str(LIMIT_S),
        **({"keyring": admin.keyring} if admin.keyring else {}),
    }
    what = admin.conf or "/etc/ceph/ceph.conf"
    try:
        conffile = admin.conf or rados.Rados.DEFAULT_CONF_FILES
        found = rados.Rados(name=admin.entity, conffile=conffile, conf=options)
    except rados.Error as error:
        hint = (
            "install ceph-common and copy the cluster's configuration there, or name the file with "
            "--ceph-conf"
        )
        raise InputError(f"There is no readable Ceph configuration at {what} ({error}): {hint}.") from error
    hint = "Copy its keyring to this machine, or give --admin-user and --admin-keyring."
    with _opened(found, f"{admin.entity} with {what}", hint):
        yield Cluster(found, admin.entity)


@contextmanager
def join(entity: str, key: str, mon_host: str, site: str) -> Iterator[Cluster]:
    """Connect to another site's cluster.

    Raises RefusedError when it does not take the key, StorageError without an answer.
    """
    conf = {
        **_OPTIONS,
        "client_mount_timeout": str(LIMIT_S),
        "mon_host": mon_host,
        "key": key,
        "keyring": "/dev/null",
    }
    # with none at all librados writes to stderr
    found = rados.Rados(name=entity, conffile=os.devnull, conf=conf)
    with _opened(
        found,
        f"{entity} at site {site}",
        "The file was used already, withdrawn, or changed: make a new one there.",
    ):
        yield Cluster(found, entity)


@contextmanager
def _opened(cluster: rados.Rados, who: str, hint: str) -> Iterator[None]:
    try:
        try:
            cluster.connect(timeout=LIMIT_S)
        except rados.TimedOut as error:
            text = (
                f"Ceph does not answer {who} within {LIMIT_S} s: are its monitors up, and reachable from "
                "here?"
            )
            raise StorageError(text) from error
        except (
            rados.ObjectNotFound,
            rados.PermissionError,
            rados.PermissionDeniedError,
            rados.InvalidArgumentError,
        ) as error:
            raise RefusedError(f"Ceph does not let {who} in ({error}). {hint}") from error
        except rados.Error as error:
            raise StorageError(f"Ceph cannot be reached as {who}: {error}. Is the cluster up?") from error
        try:
            yield
        except (rados.Error, rbd.Error) as error:
            raise StorageError(f"Ceph, as {who}: {error}") from error
    finally:
        cluster.shutdown()
