"""What a record's text and attribute names may be: the quick look says the same as XML's own definition."""
from __future__ import annotations

import re
import sys

from hypothesis import given
from hypothesis import strategies as st

from onedr.replication.record_fields import is_xml_name, is_xml_text

# XML 1.0, productions [2] Char, [4] NameStartChar and [4a] NameChar; the colon is for namespaces.
CHAR = "\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff"
START = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
TEXT = re.compile(f"[{CHAR}]*")
NAME = re.compile(f"[{START}][{START}0-9.\xb7\u0300-\u036f\u203f\u2040-]*")
# The first plane whole; of the others both ends, where the classes end too.
EVERY = [chr(at) for at in range(sys.maxunicode + 1) if at < 1 << 16 or not 0x20 <= at & 0xFFFF < 0xFFE0]
ANY = st.text(st.characters() | st.sampled_from("\t\n\r\0\x7f\ufffe\ud800_-.:A1\xb7"), max_size=8)


def test_every_character_alone() -> None:
    assert [one for one in EVERY if is_xml_text(one) != bool(TEXT.fullmatch(one))] == []
    assert [one for one in EVERY if is_xml_name(one) != bool(NAME.fullmatch(one))] == []
    assert [one for one in EVERY if is_xml_name(f"A{one}") != bool(NAME.fullmatch(f"A{one}"))] == []


@given(ANY)
def test_any_text(text: str) -> None:
    assert is_xml_text(text) == bool(TEXT.fullmatch(text))
    assert is_xml_name(text) == bool(NAME.fullmatch(text))
