"""one.vn.* and one.vnpool.info."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import vnets
from sandbox.frontend.objects.errors import ApiError, action, internal, not_allocated
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.users import MANAGE, Caller
from sandbox.frontend.objects.vnets import VNet

shared_calls.add_info("vn", VNet)
shared_calls.add_pool("vn", VNet)
shared_calls.add_rename("vn", VNet, "NET")
shared_calls.add_ownership("vn", VNet)
shared_calls.add_lock("vn", VNet)


@api("one.vn.allocate", "s?i")
def allocate(frontend: Frontend, who: Caller, text: str, cluster: int = -1) -> int:
    """Create a network; no network driver runs."""
    template = shared_calls.read_template(text)
    who.demand_admin("CREATE", "NET")
    name = template.take("NAME")
    try:
        check_name(name)
    except ApiError as failure:
        raise not_allocated("virtual network", failure.text) from failure
    taken = frontend.store.by_name(VNet, name, who.uid)
    if taken is not None:
        raise internal(f"NAME is already taken by NET {taken.oid}.")
    made = VNet(**who.owner_of(frontend.store.peek_id("vnet")), name=name,
                clusters=[0 if cluster == -1 else cluster])
    vnets.make(made, template)
    frontend.store.next_id("vnet")
    frontend.store.put(made)
    who.extra = made.to_xml()
    return made.oid


@api("one.vn.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change the template; driver and bridge stay unless named."""
    network = frontend.store.get(VNet, oid)
    who.demand(MANAGE, network)
    old = network.template.clone()
    restricted = frontend.config.names("VNET_RESTRICTED_ATTR")
    shared_calls.replace_template(frontend, who, network, text, way, restricted)
    for key in ("VN_MAD", "BRIDGE", "BRIDGE_TYPE", "OUTER_VLAN_ID", "PHYDEV", "VLAN_ID", "SECURITY_GROUPS"):
        if key not in network.template and key in old:
            network.template[key] = old[key]
    frontend.store.put(network)
    return oid


@api("one.vn.delete", "i")
def delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Remove a network without leases."""
    network = frontend.store.get(VNet, oid)
    who.demand(MANAGE, network)
    if any(one.leases for one in network.ranges):
        raise action("Cannot delete virtual network. Can not remove a virtual network with leases in use")
    who.extra = network.to_xml()
    frontend.store.drop(network)
    return oid


def _lease(frontend: Frontend, who: Caller, oid: int, text: str) -> tuple[VNet, dict[str, str]]:
    network = frontend.store.get(VNet, oid)
    who.demand(MANAGE, network)
    lease = shared_calls.read_template(text).vector("LEASES")
    if lease is None:
        raise internal("Empty lease description.")
    return network, lease


@api("one.vn.hold", "is")
def hold(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """Keep an address from VMs."""
    network, lease = _lease(frontend, who, oid, text)
    network.hold(lease)
    frontend.store.put(network)
    return oid


@api("one.vn.release", "is")
def release(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """Give a held address free."""
    network, lease = _lease(frontend, who, oid, text)
    network.free_held(lease)
    frontend.store.put(network)
    return oid
