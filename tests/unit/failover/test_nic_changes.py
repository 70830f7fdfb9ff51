"""NICs at home follow the other site: aliases on their NIC, security groups, nothing that would open a VM."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.failover import nic_changes
from onedr.failover.nic_changes import Nics
from onedr.opennebula.attributes import GROUP_NAMES
from onedr.opennebula.nics import NETWORK_OWNER, Counterparts, Network, Owned, Range

LAN = Network(1, "lan", (Range("10.0.0.1", "", 50),))
HERE = Counterparts(
    {"lan": LAN, "dmz": Network(2, "dmz")},
    security_groups={"default": (Owned(0, "oneadmin"),), "web": (Owned(5, "u"),), "db": (Owned(6, "u"),)},
)
NAMES = {"0": "default", "105": "web", "106": "db", "107": "gone"}


def nic(number: str, address: str, network: str = "lan", on: str = "", groups: str = "") -> tuple[str, Any]:
    pairs = [("NIC_ID", number), ("NETWORK", network), ("IP", address), ("NAME", f"NIC{number}")]
    pairs += [("PARENT_ID", on)] if on else []
    if groups:
        names = ",".join(NAMES.get(each, "") for each in groups.split(","))
        pairs += [("SECURITY_GROUPS", groups), (GROUP_NAMES, names)]
    return ("NIC_ALIAS" if on else "NIC"), tuple(pairs)


FIRST, SECOND = nic("0", "10.0.0.5"), nic("1", "10.0.0.6")


@pytest.mark.parametrize(("own", "there", "expected"), [
    ((FIRST, nic("1", "10.0.0.7", on="0")), (nic("4", "10.0.0.5"), nic("5", "10.0.0.7", on="4")), Nics()),
    ((FIRST,), (FIRST, nic("1", "10.0.0.7", on="0")), Nics(aliases=(nic("1", "10.0.0.7", on="0")[1],))),
    ((FIRST, nic("1", "10.0.0.7", on="0")), (FIRST,), Nics(unplug=(1,))),
    # the same alias, on the other NIC there
    (
        (FIRST, SECOND, nic("2", "10.0.0.7", on="0")), (FIRST, SECOND, nic("2", "10.0.0.7", on="1")),
        Nics(unplug=(2,), aliases=(nic("2", "10.0.0.7", on="1")[1],)),
    ),
    # of a NIC that goes the aliases go first
    ((FIRST, SECOND, nic("2", "10.0.0.7", on="1")), (FIRST,), Nics(unplug=(2, 1))),
    # a new NIC with an alias
    (
        (FIRST,), (FIRST, nic("1", "10.1.0.1", "dmz"), nic("2", "10.1.0.2", "dmz", on="1")),
        Nics(plug=(nic("1", "10.1.0.1", "dmz")[1],), aliases=(nic("2", "10.1.0.2", "dmz", on="1")[1],)),
    ),
])
def test_an_alias_is_the_same_on_the_same_nic_only(own: Any, there: Any, expected: Nics) -> None:
    assert nic_changes.changes(own, there, HERE) == expected


def test_an_alias_on_a_network_that_is_not_here_leaves_all_nics_as_they_are() -> None:
    found = nic_changes.changes((FIRST, SECOND), (FIRST, nic("1", "10.9.0.1", "far", on="0")), HERE)
    assert "network far" in found.unclear and not (found.plug or found.unplug or found.aliases)


def test_a_nic_in_a_users_network_there_comes_home_into_that_users_network_only() -> None:
    """He may have called it like any network here."""
    added = ("NIC", (*nic("1", "10.0.0.9")[1], (NETWORK_OWNER, "mallory")))
    found = nic_changes.changes((FIRST,), (FIRST, added), HERE)
    assert "network lan" in found.unclear and not (found.plug or found.unplug)
    his = Network(1, "lan", owner="mallory")
    assert nic_changes.changes((FIRST,), (FIRST, added), Counterparts({"lan": his})).plug == (added[1],)


def test_the_parent_of_an_alias_is_called_by_its_name_here() -> None:
    own, there = (nic("7", "10.0.0.5"), SECOND), (nic("0", "10.0.0.6"), nic("1", "10.0.0.5"))
    alias = nic("2", "10.0.0.9", on="1")
    assert nic_changes.parent_of(alias[1], own, (*there, alias), HERE) == "NIC7"
    assert nic_changes.parent_of(nic("2", "10.0.0.9", on="8")[1], own, there, HERE) == ""


@pytest.mark.parametrize(("own", "there", "attach", "detach", "said"), [
    ("5", "105", [], [], ""),
    ("5", "106", [(0, 6)], [(0, 5)], ""),
    ("0,5", "105,106", [(0, 6)], [(0, 0)], ""),
    ("5", "0,105", [], [], "were changed at the other site (default,web)"),  # the default group opens it
    ("0", "0,105", [(0, 5)], [], ""),
    ("5", "", [], [], "were changed at the other site (none)"),
    ("5", "105,107", [], [], "'gone' (107 at the other site) is missing here"),
])
def test_security_groups_follow_unless_that_opens_the_vm(
    own: str, there: str, attach: Any, detach: Any, said: str
) -> None:
    found = nic_changes.groups((nic("0", "10.0.0.5", groups=own),), (nic("3", "10.0.0.5", groups=there),), HERE, "u")
    assert (list(found.attach), list(found.detach)) == (attach, detach)
    assert [said in text for text in found.said] == ([True] if said else [])


GROUPS = st.sets(st.sampled_from(["0", "5", "6"])).map(lambda each: ",".join(sorted(each)))
THERE = st.sets(st.sampled_from(["0", "105", "106", "107"])).map(lambda each: ",".join(sorted(each)))


@given(GROUPS, THERE)
def test_no_nic_becomes_more_open_than_it_is_at_either_site(own: str, there: str) -> None:
    """No default group that it does not have here, and never none where it has some."""
    found = nic_changes.groups((nic("0", "10.0.0.5", groups=own),), (nic("3", "10.0.0.5", groups=there),), HERE, "u")
    had = {int(each) for each in own.split(",") if each}
    has = (had | {group for _, group in found.attach}) - {group for _, group in found.detach}
    assert 0 not in has - had and (has or not had)
    assert {f"{group + 100 if group else 0}" for group in has} == set(filter(None, there.split(","))) or has == had


@pytest.mark.parametrize(("asked", "found", "expected"), [
    ("5", "0,5", [(3, 0)]), ("5", "5", []), ("5,6", "5,6", []), ("", "0", []), ("5", "0,5,6", [(3, 0), (3, 6)]),
])
def test_what_a_network_adds_to_a_new_vms_groups_is_found(asked: str, found: str, expected: Any) -> None:
    wanted = ("NIC", (("SECURITY_GROUPS", asked),) if asked else ())
    assert nic_changes.added((wanted,), (nic("3", "10.0.0.5", groups=found),)) == expected
