"""Edits of YAML files: exactly one change of the data, and all else as it was written."""
from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from onedr.model.errors import InputError
from onedr.sunstone.yaml_edit_rules import parse, with_item, with_key, without_item, without_key

VIEW = b"""\
---
# What a datastore's details show.
resource_name: "DATASTORE"

info-tabs: # of the details
  # the first one
  info:
    enabled: true

  images:
    enabled: true
# the end
"""
ON = {"enabled": True}


def test_comments_and_order_stay() -> None:
    after = with_key(VIEW, ("info-tabs",), "onedr", ON, "view")
    assert after.decode() == VIEW.decode().replace("# the end", "  onedr:\n    enabled: true\n# the end")
    assert without_key(after, ("info-tabs",), "onedr", "view") == VIEW


@pytest.mark.parametrize("text", [b"info-tabs:\n", b"info-tabs:", b"info-tabs:\nother: 1\n", b"a: 1\ninfo-tabs:\n    x: 1\n"])
def test_a_mapping_without_keys_or_with_another_indent(text: bytes) -> None:
    after = with_key(text, ("info-tabs",), "onedr", ON, "view")
    assert parse(after, "")["info-tabs"]["onedr"] == ON
    assert parse(without_key(after, ("info-tabs",), "onedr", "view"), "") == parse(text, "")


def test_an_older_value_is_replaced_and_the_same_one_left() -> None:
    old = with_key(b"A: {name: A} # first\n", (), "OneDR", {"v": "1"}, "list")
    new = with_key(old, (), "OneDR", {"v": "2"}, "list")
    assert new == b"A: {name: A} # first\nOneDR:\n  v: '2'\n" and with_key(new, (), "OneDR", {"v": "2"}, "list") == new
    assert without_key(new, (), "OneDR", "list") == b"A: {name: A} # first\n"


def test_a_key_that_is_not_there_takes_nothing_out() -> None:
    assert without_key(VIEW, ("info-tabs",), "onedr", "view") == VIEW
    assert without_key(b"", (), "onedr", "view") == b""


@pytest.mark.parametrize("text", [b"info-tabs: {info: {enabled: true}}\n", b"info-tabs: &a\n  x: 1\nb: *a\n", b"x: 1\n"])
def test_what_cannot_be_edited_safely_is_refused_with_what_to_add(text: bytes) -> None:
    with pytest.raises(InputError, match="view is written in a form .* by hand.*onedr"):
        with_key(text, ("info-tabs",), "onedr", ON, "view")


@pytest.mark.parametrize("text", [b"a: [", b"\xff", b"a: !!python/object/apply:os.system [ls]"])
def test_what_is_not_yaml_is_said(text: bytes) -> None:
    with pytest.raises(InputError, match="view cannot be read as YAML"):
        with_key(text, ("info-tabs",), "onedr", ON, "view")


@pytest.mark.parametrize("text", [b"- title: A\n", b"  - title: A\n    routes:\n      - x: 1\n  # end\n", b"- title: A"])
def test_items_of_a_list(text: bytes) -> None:
    after = with_item(text, {"title": "DR", "path": "/dr"}, "list")
    assert parse(after, "") == [*parse(text, ""), {"title": "DR", "path": "/dr"}]
    assert with_item(after, {"title": "DR", "path": "/dr"}, "list") == after
    assert without_item(after, [False, True], "list").rstrip() == text.rstrip()


def test_another_list_is_refused() -> None:
    with pytest.raises(InputError, match="not a list of tabs"):
        with_item(b"a: 1\n", {}, "list")


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2ff), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(WORDS, inside, max_size=3), max_leaves=8,
)
KEYS = st.text("abcxyz-_", min_size=1, max_size=8)
TABS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


@given(TABS, st.dictionaries(st.sampled_from(["actions", "filters", "z"]), VALUES, max_size=3), st.integers(2, 6), st.booleans())
def test_any_block_file_gets_the_key_and_loses_it_again(
    tabs: dict[str, object], around: dict[str, object], indent: int, first: bool
) -> None:
    data = {"info-tabs": tabs, **around} if first else {**around, "info-tabs": tabs}
    text = yaml.safe_dump(data, indent=indent, sort_keys=False, allow_unicode=True).encode()
    after = with_key(text, ("info-tabs",), "onedr", ON, "view")
    before = parse(text, "")
    assert parse(after, "") == {**before, "info-tabs": {**before["info-tabs"], "onedr": ON}}
    assert without_key(after, ("info-tabs",), "onedr", "view") == text
