"""Numbers and SOURCE from outside: read strictly or refused with the name of what is wrong."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model import parsing
from onedr.model.errors import InputError
from onedr.model.template import parse_xml
from onedr.model.types import ImageName


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_a_number_is_read_with_white_space_around_it(number: int) -> None:
    assert parsing.count(f" {number}\n", "SIZE") == number


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "1.5", "0x10", "1e3", "1 2", "1_000", "٣", "²", "9" * 19, "NaN", "0\x1f"]
)
def test_what_is_not_a_plain_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match="SIZE"):
        parsing.count(text, "SIZE")


def test_a_number_below_an_element_is_named_by_its_path() -> None:
    element = parse_xml("<IMAGE><SIZE>12</SIZE><ID>x</ID></IMAGE>")
    assert parsing.integer(element, "SIZE") == 12
    for path in ("ID", "GONE"):
        with pytest.raises(InputError, match=f"IMAGE/{path}"):
            parsing.integer(element, path)


def test_source_is_pool_and_image() -> None:
    assert parsing.source(" one.a-b_c/one-12-3-0\n") == ImageName("one.a-b_c", "one-12-3-0")
    assert str(parsing.source("one/one-1")) == "one/one-1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one",
        "one/",
        "/one-1",
        "one/ns/one-1",
        "one/one-1@snap",
        "one /one-1",
        "-p/one-1",
        "one/-rf",
        "one/one-1\nx",
        "one/$(id)",
        "one/one-1;rm",
        "./one-1",
        "../one-1",
        "ünë/one-1",
    ],
)
def test_anything_else_is_no_source(text: str) -> None:
    with pytest.raises(InputError, match="pool/image"):
        parsing.source(text)


@given(st.text())
def test_no_text_can_smuggle_an_option_or_a_path_into_a_source(text: str) -> None:
    try:
        found = parsing.source(text)
    except InputError:
        return
    for name in (found.pool, found.name):
        assert not name.startswith(("-", "."))
        assert not set(name) & set("/@ ;$\n")
