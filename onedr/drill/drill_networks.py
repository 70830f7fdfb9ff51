"""The networks of a drill's VMs: one for each network by the mapping, else DR_DRILL_NETWORK. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onedr.failover import placement
from onedr.model import template
from onedr.model.text import NOTHING, Sentence, filled
from onedr.opennebula.nics import Counterparts, Network, network_called, network_id, of_template
from onedr.replication.inventory import VmItem


def of_nic(nic: template.Pairs, here: Counterparts, standard: str) -> Network | None:
    """The drill network here for a NIC of the other site; None: it does not exist. `standard`:
    DR_DRILL_NETWORK.
    """
    return network_called(here.networks, _called(nic, here, standard))


def _called(nic: template.Pairs, here: Counterparts, standard: str) -> str | int:
    """Name or id of the drill network of a NIC; empty: none is named."""
    mapped = here.mapping.drill(template.get(nic, "NETWORK"), network_id(nic)) if here.mapping else ""
    return mapped or standard


def names(here: Counterparts, standard: str, vms: Iterable[VmItem]) -> str:
    """Names of the drill networks of these VMs, for people; `standard` where they have no NIC."""
    every = (of_nic(nic, here, standard) for item in vms for nic in of_template(item.record.template))
    return ", ".join(dict.fromkeys(network.name for network in every if network is not None)) or standard


def refusal(here: Counterparts, standard: str, vms: Sequence[VmItem]) -> Sentence:
    """Why these VMs cannot be drilled in the networks that are named; empty when they can."""
    if not standard and not any(_named(item, here) for item in vms):
        return Sentence(
            "A drill's VMs need a separate network: set DR_DRILL_NETWORK of the datastore to a virtual "
            "network here, or name one for each network in onedr map (drill)."
        )
    if standard and standard not in here.networks:
        return Sentence(
            f"DR_DRILL_NETWORK={standard}: there is no virtual network of this name here. Create it, or "
            "choose another one."
        )
    found: dict[int, Network] = (
        {here.networks[standard].network_id: here.networks[standard]} if standard else {}
    )
    for item in vms:
        for nic in of_template(item.record.template):
            network = of_nic(nic, here, standard)
            if network is None:
                return _missing(nic, here, standard, item)
            found[network.network_id] = network
    for network in found.values():
        meets = _meets_production(network, here, vms)
        if meets:
            named = (
                f"DR_DRILL_NETWORK={standard}"
                if network.name == standard
                else f"Drill network {network.name}"
            )
            text = f"{named} is not isolated from production: {{}}. Use a separate network for drills."
            return filled(text, meets)
    return NOTHING


def _named(item: VmItem, here: Counterparts) -> bool:
    return any(_called(nic, here, "") for nic in of_template(item.record.template))


def _missing(nic: template.Pairs, here: Counterparts, standard: str, item: VmItem) -> Sentence:
    there, called = template.get(nic, "NETWORK"), _called(nic, here, standard)
    if not called:
        todo = "has no drill network here: name one in onedr map (drill), or set DR_DRILL_NETWORK."
        return Sentence(f"Network {there} of VM {item.record.name} {todo}", f"A VM's network {todo}")
    return Sentence(
        f"The drill network {called} of {there} in onedr map does not exist here. Create it, or "
        "name another one."
    )


def _meets_production(network: Network, here: Counterparts, vms: Iterable[VmItem]) -> str:
    """Would a failover use the drill network, or could it assign an address or MAC of production?

    Returns how.
    """
    for item in vms:
        if {network.name, str(network.network_id)} & placement.networks_wanted([item], here):
            return f"after a failover VM {item.record.name} would use it"
        for nic in of_template(item.record.template):
            address, mac = template.get(nic, "IP"), template.get(nic, "MAC")
            if address and network.holds(address):
                return f"its range contains {address}, the address of VM {item.record.name}"
            if mac and network.range_of_mac(mac) is not None:
                return f"its range contains {mac}, a MAC of VM {item.record.name}"
    return ""
