"""What this site's front-end has, as a run looks for it."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lxml import etree

from onedr.failover import target_site
from onedr.model.types import Settings


def test_of_networks_of_one_name_the_admins_comes_first() -> None:
    """A drill's network is found by its name too; a user's reservation may have that name."""
    def found(number: int, owner: str, group: str = "users") -> etree._Element:
        text = f"<VNET><ID>{number}</ID><NAME>drills</NAME><UNAME>{owner}</UNAME><GNAME>{group}</GNAME></VNET>"
        return etree.fromstring(text)

    def first(*networks: etree._Element) -> int:
        nothing: Any = {name: list for name in ("images", "security_groups", "vm_groups")}
        frontend: Any = SimpleNamespace(networks=lambda: networks, **nothing)
        return target_site.counterparts(frontend, Settings()).networks["drills"].network_id

    assert first(found(3, "mallory"), found(7, "oneadmin")) == 7
    assert first(found(3, "mallory"), found(7, "root", "oneadmin"), found(8, "oneadmin")) == 7
