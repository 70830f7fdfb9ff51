"""NICs of a VM at home against those it has at the other site: what to plug in, to unplug, and which security
groups to change. Pure.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.template import Pairs
from onedr.opennebula import attributes, nics
from onedr.opennebula.attributes import Treatment
from onedr.opennebula.nics import DEFAULT_GROUP, Counterparts, address_here, every_network, network_id

_LIMIT = re.compile(r"(IN|OUT)BOUND_\w+")
_Same = Callable[[Pairs, Pairs, Counterparts], bool]


@dataclass(frozen=True)
class Nics:
    """What has to change of a VM's NICs here: NICs and aliases of the record to plug in, NIC_IDs to unplug,
    those of aliases first; or why nothing is changed.
    """

    plug: tuple[Pairs, ...] = ()
    unplug: tuple[int, ...] = ()
    unclear: str = ""
    aliases: tuple[Pairs, ...] = ()


@dataclass(frozen=True)
class _Matched:
    """NICs, or aliases, that are the same here and there, and what is left of both."""

    pairs: tuple[tuple[Pairs, Pairs], ...]
    mine: tuple[Pairs, ...]
    theirs: tuple[Pairs, ...]


def changes(own: Pairs, there: Pairs, here: Counterparts) -> Nics:
    """NICs of a VM at home (`own`) against those it has at the other site. The same NIC has the same address
    (as the mapping moves it) or MAC, whatever its network is called there; else one on the same network
    counts. An alias is the same on the same NIC only. Where a network there has no counterpart all stay.
    """
    found, aliases = _matched(own, there, here)
    wanted = (*found.theirs, *aliases.theirs)
    unknown = {
        _network(nic) for nic in wanted
        if len(_networks_here(nic, here) & here.networks.keys()) != 1 or not _is_its_users(nic, here)
    }
    if unknown:
        return Nics(
            unclear=(
                f"network {', '.join(sorted(unknown))} of the other site has no counterpart "
                "here, or several (onedr map, DR_NETWORK_MAP)"
            )
        )
    return Nics(
        found.theirs, (*_ids(aliases.mine), *_ids(found.mine)), aliases=aliases.theirs,
    )


def _is_its_users(nic: Pairs, here: Counterparts) -> bool:
    """Is a network of a user there that user's here? Of any other it is not asked here."""
    try:
        return not template.get(nic, nics.NETWORK_OWNER) or bool(nics.find_network(nic, here, ""))
    except RefusedError:
        return False


def same_nics(own: Pairs, there: Pairs, here: Counterparts) -> dict[str, str]:
    """NIC_IDs here by those there, of NICs that are the same."""
    found, _ = _matched(own, there, here)
    return {template.get(other, "NIC_ID"): template.get(mine, "NIC_ID") for mine, other in found.pairs}


def parent_of(alias: Pairs, own: Pairs, there: Pairs, here: Counterparts) -> str:
    """Name here of the NIC that an alias of the other site is on; empty where it is not here."""
    parent = same_nics(own, there, here).get(template.get(alias, "PARENT_ID"))
    return next(
        (template.get(nic, "NAME") for nic in template.vectors(own, "NIC")
         if parent and template.get(nic, "NIC_ID") == parent), "")


def _matched(own: Pairs, there: Pairs, here: Counterparts) -> tuple[_Matched, _Matched]:
    """NICs, and aliases."""
    found = _match(own, there, "NIC", (same_address, _same_network), here)
    parents = {
        (template.get(mine, "NIC_ID"), template.get(other, "NIC_ID")) for mine, other in found.pairs
    }

    def on_the_same(same: _Same) -> _Same:
        def check(mine: Pairs, other: Pairs, here: Counterparts) -> bool:
            on = template.get(mine, "PARENT_ID"), template.get(other, "PARENT_ID")
            return on in parents and same(mine, other, here)
        return check

    kinds = on_the_same(same_address), on_the_same(_same_network)
    return found, _match(own, there, "NIC_ALIAS", kinds, here)


def _match(
    own: Pairs, there: Pairs, kind: str, kinds_of_same: Iterable[_Same], here: Counterparts
) -> _Matched:
    mine, theirs = list(template.vectors(own, kind)), list(template.vectors(there, kind))
    pairs = []
    for same in kinds_of_same:
        for other in list(theirs):
            found = next((nic for nic in mine if same(nic, other, here)), None)
            if found is not None:
                mine.remove(found)
                theirs.remove(other)
                pairs.append((found, other))
    return _Matched(tuple(pairs), tuple(mine), tuple(theirs))


def _ids(found: Iterable[Pairs]) -> list[int]:
    return [int(template.get(nic, "NIC_ID", "-1")) for nic in found]


