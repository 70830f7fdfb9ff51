"""Whose the networks of a VM are, as its record says it: oned does not say it in the VM. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from lxml import etree

from onedr.model import template
from onedr.model.template import Pairs
from onedr.opennebula.api import number
from onedr.opennebula.nics import ADMINS, NETWORK_OWNER, network_id


def owners(networks: Iterable[etree._Element]) -> dict[int, str]:
    """By id, whose a network is; those of admins left out."""
    return {
        number(found, "ID"): found.findtext("UNAME") or "" for found in networks
        if ADMINS not in (found.findtext("UNAME"), found.findtext("GNAME"))
    }


def with_owners(vm_template: Pairs, of: Mapping[int, str]) -> Pairs:
    """The template with the owners of its NICs' networks, by network id. What a user wrote there counts not.
    """
    return tuple(
        (key, _with_owner(value, of))
        if key in ("NIC", "NIC_ALIAS") and not isinstance(value, str) else (key, value)
        for key, value in vm_template
    )


def _with_owner(nic: Pairs, of: Mapping[int, str]) -> Pairs:
    known = network_id(nic)
    found = "" if known is None else of.get(known, "")
    return (*template.without(nic, NETWORK_OWNER), *(((NETWORK_OWNER, found),) if found else ()))
