"""Owners and requirements of the other site as they are called here, by the mapping (docs/mapping.md).
Pure.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from onedr.model.records import ImageRecord, VmRecord
from onedr.model.site_map import Direction, Name, UnmappedError
from onedr.opennebula.nics import Counterparts

# `KEY = "value"` of a requirement: the words oned's scheduler compares
_TERM = re.compile(
    r'"?(?P<key>[A-Za-z_/]+)"?\s*(?P<how>=|!=|@>|<|>)\s*(?P<value>"[^"]*"|[^\s"&|()!=<>]+)'
)
_CLUSTERS = {"CLUSTER_ID": True, "CLUSTERS/ID": True, "CLUSTER": False}  # by id?
_PATTERN = frozenset("*?[")
NAMES_A_PLACE = re.compile(r"\b(ID|NAME|HOSTNAME|CLUSTER|CLUSTER_ID|CLUSTERS/ID)\b")
_OWN = {"ID": True, "NAME": False, "HOSTNAME": False}
SECTION = {"SCHED_REQUIREMENTS": "hosts", "SCHED_DS_REQUIREMENTS": "system_datastores"}


class Owner(NamedTuple):
    """Names of an object's owner and group."""

    owner: str
    group: str


_NO_OWNER = Owner("", "")


def owner_of(record: VmRecord | ImageRecord, mapping: Direction | None) -> Owner:
    """Owner and group of a record here."""
    return name_owner(Owner(record.owner, record.group), mapping)


def name_owner(there: Owner, mapping: Direction | None, had: Owner = _NO_OWNER) -> Owner:
    """Owner and group here of those `there`; empty for one that is not clear. `had`: those of its own object
    here, which decide where several are possible.
    """
    if mapping is None:
        return there
    return Owner(
        _called(mapping, "users", there.owner, had.owner), _called(mapping, "groups", there.group, had.group)
    )


def _called(mapping: Direction, section: str, name: str, had: str) -> str:
    try:
        return str(mapping.one(section, name, had=had))
    except UnmappedError:
        return ""  # it stays with oneadmin, which is said (failover.target_site.give)


def with_owner(record: VmRecord, mapping: Direction | None) -> VmRecord:
    """The record with its owner and group as they are called here."""
    owner, group = owner_of(record, mapping)
    return replace(record, owner=owner or record.owner, group=group or record.group)


def name_of(section: str, name: str, here: Counterparts) -> Name:
    """What an object is called here; empty where that is not clear."""
    if here.mapping is None:
        return name
    found = here.mapping.candidates(section, name)
    return found[0] if len(found) == 1 else ""


def requirements(key: str, text: str, here: Counterparts) -> str | None:
    """SCHED_REQUIREMENTS or SCHED_DS_REQUIREMENTS as it reads here; None where a host, cluster or datastore
    in it has no counterpart that the mapping names.
    """
    mapping = here.mapping
    if mapping is None:
        return None
    built, rest, at = [], [], 0
    for match in _TERM.finditer(text):
        place = _place(key, match)
        if place is None:
            continue
        term = _term(mapping, here, *place, match)
        if term is None:
            return None
        rest.append(text[at : match.start()])
        built += [rest[-1], term]
        at = match.end()
    rest.append(text[at:])
    return None if NAMES_A_PLACE.search("".join(rest)) else "".join([*built, rest[-1]])


def requirements_there(key: str, text: str, mapping: Direction) -> str | None:
    """A requirement of this site as it reads at the other one, by the ids noted with the mapping."""
    other = replace(mapping, at=1 - mapping.at)
    return requirements(
        key, text, Counterparts(mapping=other, places=mapping.site_map.ids.get(mapping.there, {}))
    )


def _place(key: str, match: re.Match[str]) -> tuple[str, bool] | None:
    """Section of what a term names, and whether by id; None where it names no place."""
    name = match["key"].upper()
    if name in _CLUSTERS:
        return "clusters", _CLUSTERS[name]
    return (SECTION[key], _OWN[name]) if name in _OWN else None


def places(key: str, text: str, mapping: Direction | None = None) -> Iterator[tuple[str, int | None, str]]:
    """Section, id and name of each host, cluster or datastore in a requirement; one of both is given. A
    pattern stands for those that it meets, where the `mapping` knows them.
    """
    for match in _TERM.finditer(text):
        place = _place(key, match)
        if place is None:
            continue
        section, by_id = place
        value = match["value"].strip('"')
        number = int(value) if by_id and value.isascii() and value.isdigit() else None
        names = _met(mapping, section, value) if mapping is not None and not by_id else ()
        for name in names or ("" if number is not None else value,):
            yield section, number, name


def _met(mapping: Direction, section: str, pattern: str) -> tuple[str, ...]:
    """Names at the other site that a pattern meets; none for a plain name."""
    if not _PATTERN & set(pattern):
        return ()
    known = mapping.site_map.ids.get(mapping.there, {}).get(section, {})
    return tuple(sorted(name for name in known if fnmatch.fnmatchcase(name, pattern)))


def _term(
    mapping: Direction, here: Counterparts, section: str, by_id: bool, match: re.Match[str]
) -> str | None:
    """One comparison as it reads here. A pattern becomes one comparison for each name that it meets."""
    head = match[0][: match.start("value") - match.start()]
    names = () if by_id else _met(mapping, section, match["value"].strip('"'))
    if not names:
        value = _value(mapping, here, section, match, by_id)
        return None if value is None else f'{head}"{value}"'
    found = [_called_here(mapping, here, section, name, False) for name in names]
    if None in found or match["how"] not in ("=", "!="):
        return None
    word = " | " if match["how"] == "=" else " & "
    return "(" + word.join(f'{head}"{value}"' for value in found) + ")"


def _value(
    mapping: Direction, here: Counterparts, section: str, match: re.Match[str], by_id: bool
) -> str | None:
    if match["how"] in ("<", ">"):
        return None  # an order of ids means nothing at another site
    text = match["value"].strip('"')
    number = int(text) if by_id and text.isascii() and text.isdigit() else None
    if by_id and number is None:
        return None
    if number is None:
        return _called_here(mapping, here, section, text, False)
    return _called_here(mapping, here, section, mapping.name_there(section, number), True, number)


def _called_here(
    mapping: Direction, here: Counterparts, section: str, name: str, by_id: bool, number: int | None = None
) -> str | None:
    """Id or name here of an object that the mapping names, where it is one; else None."""
    found = mapping.entry(section, name, number)
    if found is None or len(found.names[mapping.at]) != 1:
        return None
    called = found.names[mapping.at][0]
    known = here.places.get(section, {})
    if by_id:
        return str(called if isinstance(called, int) else known.get(called, "")) or None
    if isinstance(called, int):
        return next((each for each, number_here in known.items() if number_here == called), None)
    return called if called in known else None
