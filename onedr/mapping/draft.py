"""A draft of a mapping from what both sites have, as commented YAML. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from onedr.mapping.site_objects import SiteObjects
from onedr.model.address_rules import as_text
from onedr.model.errors import plain
from onedr.model.site_map import BY_ID, WORDS, Entry, Name, SiteMap
from onedr.opennebula.nics import Network

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_ADDRESS = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(/[0-9]+)?")
_RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_USED_ONLY = ("users", "groups", "files")  # of these, what VMs use: a site may have thousands
_HEAD = """\
# Mapping of datastore {datastore} between {first} and {second}. The same file is valid at both sites and
# is used
# both ways: a name of one site is beside the name of the other. What is not listed is looked for under
# the
# same name. Edit it, then: onedr map {datastore} --set FILE. All keys: docs/mapping.md.
#   several to one    {{{first}: [one, other], {second}: both}}
#   by id             {{{first}: private, {second}: 41}}
#   addresses         of a network: explicit, then subnet, then pattern
# Lines that begin with "# -" have no counterpart yet: fill in the name instead of ? and remove the "# ".
version: 1
sites: [{first}, {second}]
"""


@dataclass(frozen=True)
class Drafting:
    """What a draft is made from. `there` None: the other site's front-end does not answer.

    `short`: by section, names there and here of DR_NETWORK_MAP and its like. `used`: by site and section,
    names that protected VMs use, with the VMs' names.
    """

    datastore: str
    here: SiteObjects
    there: SiteObjects
    answers: bool = True
    current: SiteMap | None = None
    short: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    used: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]] = field(default_factory=dict)


def draft(facts: Drafting) -> str:
    """The file."""
    first, second = sorted((facts.here.site, facts.there.site))
    sides = (facts.here, facts.there) if facts.here.site == first else (facts.there, facts.here)
    text = _HEAD.format(datastore=plain(facts.datastore), first=_name(first), second=_name(second))
    if not facts.answers:
        silent = plain(facts.there.site)
        text += f"# The front-end of {silent} does not answer: its names below are from records only.\n"
    return text + "".join(_section(facts, section, sides) for section in WORDS)


def _section(facts: Drafting, section: str, sides: tuple[SiteObjects, SiteObjects]) -> str:
    entries = [*_known(facts, section, sides)]
    names = tuple({name for entry in entries for name in entry.names[at]} for at in (0, 1))
    lines = [line for entry in entries for line in _entry(section, entry, sides)]
    own = tuple(_offered(facts, section, side) for side in sides)
    for name in sorted(own[0] & own[1] - names[0] - names[1]):
        if section in BY_ID or section == "networks":  # requirements are mapped where the file names them
            lines += _entry(section, Entry(((name,), (name,))), sides)
    for at in (0, 1):
        for name in sorted(own[at] - names[at] - own[1 - at]):
            lines.append(_open(facts, section, name, at, sides))
    return f"\n{section}:\n" + "".join(f"{line}\n" for line in lines) if lines else f"\n{section}: []\n"


def _known(facts: Drafting, section: str, sides: tuple[SiteObjects, SiteObjects]) -> Iterator[Entry]:
    """Entries of the mapping in force, and those of the short form."""
    listed: set[Name] = set()
    current = facts.current
    if current is not None and set(current.sites) == {side.site for side in sides}:
        turned = current.sites[0] != sides[0].site
        for entry in current.sections.get(section, ()):
            listed |= {*entry.names[0], *entry.names[1]}
            yield _turned(entry) if turned else entry
    several: dict[str, list[Name]] = {}
    for there, here in facts.short.get(section, {}).items():
        if there not in listed and here not in listed:
            several.setdefault(here, []).append(there)
    for here, group in several.items():
        names = (tuple(group), (_by_id(here, facts.here, section),))
        yield Entry(names if sides[0].site == facts.there.site else names[::-1])


def _turned(entry: Entry) -> Entry:
    rules = tuple(rule._replace(sides=rule.sides[::-1]) for rule in entry.addresses)
    return Entry(entry.names[::-1], entry.drill[::-1], rules, entry.line)


def _by_id(text: str, site: SiteObjects, section: str) -> Name:
    return int(text) if text.isdecimal() and text not in site.names.get(section, {}) else text


def _offered(facts: Drafting, section: str, side: SiteObjects) -> set[str]:
    """Names of a site that the draft shows."""
    used = set(facts.used.get(side.site, {}).get(section, {})) - {""}
    if section == "security_groups":
        used -= {"default"}
    if section in _USED_ONLY:
        other = facts.there if side is facts.here else facts.here
        wanted = set(facts.used.get(other.site, {}).get(section, {}))
        return (used | (wanted & side.names.get(section, {}).keys())) - {"oneadmin"}
    return (used | side.names.get(section, {}).keys()) - (
        {"default"} if section == "security_groups" else set()
    )


def _entry(section: str, entry: Entry, sides: tuple[SiteObjects, SiteObjects]) -> Iterator[str]:
    pair = ", ".join(f"{_name(side.site)}: {_names(entry.names[at])}" for at, side in enumerate(sides))
    if section != "networks":
        yield f"  - {{{pair}}}"
        return
    for at, side in enumerate(sides):
        name = f"{_name(side.site)}: {_names(entry.names[at])}{_ranges(entry.names[at], side)}"
        yield f"  {'-' if at == 0 else ' '} {name}"
    drill = ", ".join(
        f"{_name(side.site)}: {_names((entry.drill[at],))}"
        for at, side in enumerate(sides)
        if entry.drill[at]
    )
    yield (
        f"    drill: {{{drill}}}"
        if drill
        else f"    # drill: {{{_name(sides[1].site)}: ?}}  # else DR_DRILL_NETWORK"
    )
    rules = [
        "{"
        + ", ".join(f"{_name(side.site)}: {_name(as_text(rule.sides[at]))}" for at, side in enumerate(sides))
        + "}"
        for rule in entry.addresses
    ]
    yield "    addresses:" if rules else "    # addresses:"
    if rules:
        yield from (f"      - {rule}" for rule in rules)
        return
    subnets = tuple(_subnet(entry.names[at], side) for at, side in enumerate(sides))
    same = subnets[0] == subnets[1] and subnets[0] != "?"
    told = "  # the same addresses at both sites: no rule is needed" if same else ""
    yield f"    #   - {{{_name(sides[0].site)}: {subnets[0]}, {_name(sides[1].site)}: {subnets[1]}}}{told}"


def _ranges(names: tuple[Name, ...], side: SiteObjects) -> str:
    found = [_network(name, side) for name in names]
    told = [
        f"{part.ip or part.ip6} +{part.size}"
        for each in found
        if each
        for part in each.ranges
        if part.ip or part.ip6
    ]
    return f"  # {', '.join(told[:3])}{' …' if len(told) > 3 else ''}" if told else ""


def _subnet(names: tuple[Name, ...], side: SiteObjects) -> str:
    """The subnet of a network's first range, by its mask, else the /24 of it."""
    network = _network(names[0], side)
    first = next((part.ip for part in network.ranges if part.ip), "") if network else ""
    if not first or network is None:
        return "?"
    mask = network.attributes.get("NETWORK_MASK") or "24"
    try:
        return str(ipaddress.ip_network(f"{first}/{mask}", strict=False))
    except ValueError:
        return "?"


