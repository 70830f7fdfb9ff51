"""Owners and requirements of the other site as they are called here, by the mapping (docs/mapping.md).
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from onedr.model.records import ImageRecord, VmRecord
from onedr.model.site_map import Direction, Name, UnmappedError
from onedr.opennebula.nics import Counterparts

# `KEY = "value"` of a requirement: the words oned's scheduler compares
_TERM = re.compile(r'(?P<key>[A-Za-z_/]+)\s*(?P<how>=|!=|@>|<|>)\s*(?P<value>"[^"]*"|[^\s"&|()!=<>]+)')
_CLUSTERS = {"CLUSTER_ID": True, "CLUSTERS/ID": True, "CLUSTER": False}  # by id?
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
    built, at = [], 0
    for match in _TERM.finditer(text):
        name = match["key"].upper()
        if name in _CLUSTERS or name in _OWN:
            section, by_id = (
                ("clusters", _CLUSTERS[name]) if name in _CLUSTERS else (SECTION[key], _OWN[name])
            )
            value = _value(mapping, here, section, match, by_id)
            if value is None:
                return None
            built += [text[at : match.start("value")], f'"{value}"']
            at = match.end("value")
    return "".join([*built, text[at:]])


def places(key: str, text: str) -> Iterator[tuple[str, int | None, str]]:
    """Section, id and name of each host, cluster or datastore in a requirement; one of both is given."""
    for match in _TERM.finditer(text):
        name = match["key"].upper()
        if name in _CLUSTERS or name in _OWN:
            section, by_id = (
                ("clusters", _CLUSTERS[name]) if name in _CLUSTERS else (SECTION[key], _OWN[name])
            )
            value = match["value"].strip('"')
            number = int(value) if by_id and value.isascii() and value.isdigit() else None
            yield section, number, "" if number is not None else value


def _value(
    mapping: Direction, here: Counterparts, section: str, match: re.Match[str], by_id: bool
) -> str | None:
    if match["how"] in ("<", ">"):
        return None  # an order of ids means nothing at another site
    text = match["value"].strip('"')
    number = int(text) if by_id and text.isascii() and text.isdigit() else None
    if by_id and number is None:
        return None
    name = mapping.name_there(section, number) if number is not None else text
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
