"""Would a VM of the peer start here?

Networks, addresses, capacity: found before anything is changed.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from onedr.model import template
from onedr.opennebula.vm_template import Network
from onedr.replication.inventory import VmItem


@dataclass(frozen=True)
class Host:
    """A host that may take VMs: what is free, CPU in hundredths of a core, memory in MiB."""

    name: str
    free_cpu: int
    free_mib: int


@dataclass(frozen=True)
class Placement:
    """What this site has for the peer's VMs.

    `taken`: who holds an address or MAC, by network name and address.
    """

    networks: Mapping[str, Network] = field(default_factory=dict)
    network_map: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[tuple[str, str], str] = field(default_factory=dict)
    hosts: tuple[Host, ...] | None = None  # None: not known


def networks_wanted(items: Iterable[VmItem], network_map: Mapping[str, str]) -> set[str]:
    """Names here of the networks these VMs need."""
    return {_here(nic, network_map) for item in items for nic in _nics(item)}


def _nics(item: VmItem) -> Iterable[template.Pairs]:
    for kind in ("NIC", "NIC_ALIAS"):
        yield from template.vectors(item.record.template, kind)


def _here(nic: template.Pairs, network_map: Mapping[str, str]) -> str:
    there = template.get(nic, "NETWORK")
    return network_map.get(there, there)


def blockers(items: Iterable[VmItem], ground: Placement) -> dict[str, str]:
    """By origin, why a VM cannot be created here: a network without counterpart, an address somebody else
    has.

    Of two VMs that would get the same address (their networks were mapped to one) the later one is left out.
    """
    taken = dict(ground.taken)
    found: dict[str, str] = {}
    for item in items:
        reasons = []
        for nic in _nics(item):
            name = _here(nic, ground.network_map)
            network = ground.networks.get(name)
            if network is None:
                reasons.append(_no_network(template.get(nic, "NETWORK"), name))
                continue
            address = _address(nic, network)
            holder = taken.get((name, address)) if address else None
            if holder:
                reasons.append(
                    f"its address {address} in network {name!r} belongs to {holder} here; free it first"
                )
            elif address:
                taken[(name, address)] = f"VM {item.record.name} of the peer"
        if reasons:
            found[item.origin] = "; ".join(reasons)
    return found


def _no_network(there: str, here: str) -> str:
    hint = f"create {here!r}, or name another in DR_NETWORK_MAP ({there}=<network here>)"
    return f"its network {there!r} has no counterpart here: {hint}"


def _address(nic: template.Pairs, network: Network) -> str:
    """The address or MAC that would be asked for; empty when the network here gives one (as in
    vm_template.recreate).
    """
    address, mac = template.get(nic, "IP"), template.get(nic, "MAC")
    if address:
        return address if network.holds(address) else ""
    return mac if mac and network.holds_mac(mac) else ""


def without_capacity(items: Iterable[VmItem], ground: Placement) -> dict[str, str]:
    """By origin, of VMs in the order in which they start: a warning for each that no host has room for.

    First fit, as a rough guide: the scheduler has the last word, such a VM stays PENDING until there is room.
    """
    if ground.hosts is None:
        return {}
    free = {host.name: [host.free_cpu, host.free_mib] for host in ground.hosts}
    found = {}
    for item in items:
        cpu, mib = _needs(item)
        place = next((room for room in free.values() if room[0] >= cpu and room[1] >= mib), None)
        if place is None:
            needs = f"{cpu / 100:g} CPU, {mib} MiB"
            found[item.origin] = f"no host here has room for it ({needs}): it will stay PENDING until one has"
        else:
            place[0] -= cpu
            place[1] -= mib
    return found


def _needs(item: VmItem) -> tuple[int, int]:
    cpu, memory = (
        template.get(item.record.template, "CPU", "0"),
        template.get(item.record.template, "MEMORY", "0"),
    )
    try:
        return round(float(cpu) * 100), round(float(memory))
    except ValueError:
        return 0, 0  # oned itself judges a template it once took
