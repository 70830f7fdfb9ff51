"""The mapping, both ways: what goes there and back is what it was."""
from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model import site_map
from onedr.model.address_rules import AddressRule, as_text, map_address, read_rule
from onedr.model.errors import InputError
from onedr.model.site_map import Entry, Name, SiteMap, UnmappedError

NAMES = st.text("abcdefgh", min_size=1, max_size=3)


@st.composite
def one_to_one(draw: st.DrawFn) -> SiteMap:
    """Networks, each with one name at each site; the same name may be another's at the other site."""
    here = draw(st.lists(NAMES, unique=True, max_size=6))
    there = draw(st.lists(NAMES, unique=True, min_size=len(here), max_size=len(here)))
    entries = tuple(Entry(((one,), (other,))) for one, other in zip(here, there))
    return SiteMap(("a", "b"), {"networks": entries})


@given(one_to_one(), NAMES, st.sampled_from(["a", "b"]))
def test_there_and_back_is_the_same_name_or_nothing(found: SiteMap, name: str, start: str) -> None:
    there, back = found.towards("b" if start == "a" else "a"), found.towards(start)
    try:
        called = there.one("networks", name)
    except UnmappedError:
        assert any(name in entry.names[there.at] for entry in found.sections["networks"]), "the name is another's"
        return
    assert back.one("networks", str(called)) == name


@given(one_to_one(), st.sets(NAMES))
def test_no_two_names_become_one(found: SiteMap, names: set[str]) -> None:
    called: list[Name] = []
    for name in names:
        try:
            called.append(found.towards("b").one("networks", name))
        except UnmappedError:
            continue
    assert len(called) == len(set(called))


@given(one_to_one())
def test_a_mapping_with_one_name_for_each_has_no_problem_and_survives_json(found: SiteMap) -> None:
    assert site_map.problems(found) == []
    assert site_map.from_json(json.loads(json.dumps(site_map.to_json(found)))) == found


def test_several_to_one_is_decided_by_what_the_vm_had() -> None:
    found = SiteMap(("a", "b"), {"users": (Entry((("ann", "bob"), ("ops",))),)})
    assert found.towards("b").one("users", "ann") == found.towards("b").one("users", "bob") == "ops"
    assert found.towards("a").one("users", "ops", had="bob") == "bob"
    with pytest.raises(UnmappedError, match="ann and bob"):
        found.towards("a").one("users", "ops")
    with pytest.raises(UnmappedError, match="ann and bob"):
        found.towards("a").one("users", "ops", had="carl")


def test_a_name_that_belongs_to_another_is_not_used() -> None:
    found = SiteMap(("a", "b"), {"networks": (Entry((("prod",), ("dr",))),)})
    with pytest.raises(UnmappedError, match=r"gives 'dr' here to 'prod' of a.*\{a: dr, b: <network here>\}"):
        found.towards("b").one("networks", "dr")


def test_an_id_stands_for_an_object_at_its_site_only() -> None:
    found = SiteMap(("a", "b"), {"networks": (Entry((("private",), (41,))),)})
    assert found.towards("b").one("networks", "private") == 41
    assert found.towards("a").one("networks", "some name", 41) == "private"
    assert found.towards("a").one("networks", "41") == "41"


def test_names_twice_are_a_problem_with_both_lines() -> None:
    entries = (Entry((("x",), ("y",)), line=3), Entry((("x",), ("z",)), line=5), Entry((("p", "q"), ("r", "s")), line=6))
    lines = site_map.problems(SiteMap(("a", "b"), {"hosts": entries}))
    assert [line for line, _ in lines] == [5, 6]
    assert "x of a is in line 3 already" in lines[0][1] and "only one site may have several" in lines[1][1]


def test_a_mapping_of_other_sites_is_not_used() -> None:
    with pytest.raises(InputError, match="one of a and b, and this site is c"):
        SiteMap(("a", "b")).towards("c")


RULES = [
    read_rule("10.0.1.10", "10.9.1.200"), read_rule("10.0.1.0/24", "10.9.1.0/24"), read_rule("10.0.1.64/28", "10.8.0.0/28"),
    read_rule("10.0.*.*", "10.7.*.*"), read_rule("2001:db8:a::/48", "2001:db8:b::/48"),
    read_rule("fd00:1:0:0:*:*:0:*", "fd00:2:0:0:*:*:0:*"),
]


