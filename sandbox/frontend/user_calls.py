"""one.user.*, one.group.* and their pools."""
from __future__ import annotations

import secrets

from sandbox.frontend import shared_calls
from sandbox.frontend.calls import api, not_supported
from sandbox.frontend.context import Frontend
from sandbox.frontend.errors import ApiError, action, internal, no_exists, not_allocated
from sandbox.frontend.objects import check_name
from sandbox.frontend.store import FIRST_USER_ID
from sandbox.frontend.users import ADMIN, MANAGE, USE, USERS_GROUP, Caller, Group, User, digest

shared_calls.add_plain_pool("user", User)
shared_calls.add_plain_pool("group", Group)
shared_calls.add_update("group", Group)
for _name in ("one.user.quota", "one.userquota.info", "one.userquota.update", "one.group.quota",
              "one.groupquota.info", "one.groupquota.update", "one.group.addadmin", "one.group.deladmin"):
    not_supported(_name)


@api("one.user.info", "i?b")
def info(frontend: Frontend, who: Caller, oid: int, decrypt: bool = False) -> str:
    """A user; -1 is the caller."""
    user = frontend.store.get(User, who.uid if oid == -1 else oid)
    who.demand(USE, user)
    return user.to_xml()


@api("one.group.info", "i?b")
def group_info(frontend: Frontend, who: Caller, oid: int, decrypt: bool = False) -> str:
    """A group; -1 is the caller's."""
    group = frontend.store.get(Group, who.gid if oid == -1 else oid)
    who.demand(USE, group)
    return group.to_xml()


@api("one.user.allocate", "ss?s")
def allocate(frontend: Frontend, who: Caller, name: str, password: str, driver: str = "core") -> int:
    """A new user of group `users`."""
    who.demand_admin("CREATE", "USER")
    if frontend.store.by_name(User, name) is not None:
        raise internal(f"NAME is already taken by USER {_id_of(frontend, name)}.")
    try:
        check_name(name)
    except ApiError as failure:
        raise not_allocated("user", failure.text) from failure
    if driver not in ("", "core"):
        raise internal(f"The stand-in front-end has no authentication driver {driver}")
    group = frontend.store.get(Group, USERS_GROUP)
    user = User(frontend.store.next_id("user"), gid=group.oid, gname=group.name, name=name,
                password=digest(password), groups=[group.oid])
    group.users.append(user.oid)
    frontend.store.put(user)
    frontend.store.put(group)
    who.extra = user.to_xml()
    return user.oid


def _id_of(frontend: Frontend, name: str) -> int:
    found = frontend.store.by_name(User, name)
    return found.oid if found else -1


@api("one.user.delete", "i")
def delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Remove a user; what the user owns stays."""
    user = frontend.store.get(User, oid)
    who.demand_admin("ADMIN", f"USER [{oid}]")
    if oid == 0:
        raise action("Cannot delete user. oneadmin cannot be deleted.")
    who.extra = user.to_xml()
    for group in frontend.store.all(Group):
        if oid in group.users:
            group.users.remove(oid)
            frontend.store.put(group)
    frontend.store.drop(user)
    return oid


@api("one.user.passwd", "is")
def passwd(frontend: Frontend, who: Caller, oid: int, password: str) -> int:
    """Change a password."""
    user = frontend.store.get(User, oid)
    who.demand(MANAGE, user)
    user.password = digest(password)
    frontend.store.put(user)
    return oid


@api("one.user.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change a user's template."""
    user = frontend.store.get(User, oid)
    who.demand(MANAGE, user)
    shared_calls.replace_template(frontend, who, user, text, way, frontend.config.names("USER_RESTRICTED_ATTR"))
    return oid


@api("one.user.login", "ss?ii")
def login(frontend: Frontend, who: Caller, name: str, token: str, seconds: int = 36000, group: int = -1) -> str:
    """A token that works like the password until it is reset; times are not kept."""
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


@api("one.user.chgrp", "ii")
def chgrp(frontend: Frontend, who: Caller, oid: int, gid: int) -> int:
    """Change the main group."""
    user, group = frontend.store.get(User, oid), frontend.store.get(Group, gid)
    who.demand(ADMIN, user)
    _join(frontend, user, group)
    user.gid, user.gname = group.oid, group.name
    frontend.store.put(user)
    return oid


@api("one.user.addgroup", "ii")
def addgroup(frontend: Frontend, who: Caller, oid: int, gid: int) -> int:
    """Join a group."""
    user, group = frontend.store.get(User, oid), frontend.store.get(Group, gid)
    who.demand(ADMIN, user)
    _join(frontend, user, group)
    return oid


def _join(frontend: Frontend, user: User, group: Group) -> None:
    if group.oid not in user.groups:
        user.groups.append(group.oid)
        group.users.append(user.oid)
    frontend.store.put(user)
    frontend.store.put(group)


@api("one.user.delgroup", "ii")
def delgroup(frontend: Frontend, who: Caller, oid: int, gid: int) -> int:
    """Leave a group."""
    user, group = frontend.store.get(User, oid), frontend.store.get(Group, gid)
    who.demand(ADMIN, user)
    if user.gid == gid:
        raise action("Cannot remove user from the primary group.")
    if gid in user.groups:
        user.groups.remove(gid)
        group.users.remove(oid)
    frontend.store.put(user)
    frontend.store.put(group)
    return oid


@api("one.user.enable", "ib")
def enable(frontend: Frontend, who: Caller, oid: int, on: bool) -> int:
    """Let a user in, or keep the user out."""
    user = frontend.store.get(User, oid)
    who.demand(ADMIN, user)
    user.enabled = on
    frontend.store.put(user)
    return oid


@api("one.user.chauth", "is?s")
def chauth(frontend: Frontend, who: Caller, oid: int, driver: str, password: str = "") -> int:
    """Change driver and password; only driver core exists."""
    user = frontend.store.get(User, oid)
    who.demand(ADMIN, user)
    if driver != "core":
        raise internal(f"The stand-in front-end has no authentication driver {driver}")
    if password:
        user.password = digest(password)
        frontend.store.put(user)
    return oid


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


@api("one.group.delete", "i")
def group_delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Remove an empty group."""
    group = frontend.store.get(Group, oid)
    who.demand_admin("ADMIN", f"GROUP [{oid}]")
    if group.users or oid < FIRST_USER_ID:
        raise action("Cannot delete group. Group is not empty or a default one.")
    who.extra = group.to_xml()
    frontend.store.drop(group)
    return oid
