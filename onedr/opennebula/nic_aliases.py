"""NIC aliases of the other site as they are asked for here. Pure."""
from __future__ import annotations

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.template import Pairs
from onedr.opennebula import nics
from onedr.opennebula.nics import GIVEN_NAME, Counterparts


def aliases(pairs: Pairs, here: Counterparts, owner: str, warnings: list[str]) -> list[Pairs]:
    """NIC_ALIAS sections as they are asked for here, each on the NIC it was on.

    oned names a NIC `NIC<n>` by its place and finds an alias's parent by that name, so parents that oned
    named are numbered again. Raises RefusedError as `nic`, and for an alias without its NIC.
    """
    positions, names = {}, {}
    for place, parent in enumerate(template.vectors(pairs, "NIC")):
        name = template.get(parent, "NAME")
        called = name if name and not GIVEN_NAME.fullmatch(name) else f"NIC{place}"
        positions[template.get(parent, "NIC_ID")] = called
        names[name] = called
    built = []
    for found in template.vectors(pairs, "NIC_ALIAS"):
        parent_name = positions.get(template.get(found, "PARENT_ID")) or names.get(
            template.get(found, "PARENT")
        )
        if parent_name is None:
            raise RefusedError(f"its NIC alias {template.get(found, 'NAME')} has no NIC in the VM's record.")
        built.append((*nics.nic(found, here, owner, warnings), ("PARENT", parent_name)))
    return built
