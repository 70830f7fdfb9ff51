"""The mapping of a datastore: what objects are called at each of two sites, both ways (docs/mapping.md).
Pure.

An object that the mapping does not name is looked for under the same name, unless the mapping gives that name
to another. So no two names of one site become one at the other, except where the mapping lists several names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Union

from onedr.model.address_rules import AddressRule, as_text, map_address, read_rule
from onedr.model.errors import InputError, RefusedError
from onedr.model.json_form import Json

Name = Union[str, int]  # a name, or an id
WORDS: Mapping[str, str] = {  # section of the file: what one entry is
    "networks": "network",
    "security_groups": "security group",
    "users": "user",
    "groups": "group",
    "clusters": "cluster",
    "system_datastores": "system datastore",
    "hosts": "host",
    "vm_groups": "VM group",
    "files": "file image",
}
BY_ID = ("clusters", "hosts", "system_datastores")  # a VM's requirements name these by id too


class UnmappedError(RefusedError):
    """An object of the other site has no counterpart here, or it is not clear which."""

    word = "unmapped"
    meaning = "The mapping does not say what an object of the other site is here."
    todo = "Correct it: `onedr map DATASTORE` shows it, `--set` replaces it (docs/mapping.md)."


@dataclass(frozen=True)
class Entry:
    """One object. `names`: at the first site and at the second; several at one: many to one.

    `drill`: by site, the network in which a drill there gives the NICs; empty: DR_DRILL_NETWORK. `line`: in
    the file.
    """

    names: tuple[tuple[Name, ...], tuple[Name, ...]]
    drill: tuple[Name, Name] = ("", "")
    addresses: tuple[AddressRule, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class SiteMap:
    """All entries by section. `ids`: by site and section, ids by name when the mapping was set."""

    sites: tuple[str, str]
    sections: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    ids: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)

    def towards(self, here: str) -> Direction:
        """The mapping as the site `here` uses it. Raises InputError where it is of other sites."""
        if here not in self.sites:
            raise InputError(
                f"The mapping is one of {' and '.join(self.sites)}, and this site is {here} (DR_SITE): "
                "draft one with onedr map DATASTORE --draft."
            )
        return Direction(self, self.sites.index(here))


@dataclass(frozen=True)
class Direction:
    """From the other site to the one of index `at`."""

    site_map: SiteMap
    at: int

    @property
    def here(self) -> str:
        """Name of the site whose names come out."""
        return self.site_map.sites[self.at]

    @property
    def there(self) -> str:
        """Name of the site whose names go in."""
        return self.site_map.sites[1 - self.at]

    def entry(self, section: str, name: str, object_id: int | None = None) -> Entry | None:
        """The entry of an object of the other site, by its id or its name there; an id goes first."""
        for wanted in filter(lambda each: each not in (None, ""), (object_id, name)):
            for found in self.site_map.sections.get(section, ()):
                if wanted in found.names[1 - self.at]:
                    return found
        return None

    def name_there(self, section: str, object_id: int) -> str:
        """Name of an object of the other site by its id there; empty where it is not known."""
        known = self.site_map.ids.get(self.there, {}).get(section, {})
        return next((name for name, number in known.items() if number == object_id), "")

    def is_listed(self, section: str, name: str, object_id: int | None = None) -> bool:
        """Does the mapping name this object of the other site?"""
        return self.entry(section, name, object_id) is not None

    def candidates(self, section: str, name: str, object_id: int | None = None) -> tuple[Name, ...]:
        """What it may be called here: one name, several of a list, or none where the name is another's."""
        found = self.entry(section, name, object_id)
        if found is not None:
            return found.names[self.at]
        return () if self._owner(section, name) is not None else (name,)

    def one(self, section: str, name: str, object_id: int | None = None, had: str = "") -> Name:
        """What it is called here. Of several, `had`: what the VM's own object here has.

        Raises UnmappedError.
        """
        found = self.candidates(section, name, object_id)
        if had and had in found:
            return had
        if len(found) == 1:
            return found[0]
        word = WORDS[section]
        if not found:
            owner = self._owner(section, name)
            other = ", ".join(map(str, owner.names[1 - self.at])) if owner is not None else ""
            raise UnmappedError(
                f"its {word} {name!r} has no counterpart here: the mapping gives {name!r} here to "
                f"{other!r} of {self.there}. Add to {section} of onedr map: "
                f"{{{self.there}: {name}, {self.here}: <{word} here>}}."
            )
        raise UnmappedError(
            f"its {word} {name!r} is not clear: the mapping has {' and '.join(map(str, found))} for it "
            f"here, and the VM was never here. Leave one of them in {section} of onedr map."
        )

    def address(self, found: Entry | None, address: str) -> str | None:
        """The address here of one in a network of the other site; None where no rule of `found` matches.

        Raises UnmappedError where the way back would give another.
        """
        try:
            return map_address(found.addresses, address, 1 - self.at) if found is not None else None
        except ValueError as error:
            raise UnmappedError(f"its address is not clear: {error} (networks of onedr map).") from None

    def drill(self, name: str, object_id: int | None = None) -> Name:
        """The drill network here for a network of the other site; empty: the mapping names none."""
        found = self.entry("networks", name, object_id)
        return found.drill[self.at] if found is not None else ""

    def without(self, section: str) -> Direction:
        """The same without the entries of a section."""
        left = {name: entries for name, entries in self.site_map.sections.items() if name != section}
        return replace(self, site_map=replace(self.site_map, sections=left))

    def _owner(self, section: str, name: str) -> Entry | None:
        entries = self.site_map.sections.get(section, ())
        return next((entry for entry in entries if name in entry.names[self.at]), None)