@pytest.mark.parametrize(("address", "expected"), [
    ("10.0.1.10", "10.9.1.200"), ("10.0.1.11", "10.9.1.11"), ("10.0.1.65", "10.8.0.1"), ("10.0.2.7", "10.7.2.7"),
    ("2001:db8:a:7::1", "2001:db8:b:7::1"), ("fd00:1::a:b:0:c", "fd00:2::a:b:0:c"), ("192.0.2.1", None), ("no address", None),
])
def test_explicit_goes_before_subnet_before_pattern(address: str, expected: str | None) -> None:
    assert map_address(RULES, address, 0) == expected
    if expected is not None:
        assert map_address(RULES, expected, 1) == address


def test_an_address_whose_place_another_has_is_not_guessed() -> None:
    with pytest.raises(ValueError, match=r"10.0.1.200 would become 10.9.1.200, which belongs to 10.0.1.10"):
        map_address(RULES, "10.0.1.200", 0)


@st.composite
def rules(draw: st.DrawFn) -> list[AddressRule]:
    """Rules of all kinds over a small space, so that they overlap."""
    octet = st.integers(0, 3)
    found = []
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["address", "subnet", "pattern"]))
        sides = []
        for first in (10, 11):
            parts = [first, draw(octet), draw(octet), draw(octet)]
            if kind == "pattern":
                sides.append(f"{first}.{parts[1]}.*.{parts[3]}")
            else:
                number = ipaddress.IPv4Address(bytes(parts))
                sides.append(str(ipaddress.IPv4Network((number, 30), strict=False)) if kind == "subnet" else str(number))
        found.append(read_rule(*sides))
    return found


@given(rules(), st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), st.sampled_from([0, 1]))
def test_an_address_comes_back_as_it_was_whatever_the_rules_are(
    found: list[AddressRule], parts: tuple[int, int, int], source: int
) -> None:
    address = ".".join(map(str, (10 + source, *parts)))
    try:
        moved = map_address(found, address, source)
    except ValueError:
        return
    if moved is not None:
        assert map_address(found, moved, 1 - source) == address


@given(st.integers(0, 2**128 - 1), st.integers(0, 128), st.integers(0, 2**128 - 1))
def test_a_subnet_keeps_the_host_part(number: int, length: int, other: int) -> None:
    mask = (1 << (128 - length)) - 1
    one, two = (ipaddress.IPv6Network((each & ~mask, length)) for each in (number, other))
    moved = map_address([read_rule(str(one), str(two))], str(ipaddress.IPv6Address(number)), 0)
    if one.prefixlen < 128:
        assert moved is not None and int(ipaddress.IPv6Address(moved)) & mask == number & mask
        assert ipaddress.IPv6Address(moved) in two


@pytest.mark.parametrize(("first", "second", "words"), [
    ("10.0.0.0/24", "10.0.0.1", "not of one kind"), ("10.0.0.0/24", "10.0.0.0/25", "different sizes"),
    ("10.0.0.1/24", "10.0.0.0/24", "neither an address"), ("10.0.*.*", "10.0.0.*", "same number of"),
    ("10.0.*.256", "10.0.*.1", "is no pattern"), ("fd00::*", "fd00::*", "all eight groups"), ("::1", "10.0.0.1", "not of one kind"),
    ("10.0.*.*", "1:2:3:4:5:6:*:*", "same number of"), ("10.0.0", "10.0.0.1", "neither an address"),
])
def test_half_a_rule_is_refused_with_what_to_write(first: str, second: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_rule(first, second)


@given(rules())
def test_a_rule_reads_again_as_it_is_written(found: list[AddressRule]) -> None:
    assert [read_rule(*map(as_text, rule.sides)) for rule in found] == found


def test_what_is_drilled_where(request: Any) -> None:
    found = SiteMap(("a", "b"), {"networks": (Entry((("p",), ("d",)), drill=("", "fire")),)})
    assert found.towards("b").drill("p") == "fire" and found.towards("a").drill("d") == ""
    assert found.towards("b").without("networks").one("networks", "fire") == "fire"
