"""one.user.*, one.group.* and their pools."""
from __future__ import annotations

import secrets
from collections.abc import Sequence

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import quotas
from sandbox.frontend.objects.errors import ApiError, internal, no_exists, not_allocated
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.store import FIRST_USER_ID
from sandbox.frontend.objects.users import (
    MANAGE,
    USE,
    USERS_GROUP,
    Caller,
    Group,
    Limited,
    User,
    digest,
    first_template,
)


def _show_quotas(frontend: Frontend, owner: Limited) -> None:
    owner.shown = quotas.xml(frontend.store, owner) if owner.limits else ""


shared_calls.add_plain_pool("user", User, _show_quotas)
shared_calls.add_plain_pool("group", Group, _show_quotas)


def _add_quota(name: str, kind: type[Limited]) -> None:
    @api(f"one.{name}.quota", "is")
    def quota(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
        owner = frontend.store.get(kind, oid)
        who.demand_admin("ADMIN", name.upper())
        quotas.set_limits(owner, shared_calls.read_template(text))
        frontend.store.put(owner)
        return oid


_add_quota("user", User)
_add_quota("group", Group)


@api("one.user.info", "i?b")
def info(frontend: Frontend, who: Caller, oid: int, decrypt: bool = False) -> str:
    """A user; -1 is the caller."""
    user = frontend.store.get(User, who.uid if oid == -1 else oid)
    who.demand(USE, user)
    _show_quotas(frontend, user)
    return user.to_xml()


@api("one.group.info", "i?b")
def group_info(frontend: Frontend, who: Caller, oid: int, decrypt: bool = False) -> str:
    """A group; -1 is the caller's."""
    group = frontend.store.get(Group, who.gid if oid == -1 else oid)
    who.demand(USE, group)
    _show_quotas(frontend, group)
    return group.to_xml()


@api("one.user.allocate", "ss?sa")
def allocate(
    frontend: Frontend, who: Caller, name: str, password: str, driver: str = "core",
    groups: Sequence[int] = (),
) -> int:
    """A new user of these groups, the first of which is its own; of group `users` without any."""
    who.demand_admin("CREATE", "USER")
    found = [frontend.store.get(Group, number) for number in groups or (USERS_GROUP,)]
    taken = frontend.store.by_name(User, name)
    if taken is not None:
        raise internal(f"NAME is already taken by USER {taken.oid}.")
    try:
        check_name(name)
    except ApiError as failure:
        raise not_allocated("user", failure.text) from failure
    if driver not in ("", "core"):
        raise internal(f"The stand-in front-end has no authentication driver {driver}")
    user = User(frontend.store.next_id("user"), gid=found[0].oid, gname=found[0].name, name=name,
                password=digest(password), groups=[group.oid for group in found], template=first_template())
    frontend.store.put(user)
    for group in found:
        group.users.append(user.oid)
        frontend.store.put(group)
    who.extra = user.to_xml()
    return user.oid


@api("one.user.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change a user's template."""
    user = frontend.store.get(User, oid)
    who.demand(MANAGE, user)
    restricted = frontend.config.names("USER_RESTRICTED_ATTR")
    shared_calls.replace_template(frontend, who, user, text, way, restricted)
    return oid


@api("one.user.login", "ss?ii")
def login(
    frontend: Frontend, who: Caller, name: str, token: str, seconds: int = 36000, group: int = -1
) -> str:
    """A token that works like the password until it is reset; it does not expire."""
    user = frontend.store.by_name(User, name)
    if user is None:
        raise no_exists("user", -1)
    who.demand(MANAGE, user)
    if token and seconds == 0:
        user.tokens = [one for one in user.tokens if one != token]
        frontend.store.put(user)
        return ""
    made = secrets.token_hex(32)
    user.tokens.append(made)
    frontend.store.put(user)
    return made


@api("one.group.allocate", "s")
def group_allocate(frontend: Frontend, who: Caller, name: str) -> int:
    """A new group."""
    who.demand_admin("CREATE", "GROUP")
    taken = frontend.store.by_name(Group, name)
    if taken is not None:
        raise internal(f"NAME is already taken by GROUP {taken.oid}.")
    group = Group(frontend.store.next_id("group", FIRST_USER_ID), name=name)
    frontend.store.put(group)
    who.extra = group.to_xml()
    return group.oid
