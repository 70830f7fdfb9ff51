"""A NIC of the other site as it is asked for here: network, address, security groups, aliases. Pure."""
from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.parsing import plain_number
from onedr.model.template import Pairs
from onedr.opennebula import attributes
from onedr.opennebula.attributes import GROUP_NAMES, Treatment

if TYPE_CHECKING:
    from onedr.model.site_map import Direction, Entry, Name

NETWORK_OWNER = "NETWORK_OWNER"  # likewise: whose its network is, where that is not the admins'
GIVEN_NAME = re.compile(r"_*NIC\d+(_ALIAS\d+)?")  # oned's own; it renames one that a caller gives
DEFAULT_GROUP = "0"  # the same group everywhere: it is made with the front-end
ADMINS = "oneadmin"  # the user, and the group of those who act for the site


@dataclass(frozen=True)
class Owned:
    """An object here that is found by its name. Its owner decides whose VMs it is for.

    `for_all`, `for_group`: may everybody, or its group, use it? An access rule may say more.
    """

    object_id: int
    owner: str
    roles: tuple[str, ...] = ()  # of a VM group
    group: str = ""
    for_all: bool = True
    for_group: bool = True


@dataclass(frozen=True)
class Range:
    """An address range: first IPv4, IPv6 and MAC address, empty where it has none, and how many. `prefixes`:
    of the IPv6 addresses that oned makes of a MAC (SLAAC), by IP6_GLOBAL and IP6_ULA.
    """

    ip: str
    mac: str
    size: int
    ip6: str = ""
    prefixes: Mapping[str, str] = field(default_factory=dict, hash=False)

    def mac_of(self, address: str) -> str:
        """The MAC oned gives with an IPv4 address of this range."""
        offset = int(ipaddress.IPv4Address(address)) - int(ipaddress.IPv4Address(self.ip))
        digits = f"{_mac(self.mac) + offset:012x}"
        return ":".join(digits[at : at + 2] for at in range(0, 12, 2))

    def ip6_with(self, address: str) -> str:
        """The IPv6 address oned gives with an IPv4 address of this range; empty where it gives none."""
        if not self.ip6:
            return ""
        offset = int(ipaddress.IPv4Address(address)) - int(ipaddress.IPv4Address(self.ip))
        return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(self.ip6)) + offset))


@dataclass(frozen=True)
class Network:
    """A virtual network of this site. `attributes`: what it says of its NICs (INHERIT_VNET_ATTR)."""

    network_id: int
    name: str
    ranges: tuple[Range, ...] = ()
    owner: str = ADMINS
    group: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    twins: tuple[Network, ...] = ()  # others of the same name
    clusters: frozenset[int] = frozenset()  # empty: not known

    def range_of(self, address: str) -> Range | None:
        """The range that holds an IPv4 address; None when none does, or it is not one."""
        try:
            wanted = int(ipaddress.IPv4Address(address))
        except ValueError:
            return None
        found = (part for part in self.ranges if part.ip)
        return next(
            (part for part in found if 0 <= wanted - int(ipaddress.IPv4Address(part.ip)) < part.size), None
        )

    def holds(self, address: str) -> bool:
        """Is the IPv4 address in one of the ranges?"""
        return self.range_of(address) is not None

    def holds_ip6(self, address: str) -> bool:
        """Is the IPv6 address in one of the ranges?"""
        try:
            wanted = int(ipaddress.IPv6Address(address))
        except ValueError:
            return False
        return any(
            0 <= wanted - int(ipaddress.IPv6Address(part.ip6)) < part.size for part in self.ranges if part.ip6
        )

    def range_of_mac(self, mac: str) -> Range | None:
        """The range that holds a MAC; None when none does."""
        found = (part for part in self.ranges if part.mac)
        return next((part for part in found if 0 <= _mac(mac) - _mac(part.mac) < part.size), None)


def _mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


