"""Calls that every kind of object has: info, update, rename, chown, chmod, lock, pool listings."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import quotas, restrictions
from sandbox.frontend.objects.errors import ApiError, Code, TemplateError, action, internal, unauthorized
from sandbox.frontend.objects.pool_object import Lock, PoolObject, check_name
from sandbox.frontend.objects.store import Stored
from sandbox.frontend.objects.templates import Template, parse
from sandbox.frontend.objects.users import ADMIN, MANAGE, NO_QUOTAS, USE, Caller, Group, User

Kind = type[PoolObject]
ALL, MINE, MINE_AND_GROUPS, GROUP = -2, -3, -1, -4


def read_template(text: str) -> Template:
    """A template given by the user."""
    try:
        return parse(text)
    except TemplateError as failure:
        raise internal(str(failure)) from failure


def add_info(name: str, kind: Kind, prepare: Callable[[Frontend, PoolObject], None] | None = None) -> None:
    """`one.x.info`."""
    @api(f"one.{name}.info", "i?b")
    def info(frontend: Frontend, who: Caller, oid: int, decrypt: bool = False) -> str:
        found = frontend.store.get(kind, oid)
        who.demand(USE, found, ignore_lock=True)
        if prepare is not None:
            prepare(frontend, found)
        return found.to_xml()


def visible(who: Caller, obj: PoolObject, which: int) -> bool:
    """Filter flag of a pool call: -4 group, -3 mine, -2 all, -1 mine and my groups', n: of a user."""
    if which >= 0:
        return obj.uid == which and who.may(USE, obj)
    if which == MINE:
        return obj.uid == who.uid
    if which == GROUP:
        return obj.gid == who.gid
    if which == MINE_AND_GROUPS:
        return obj.uid == who.uid or obj.gid in who.groups
    return who.may(USE, obj)


def listing(
    frontend: Frontend, who: Caller, kind: Kind, which: int, start: int, end: int
) -> list[PoolObject]:
    """Objects of a pool call. A negative end is a page: `-n` objects from offset `start`."""
    found = [obj for obj in frontend.store.all(kind) if visible(who, obj, which)]
    if end < -1:
        return found[max(0, start):max(0, start) - end]
    return [obj for obj in found if (start < 0 or obj.oid >= start) and (end < 0 or obj.oid <= end)]


def pool_xml(root: str, objects: list[PoolObject]) -> str:
    """A pool document."""
    shown = "".join(obj.pool_xml() for obj in objects)
    if root in ("USER", "GROUP"):  # these pools also list default quotas
        shown += f"<DEFAULT_{root}_QUOTAS>{NO_QUOTAS}</DEFAULT_{root}_QUOTAS>"
    return f"<{root}_POOL>{shown}</{root}_POOL>"


def add_pool(name: str, kind: Kind) -> None:
    """`one.xpool.info` with filter and range."""
    @api(f"one.{name}pool.info", "iii?s")
    def info(frontend: Frontend, who: Caller, which: int, start: int, end: int, *_: Any) -> str:
        return pool_xml(kind.ROOT, listing(frontend, who, kind, which, start, end))


def add_plain_pool(
    name: str, kind: type[Stored], prepare: Callable[[Frontend, Stored], None] | None = None
) -> None:
    """`one.xpool.info` without parameters."""
    @api(f"one.{name}pool.info")
    def info(frontend: Frontend, who: Caller) -> str:
        found = [obj for obj in frontend.store.all(kind) if visible(who, obj, ALL)]
        for obj in found if prepare is not None else ():
            prepare(frontend, obj)  # type: ignore[misc]
        return pool_xml(kind.ROOT, [*found])


def replace_template(frontend: Frontend, who: Caller, obj: PoolObject, text: str, kind: int,
                     restricted: list[str], field: str = "template") -> None:
    """Change a template by one.*.update; a refused change leaves the old one."""
    if kind not in (0, 1):
        raise ApiError(Code.RPC_API, "Wrong update type")
    old: Template = getattr(obj, field)
    try:
        given = parse(text)
        if not who.is_admin:
            _check_restricted(given, old, restricted, append=kind == 1)
        made = old.clone() if kind == 1 else Template()
        made.merge(given)
        setattr(obj, field, made)
        obj.check_update(old)
    except (TemplateError, ApiError) as failure:
        setattr(obj, field, old)
        raise internal(f"Cannot update template. {failure}") from failure
    frontend.save(obj)


def _check_restricted(given: Template, old: Template, names: list[str], append: bool) -> None:
    name = restrictions.changed(given, old, names, append)
    if name and append:
        raise internal(f"User Template includes a restricted attribute {name}")
    if name:
        raise internal(f"Tried to change restricted attribute: {name}")


