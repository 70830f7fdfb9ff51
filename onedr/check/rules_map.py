"""The mapping against both live sites: what it names exists, addresses lie in ranges, nothing that VMs use
is left without a counterpart, access rules. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from onedr.check.facts import (
    CheckFacts,
    CheckResult,
    MapFacts,
    TargetFacts,
    Unknown,
    known,
    ok,
    problem,
    warn,
)
from onedr.check.rules_vms import site_of, to_start
from onedr.model.address_rules import AddressRule, Pattern, as_text
from onedr.model.site_map import WORDS, Direction, Entry, Name
from onedr.model.text import first_few
from onedr.opennebula import acls, uses
from onedr.opennebula.nics import Network, network_called
from onedr.opennebula.uses import Use


def mapping(facts: CheckFacts) -> Iterator[CheckResult]:
    """Everything that the mapping names exists at both sites, as far as they answer."""
    found = known(facts.mapping)
    todo = f"onedr map {facts.datastore} --set FILE"
    yield from (warn(doubt, todo) for doubt in found.doubts)
    if found.site_map is None:
        yield ok(f"there is no mapping: names are the same at both sites, or in {_SHORT}")
        return
    targets = {site: _target(facts, site, found) for site in found.site_map.sites}
    wrong = [
        problem(f"line {entry.line} of the mapping: {text}", todo)
        for section, entries in found.site_map.sections.items()
        for entry in entries
        for at, site in enumerate(found.site_map.sites)
        if (target := targets[site]) is not None
        for text in _wrong(section, entry, at, site, target)
    ]
    yield from wrong
    unseen = [site for site, target in targets.items() if target is None]
    if unseen:
        yield warn(f"the mapping is not checked against {unseen[0]}: its front-end does not answer", todo)
    if found.peer_version is not None and found.peer_version != found.version:
        yield warn(
            f"the peer's pool has version {found.peer_version} of the mapping, version {found.version} is "
            f"in force",
            f"onedr reconcile {facts.datastore}",
        )
    yield from _contradictions(facts, found)
    if not wrong:
        entries = sum(len(each) for each in found.site_map.sections.values())
        yield ok(f"version {found.version} of the mapping, {entries} entries{_many(found)}")


_SAID_ELSEWHERE = ("users", "groups", "files")  # by OWNERS_, and by FILES_ and STARTS_
_SHORT = "DR_NETWORK_MAP and DR_SECURITY_GROUP_MAP"


def _target(facts: CheckFacts, site: str, found: MapFacts) -> TargetFacts | None:
    """What a site of the mapping has; None when that is not known."""
    for target in (facts.start_here, facts.start_there):
        if not isinstance(target, Unknown):
            towards = target.placement.counterparts.mapping
            if towards is not None and towards.here == site:
                return target
    return None


def _wrong(section: str, entry: Entry, at: int, site: str, target: TargetFacts) -> Iterator[str]:
    drill: tuple[Name, ...] = (entry.drill[at],) if entry.drill[at] else ()
    for name in (*entry.names[at], *drill):
        if not _exists(name, target.names.get(section, {})):
            yield f"{section}: there is no {WORDS[section]} {name} at {site}"
    networks = target.placement.counterparts.networks
    for name in entry.names[at] if entry.addresses else ():
        network = network_called(networks, name)
        if network is not None:
            yield from (
                f"addresses: {as_text(rule.sides[at])} is in no range of network {network.name} at {site}"
                for rule in entry.addresses
                if not _in_ranges(rule, at, network)
            )


def _exists(name: Name, known_names: Mapping[str, int]) -> bool:
    return name in known_names if isinstance(name, str) else name in known_names.values()


def _in_ranges(rule: AddressRule, at: int, network: Network) -> bool:
    """Does an address lie in a range, a subnet or pattern share an address with one?"""
    side = rule.sides[at]
    if isinstance(side, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return network.holds(str(side)) or network.holds_ip6(str(side))
    first, last = _ends(side)
    for part in network.ranges:
        begin = part.ip if first.version == 4 else part.ip6
        if begin:
            start = int(ipaddress.ip_address(begin))
            if start <= int(last) and int(first) < start + part.size:
                return True
    return False


def _ends(
    side: ipaddress.IPv4Network | ipaddress.IPv6Network | Pattern,
) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if not isinstance(side, Pattern):
        return side.network_address, side.broadcast_address
    width, top = (8, 255) if side.version == 4 else (16, 65535)
    numbers = []
    for star in (0, top):
        number = 0
        for part in side.parts:
            number = (number << width) + (star if part is None else part)
        numbers.append(number)
    kind = ipaddress.IPv4Address if side.version == 4 else ipaddress.IPv6Address
    return kind(numbers[0]), kind(numbers[1])


def _contradictions(facts: CheckFacts, found: MapFacts) -> Iterator[CheckResult]:
    """Where the short form says another thing than the file, which goes before it."""
    target = facts.start_here
    if isinstance(target, Unknown) or target.placement.counterparts.mapping is None:
        return
    towards = target.placement.counterparts.mapping
    for key, section, pairs in (
        ("DR_NETWORK_MAP", "networks", facts.settings.network_map),
        ("DR_SECURITY_GROUP_MAP", "security_groups", facts.settings.security_group_map),
    ):
        for there, here in pairs:
            entry = towards.entry(section, there)
            if entry is not None and here not in map(str, entry.names[towards.at]):
                yield warn(
                    f"{key} says {there}={here}, and line {entry.line} of the mapping another name, which "
                    f"counts",
                    f"onedatastore update {facts.datastore}: remove {there} from {key}",
                )


def _many(found: MapFacts) -> str:
    """Say where several are one: the way back is decided by what each VM had."""
    several = [
        f"{section} line {entry.line}"
        for section, entries in (found.site_map.sections if found.site_map else {}).items()
        for entry in entries
        if any(len(names) > 1 for names in entry.names)
    ]
    told = "on the way back each VM has what its own object there has"
    return f"; several are one in {first_few(several)}: {told}" if several else ""


def unmapped_here(facts: CheckFacts) -> Iterator[CheckResult]:
    """What the peer's VMs use, without a counterpart here; owners and files have checks of their own."""
    yield from _unmapped(facts, known(facts.start_here), False)