@dataclass(frozen=True)
class Counterparts:
    """What this site has for the VMs of the other one; objects by name."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    network_map: Mapping[str, str] = field(default_factory=dict)  # name there: name or id here
    security_groups: Mapping[str, Sequence[Owned]] = field(default_factory=dict)
    security_group_map: Mapping[str, str] = field(default_factory=dict)  # name or id there: name or id here
    vm_groups: Mapping[str, Sequence[Owned]] = field(default_factory=dict)
    # images of type KERNEL, RAMDISK, CONTEXT
    files: Mapping[str, Sequence[Owned]] = field(default_factory=dict)
    mapping: Direction | None = None  # the file; its entries go before the two maps above
    # ids here by name of clusters, hosts and system datastores
    places: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def of_template(vm_template: Pairs) -> Iterator[Pairs]:
    """NICs and aliases of a VM."""
    for kind in ("NIC", "NIC_ALIAS"):
        yield from template.vectors(vm_template, kind)


def every_network(networks: Mapping[str, Network]) -> Iterator[Network]:
    """All networks, those of one name too."""
    for first in networks.values():
        yield from (first, *first.twins)


def network_called(networks: Mapping[str, Network], name: Name) -> Network | None:
    """The network of a name, or of an id; None when there is none."""
    if isinstance(name, str):
        return networks.get(name)
    return next((each for each in every_network(networks) if each.network_id == name), None)


Thing = TypeVar("Thing", Owned, Network)


def choose(found: Sequence[Thing], owner: str, named: bool = False) -> Thing | None:
    """Of the objects of a name the one that the VM's owner has, else the admins' one; None when it is not
    clear which. What another user made counts for no VM but his own, unless the operator `named` it, and it
    is the only one.
    """
    own = [each for each in found if each.owner == owner]
    admins = [each for each in found if ADMINS in (each.owner, each.group)]
    first = own or admins or (list(found) if named else [])
    return first[0] if len(first) == 1 else None


def network_here(nic: Pairs, here: Counterparts) -> tuple[str, bool]:
    """Name or id here of a NIC's network, and whether a mapping says so. Raises UnmappedError."""
    there = template.get(nic, "NETWORK")
    listed = _entry_of(nic, here)
    if here.mapping is not None and (listed is not None or there not in here.network_map):
        return str(here.mapping.one("networks", there, network_id(nic))), listed is not None
    return here.network_map.get(there, there), there in here.network_map


def network_id(nic: Pairs) -> int | None:
    """NETWORK_ID of a NIC, at its site."""
    return plain_number(template.get(nic, "NETWORK_ID"))


def _entry_of(nic: Pairs, here: Counterparts) -> Entry | None:
    """What the file says of a NIC's network."""
    if here.mapping is None:
        return None
    return here.mapping.entry("networks", template.get(nic, "NETWORK"), network_id(nic))


def find_network(nic: Pairs, here: Counterparts, owner: str) -> Network:
    """The network here for a NIC of the other site.

    Raises RefusedError when there is none that the VM's owner or the admins have, or several and it is not
    clear which is meant. Of another user's network there it is that user's here, whatever its name.
    """
    there, of = template.get(nic, "NETWORK"), template.get(nic, NETWORK_OWNER)
    name, mapped = network_here(nic, here)
    every = {str(each.network_id): each for each in every_network(here.networks)}
    if of and not _is_named_by_id(nic, here):
        return _users_network(there, name, of, here)
    if mapped and name in every:  # before names: a user may call his network by the number of another
        return every[name]
    network = here.networks.get(name)
    if network is None:
        raise RefusedError(
            f"its network {there!r} has no counterpart here: create {name!r}, or name another in "
            f"onedr map or DR_NETWORK_MAP ({there}=<network here>)."
        )
    of_name = (network, *network.twins)
    found = choose(of_name, owner, mapped)
    if found is None:
        ids = ", ".join(f"{each.network_id} of {each.owner}" for each in of_name)
        why = "there are several of that name here" if network.twins else f"{name!r} here is another user's"
        raise RefusedError(
            f"its network {there!r} is not clear: {why} ({ids}). "
            f"Name one by its id in onedr map or DR_NETWORK_MAP ({there}=<id>)."
        )
    return found


