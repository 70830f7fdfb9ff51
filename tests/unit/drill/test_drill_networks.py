"""The networks of a drill: one for each network by the mapping, else DR_DRILL_NETWORK."""
from __future__ import annotations

from dataclasses import replace

import pytest
from samples import vm_record
from worlds import copy_of

from onedr.drill import drill_networks
from onedr.drill import plan as drill_plan
from onedr.model.site_map import Entry, SiteMap
from onedr.opennebula.nics import Counterparts, Network, Range
from onedr.replication import inventory

NETWORKS = {
    name: Network(number, name, ranges)
    for number, (name, ranges) in enumerate({
        "dr": (), "fire": (), "apart": (), "like-production": (Range("10.0.1.0", "", 16),),
    }.items())
}


def here(fire: str | int = "fire") -> Counterparts:
    entries = (Entry((("prod",), ("dr",)), drill=("", fire)), Entry((("web",), ("dr2",))))
    return Counterparts(NETWORKS, mapping=SiteMap(("a", "b"), {"networks": entries}).towards("b"))


def item(*networks: str) -> inventory.VmItem:
    nics = tuple(("NIC", (("NETWORK", name), ("IP", "10.0.1.5"))) for name in networks)
    record = vm_record(template=nics)
    from samples import HERE, disk

    (found,) = inventory.vms([copy_of("one-1", replace(record, disks=(disk(0, "one/one-1"),)))], HERE)
    return found


@pytest.mark.parametrize(("standard", "networks", "words"), [
    ("", ("prod",), ""), ("apart", ("prod", "web"), ""), ("", (), "set DR_DRILL_NETWORK"),
    ("", ("prod", "web"), "Network web of VM web has no drill network here"), ("gone", ("prod",), "DR_DRILL_NETWORK=gone"),
    ("dr", ("prod",), "after a failover VM web would use it"), ("like-production", ("web",), "its range contains 10.0.1.5"),
])
def test_each_network_has_one_that_exists_and_is_apart(standard: str, networks: tuple[str, ...], words: str) -> None:
    found = drill_networks.refusal(here(), standard, [item(*networks)])
    assert words in found if words else not found


def test_one_that_the_mapping_names_must_exist_too_and_be_apart() -> None:
    assert "drill network gone of prod" in drill_networks.refusal(here("gone"), "", [item("prod")])
    assert "Drill network like-production is not isolated" in drill_networks.refusal(here("like-production"), "", [item("prod")])
    assert not drill_networks.refusal(here(1), "", [item("prod")]), "by id"


def test_the_record_of_the_drills_vm_has_them() -> None:
    made = drill_plan.drill_record(item("prod", "web").record, here(), "apart")
    assert [dict(nic)["NETWORK"] for key, nic in made.template if key == "NIC"] == ["fire", "apart"]
    assert drill_networks.names(here(), "apart", [item("prod", "web", "prod")]) == "fire, apart"
