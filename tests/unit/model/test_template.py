"""Templates as pairs: nothing is lost on the way through XML or JSON, and no document may reach outside
itself.
"""
from __future__ import annotations

import json

import pytest
from hypothesis import given
from samples import PAIRS, XML_TEXT

from onedr.model import template
from onedr.model.template import Pairs


@given(PAIRS)
def test_pairs_survive_xml_with_their_order_and_repeated_keys(pairs: Pairs) -> None:
    assert template.from_element(template.parse_xml(template.to_xml(pairs))) == pairs


@given(PAIRS)
def test_pairs_survive_json(pairs: Pairs) -> None:
    assert template.freeze(json.loads(json.dumps(pairs))) == pairs


@given(XML_TEXT)
def test_markup_in_a_value_stays_text(text: str) -> None:
    value = f"</A><B>{text}]]>&amp;<![CDATA["
    found = template.from_element(template.parse_xml(template.to_xml((("A", value),))))
    assert found == (("A", value),)


def test_the_root_is_named_as_oned_wants_it() -> None:
    assert template.to_xml((("A", "1"),), root="VM") == "<VM><A>1</A></VM>"


@pytest.mark.parametrize("document", [
    '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>',
    '<!DOCTYPE a PUBLIC "p" "x.dtd"><a/>',
    "<!DOCTYPE a><a/>",
    '<!DOCTYPE a [<!ENTITY l "lol">' + "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1 if n else str()};" * 10}">' for n in range(10)) + "]><a>&l9;</a>",
    "<a>&undeclared;</a>", "<a>", "", "no xml", "<a/><b/>", "\x00", "<a>\x01</a>",
    '<?xml version="1.0" encoding="x"?><a/>',
])
def test_a_document_with_a_type_declaration_or_that_is_not_well_formed_is_refused(document: str) -> None:
    with pytest.raises(ValueError):
        template.parse_xml(document)


def test_comments_and_instructions_neither_cut_a_value_nor_make_it_a_vector() -> None:
    root = template.parse_xml("<T><A>one<!-- x -->two</A><!-- y --><B><C>1</C><?p q?></B></T>")
    assert template.from_element(root) == (("A", "onetwo"), ("B", (("C", "1"),)))


def test_get_takes_the_first_plain_value_that_is_not_empty() -> None:
    pairs: Pairs = (("A", (("B", "in"),)), ("A", ""), ("A", "first"), ("A", "second"))
    assert template.get(pairs, "A") == "first"
    assert template.get(pairs, "B") == ""
    assert template.get((("A", ""),), "A", "default") == "default"


def test_vectors_come_in_order_and_plain_values_of_the_name_are_passed_over() -> None:
    pairs: Pairs = (
        ("DISK", (("ID", "0"),)),
        ("DISK", "plain"),
        ("NIC", (("ID", "9"),)),
        ("DISK", (("ID", "1"),)),
    )
    assert list(template.vectors(pairs, "DISK")) == [(("ID", "0"),), (("ID", "1"),)]


def test_without_drops_every_attribute_of_the_name() -> None:
    assert template.without((("A", "1"), ("B", "2"), ("A", (("C", "3"),))), "A") == (("B", "2"),)
