"""Network interfaces of a VM and what context says of them."""
from __future__ import annotations

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, internal
from sandbox.frontend.objects.templates import Vector, leading_int
from sandbox.frontend.objects.users import USE, Caller, User
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.objects.vnets import VNet

# Variable of the guest, attribute of the NIC.
_CONTEXT_KEYS = {
    "MAC": "MAC", "IP": "IP", "MASK": "NETWORK_MASK", "NETWORK": "NETWORK_ADDRESS", "MTU": "GUEST_MTU",
    "METHOD": "METHOD", "METRIC": "METRIC", "DNS": "DNS", "SEARCH_DOMAIN": "SEARCH_DOMAIN",
    "GATEWAY": "GATEWAY", "IP6": "IP6", "IP6_GATEWAY": "GATEWAY6", "IP6_METHOD": "IP6_METHOD",
    "IP6_METRIC": "IP6_METRIC", "IP6_PREFIX_LENGTH": "PREFIX_LENGTH", "IP6_ULA": "IP6_ULA",
    "VLAN_ID": "VLAN_ID", "VROUTER_IP": "VROUTER_IP", "VROUTER_IP6": "VROUTER_IP6",
    "VROUTER_MANAGEMENT": "VROUTER_MANAGEMENT", "EXTERNAL": "EXTERNAL", "ROUTES": "ROUTES",
}


def network_of(frontend: Frontend, who: Caller, nic: Vector) -> VNet:
    """The network a NIC names by id or by name."""
    if "NETWORK_ID" in nic:
        oid = leading_int(nic["NETWORK_ID"])
        found = frontend.store.find(VNet, -1 if oid is None else oid)
        if found is None:
            raise internal(f"Virtual network with ID: {nic['NETWORK_ID']} does not exist")
        return found
    name = nic.get("NETWORK", "")
    uid: int | None = who.uid
    if "NETWORK_UID" in nic:
        uid = leading_int(nic["NETWORK_UID"])
    elif "NETWORK_UNAME" in nic:
        user = frontend.store.by_name(User, nic["NETWORK_UNAME"])
        uid = -1 if user is None else user.oid
    found = frontend.store.by_name(VNet, name, uid)
    if found is None:
        raise internal(f"User {who.uid} does not own a network with name: {name} . Set NETWORK_UNAME or"
                       " NETWORK_UID of owner in NIC.")
    return found


def connect(frontend: Frontend, who: Caller, vm: VM, nic: Vector, number: int) -> None:
    """Lease an address and fill a NIC."""
    network = network_of(frontend, who, nic)
    who.demand(USE, network)
    network.lease(nic, vm.oid)
    network.fill_nic(nic)
    nic.setdefault("NAME", f"NIC{number}")
    nic |= {"NIC_ID": str(number), "TARGET": f"one-{vm.oid}-{number}"}
    frontend.store.put(network)


def take_leases(frontend: Frontend, who: Caller, vm: VM) -> None:
    """All NICs of a new VM; on a failure those already leased are given back."""
    defaults = vm.template.vector("NIC_DEFAULT") or {}
    for number, nic in enumerate(vm.nics):
        for key, value in defaults.items():
            nic.setdefault(key, value)
        try:
            connect(frontend, who, vm, nic, number)
        except ApiError:
            release_leases(frontend, vm)
            raise
    set_security_rules(vm)


def set_security_rules(vm: VM) -> None:
    """The rules of the default group, which is the only one here."""
    vm.template.pop("SECURITY_GROUP_RULE", None)
    groups = {group for nic in vm.nics for group in nic.get("SECURITY_GROUPS", "").split(",") if group}
    for group in sorted(groups):
        for way in ("OUTBOUND", "INBOUND"):
            vm.template.add("SECURITY_GROUP_RULE", {
                "PROTOCOL": "ALL", "RULE_TYPE": way, "SECURITY_GROUP_ID": group,
                "SECURITY_GROUP_NAME": "default"})


def release_leases(frontend: Frontend, vm: VM) -> None:
    """Give back every address."""
    for nic in vm.nics:
        release(frontend, vm, nic)


def release(frontend: Frontend, vm: VM, nic: Vector) -> None:
    """Give back the address of one NIC."""
    network = frontend.store.find(VNet, leading_int(nic.get("NETWORK_ID", "")) or 0)
    if network is not None and "NETWORK_ID" in nic:
        network.release(nic, vm.oid)
        frontend.store.put(network)


def fill_context(vm: VM) -> None:
    """ETHn variables in CONTEXT when NETWORK=YES."""
    vector = vm.template.vector("CONTEXT")
    if vector is None or vector.get("NETWORK", "NO").upper() != "YES":
        return
    for key in [key for key in vector if key.startswith("ETH")]:
        del vector[key]
    for nic in vm.nics:
        for variable, attribute in _CONTEXT_KEYS.items():
            vector[f"ETH{nic['NIC_ID']}_{variable}"] = nic.get(attribute, "")