def add_update(name: str, kind: Kind, restricted: str = "") -> None:
    """`one.x.update`."""
    @api(f"one.{name}.update", "is?i")
    def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
        found = frontend.store.get(kind, oid)
        who.demand(MANAGE, found)
        replace_template(frontend, who, found, text, way, frontend.config.names(restricted))
        return oid


def add_rename(name: str, kind: Kind, label: str, unique: bool = True,
               renamed: Callable[[Frontend, Any], None] | None = None) -> None:
    """`one.x.rename`."""
    @api(f"one.{name}.rename", "is")
    def rename(frontend: Frontend, who: Caller, oid: int, new: str) -> int:
        found = frontend.store.get(kind, oid)
        who.demand(MANAGE, found)
        if found.name == new:
            return oid
        other = frontend.store.by_name(kind, new, found.uid) if unique else None
        if other is not None:
            raise action(f"{label} cannot be renamed to {new} because it collides with {label} {other.oid}")
        try:
            check_name(new)
        except ApiError as failure:
            raise action(failure.text) from failure
        found.name = new
        frontend.save(found)
        if renamed is not None:
            renamed(frontend, found)
        return oid


def _demand_quotas(frontend: Frontend, who: Caller, obj: PoolObject, uid: int, gid: int) -> None:
    """A new owner or group needs room for the object."""
    new_uid, new_gid = uid if uid != obj.uid else -1, gid if gid != obj.gid else -1
    refused = quotas.demand(frontend.store, quotas.of_object(obj), new_uid, new_gid)
    if refused:
        raise unauthorized(who.uid, refused)


def add_ownership(name: str, kind: Kind, unique: bool = True) -> None:
    """`one.x.chown` and `one.x.chmod`."""
    @api(f"one.{name}.chown", "iii")
    def chown(frontend: Frontend, who: Caller, oid: int, uid: int, gid: int) -> int:
        found = frontend.store.get(kind, oid)
        user = frontend.store.get(User, uid) if uid >= 0 else None
        group = frontend.store.get(Group, gid) if gid >= 0 else None
        who.demand(MANAGE, found)
        if user is not None and user.oid != found.uid:
            who.demand(MANAGE, user)
            other = frontend.store.by_name(kind, found.name, user.oid) if unique else None
            if other is not None:
                raise internal(f"{kind.ROOT} {found.name} is already owned by {kind.ROOT} {other.oid}")
        _demand_quotas(frontend, who, found, uid, gid)
        if user is not None:
            found.uid, found.uname = user.oid, user.name
        if group is not None:
            found.gid, found.gname = group.oid, group.name
        frontend.save(found)
        return oid

    @api(f"one.{name}.chmod", "iiiiiiiiii?b")
    def chmod(frontend: Frontend, who: Caller, oid: int, *bits: int) -> int:
        found = frontend.store.get(kind, oid)
        changed = [place for place, bit in enumerate(bits[:9])
                   if bit in (0, 1) and bit != found.permissions[place]]
        who.demand(ADMIN if any(place % 3 == 2 or place > 5 for place in changed) else MANAGE, found)
        for bit in bits[:9]:
            if bit not in (-1, 0, 1):
                raise internal(f"Wrong value: {bit}. Permission values must be 1, 0 or -1")
        for place in changed:
            found.permissions[place] = bits[place]
        frontend.save(found)
        return oid


def add_lock(name: str, kind: Kind) -> None:
    """`one.x.lock` and `one.x.unlock`."""
    @api(f"one.{name}.lock", "ii?b")
    def lock(frontend: Frontend, who: Caller, oid: int, level: int, test: bool = False) -> int:
        found = frontend.store.get(kind, oid)
        who.demand(MANAGE, found, ignore_lock=True)
        if level not in (1, 2, 3, 4):
            raise action("Wrong lock level specified")
        if found.lock is not None and test:
            raise action(str(found.lock.since))
        if found.lock is not None and found.lock.owner != who.uid and not who.is_admin:
            raise action("Error trying to lock the resource.")
        found.lock = Lock(1 if level == 4 else level, who.uid, int(time.time()))
        frontend.save(found)
        return oid

    @api(f"one.{name}.unlock", "i")
    def unlock(frontend: Frontend, who: Caller, oid: int) -> int:
        found = frontend.store.get(kind, oid)
        who.demand(MANAGE, found, ignore_lock=True)
        if found.lock is not None and found.lock.owner != who.uid and not who.is_admin:
            raise action("Cannot unlock: Lock is owned by another user")
        found.lock = None
        frontend.save(found)
        return oid
