"""Network interfaces of a VM: names, leases, aliases, security groups."""
from __future__ import annotations

import re

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, internal, unsupported
from sandbox.frontend.objects.security_groups import SecurityGroup
from sandbox.frontend.objects.templates import Vector, leading_int
from sandbox.frontend.objects.users import USE, Caller, User
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.objects.vnets import VNet, group_ids

INHERIT_VNET = "INHERIT_VNET_ATTR"
# The names that oned gives.
_OWN_NAME = re.compile(r"NIC\d+(_ALIAS\d+)?")


def network_of(frontend: Frontend, who: Caller, nic: Vector) -> VNet | None:
    """The network that a NIC names by id or by name; None for a NIC without a network."""
    if nic.get("NETWORK_ID"):
        oid = leading_int(nic["NETWORK_ID"])
        found = frontend.store.find(VNet, -1 if oid is None else oid)
        if found is None:
            raise internal(f"Virtual network with ID: {nic['NETWORK_ID']} does not exist")
        return found
    name = nic.get("NETWORK", "")
    if not name:
        return None
    uid = _network_owner(frontend, who, nic)
    found = frontend.store.by_name(VNet, name, uid)
    if found is None:
        raise internal(f"User {uid} does not own a network with name: {name} . Set NETWORK_UNAME or"
                       " NETWORK_UID of owner in NIC.")
    return found


def _network_owner(frontend: Frontend, who: Caller, nic: Vector) -> int:
    if nic.get("NETWORK_UID"):
        uid = leading_int(nic["NETWORK_UID"])
        if uid is None:
            raise internal("Cannot get user in NETWORK_UID")
        return uid
    if nic.get("NETWORK_UNAME"):
        user = frontend.store.by_name(User, nic["NETWORK_UNAME"])
        if user is None:
            raise internal("User set in NETWORK_UNAME does not exist")
        return user.oid
    return who.uid


def connect(frontend: Frontend, who: Caller, vm: VM, nic: Vector, number: int) -> None:
    """Lease an address for a NIC or an alias and copy the network's attributes to it."""
    if nic.get("NETWORK_MODE"):
        raise unsupported("NETWORK_MODE of a NIC")
    nic["NIC_ID"] = str(number)
    network = network_of(frontend, who, nic)
    if network is None:
        return
    who.demand(USE, network)
    for oid in group_ids(nic.get("SECURITY_GROUPS", ""), network.template.text("SECURITY_GROUPS")):
        group = frontend.store.find(SecurityGroup, oid)
        if group is not None:
            who.demand(USE, group)
    network.lease(nic, vm.oid)
    network.fill_nic(nic, frontend.config.names(INHERIT_VNET))
    if not nic.get("TARGET"):
        nic["TARGET"] = f"one-{vm.oid}-{number}"
    frontend.store.put(network)


def _set_name(nic: Vector, default: str) -> None:
    """A name of the caller's that looks like one of oned's gets an underscore in front."""
    if not nic.get("NAME"):
        nic["NAME"] = default
    elif _OWN_NAME.fullmatch(nic["NAME"]):
        nic["NAME"] = f"_{nic['NAME']}"


def take_leases(frontend: Frontend, who: Caller, vm: VM) -> None:
    """All NICs and aliases of a new VM; on a failure those already leased are given back."""
    try:
        _connect_all(frontend, who, vm)
    except ApiError:
        release_leases(frontend, vm)
        raise
    set_security_rules(frontend, vm)


def _connect_all(frontend: Frontend, who: Caller, vm: VM) -> None:
    defaults = vm.template.vector("NIC_DEFAULT") or {}
    parents: dict[str, Vector] = {}
    for number, nic in enumerate(vm.nics):
        _merge(nic, defaults)
        connect(frontend, who, vm, nic, number)
        _set_name(nic, f"NIC{number}")
        parents.setdefault(nic["NAME"], nic)
    for number, alias in enumerate(vm.aliases, len(vm.nics)):
        parent = parents.get(alias.get("PARENT", ""))
        if parent is None:
            raise internal(f"NIC named {alias.get('PARENT', '')} not found for alias")
        place = len(_alias_ids(parent))
        _bind(alias, parent, number, place)
        connect(frontend, who, vm, alias, number)
        _set_name(alias, f"NIC{parent['NIC_ID']}_ALIAS{number}")


def _merge(nic: Vector, defaults: Vector) -> None:
    for key, value in defaults.items():
        nic.setdefault(key, value)


