"""What objects of its site a VM names in its record: what a mapping must have a counterpart for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from onedr.model import template
from onedr.model.records import VmRecord
from onedr.model.site_map import Direction
from onedr.opennebula import files, mapped
from onedr.opennebula.attributes import GROUP_NAMES
from onedr.opennebula.nics import DEFAULT_GROUP, network_id


class Use(NamedTuple):
    """An object by its section of the mapping, name, and id at its site; an empty name is not known."""

    section: str
    name: str
    object_id: int | None = None


def of_vm(record: VmRecord, mapping: Direction | None = None) -> list[Use]:
    """All that a VM names, each once. `mapping` knows the names of ids in requirements."""
    return list(
        dict.fromkeys(
            [
                Use("users", record.owner),
                Use("groups", record.group),
                *_nics(record),
                *_groups(record),
                *(Use("files", name) for name in files.names_in(record.template)),
                *_places(record, mapping),
            ]
        )
    )


def _nics(record: VmRecord) -> Iterator[Use]:
    for kind in ("NIC", "NIC_ALIAS"):
        for nic in template.vectors(record.template, kind):
            if template.get(nic, "NETWORK"):
                yield Use("networks", template.get(nic, "NETWORK"), network_id(nic))
            ids = [each.strip() for each in template.get(nic, "SECURITY_GROUPS").split(",") if each.strip()]
            names = template.get(nic, GROUP_NAMES).split(",")
            for number, name in zip(ids, names if len(names) == len(ids) else [""] * len(ids)):
                if number != DEFAULT_GROUP and number.isdecimal():
                    yield Use("security_groups", name.strip(), int(number))


def _groups(record: VmRecord) -> Iterator[Use]:
    for group in template.vectors(record.template, "VMGROUP"):
        if template.get(group, "VMGROUP_NAME"):
            yield Use("vm_groups", template.get(group, "VMGROUP_NAME"))


def _places(record: VmRecord, mapping: Direction | None) -> Iterator[Use]:
    for key in mapped.SECTION:
        for section, number, name in mapped.places(
            key, template.get(record.user_template, key), mapping
        ):
            known = mapping.name_there(section, number) if mapping is not None and number is not None else ""
            yield Use(section, name or known, number)
