"""one.hook.*, one.hookpool.info and one.hooklog.info."""
from __future__ import annotations

import re
from html import unescape

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import CALLS, api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.hooks.records import read_log
from sandbox.frontend.objects import hooks
from sandbox.frontend.objects.errors import action, internal
from sandbox.frontend.objects.hooks import Hook
from sandbox.frontend.objects.pool_object import PoolObject
from sandbox.frontend.objects.users import Caller

_ARGUMENTS = re.compile(r"<ARGUMENTS>(.*?)</ARGUMENTS>", re.DOTALL)


def _with_log(frontend: Frontend, obj: PoolObject) -> None:
    if isinstance(obj, Hook):
        obj.log = read_log(frontend.store, obj.oid)


shared_calls.add_pool("hook", Hook)
shared_calls.add_rename("hook", Hook, "HOOK")
shared_calls.add_lock("hook", Hook)


@api("one.hook.info", "i?b")
def info(frontend: Frontend, who: Caller, oid: int, decrypt: bool = False) -> str:
    """A hook with its execution records."""
    who.demand_admin("USE", f"HOOK [{oid}]")
    hook = frontend.store.get(Hook, oid)
    _with_log(frontend, hook)
    try:
        return hook.to_xml()
    finally:
        hook.log = ""


@api("one.hook.allocate", "s")
def allocate(frontend: Frontend, who: Caller, text: str) -> int:
    """Register a hook."""
    template = shared_calls.read_template(text)
    who.demand_admin("CREATE", "HOOK")
    name, kind = template.take("NAME"), template.take("TYPE").lower()
    if kind not in ("api", "state"):
        raise internal("Invalid Hook TYPE: " + kind if kind else "Hook TYPE attribute not found")
    taken = frontend.store.by_name(Hook, name) if name else None
    if taken is not None:
        raise internal(f"NAME is already taken by HOOK {taken.oid}.")
    hooks.check(kind, template, set(CALLS))
    oid = frontend.store.next_id("hook")
    hook = Hook(oid, name=name or f"hook-{oid}", type=kind, template=template)
    frontend.store.put(hook)
    who.extra = hook.to_xml()
    return oid


@api("one.hook.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change a hook."""
    hook = frontend.store.get(Hook, oid)
    who.demand_admin("MANAGE", f"HOOK [{oid}]")
    shared_calls.replace_template(frontend, who, hook, text, way, [])
    return oid


@api("one.hook.delete", "i")
def delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Remove a hook and its log."""
    hook = frontend.store.get(Hook, oid)
    who.demand_admin("MANAGE", f"HOOK [{oid}]")
    who.extra = hook.to_xml()
    frontend.store.drop(hook)
    frontend.store.database.execute("DELETE FROM hook_log WHERE hook = ?", (oid,))
    return oid


@api("one.hook.retry", "ii")
def retry(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Run a recorded execution again."""
    hook = frontend.store.get(Hook, oid)
    who.demand_admin("MANAGE", f"HOOK [{oid}]")
    found = _ARGUMENTS.search(read_log(frontend.store, oid, number))
    if found is None:
        raise action("Invalid HookLog body. Arguments not found.")
    frontend.hooks.retry(hook, unescape(found.group(1)))
    return oid