def _alias_ids(parent: Vector) -> list[str]:
    return [one for one in parent.get("ALIAS_IDS", "").split(",") if one]


def _bind(alias: Vector, parent: Vector, number: int, place: int) -> None:
    alias |= {"PARENT_ID": parent["NIC_ID"], "ALIAS_ID": str(place)}
    parent["ALIAS_IDS"] = ",".join([*_alias_ids(parent), str(number)])


def add(frontend: Frontend, who: Caller, vm: VM, nic: Vector, kind: str) -> int:
    """One more NIC or NIC_ALIAS (`kind`) for a VM that has a host; its NIC_ID."""
    number = max((int(other["NIC_ID"]) for other in vm.interfaces), default=-1) + 1
    parent = None
    if kind == "NIC_ALIAS":
        parent = next((one for one in vm.nics if one["NAME"] == nic.get("PARENT", "")), None)
        if parent is None:
            raise internal("Alias not found.")
        _set_name(nic, f"NIC{parent['NIC_ID']}_ALIAS{number}")
    else:
        _set_name(nic, f"NIC{number}")
    _merge(nic, vm.template.vector("NIC_DEFAULT") or {})
    connect(frontend, who, vm, nic, number)
    if parent is not None:
        last = max((int(one["ALIAS_ID"]) for one in vm.aliases), default=-1)
        _bind(nic, parent, number, last + 1 if _alias_ids(parent) else 0)
    vm.template.add(kind, nic)
    return number


def with_aliases(vm: VM, nic: Vector) -> list[Vector]:
    """A NIC and the aliases that are detached with it."""
    wanted = {nic["NIC_ID"], *_alias_ids(nic)}
    return [one for one in vm.interfaces if one["NIC_ID"] in wanted]


def drop(frontend: Frontend, vm: VM, nic: Vector) -> None:
    """Take a NIC, or an alias, off the record and give its address back."""
    release(frontend, vm, nic)
    kind = "NIC_ALIAS" if "ALIAS_ID" in nic else "NIC"
    vm.template[kind] = [one for one in vm.template[kind] if one is not nic]
    if not vm.template[kind]:
        del vm.template[kind]
    for parent in vm.nics:
        left = [one for one in _alias_ids(parent) if one != nic["NIC_ID"]]
        if "ALIAS_IDS" in parent:
            parent["ALIAS_IDS"] = ",".join(left)


def set_security_rules(frontend: Frontend, vm: VM) -> None:
    """Copy the rules of the security groups of all NICs to the VM, and note the VM at its groups."""
    vm.template.pop("SECURITY_GROUP_RULE", None)
    wanted = group_ids(*(nic.get("SECURITY_GROUPS", "") for nic in vm.nics))
    _join_groups(frontend, vm, wanted)
    for oid in wanted:
        group = frontend.store.find(SecurityGroup, oid)
        for rule in group.rules() if group is not None else []:
            for one in _expanded(frontend, rule):
                vm.template.add("SECURITY_GROUP_RULE", one)


def _expanded(frontend: Frontend, rule: Vector) -> list[Vector]:
    """A rule for a network becomes one for each of its address ranges, and none when the network is gone."""
    oid = leading_int(rule.get("NETWORK_ID", ""))
    if oid is None:
        return [rule]
    network = frontend.store.find(VNet, oid)
    keys = ("AR_ID", "TYPE", "SIZE", "MAC", "IP")
    return [{**rule, **{key: one.attributes[key] for key in keys if one.attributes.get(key)}}
            for one in (network.ranges if network is not None else [])]


def _join_groups(frontend: Frontend, vm: VM, wanted: list[int]) -> None:
    for group in frontend.store.all(SecurityGroup):
        if (vm.oid in group.vms) == (group.oid in wanted):
            continue
        if group.oid in wanted:
            group.vms.append(vm.oid)
        else:
            group.vms.remove(vm.oid)
        frontend.store.put(group)


def release_leases(frontend: Frontend, vm: VM) -> None:
    """Give back every address, and leave the security groups."""
    _join_groups(frontend, vm, [])
    for nic in vm.interfaces:
        release(frontend, vm, nic)


def release(frontend: Frontend, vm: VM, nic: Vector) -> None:
    """Give back the address of one NIC."""
    network = frontend.store.find(VNet, leading_int(nic.get("NETWORK_ID", "")) or 0)
    if network is not None and "NETWORK_ID" in nic:
        network.release(nic, vm.oid)
        frontend.store.put(network)
