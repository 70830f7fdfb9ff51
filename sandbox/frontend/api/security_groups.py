"""one.secgroup.* and one.secgrouppool.info."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, action, internal
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.security_groups import DEFAULT_GROUP, FIRST_GROUP_ID, SecurityGroup, check_rules
from sandbox.frontend.objects.templates import Template
from sandbox.frontend.objects.users import MANAGE, USE, Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm import nics

shared_calls.add_info("secgroup", SecurityGroup)
shared_calls.add_pool("secgroup", SecurityGroup)
shared_calls.add_rename("secgroup", SecurityGroup, "SECGROUP")
shared_calls.add_ownership("secgroup", SecurityGroup)


def _make(frontend: Frontend, who: Caller, template: Template) -> int:
    name = template.take("NAME")
    check_name(name)
    taken = frontend.store.by_name(SecurityGroup, name, who.uid)
    if taken is not None:
        raise internal(f"NAME is already taken by SecurityGroup {taken.oid}.")
    check_rules(template)
    oid = frontend.store.next_id("secgroup", FIRST_GROUP_ID)
    made = SecurityGroup(**who.owner_of(oid), name=name, template=template)
    frontend.store.put(made)
    who.extra = made.to_xml()
    return made.oid


@api("one.secgroup.allocate", "s")
def allocate(frontend: Frontend, who: Caller, text: str) -> int:
    """A new security group; every user may make one."""
    return _make(frontend, who, shared_calls.read_template(text))


@api("one.secgroup.clone", "is")
def clone(frontend: Frontend, who: Caller, oid: int, name: str) -> int:
    """A copy under another name."""
    found = frontend.store.get(SecurityGroup, oid)
    who.demand(USE, found)
    template = found.template.clone()
    template.put("NAME", name)
    return _make(frontend, who, template)


@api("one.secgroup.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change the rules; the VMs get them at once."""
    found = frontend.store.get(SecurityGroup, oid)
    who.demand(MANAGE, found)
    shared_calls.replace_template(frontend, who, found, text, way, [])
    _renew(frontend, found)
    return oid


@api("one.secgroup.commit", "ib")
def commit(frontend: Frontend, who: Caller, oid: int, recover: bool) -> int:
    """Give the VMs the rules again."""
    found = frontend.store.get(SecurityGroup, oid)
    who.demand(MANAGE, found)
    _renew(frontend, found)
    return oid


def _renew(frontend: Frontend, group: SecurityGroup) -> None:
    for oid in group.vms:
        vm = frontend.store.find(VM, oid)
        if vm is not None:
            nics.set_security_rules(frontend, vm)
            frontend.save(vm)


@api("one.secgroup.delete", "i")
def delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Remove a group that no VM has."""
    found = frontend.store.get(SecurityGroup, oid)
    who.demand(MANAGE, found)
    who.extra = found.to_xml()
    try:
        _check_deletable(found)
    except ApiError as failure:
        raise action(f"Cannot delete security group. {failure.text}") from failure
    frontend.store.drop(found)
    return oid


def _check_deletable(group: SecurityGroup) -> None:
    if group.oid == DEFAULT_GROUP:
        raise action("The default security group (ID 0) cannot be deleted.")
    if group.vms:
        raise action("The security group has VMs using it")