def _is_named_by_id(nic: Pairs, here: Counterparts) -> bool:
    number = network_id(nic)
    return here.mapping is not None and number is not None and here.mapping.is_listed("networks", "", number)


def _users_network(there: str, name: str, of: str, here: Counterparts) -> Network:
    """The network here of a user's one there: he may have given it the name of any other."""
    called = _owner_here(of, here)
    found = [
        each for each in every_network(here.networks)
        if name in (each.name, str(each.network_id)) and each.owner == called
    ]
    if len(found) != 1:
        raise RefusedError(
            f"its network {there!r} is user {of}'s there, and {called or 'that user'} has no network "
            f"{name!r} here: create it, or name another in onedr map, by the id of the one there."
        )
    return found[0]


def _owner_here(name: str, here: Counterparts) -> str:
    """Name here of a user of the other site; empty where it is not clear."""
    if here.mapping is None or not name:
        return name
    found = here.mapping.candidates("users", name)
    return str(found[0]) if len(found) == 1 else ""


def nic(found: Pairs, here: Counterparts, owner: str, warnings: list[str]) -> Pairs:
    """A NIC as it is asked for here. Raises RefusedError when its network or a security group is missing."""
    network = None if _waits_for_network(found) else find_network(found, here, owner)
    built: list[tuple[str, object]] = [
        ("NETWORK_ID", str(network.network_id)) if network is not None else ("NETWORK_MODE", "auto")
    ]
    built += _own_attributes(found, network or _NO_NETWORK, warnings)
    name = template.get(found, "NAME")
    if name and not GIVEN_NAME.fullmatch(name):
        built.append(("NAME", name))
    groups = security_groups(found, here, owner)
    if groups:
        built.append(("SECURITY_GROUPS", groups))
    if network is not None:
        built += _address(found, network, here, warnings)
    return tuple(built)


_NO_NETWORK = Network(-1, "")


def _waits_for_network(found: Pairs) -> bool:
    """Is its network still to be chosen by the scheduler, when the VM is first deployed?"""
    return template.get(found, "NETWORK_MODE").lower() == "auto" and not template.get(found, "NETWORK")


def _own_attributes(found: Pairs, network: Network, warnings: list[str]) -> Iterable[tuple[str, str]]:
    kept = []
    for key, value in found:
        treatment = attributes.rule(attributes.NIC, key).treatment
        if not value or treatment not in (Treatment.KEPT, Treatment.NETWORK):
            continue
        if treatment is Treatment.NETWORK and network.attributes.get(key):
            if network.attributes[key] != value:
                warnings.append(f"{key} of its NIC in {network.name!r} is {network.attributes[key]} here, "
                                f"as the network says; it was {value}")
            continue
        kept.append((key, value))
    warnings += attributes.said(attributes.NIC, [key for key, value in found if value], "NIC/")
    return kept


def _address(
    found: Pairs, network: Network, here: Counterparts, warnings: list[str]
) -> list[tuple[str, str]]:
    """One of IP, IP6 and MAC: oned takes no two, the others follow from the range (docs/opennebula-facts.md).

    Raises RefusedError for an address that the mapping moves out of the network's ranges.
    """
    mac = template.get(found, "MAC")
    address, ip6 = (_moved(template.get(found, key), found, network, here) for key in ("IP", "IP6"))
    part = network.range_of(address) if address else None
    if part is not None:
        follows = part.mac_of(address) if part.mac else mac
        if mac and follows != mac.lower():
            warnings.append(f"the MAC of its NIC with {address} is {follows} here; it was {mac}")
        if ip6 and part.ip6_with(address) != ip6.lower():
            warnings.append(
                f"the IP6 of its NIC with {address} is {part.ip6_with(address) or 'none'} here; it was {ip6}"
            )
        warnings += _other_slaac(found, part, follows)
        return [("IP", address)]
    if ip6 and not address and network.holds_ip6(ip6):
        return [("IP6", ip6)]
    part = network.range_of_mac(mac) if mac and not address and not ip6 else None
    if part is not None:
        warnings += _other_slaac(found, part, mac)
        return [("MAC", mac)]
    if address or ip6 or mac:
        what = "address" if address or ip6 else "MAC"
        warnings.append(
            f"network {network.name!r} does not hold {address or ip6 or mac}: the VM gets a new {what} there"
        )
    return []


