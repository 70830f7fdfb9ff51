"""A draft is a file that can be set: whatever the names are, it reads again."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onedr.mapping import map_file
from onedr.mapping.draft import Drafting, draft
from onedr.mapping.site_objects import SiteObjects
from onedr.model.address_rules import read_rule
from onedr.model.site_map import Entry, SiteMap
from onedr.opennebula.nics import Network, Range

NAMES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"]), min_size=1, max_size=12).filter(
    lambda name: name.strip() == name and name not in ("drill", "addresses", "?")
)
SECTIONS = st.fixed_dictionaries({
    "networks": st.dictionaries(NAMES, st.integers(0, 99), max_size=4), "clusters": st.dictionaries(NAMES, st.integers(0, 9), max_size=3),
    "users": st.dictionaries(NAMES, st.integers(0, 9), max_size=3),
})


def site(name: str, **names: dict[str, int]) -> SiteObjects:
    networks = {each: Network(number, each, (Range("10.0.0.16", "", 8),)) for each, number in names.get("networks", {}).items()}
    return SiteObjects(name, names, networks)


@given(NAMES, NAMES, SECTIONS, SECTIONS)
def test_it_reads_again_and_has_the_names_of_both_sites(
    first: str, second: str, own: dict[str, dict[str, int]], other: dict[str, dict[str, int]]
) -> None:
    if first == second:
        return
    found = map_file.read(draft(Drafting("ds", site(first, **own), site(second, **other))), second)
    assert set(found.sites) == {first, second}
    for section in ("networks", "clusters"):
        same = own[section].keys() & other[section].keys()
        assert {entry.names for entry in found.sections.get(section, ())} == {((name,), (name,)) for name in same}


def test_what_is_in_force_and_the_short_form_are_kept() -> None:
    rule = read_rule("10.0.0.0/24", "10.9.0.0/24")
    current = SiteMap(("b", "a"), {
        "networks": (Entry((("dr",), ("prod",)), drill=("fire", ""), addresses=(rule,)),),
        "users": (Entry((("ops",), ("ann", "bob"))),),
    })
    here = site("a", networks={"prod": 1, "short": 2, "lone": 3})
    there = site("b", networks={"dr": 5, "long": 6, "fire": 7})
    used = {"a": {"networks": {"lone": ("vm1",)}}}
    text = draft(Drafting("ds", here, there, current=current, short={"networks": {"long": "2", "longer": "2"}}, used=used))
    found = map_file.read(text, "a")
    networks = {entry.names: entry for entry in found.sections["networks"]}
    assert networks[("prod",), ("dr",)].drill == ("", "fire")
    assert networks[("prod",), ("dr",)].addresses == (read_rule("10.9.0.0/24", "10.0.0.0/24"),)
    assert ((2,), ("long", "longer")) in networks
    assert found.sections["users"][0].names == (("ann", "bob"), ("ops",))
    assert "# - {a: lone, b: ?}  # not at b, used by vm1" in text and "# - {a: ?, b: fire}  # not at a" in text


def test_a_site_that_does_not_answer_is_said() -> None:
    assert "The front-end of b does not answer" in draft(Drafting("ds", site("a"), SiteObjects("b"), answers=False))
