"""The networks of a drill's VMs: one for each network by the mapping, else DR_DRILL_NETWORK. Pure.

By name one of the admins' counts: users give their reservations any. What a user's VM or network lacks keeps
that VM out of the drill, and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onedr.model import parsing, template
from onedr.model.errors import RefusedError
from onedr.model.site_map import Name
from onedr.model.text import NOTHING, Sentence, filled
from onedr.opennebula.nics import (
    ADMINS,
    NETWORK_OWNER,
    Counterparts,
    Network,
    network_called,
    network_id,
    of_template,
)
from onedr.opennebula.nics import find_network as find_production
from onedr.replication.inventory import VmItem


def of_nic(nic: template.Pairs, here: Counterparts, standard: str) -> Network | None:
    """The drill network here for a NIC of the other site; None: it does not exist. `standard`:
    DR_DRILL_NETWORK.
    """
    return _find(_called(nic, here, standard), here)


def _find(called: Name, here: Counterparts) -> Network | None:
    """By an admins' name, or by the id of any."""
    found = network_called(here.networks, called)
    if isinstance(called, int) or (found is not None and ADMINS in (found.owner, found.group)):
        return found
    number = parsing.plain_number(called)
    return network_called(here.networks, number) if number is not None else None


def _called(nic: template.Pairs, here: Counterparts, standard: str) -> Name:
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
    first = _find(standard, here) if standard else None
    if standard and first is None:
        return Sentence(
            f"DR_DRILL_NETWORK={standard}: there is no virtual network of this name here that is oneadmin's. "
            "Create it, or choose another one; one of another user is named by its id."
        )
    found: dict[int, Network] = {first.network_id: first} if first else {}
    for item in vms:
        for nic in of_template(item.record.template):
            network, called = of_nic(nic, here, standard), _called(nic, here, standard)
            if network is None and called:
                return Sentence(
                    f"The drill network {called} of {template.get(nic, 'NETWORK')} in onedr map does not "
                    "exist here, or is not oneadmin's. Create it, or name another; a user's by its id."
                )
            found.update({network.network_id: network} if network else {})
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


def obstacle(item: VmItem, here: Counterparts, standard: str, vms: Sequence[VmItem]) -> str:
    """Why this one of the VMs cannot be drilled; empty when it can."""
    own = [(nic, of_nic(nic, here, standard)) for nic in of_template(item.record.template)]
    for nic, found in own:
        there = template.get(nic, "NETWORK")
        if found is None:
            todo = "name one in onedr map (drill), or set DR_DRILL_NETWORK"
            return f"its network {there} has no drill network here: {todo}"
    others = (of_nic(nic, here, standard) for each in vms for nic in of_template(each.record.template))
    for network in {each.network_id: each for each in others if each is not None}.values():
        for nic, _ in own:
            held = _held(nic, network) if template.get(nic, NETWORK_OWNER) else ""
            if held:
                there = f"{template.get(nic, 'NETWORK')}, of user {template.get(nic, NETWORK_OWNER)},"
                return f"its network {there} shares {held} with the drill network {network.name}"
    return ""


def _meets_production(network: Network, here: Counterparts, vms: Iterable[VmItem]) -> str:
    """Would a failover use the drill network, or could it assign an address or MAC of production?

    Returns how. Of NICs in users' networks there the addresses are no production's: `obstacle`.
    """
    for item in vms:
        for nic in of_template(item.record.template):
            if _production(nic, here, item.record.owner) == network.network_id:
                return f"after a failover VM {item.record.name} would use it"
            held = "" if template.get(nic, NETWORK_OWNER) else _held(nic, network)
            if held:
                return f"its range contains {held} of VM {item.record.name}"
    return ""


def _production(nic: template.Pairs, here: Counterparts, owner: str) -> int | None:
    """Id of the network here that a failover would give a NIC; None where it would not come."""
    try:
        return find_production(nic, here, owner).network_id
    except RefusedError:
        return None


def _held(nic: template.Pairs, network: Network) -> str:
    """What of a NIC lies in the ranges of a network, for people; empty for nothing."""
    address, mac = template.get(nic, "IP"), template.get(nic, "MAC")
    if address and network.holds(address):
        return f"{address}, the address"
    return f"{mac}, a MAC" if mac and network.range_of_mac(mac) is not None else ""
