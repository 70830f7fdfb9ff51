"""The networks of a drill: one for each network by the mapping, else DR_DRILL_NETWORK."""
from __future__ import annotations

from dataclasses import replace

import pytest
from samples import vm_record
from worlds import copy_of

from onedr.drill import drill_networks
from onedr.drill import plan as drill_plan
from onedr.model.site_map import Entry, SiteMap
from onedr.opennebula.nics import NETWORK_OWNER, Counterparts, Network, Range
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


def item(*networks: str, owner: str = "") -> inventory.VmItem:
    """A VM with NICs in these networks; `owner`: of the networks, where that is no admin."""
    of = ((NETWORK_OWNER, owner),) if owner else ()
    nics = tuple(("NIC", (("NETWORK", name), ("IP", "10.0.1.5"), *of)) for name in networks)
    record = vm_record(template=nics)
    from samples import HERE, disk

    (found,) = inventory.vms([copy_of("one-1", replace(record, disks=(disk(0, "one/one-1"),)))], HERE)
    return found


@pytest.mark.parametrize(("standard", "networks", "words"), [
    ("", ("prod",), ""), ("apart", ("prod", "web"), ""), ("", (), "set DR_DRILL_NETWORK"),
    ("", ("prod", "web"), ""), ("gone", ("prod",), "DR_DRILL_NETWORK=gone"),
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


def test_a_network_without_a_drill_network_keeps_out_its_vm_and_no_other() -> None:
    both, prod = item("prod", "web"), item("prod")
    assert "its network web has no drill network here" in drill_networks.obstacle(both, here(), "", [both, prod])
    assert not drill_networks.obstacle(prod, here(), "", [both, prod])


MALLORYS = Network(50, "apart", owner="mallory")


def test_a_users_reservation_of_that_name_is_no_drill_network_and_hides_none() -> None:
    """Drills of everybody's VMs in his network would be his to listen to."""
    alone = Counterparts({"apart": MALLORYS})
    assert "no virtual network of this name here that is oneadmin's" in drill_networks.refusal(alone, "apart", [item("prod")])
    assert not drill_networks.refusal(alone, "50", [item("prod")]), "the operator names it by its id"
    beside = Counterparts({**NETWORKS, "apart": replace(NETWORKS["apart"], twins=(MALLORYS,))})
    assert not drill_networks.refusal(beside, "apart", [item("prod")])
    found = drill_networks.of_nic((("NETWORK", "x"),), beside, "apart")
    assert found is not None and found.network_id == NETWORKS["apart"].network_id


def test_a_users_network_there_that_is_called_like_the_drill_network_vetoes_nothing() -> None:
    mallorys, prod = item("apart", owner="mallory"), item("prod")
    ground = Counterparts(NETWORKS)
    assert not drill_networks.refusal(ground, "apart", [mallorys, prod])
    assert drill_networks.refusal(ground, "apart", [item("apart"), prod]), "an admins' network of that name does"


def test_an_address_of_a_users_network_in_the_drills_range_keeps_out_his_vm_alone() -> None:
    mallorys, web = item("his", owner="mallory"), item()
    ground = Counterparts(NETWORKS)
    assert not drill_networks.refusal(ground, "like-production", [mallorys, web])
    found = drill_networks.obstacle(mallorys, ground, "like-production", [mallorys, web])
    assert "10.0.1.5" in found and "of user mallory" in found
    assert not drill_networks.obstacle(web, ground, "like-production", [mallorys, web])
