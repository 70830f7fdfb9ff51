"""A run book's page: the commands are the same to the letter, and text of users stays text."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from onedr.runbook import page, page_html
from onedr.runbook.facts import Block, Chapter, Title

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30)
COMMANDS = st.lists(WORDS.filter(lambda line: not line.startswith("```")), min_size=1, max_size=4)


@given(st.lists(st.tuples(COMMANDS, st.booleans()), max_size=4))
def test_every_command_is_there_to_the_letter_and_in_order(blocks: list[tuple[list[str], bool]]) -> None:
    parts = tuple(Block(tuple(lines), here) for lines, here in blocks)
    lines = page.lines("Run book", [Chapter("Do it", ("First.", *parts))])
    found = [(pre.text or "", pre.get("class") == "here") for pre in html.fromstring(page_html.page(lines)).iter("pre")]
    # HTML drops one line end at the beginning of a block, and what is not printable is a question mark
    expected = [("\n".join("".join(c if c.isprintable() else "?" for c in line) for line in each), here) for each, here in blocks]
    assert found == expected


def test_headings_lists_and_code_are_what_they_are_in_the_book() -> None:
    lines = page.lines("Run book", [Chapter("Left out", ("Not `one-1` <b>:", "- `one-2`: it is late", "- another", Title("VM db"), "More."))])
    root = html.fromstring(page_html.page(lines))
    assert ["".join(map(str, each.itertext())) for each in root.iter("h1", "h2", "h3")] == ["Run book", "1. Left out", "VM db"]
    assert ["".join(map(str, each.itertext())) for each in root.iter("li")] == ["one-2: it is late", "another"]
    assert ["".join(map(str, each.itertext())) for each in root.iter("code")] == ["one-1", "one-2"]
    assert ["".join(map(str, each.itertext())) for each in root.iter("p")] == ["Not one-1 <b>:", "More."] and not list(root.iter("b"))