def _other_slaac(found: Pairs, part: Range, mac: str) -> Iterator[str]:
    """IPv6 addresses that oned makes of a MAC and a prefix of the range, where they become others."""
    for key in ("IP6_GLOBAL", "IP6_ULA"):
        was = template.get(found, key)
        same = mac.lower() == template.get(found, "MAC").lower()
        if was and not (same and _prefix(was) == _prefix(part.prefixes.get(key, ""))):
            yield f"{key} of its NIC with {mac} is another here; it was {was}"


def _prefix(address: str) -> int | None:
    """The first 64 bits of an IPv6 address; None of what is none."""
    try:
        return int(ipaddress.IPv6Address(address)) >> 64
    except ValueError:
        return None


def address_here(address: str, nic: Pairs, here: Counterparts) -> str:
    """An address as the mapping's rules have it here, or as it is where none matches; empty where that is not
    clear.
    """
    if here.mapping is None or not address:
        return address
    try:
        return here.mapping.address(_entry_of(nic, here), address) or address
    except RefusedError:
        return ""


def _moved(address: str, nic: Pairs, network: Network, here: Counterparts) -> str:
    """An address as the mapping's rules have it here; as it is where none matches."""
    moved = here.mapping.address(_entry_of(nic, here), address) if here.mapping and address else None
    if moved is None:
        return address
    if not (network.holds(moved) or network.holds_ip6(moved)):
        raise RefusedError(
            f"its address {address} becomes {moved} by the mapping, which no range of network "
            f"{network.name!r} "
            f"here has: add one (onevnet addar {network.network_id}), or correct the rule in onedr map."
        )
    return moved


def security_groups(found: Pairs, here: Counterparts, owner: str) -> str:
    """Ids here of a NIC's security groups, comma separated; empty when it had none.

    Raises RefusedError when one is missing.
    """
    ids = [each.strip() for each in template.get(found, "SECURITY_GROUPS").split(",") if each.strip()]
    names = [each.strip() for each in template.get(found, GROUP_NAMES).split(",")] if ids else []
    known = dict(zip(ids, names)) if len(ids) == len(names) else {}
    return ",".join(_security_group(each, known.get(each, ""), here, owner) for each in ids)


def _security_group(there: str, name: str, here: Counterparts, owner: str) -> str:
    listed = here.mapping is not None and here.mapping.is_listed("security_groups", name, plain_number(there))
    mapped = here.security_group_map.get(there) or here.security_group_map.get(name)
    if here.mapping is not None and (listed or not mapped) and (name or listed):
        wanted = str(here.mapping.one("security_groups", name, plain_number(there)))
    else:
        wanted = mapped or name
    if there == DEFAULT_GROUP and not listed and not here.security_group_map.get(there):
        return DEFAULT_GROUP
    every = {str(each.object_id) for found in here.security_groups.values() for each in found}
    if wanted.isdigit() and wanted in every and wanted != name:
        return wanted
    named = bool(listed or mapped)
    chosen = choose(here.security_groups.get(wanted, ()), owner, named) if wanted else None
    if chosen is None:
        called = f"{wanted!r} ({there} at the other site)" if wanted else f"{there} of the other site"
        others = len(here.security_groups.get(wanted, ()))
        several = "is not clear: several have that name" if others > 1 else "is another user's"
        several = several if others else "is missing"
        raise RefusedError(
            f"its security group {called} {several} here; without it the VM would be open to everybody. "
            f"Create it, or name another in onedr map or DR_SECURITY_GROUP_MAP "
            f"({name or there}=<group here>)."
        )
    return str(chosen.object_id)