def problems(site_map: SiteMap) -> list[tuple[int, str]]:
    """What is wrong between entries: line and sentence."""
    found: list[tuple[int, str]] = []
    for section, entries in site_map.sections.items():
        found += [*_twice(site_map, section, 0), *_twice(site_map, section, 1)]
        for entry in entries:
            if len(entry.names[0]) > 1 and len(entry.names[1]) > 1:
                found.append((entry.line, f"{section}: only one site may have several names in one entry"))
            found += [(entry.line, text) for text in _address_problems(entry, site_map.sites)]
    return sorted(found)


def _twice(site_map: SiteMap, section: str, at: int) -> Iterator[tuple[int, str]]:
    """Names of one site that are in more than one entry."""
    site, other = site_map.sites[at], site_map.sites[1 - at]
    seen: dict[Name, int] = {}
    for entry in site_map.sections[section]:
        for name in entry.names[at]:
            if name in seen:
                yield entry.line, (
                    f"{section}: {name} of {site} is in line {seen[name]} already. Remove one, or, if "
                    f"several are to be one there, write them as a list: "
                    f"{{{site}: {name}, {other}: [one, other]}}"
                )
            seen.setdefault(name, entry.line)


def _address_problems(entry: Entry, sites: tuple[str, str]) -> list[str]:
    found = []
    for at, site in enumerate(sites):
        sides = [rule.sides[at] for rule in entry.addresses]
        twice = sorted({as_text(side) for side in sides if sides.count(side) > 1})
        found += [f"addresses: {text} of {site} is in two rules" for text in twice]
    return found


def to_json(site_map: SiteMap) -> Json:
    """The mapping as a JSON object."""
    return {
        "sites": list(site_map.sites),
        "sections": {
            section: [
                {
                    "names": [list(own) for own in entry.names],
                    "drill": list(entry.drill),
                    "line": entry.line,
                    "addresses": [[as_text(side) for side in rule.sides] for rule in entry.addresses],
                }
                for entry in entries
            ]
            for section, entries in site_map.sections.items()
        },
        "ids": {
            site: {key: dict(names) for key, names in known.items()} for site, known in site_map.ids.items()
        },
    }


def from_json(data: Mapping[str, Any]) -> SiteMap:
    """The mapping from `to_json`. Raises KeyError, TypeError, ValueError."""
    first, second = data["sites"]
    return SiteMap(
        (str(first), str(second)),
        {
            str(section): tuple(
                Entry(
                    (tuple(entry["names"][0]), tuple(entry["names"][1])),
                    (entry["drill"][0], entry["drill"][1]),
                    tuple(read_rule(*sides) for sides in entry["addresses"]),
                    int(entry["line"]),
                )
                for entry in entries
            )
            for section, entries in data["sections"].items()
        },
        data["ids"],
    )
