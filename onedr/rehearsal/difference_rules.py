"""A VM as oned took it, against its record and what was asked for: what is not as it was. Pure.

Attribute by attribute, by the table in opennebula/attributes.py (docs/fidelity.md). Values are shown only
where they cannot be a secret.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from onedr.model import template
from onedr.model.records import VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import attributes
from onedr.opennebula.attributes import Rule, Treatment
from onedr.opennebula.own_marks import STAND_IN
from onedr.opennebula.vm_template import Recreation

_SECTIONS: Mapping[str, Mapping[str, Rule]] = {
    "DISK": attributes.VOLATILE_DISK, "NIC": attributes.NIC, "NIC_ALIAS": attributes.NIC,
}
_SHOWN = ("DISK", "NIC", "NIC_ALIAS")  # of these and of plain attributes values are shown
# oned answers these in another form than it takes them.
_OTHER_FORM = {("NUMA_NODE", "MEMORY"), ("CONTEXT", "FILES_DS"), ("NIC_ALIAS", "PARENT")}
_FILE = "$FILE["  # oned keeps the file image's id (docs/opennebula-facts.md O35)
_SETS = ("SECURITY_GROUPS",)  # their order means nothing


@dataclass(frozen=True)
class Shown:
    """A VM as oned shows it. `permissions`: nine digits."""

    template: Pairs
    user_template: Pairs
    owner: str
    group: str
    permissions: str


def differences(record: VmRecord, asked: Recreation, found: Shown) -> tuple[str, ...]:
    """Sentences for people, each once. `asked`: the two calls by which it was created."""
    said = [
        *_ownership(record, found),
        *asked.warnings,
        *_kept(record, found.template),
        *_asked(asked.template, found.template),
        *_unknown(found.template),
        *_user(asked.user_template, found.user_template),
    ]
    return tuple(dict.fromkeys(said))


def _ownership(record: VmRecord, found: Shown) -> Iterator[str]:
    for what, there, here in (
        ("owner", record.owner, found.owner), ("group", record.group, found.group),
        ("permissions", record.permissions, found.permissions),
    ):
        if there != here:
            yield f"its {what} is {here} here; it was {there}"


def _kept(record: VmRecord, found: Pairs) -> Iterator[str]:
    """What the table calls kept has the record's value."""
    for key, value in record.template:
        if attributes.rule(attributes.VM, key).treatment is not Treatment.KEPT:
            continue
        if isinstance(value, str) and value and template.get(found, key) != value:
            yield _changed(key, value, template.get(found, key))
    vectors = {
        key for key, value in record.template
        if not isinstance(value, str) and attributes.rule(attributes.VM, key).treatment is Treatment.KEPT
    }
    for key in sorted(vectors):
        yield from _paired(key, template.vectors(record.template, key), template.vectors(found, key))


def _asked(asked: Pairs, found: Pairs) -> Iterator[str]:
    """Every section has what was asked for, in the order in which it was."""
    values = {key: value for key, value in asked if isinstance(value, str)}
    for key in dict.fromkeys(key for key, value in asked if not isinstance(value, str)):
        yield from _paired(key, template.vectors(asked, key), template.vectors(found, key), values)


def _paired(
    key: str, wanted: Iterable[Pairs], found: Iterable[Pairs], values: Mapping[str, str] | None = None
) -> Iterator[str]:
    ordered, there = list(wanted), list(found)
    if len(there) < len(ordered):
        yield f"{len(ordered) - len(there)} of {len(ordered)} {key} are missing here"
    for place, (one, other) in enumerate(zip(ordered, there)):
        where = f"{key} {place}" if len(ordered) > 1 else key
        for name, value in one:
            value = _resolved(value, values or {})
            if not value or _is_taken_otherwise(key, name, value):
                continue
            if not _same(name, value, template.get(other, name)):
                shown = template.get(other, name) if key in _SHOWN else None
                yield _changed(f"{where}/{name}", value, shown)


def _resolved(value: object, values: Mapping[str, str]) -> str:
    """The value that a stand-in stood for (own_marks.STAND_IN)."""
    text = value if isinstance(value, str) else ""
    return values.get(text[1:], text) if text.startswith(f"${STAND_IN}") else text


def _is_taken_otherwise(key: str, name: str, value: str) -> bool:
    return (key, name) in _OTHER_FORM or value.startswith(_FILE)


def _same(name: str, one: str, other: str) -> bool:
    if name in _SETS:
        return {each.strip() for each in one.split(",")} == {each.strip() for each in other.split(",")}
    return one.casefold() == other.casefold() if name == "MAC" else one == other


def _changed(where: str, wanted: str, found: str | None) -> str:
    if found is None:
        return f"{where} is not as it was asked for"
    return f"{where} is {found or 'not set'} here; it was asked for as {wanted}"


def _unknown(found: Pairs) -> Iterator[str]:
    """What oned here adds that no table knows: of a newer release, or of its oned.conf."""
    for key, value in found:
        if attributes.rule(attributes.VM, key) is attributes.UNKNOWN:
            yield f"{key} is set here; this release of OneDR does not know it"
        elif key in _SECTIONS and not isinstance(value, str):
            for name, _ in value:
                if attributes.rule(_SECTIONS[key], name) is attributes.UNKNOWN:
                    yield f"{key}/{name} is set here; this release of OneDR does not know it"


def _user(asked: Pairs, found: Pairs) -> Iterator[str]:
    """Attributes of its user are written as data; names only, values may be secret."""
    there = list(found)
    for key, value in asked:
        if (key, value) in there:
            there.remove((key, value))
        elif value:
            yield f"its attribute {key} is not as it was"
