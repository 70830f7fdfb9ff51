"""User and group objects; the rights of a caller."""
from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sandbox.frontend.objects.errors import ApiError, Code, unauthorized
from sandbox.frontend.objects.pool_object import PoolObject
from sandbox.frontend.objects.store import Store
from sandbox.frontend.objects.templates import Template, Vector, cdata

ONEADMIN_GROUP = 0
USERS_GROUP = 1
USE, MANAGE, ADMIN = "USE", "MANAGE", "ADMIN"
_BIT = {USE: 0, MANAGE: 1, ADMIN: 2}
# The default VDC and rules let every user of group `users` use these.
_SHARED_KINDS = {"datastore", "vnet", "cluster", "zone", "host"}
NO_QUOTAS = ("<DATASTORE_QUOTA></DATASTORE_QUOTA><NETWORK_QUOTA></NETWORK_QUOTA><VM_QUOTA></VM_QUOTA>"
             "<IMAGE_QUOTA></IMAGE_QUOTA>")


@dataclass
class Limited(PoolObject):
    """Who may have quotas: the limits set, and, while it is shown, their XML."""

    limits: list[Vector] = field(default_factory=list)
    shown: str = ""

    @property
    def quotas_xml(self) -> str:
        """The quota elements."""
        return self.shown or NO_QUOTAS


@dataclass
class User(Limited):
    """An account with a password of oned's own (driver core)."""

    KIND: ClassVar[str] = "user"
    ROOT: ClassVar[str] = "USER"
    LABEL: ClassVar[str] = "user"

    password: str = ""
    driver: str = "core"
    enabled: bool = True
    groups: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def _xml(self) -> str:
        groups = "".join(f"<ID>{one}</ID>" for one in sorted(self.groups))
        return (f"<ID>{self.oid}</ID><GID>{self.gid}</GID><GROUPS>{groups}</GROUPS>"
                f"<GNAME>{self.gname}</GNAME><NAME>{self.name}</NAME><PASSWORD>{cdata(self.password)}</PASSWORD>"
                f"<AUTH_DRIVER>{cdata(self.driver)}</AUTH_DRIVER><ENABLED>{int(self.enabled)}</ENABLED>"
                f"{self.template.to_xml()}")

    def to_xml(self) -> str:
        defaults = f"<DEFAULT_USER_QUOTAS>{NO_QUOTAS}</DEFAULT_USER_QUOTAS>"
        return f"<USER>{self._xml()}{self.quotas_xml}{defaults}</USER>"

    def pool_xml(self) -> str:
        return f"<USER>{self._xml()}</USER><QUOTAS><ID>{self.oid}</ID>{self.quotas_xml}</QUOTAS>"


@dataclass
class Group(Limited):
    """A group of users."""

    KIND: ClassVar[str] = "group"
    ROOT: ClassVar[str] = "GROUP"
    LABEL: ClassVar[str] = "group"

    users: list[int] = field(default_factory=list)
    admins: list[int] = field(default_factory=list)

    def _xml(self) -> str:
        users = "".join(f"<ID>{one}</ID>" for one in sorted(self.users))
        admins = "".join(f"<ID>{one}</ID>" for one in sorted(self.admins))
        return (f"<ID>{self.oid}</ID><NAME>{self.name}</NAME>{self.template.to_xml()}<USERS>{users}</USERS>"
                f"<ADMINS>{admins}</ADMINS>")

    def to_xml(self) -> str:
        defaults = f"<DEFAULT_GROUP_QUOTAS>{NO_QUOTAS}</DEFAULT_GROUP_QUOTAS>"
        return f"<GROUP>{self._xml()}{self.quotas_xml}{defaults}</GROUP>"

    def pool_xml(self) -> str:
        quotas = f"<QUOTAS><ID>{self.oid}</ID>{self.quotas_xml}</QUOTAS>"
        return f"<GROUP>{self._xml()}</GROUP>{quotas}<VLAN_RULES><ID>{self.oid}</ID></VLAN_RULES>"


@dataclass
class Caller:
    """The user who makes a call; `extra` is what the call leaves for its API hook."""

    uid: int
    gid: int
    uname: str
    gname: str
    groups: frozenset[int]
    extra: str = ""

    @property
    def is_admin(self) -> bool:
        """Member of group oneadmin."""
        return ONEADMIN_GROUP in self.groups

    def owner_of(self, oid: int) -> dict[str, Any]:
        """Id and owner of an object this caller creates, as its first fields."""
        return {"oid": oid, "uid": self.uid, "gid": self.gid, "uname": self.uname, "gname": self.gname}

    def may(self, operation: str, obj: PoolObject) -> bool:
        """Whether rights allow the operation, locks aside."""
        if self.is_admin or operation == USE and obj.KIND in _SHARED_KINDS:
            return True
        if obj.KIND == "user":
            return obj.oid == self.uid and operation != ADMIN
        if obj.KIND == "group":
            return obj.oid in self.groups and operation == USE
        bit = _BIT[operation]
        return bool(self.uid == obj.uid and obj.permissions[bit]
                    or obj.gid in self.groups and obj.permissions[3 + bit]
                    or obj.permissions[6 + bit])

    def demand(self, operation: str, obj: PoolObject, ignore_lock: bool = False) -> None:
        """Raise unless the operation is allowed; a lock stops oneadmin, too."""
        if not self.may(operation, obj):
            what = f"Not authorized to perform {operation} {_auth_name(obj.KIND)} [{obj.oid}]"
            raise unauthorized(self.uid, what)
        if obj.lock is not None and not ignore_lock and _BIT[operation] >= obj.lock.level - 1:
            raise unauthorized(self.uid, f"{_auth_name(obj.KIND)} is locked. [{obj.oid}]")

    def demand_admin(self, operation: str, name: str) -> None:
        """Raise unless the caller is of group oneadmin (objects ordinary users cannot make)."""
        if not self.is_admin:
            raise unauthorized(self.uid, f"Not authorized to perform {operation} {name}")


def _auth_name(kind: str) -> str:
    return {"vnet": "NET", "vmtemplate": "TEMPLATE", "secgroup": "SECGROUP"}.get(kind, kind.upper())


def digest(password: str) -> str:
    """How passwords of the core driver are kept."""
    return hashlib.sha256(password.encode()).hexdigest()


def first_template() -> Template:
    """The attributes of a new user: the password by which oned makes OneGate tokens."""
    return Template.of(TOKEN_PASSWORD=secrets.token_hex(32))


def authenticate(store: Store, session: str) -> Caller:
    """The user of a session string `name:password`, or a refusal."""
    name, _, password = session.partition(":")
    user = store.by_name(User, name)
    if user is None or not user.enabled or digest(password) != user.password and password not in user.tokens:
        raise ApiError(Code.AUTHENTICATION, "User couldn't be authenticated, aborting call.")
    return caller(user)


def caller(user: User) -> Caller:
    """The rights of a user."""
    return Caller(user.oid, user.gid, user.name, user.gname, frozenset(user.groups))
