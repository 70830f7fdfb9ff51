"""Administration of a Ceph cluster: users, settings, the monitors' key store. For `onedr setup` only.

Every method raises StorageError, and NoRightError when the user lacks the right. Secrets are never part of a
command, only of its input: the monitors write commands, but not their input, to the audit log.
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

    word = "ceph-permission"
    meaning = "The Ceph user may not do this."
    todo = "Use an administrator: `--admin-user`, `--admin-keyring`."


class AbsentError(StorageError):
    """Ceph has no object of that name."""

    word = "ceph-absent"
    meaning = "Ceph has nothing of that name."
    todo = "Correct the pool or user that the message names."


@dataclass(frozen=True)
class Admin:
    """How to log in: configuration file (empty: Ceph's default), user,
    keyring file (empty: from the configuration).
    """

    conf: str = ""
    user: str = "admin"
    keyring: str = ""

    @property
    def entity(self) -> str:
        return f"client.{self.user}"


@dataclass
class Cluster:
    """A connection as an administrator."""

    rados: rados.Rados
    who: str
    _pools: dict[str, rados.Ioctx] = field(default_factory=dict)

    def mon(self, prefix: str, secret: str = "", **words: Any) -> Any:
        """The JSON answer to a monitor command. `secret` is sent as its input."""
        return _read(self._text(self.rados.mon_command, prefix, secret, words))

    def mgr(self, prefix: str, **words: Any) -> Any:
        """The JSON answer to a manager command."""
        return _read(self._text(self.rados.mgr_command, prefix, "", words))

    def _text(self, send: Any, prefix: str, secret: str, words: Mapping[str, Any]) -> str:
        command = json.dumps({"prefix": prefix, **words, "format": "json"})
        code, out, text = send(command, secret.encode(), timeout=_COMMAND_LIMIT_S)
        if -code in _DENIED:
            raise NoRightError(
                f"Ceph user {self.who} is not allowed to run '{prefix}'. onedr setup needs an administrator "
                "(mon 'allow *'): use --admin-user and --admin-keyring."
            )
        if code == -errno.ENOENT:
            raise AbsentError(f"Ceph refused '{prefix}': {text or 'there is no such object'}")
        if code:
            raise StorageError(f"Ceph refused '{prefix}': {text or errno.errorcode.get(-code, code)}")
        return str(out.decode(errors="replace"))

    def fsid(self) -> str:
        """The cluster's id."""
        return str(self.rados.get_fsid())

    def mon_host(self) -> str:
        """Monitor addresses as a client needs them."""
        return mon_host_of(self.mon("mon dump"))

    def new_key_type(self) -> str:
        """The type of the cephx keys that this cluster makes: `aes`, `aes256k`."""
        preferred = self.mon("mon dump").get("auth_preferred_cipher") or {}
        return str(preferred.get("name") or "aes")

    def knows_key_types(self) -> bool:
        """Does this release of Ceph know more than one type of cephx keys (19.2.6, 20.2.4)?"""
        return "auth_allowed_ciphers" in self.mon("mon dump")

    def pool(self, name: str) -> rados.Ioctx:
        """An open pool. Raises rados.ObjectNotFound."""
        if name not in self._pools:
            self._pools[name] = self.rados.open_ioctx(name)
        return self._pools[name]

    def caps(self, entity: str) -> dict[str, str] | None:
        """The caps of a user; None when there is no such user."""
        try:
            return dict(self.mon("auth get", entity=entity)[0]["caps"])
        except AbsentError:
            return None

    def key(self, entity: str) -> str | None:
        """A user's secret key; None when there is no such user."""
        try:
            return str(self.mon("auth get", entity=entity)[0]["key"])
        except AbsentError:
            return None

    def set_caps(self, entity: str, caps: Mapping[str, str]) -> None:
        """Create the user with a new key, or change the caps of an existing one."""
        words = [word for pair in caps.items() for word in pair]
        self.mon("auth add" if self.caps(entity) is None else "auth caps", entity=entity, caps=words)

    def remove_user(self, entity: str) -> None:
        """Remove a user. Ceph accepts it when there is no such user."""
        self.mon("auth rm", entity=entity)

    def stored(self, key: str) -> str | None:
        """A value from the monitors' key store; None when there is none."""
        try:
            return self._text(self.rados.mon_command, "config-key get", "", {"key": key})
        except AbsentError:
            return None

    def store(self, key: str, value: str | None) -> None:
        """Set a value in the monitors' key store; None removes it."""
        if value is None:
            try:
                self.mon("config-key rm", key=key)
            except AbsentError:
                return
        else:
            self.mon("config-key set", value, key=key)

    def settings(self) -> dict[tuple[str, str], str]:
        """Settings in the monitors' database: value by (section, name), without those that have a mask."""
        found = [each for each in self.mon("config dump") if not each["mask"]]
        return {(str(each["section"]), str(each["name"])): str(each["value"]) for each in found}

    def effective(self, who: str, name: str) -> str:
        """The value that a daemon of this name gets from the monitors, Ceph's default included."""
        return (
            self._text(self.rados.mon_command, "config get", "", {"who": who, "key": name}).strip().strip('"')
        )

    def set_setting(self, who: str, name: str, value: str | None) -> None:
        """Set a setting; None removes it."""
        if value is None:
            self.mon("config rm", who=who, name=name)
        else:
            self.mon("config set", who=who, name=name, value=value)

    def mirror_daemons(self) -> list[str]:
        """User ids (such as `rbd-mirror.a`) of the rbd-mirror daemons that report to the manager."""
        found = self.mon("service dump")["services"].get("rbd-mirror", {}).get("daemons", {})
        return sorted({str(each["metadata"]["id"]) for each in found.values() if isinstance(each, dict)})


def _read(text: str) -> Any:
    return json.loads(text) if text.strip() else None


@contextmanager
def connect_admin(admin: Admin) -> Iterator[Cluster]:
    """Connect as an administrator.

    Raises InputError without configuration or key, StorageError without an answer within 10 s.
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
            "install ceph-common and copy the cluster's configuration there, or use --ceph-conf FILE"
        )
        raise InputError(f"There is no usable Ceph configuration at {what} ({error}): {hint}.") from error
    hint = "Copy its keyring to this machine, or use --admin-user and --admin-keyring."
    with _opened(found, f"{admin.entity} with {what}", hint):
        yield Cluster(found, admin.entity)


@contextmanager
def join(entity: str, key: str, mon_host: str, site: str) -> Iterator[Cluster]:
    """Connect to another site's cluster.

    Raises RefusedError when it rejects the key, StorageError without an answer.
    """
    conf = {
        **_OPTIONS,
        "client_mount_timeout": str(LIMIT_S),
        "mon_host": mon_host,
        "key": key,
        "keyring": "/dev/null",
    }
    # librados writes to stderr without a keyring option
    found = rados.Rados(name=entity, conffile=os.devnull, conf=conf)
    with _opened(
        found,
        f"{entity} at site {site}",
        "The file was already used, withdrawn or changed. Create a new one there.",
    ):
        yield Cluster(found, entity)


@contextmanager
def _opened(cluster: rados.Rados, who: str, hint: str) -> Iterator[None]:
    try:
        try:
            cluster.connect(timeout=LIMIT_S)
        except rados.TimedOut as error:
            text = (
                f"Ceph does not answer {who} within {LIMIT_S} s. Check that its monitors run and can be "
                "reached from here."
            )
            raise StorageError(text) from error
        except (
            rados.ObjectNotFound,
            rados.PermissionError,
            rados.PermissionDeniedError,
            rados.InvalidArgumentError,
        ) as error:
            raise RefusedError(f"Ceph refuses access to {who} ({error}). {hint}") from error
        except rados.Error as error:
            raise StorageError(f"Ceph cannot be reached as {who}: {error}. Check ceph -s.") from error
        try:
            yield
        except (rados.Error, rbd.Error) as error:
            raise StorageError(f"Ceph, as {who}: {error}") from error
    finally:
        cluster.shutdown()