@dataclass(frozen=True)
class Groups:
    """NIC_ID here and security group here to add and to take off; `said`: what stays, for people."""

    attach: tuple[tuple[int, int], ...] = ()
    detach: tuple[tuple[int, int], ...] = ()
    said: tuple[str, ...] = ()


def groups(own: Pairs, there: Pairs, here: Counterparts, owner: str) -> Groups:
    """Security groups that the VM's NICs here need to have those of the other site.

    The default group, which usually lets everything through, is never added, and the last group of a NIC
    never taken off: either would open it.
    """
    attach, detach, said = [], [], []
    found, aliases = _matched(own, there, here)
    for mine, other in (*found.pairs, *aliases.pairs):
        what, has = f"the security groups of its NIC with {_address(mine)}", _groups_of(mine)
        try:
            wanted = set(filter(None, nics.security_groups(other, here, owner).split(",")))
        except RefusedError as error:
            said.append(f"{what} stay as they are here: {error}")
            continue
        if wanted != has and (not wanted or DEFAULT_GROUP in wanted - has):
            names = template.get(other, attributes.GROUP_NAMES) or "none"
            said.append(f"{what} were changed at the other site ({names}): they stay as they are here")
            continue
        number = int(template.get(mine, "NIC_ID", "-1"))
        attach += [(number, int(each)) for each in sorted(wanted - has)]
        detach += [(number, int(each)) for each in sorted(has - wanted)]
    return Groups(tuple(attach), tuple(detach), tuple(said))


def settings(own: Pairs, there: Pairs, here: Counterparts) -> Iterator[str]:
    """What else differs of a NIC that is the same: the limits of its bandwidth, and what is its own."""
    found, aliases = _matched(own, there, here)
    for mine, other in (*found.pairs, *aliases.pairs):
        for key in sorted({key for key, _ in (*mine, *other)}):
            own_one = attributes.rule(attributes.NIC, key).treatment is Treatment.KEPT
            if (own_one or _LIMIT.fullmatch(key)) and template.get(mine, key) != template.get(other, key):
                yield f"{key} of its NIC with {_address(mine)} is another there: it stays as it is here"


def added(asked: Pairs, found: Pairs) -> list[tuple[int, int]]:
    """NIC_ID and security group of those that the networks here gave a new VM besides the ones that it was
    asked for with: one more group opens what the others close (docs/opennebula-facts.md O39).
    """
    return [
        (int(template.get(nic, "NIC_ID", "-1")), int(group))
        for wanted, nic in _in_order(asked, found) if _groups_of(wanted)
        for group in sorted(_groups_of(nic) - _groups_of(wanted))
    ]


def _in_order(asked: Pairs, found: Pairs) -> Iterator[tuple[Pairs, Pairs]]:
    for kind in ("NIC", "NIC_ALIAS"):
        yield from zip(template.vectors(asked, kind), template.vectors(found, kind))


def _groups_of(nic: Pairs) -> set[str]:
    return {each.strip() for each in template.get(nic, "SECURITY_GROUPS").split(",") if each.strip()}


def _address(nic: Pairs) -> str:
    return template.get(nic, "IP") or template.get(nic, "IP6") or template.get(nic, "MAC")


def _networks_here(nic: Pairs, here: Counterparts) -> set[str]:
    """Names that the network of a NIC there may have here."""
    there = _network(nic)
    mapping, number = here.mapping, network_id(nic)
    if mapping is None or (there in here.network_map and not mapping.is_listed("networks", there, number)):
        return _by_name({here.network_map.get(there, there)}, here)
    found = {str(name) for name in mapping.candidates("networks", there, number)}
    return _by_name(found, here)


def _by_name(names: set[str], here: Counterparts) -> set[str]:
    """Names of networks that are given by name or id; what is no network here stays as it is."""
    by_id = {str(each.network_id): each.name for each in every_network(here.networks)}
    return {name if name in here.networks else by_id.get(name, name) for name in names}


def _network(nic: Pairs) -> str:
    return template.get(nic, "NETWORK")


def _same_network(nic: Pairs, other: Pairs, here: Counterparts) -> bool:
    return _network(nic) in _networks_here(other, here)


def same_address(nic: Pairs, other: Pairs, here: Counterparts) -> bool:
    """Has a NIC here the address, as the mapping moves it, or the MAC of one of the other site?"""
    moved = {key: address_here(template.get(other, key), other, here) for key in ("IP", "IP6")}
    moved["MAC"] = template.get(other, "MAC") if moved["IP"] == template.get(other, "IP") else ""
    return any(address and template.get(nic, key) == address for key, address in moved.items())