def _network(name: Name, side: SiteObjects) -> Network | None:
    if isinstance(name, str):
        return side.networks.get(name)
    return next((each for each in side.networks.values() if each.network_id == name), None)


def _open(facts: Drafting, section: str, name: str, at: int, sides: tuple[SiteObjects, SiteObjects]) -> str:
    vms = facts.used.get(sides[at].site, {}).get(section, {}).get(name, ())
    pair = [f"{_name(sides[at].site)}: {_name(name)}", f"{_name(sides[1 - at].site)}: ?"]
    used = f", used by {', '.join(vms[:3])}{' …' if len(vms) > 3 else ''}" if vms else ""
    told = plain(f"not at {sides[1 - at].site}{used}")  # names of VMs may hold anything, a line break too
    return f"  # - {{{', '.join(pair if at == 0 else pair[::-1])}}}  # {told}"


def _names(names: Iterable[Name]) -> str:
    each = [str(name) if isinstance(name, int) else _name(name) for name in names]
    return each[0] if len(each) == 1 else f"[{', '.join(each)}]"


def _name(text: str) -> str:
    """A text as YAML reads it again: plain where that is safe, else in double quotes, on one line."""
    plain_enough = _PLAIN.fullmatch(text) or _ADDRESS.fullmatch(text)
    return text if plain_enough and text.lower() not in _RESERVED else f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"
