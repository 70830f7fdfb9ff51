"""What was changed of a VM at the other site and does not come home with it, in sentences. Pure.

Its own object here goes on (failback_vms): disks, NICs, capacity and the attributes of its user follow.
"""
from __future__ import annotations

from collections.abc import Iterator

from onedr.failover import failback_plan
from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.records import VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import attributes, nics
from onedr.opennebula.attributes import Treatment
from onedr.opennebula.mapped import owner_of
from onedr.opennebula.nics import Counterparts

# These follow; oned itself completes a topology.
_FOLLOWED = ("CPU", "VCPU", "MEMORY", "TOPOLOGY")


def of_vm(own: Pairs, there: VmRecord, here: Counterparts) -> list[str]:
    """`own`: its template here, as a record has it."""
    return [*_attributes(own, there.template), *_groups(own, there, here), *_aliases(own, there, here)]


def _attributes(own: Pairs, there: Pairs) -> Iterator[str]:
    """Names only: a value may be a secret."""
    kept = {key for key, rule in attributes.VM.items() if rule.treatment is Treatment.KEPT} - {*_FOLLOWED}
    for key in sorted(kept & {name for pairs in (own, there) for name, _ in pairs}):
        if _values(own, key) != _values(there, key):
            yield f"{key} was changed at the other site: it stays as it is here"


def _values(pairs: Pairs, key: str) -> list[object]:
    """Of an attribute, without what is empty; vectors in any order of their parts."""
    found = [value for name, value in pairs if name == key and value]
    return [value if isinstance(value, str) else sorted(part for part in value if part[1]) for value in found]


def _groups(own: Pairs, there: VmRecord, here: Counterparts) -> Iterator[str]:
    """NICs with other security groups than they have here."""
    owner = owner_of(there, here.mapping).owner
    mine = list(template.vectors(own, "NIC"))
    for other in template.vectors(there.template, "NIC"):
        found = next((nic for nic in mine if failback_plan.same_address(nic, other, here)), None)
        if found is None:
            continue  # it is plugged in anew, or was not clear
        try:
            wanted = nics.security_groups(other, here, owner)
        except RefusedError as error:
            yield f"the security groups of its NIC with {_address(found)} stay as they are here: {error}"
            continue
        if _ids(wanted) != _ids(template.get(found, "SECURITY_GROUPS")):
            yield (
                f"the security groups of its NIC with {_address(found)} were changed at the other site "
                f"({template.get(other, nics.GROUP_NAMES) or 'none'}): they stay as they are here"
            )


def _aliases(own: Pairs, there: VmRecord, here: Counterparts) -> Iterator[str]:
    mine, theirs = (list(template.vectors(pairs, "NIC_ALIAS")) for pairs in (own, there.template))
    for other in list(theirs):
        found = next((nic for nic in mine if failback_plan.same_address(nic, other, here)), None)
        if found is not None:
            mine.remove(found)
            theirs.remove(other)
    if mine or theirs:
        yield "its NIC aliases were changed at the other site: they stay as they are here"


def _address(nic: Pairs) -> str:
    return template.get(nic, "IP") or template.get(nic, "IP6") or template.get(nic, "MAC")


def _ids(text: str) -> set[str]:
    return {each.strip() for each in text.split(",") if each.strip()}
