"""The mapping's file: what is read, what is refused, by line and with what to type."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.mapping import map_file
from onedr.model import yaml_nodes
from onedr.model.errors import InputError, OneDRError
from onedr.model.site_map import Entry

GOOD = """\
version: 1
sites: [site-a, 12345678]
networks:
  - site-a: prod
    12345678: 41
    drill: {12345678: fire}
    addresses:
      - {site-a: 10.0.1.0/24, 12345678: 10.9.1.0/24}
users:
  - {site-a: [ann, "on"], 12345678: ops}
groups:
"""


def test_a_good_file() -> None:
    found = map_file.read(GOOD, "site-a")
    assert found.sites == ("site-a", "12345678")
    (network,), (user,) = found.sections["networks"], found.sections["users"]
    assert (network.names, network.drill, network.line) == ((("prod",), (41,)), ("", "fire"), 4)
    assert user == Entry((("ann", "on"), ("ops",)), line=10) and "groups" not in found.sections
    assert map_file.read(GOOD, "12345678") == found


@pytest.mark.parametrize(("old", "new", "words"), [
    ("networks:", "netwoks:", "line 3: the file has no key 'netwoks'; do you mean networks?"),
    ("version: 1", "version: 2", "line 1: version is missing or not known: write version: 1"),
    ("version: 1\n", "", "version is missing"),
    ("sites: [site-a, 12345678]", "sites: [site-a]", "line 2: sites must be the names of both sites"),
    ("sites: [site-a,", "sites: [site-b,", "line 2: sites does not name this site, site-a (DR_SITE); do you mean site-b?"),
    ("drill: {12345678: fire}", "dril: {12345678: fire}", "line 6: an entry of networks has no key 'dril'; do you mean drill?"),
    ("drill: {12345678: fire}", "drill: fire", "line 6: drill must say at which site"),
    ("10.9.1.0/24", "10.9.1.0/25", "line 8: 10.0.1.0/24 and 10.9.1.0/25 have different sizes"),
    (", 12345678: 10.9.1.0/24}", "}", "line 8: an address rule must be"),
    ('"on"', "on", 'line 10: on is no text for YAML: put it in quotes: "on"'),
    (", 12345678: ops}", "}", "line 10: an entry of users lacks 12345678: write 12345678: NAME"),
    ("12345678: ops}", "12345678: ?}", "line 10: "), ("12345678: ops}", "12345678: []}", "line 10: an empty list"),
    ("groups:", "groups: team", "line 11: groups must be a list"),
    ("groups:", "groups:\n  - team", "line 12: an entry of groups must be"),
    ("groups:", "users:\n", "line 11: users is there twice"),
    ("groups:", "groups:\n  - {site-a: x, 12345678: y}\n  - {site-a: z, 12345678: y}", "line 13: groups: y of 12345678 is in line 12"),
    ("groups:", "groups: &all []\nhosts: *all", "line 11: anchors (&) and aliases (*) are not read"),
    ("groups:", "groups: [", "is no YAML: line"), ("groups:", "groups: {a: {b: {c: {d: {e: {f: {g: {h: 1}}}}}}}}", "too many entries or levels"),
    (GOOD, "", "empty or no mapping"), (GOOD, "- a", "empty or no mapping"), (GOOD, "\x07", "is no YAML"),
])
def test_what_is_wrong_is_said_by_line(old: str, new: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        map_file.read(GOOD.replace(old, new), "site-a")
    assert words in str(refused.value)


def test_every_problem_is_named_at_once() -> None:
    text = GOOD.replace("drill:", "dril:").replace("ops", "yes").replace("groups:", "group:")
    with pytest.raises(InputError) as refused:
        map_file.read(text, "site-a")
    assert all(f"line {line}: " in str(refused.value) for line in (6, 10, 11))


def test_a_bomb_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    with pytest.raises(InputError, match="anchors"):
        map_file.read("\n".join(lines), "site-a")
    with pytest.raises(InputError, match="too many entries"):
        map_file.read("users: [" + "x," * 70_000 + "]", "site-a")
    with pytest.raises(InputError, match="larger than 256 KiB"):
        map_file.read("#" * (yaml_nodes.MAX_BYTES + 1), "site-a")


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_whatever_the_text_is_it_is_read_or_refused(text: str) -> None:
    for given_text in (text, GOOD + text):
        try:
            map_file.read(given_text, "site-a")
        except OneDRError as error:
            assert "\n" not in str(error)