def unmapped_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """What our VMs use, without a counterpart at the peer."""
    yield from _unmapped(facts, known(facts.start_there), True)


def _unmapped(facts: CheckFacts, target: TargetFacts, own: bool) -> Iterator[CheckResult]:
    where = site_of(own)
    towards = target.placement.counterparts.mapping
    users: dict[str, list[str]] = {}
    for item in to_start(facts, own):
        for use in uses.of_vm(item.record, towards):
            if use.section in _SAID_ELSEWHERE:
                continue
            why = _without(use, towards, target)
            if why:
                users.setdefault(
                    f"{WORDS[use.section]} {use.name or use.object_id} {why} {where}", []
                ).append(item.label)
    for text, labels in sorted(users.items()):
        yield warn(f"{text}; used by {first_few(labels)}", f"onedr map {facts.datastore} --draft")
    if not users:
        yield ok(f"everything that VMs use has a counterpart {where}")


def _without(use: Use, towards: Direction | None, target: TargetFacts) -> str:
    """Why an object of the other site has no counterpart; empty when it has one."""
    names = target.names.get(use.section, {})
    short = target.placement.counterparts
    by_short = {"networks": short.network_map, "security_groups": short.security_group_map}.get(
        use.section, {}
    )
    called = by_short.get(use.name) or by_short.get(str(use.object_id))
    if towards is None or (called and not towards.is_listed(use.section, use.name, use.object_id)):
        if use.section in ("clusters", "hosts", "system_datastores"):
            return "is named in requirements and has no counterpart in a mapping"
        name = called or use.name
        return "" if name in names or (called or "") in map(str, names.values()) else "does not exist"
    if use.section in ("clusters", "hosts", "system_datastores") and not towards.is_listed(
        use.section, use.name, use.object_id
    ):
        return "is named in requirements and has no counterpart in the mapping"
    found = towards.candidates(use.section, use.name, use.object_id)
    if not found:
        return "has no counterpart, the mapping gives that name to another,"
    missing = [str(name) for name in found if not _exists(name, names)]
    return f"is {first_few(missing)}, which does not exist" if missing else ""


def rules_here(facts: CheckFacts) -> Iterator[CheckResult]:
    """Access rules that owners of the peer's VMs have there and not here."""
    yield from _rules(facts, known(facts.start_here), known(facts.start_there), False)


def rules_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """Access rules that owners of our VMs have here and not at the peer."""
    yield from _rules(facts, known(facts.start_there), known(facts.start_here), True)


def _rules(facts: CheckFacts, target: TargetFacts, source: TargetFacts, own: bool) -> Iterator[CheckResult]:
    where = site_of(own)
    owners = {
        pair
        for item in to_start(facts, own)
        for pair in (("user", item.record.owner), ("group", item.record.group))
    }
    lacking = acls.missing(source.rules, target.rules, owners, target.placement.counterparts.mapping)
    for text in lacking:
        yield warn(f"access rules {where}: {text}", "oneacl create")
    if not lacking:
        yield ok(f"owners of VMs have their own access rules {where} too")
