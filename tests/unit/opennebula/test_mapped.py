"""A VM as the mapping has it here: NICs, addresses, groups, owner, requirements; and home again."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import vm_record

from onedr.failover import failback_plan, nic_changes
from onedr.failover.nic_changes import Nics
from onedr.model import template
from onedr.model.address_rules import read_rule
from onedr.model.errors import RefusedError
from onedr.model.site_map import Direction, Entry, SiteMap
from onedr.model.template import Pairs
from onedr.opennebula import mapped, uses, vm_template
from onedr.opennebula.attributes import GROUP_NAMES
from onedr.opennebula.mapped import Owner
from onedr.opennebula.nics import Counterparts, Network, Owned, Range
from onedr.opennebula.uses import Use

RULES = (read_rule("10.0.1.0/24", "10.9.1.0/24"), read_rule("10.0.1.10", "10.9.1.200"))
MAP = SiteMap(
    ("a", "b"),
    {
        "networks": (Entry((("prod",), ("dr",)), addresses=RULES), Entry((("private",), (41,)))),
        "security_groups": (Entry((("web",), ("web-dr",))), Entry(((7,), ("by-id",)))),
        "users": (Entry((("alice",), ("ops",))), Entry((("ann", "bob"), ("both",)))),
        "groups": (Entry((("users",), ("users-dr",))),),
        "clusters": (Entry((("east",), ("west",))),),
        "hosts": (Entry((("h1",), ("k1",))),),
        "system_datastores": (Entry((("fast",), ("quick",))),),
        "vm_groups": (Entry((("tier",), ("tier-dr",))),),
    },
    {"a": {"clusters": {"east": 100, "other": 5}, "hosts": {"h1": 3}, "system_datastores": {"fast": 120}}},
)
DR = Network(40, "dr", (Range("10.9.1.0", "02:00:0a:09:01:00", 256),))
HERE = Counterparts(
    {"dr": DR, "x": Network(41, "x"), "prod": Network(42, "prod")},
    security_groups={"web-dr": (Owned(110, "oneadmin"),), "by-id": (Owned(111, "oneadmin"),)},
    vm_groups={"tier-dr": (Owned(9, "oneadmin", ("front",)),)},
    mapping=MAP.towards("b"),
    places={"clusters": {"west": 200}, "hosts": {"k1": 30}, "system_datastores": {"quick": 130}},
)


def made(*attributes: Any, user: Pairs = (), here: Counterparts = HERE) -> vm_template.Recreation:
    record = vm_record(template=tuple(attributes), user_template=user)
    return vm_template.recreate(record, "f:1", "a", {}, here, False)


def nic(network: str, address: str = "", **more: str) -> tuple[str, Pairs]:
    pairs = (("NETWORK", network), *((("IP", address),) if address else ()), *more.items())
    return "NIC", pairs


def first(found: vm_template.Recreation, kind: str = "NIC") -> dict[str, Any]:
    return dict(next(template.vectors(found.template, kind)))


@pytest.mark.parametrize(("address", "expected"), [("10.0.1.7", "10.9.1.7"), ("10.0.1.10", "10.9.1.200"), ("", "")])
def test_a_nic_is_in_the_mapped_network_with_the_mapped_address(address: str, expected: str) -> None:
    found = first(made(nic("prod", address)))
    assert found["NETWORK_ID"] == "40" and found.get("IP", "") == expected


def test_a_network_by_id_and_one_that_is_not_listed() -> None:
    assert first(made(nic("private")))["NETWORK_ID"] == "41"
    assert first(made(nic("x")))["NETWORK_ID"] == "41"
    with pytest.raises(RefusedError, match="gives 'dr' here to 'prod' of a"):
        made(nic("dr"))


def test_an_address_outside_the_ranges_or_that_is_anothers_is_refused() -> None:
    small = replace(HERE, networks={"dr": replace(DR, ranges=(Range("10.9.1.0", "", 16),))})
    with pytest.raises(RefusedError, match=r"10.0.1.77 becomes 10.9.1.77 .* no range of network 'dr'.*addar 40"):
        made(nic("prod", "10.0.1.77"), here=small)
    with pytest.raises(RefusedError, match="10.9.1.200, which belongs to 10.0.1.10"):
        made(nic("prod", "10.0.1.200"))


def test_the_short_form_counts_where_the_file_says_nothing() -> None:
    here = replace(HERE, network_map={"old": "x", "prod": "x"})
    assert first(made(nic("old"), here=here))["NETWORK_ID"] == "41"
    assert first(made(nic("prod"), here=here))["NETWORK_ID"] == "40", "the file goes before it"


@pytest.mark.parametrize(("numbers", "names", "expected"), [
    ("5", "web", "110"), ("0,5", ",web", "0,110"), ("7", "", "111"), ("7", "whatever", "111"),
])
def test_security_groups_by_name_or_id(numbers: str, names: str, expected: str) -> None:
    found = first(made(nic("x", SECURITY_GROUPS=numbers, **{GROUP_NAMES: names})))
    assert found["SECURITY_GROUPS"] == expected


@pytest.mark.parametrize(("key", "text", "expected"), [
    ("SCHED_REQUIREMENTS", 'CLUSTER_ID = "100"', 'CLUSTER_ID = "200"'),
    ("SCHED_REQUIREMENTS", "CLUSTER_ID=100 | ID=3", 'CLUSTER_ID="200" | ID="30"'),
    ("SCHED_REQUIREMENTS", '(CLUSTERS/ID @> 100) & NAME = "h1" & FREE_CPU > 10', '(CLUSTERS/ID @> "200") & NAME = "k1" & FREE_CPU > 10'),
    ("SCHED_REQUIREMENTS", 'HOSTNAME != "h1" & CLUSTER="east"', 'HOSTNAME != "k1" & CLUSTER="west"'),
    ("SCHED_DS_REQUIREMENTS", "ID=120", 'ID="130"'), ("SCHED_DS_REQUIREMENTS", 'NAME="fast"', 'NAME="quick"'),
    ("SCHED_REQUIREMENTS", "CLUSTER_ID=5", None), ("SCHED_REQUIREMENTS", 'NAME="h*"', '(NAME="k1")'),
    ("SCHED_REQUIREMENTS", 'NAME != "h?" & ARCH = x86_64', '(NAME != "k1") & ARCH = x86_64'), ("SCHED_REQUIREMENTS", 'NAME="web*"', None),
    ("SCHED_REQUIREMENTS", 'CLUSTER="*"', None), ("SCHED_REQUIREMENTS", '"CLUSTERS/ID" @> 100', '"CLUSTERS/ID" @> "200"'),
    ("SCHED_REQUIREMENTS", 'NAME & ID="3"', None), ("SCHED_REQUIREMENTS", "ID > 3", None),
    ("SCHED_REQUIREMENTS", "ID=3 & ID=4", None), ("SCHED_REQUIREMENTS", 'ID="h1"', None),
])
def test_requirements_are_mapped_whole_or_put_aside(key: str, text: str, expected: str | None) -> None:
    found = made(user=((key, text),))
    assert mapped.requirements(key, text, HERE) == expected
    if expected is None:
        assert template.get(found.user_template, f"DR_ORIGIN_{key}") == text and not template.get(found.user_template, key)
    else:
        assert template.get(found.user_template, key) == expected
        assert any(expected in warning for warning in found.warnings)


@given(st.text(max_size=60), st.sampled_from(sorted(mapped.SECTION)))
def test_any_text_of_a_requirement_is_mapped_or_not_and_never_fails(text: str, key: str) -> None:
    found = mapped.requirements(key, text, HERE)
    assert found is None or isinstance(found, str)
    assert mapped.requirements(key, text, replace(HERE, mapping=None)) is None


def test_owners_both_ways() -> None:
    there, back = MAP.towards("b"), MAP.towards("a")
    assert mapped.name_owner(Owner("alice", "users"), there) == Owner("ops", "users-dr")
    assert mapped.name_owner(Owner("ops", "users-dr"), back) == Owner("alice", "users")
    assert mapped.name_owner(Owner("both", "x"), back, Owner("bob", "x")) == Owner("bob", "x")
    assert mapped.name_owner(Owner("both", "x"), back) == Owner("", "x"), "not clear: it is not guessed"
    assert mapped.name_owner(Owner("ops", "x"), there) == Owner("", "x"), "ops here is alice's"
    assert mapped.name_owner(Owner("ops", "x"), None) == Owner("ops", "x")


def test_a_vm_group_by_its_name_here() -> None:
    group = ("VMGROUP", (("VMGROUP_NAME", "tier"), ("ROLE", "front")))
    assert first(made(group), "VMGROUP")["VMGROUP_ID"] == "9"


def test_what_a_vm_uses() -> None:
    record = vm_record(
        template=(nic("prod", NETWORK_ID="3", SECURITY_GROUPS="0,7", **{GROUP_NAMES: ",web"}),
                  ("VMGROUP", (("VMGROUP_NAME", "tier"), ("ROLE", "r"))),
                  ("CONTEXT", (("FILES_DS", "/var/x/0a:'init.sh'"),))),
        user_template=(("SCHED_REQUIREMENTS", 'CLUSTER_ID=100 & NAME="h9"'), ("SCHED_DS_REQUIREMENTS", "ID=7")),
    )
    assert set(uses.of_vm(record, MAP.towards("b"))) == {
        Use("users", "alice"), Use("groups", "users"), Use("networks", "prod", 3), Use("security_groups", "web", 7),
        Use("vm_groups", "tier"), Use("files", "init.sh"), Use("clusters", "east", 100), Use("hosts", "h9"),
        Use("system_datastores", "", 7),
    }


HOME = Counterparts({"prod": Network(1, "prod"), "private": Network(2, "private")}, mapping=MAP.towards("a"))


@pytest.mark.parametrize(("own", "there", "expected"), [
    ((nic("prod", "10.0.1.7", NIC_ID="0"),), (nic("dr", "10.9.1.7"),), Nics()),
    # unplugged there: the one with the other address
    ((nic("prod", "10.0.1.7", NIC_ID="0"), nic("prod", "10.0.1.8", NIC_ID="1")), (nic("dr", "10.9.1.8"),), Nics(unplug=(0,))),
    ((nic("private", NIC_ID="0"),), (nic("x", NETWORK_ID="41"),), Nics()),
    ((), (nic("dr", "10.9.1.9"),), Nics(plug=(nic("dr", "10.9.1.9")[1],))),
])
def test_at_home_a_nic_is_known_by_its_address_as_it_is_here(own: Any, there: Any, expected: Nics) -> None:
    assert nic_changes.changes(own, there, HOME) == expected


def test_at_home_requirements_read_as_they_were() -> None:
    back = replace(HOME, mapping=Direction(replace(MAP, ids={"b": {"clusters": {"west": 200}}}), 0),
                   places={"clusters": {"east": 100}})
    own = (("SCHED_REQUIREMENTS", 'CLUSTER_ID = "100"'), ("NOTE", "x"))
    there = (("SCHED_REQUIREMENTS", 'CLUSTER_ID = "200"'), ("NOTE", "y"))
    assert failback_plan.requirements_here(own, there, back) == ((own[0], ("NOTE", "y")), [])
    foreign = (("SCHED_REQUIREMENTS", 'CLUSTER_ID = "9"'),)
    assert failback_plan.requirements_here(own, foreign, back) == ((own[0],), ["SCHED_REQUIREMENTS"])


def test_a_pattern_that_nobody_changed_is_at_home_as_it_was() -> None:
    both = replace(MAP, ids={**MAP.ids, "b": {"hosts": {"k1": 30}, "clusters": {"west": 200}}})
    back = Counterparts(mapping=both.towards("a"), places={"hosts": {"h1": 3}, "clusters": {"east": 100}})
    own = (("SCHED_REQUIREMENTS", 'NAME="h*" & CLUSTER_ID=100'),)
    there = (("SCHED_REQUIREMENTS", '(NAME="k1") & CLUSTER_ID="200"'),)
    assert failback_plan.requirements_here(own, there, back) == (own, [])
    changed = (("SCHED_REQUIREMENTS", '(NAME="k1")'),)
    assert failback_plan.requirements_here(own, changed, back) == ((("SCHED_REQUIREMENTS", '(NAME="h1")'),), [])


def test_a_pattern_needs_a_counterpart_for_all_that_it_meets() -> None:
    more = replace(MAP, ids={"a": {"hosts": {"h1": 3, "h2": 4}}}).towards("b")
    assert mapped.requirements("SCHED_REQUIREMENTS", 'NAME="h*"', replace(HERE, mapping=more)) is None
    assert [use.name for use in uses.of_vm(vm_record(user_template=(("SCHED_REQUIREMENTS", 'NAME="h*"'),)), more)
            if use.section == "hosts"] == ["h1", "h2"]
