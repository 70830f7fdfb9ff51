"""What users wrote reaches a shell and oned as it was, and reaches a terminal as nothing but text."""
from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import PAIRS, XML_TEXT

from onedr.model import template
from onedr.model.template import Pairs
from onedr.runbook import shell_text

HOSTILE = (
    "$(touch /tmp/x)", "`id`", "a'b", 'a"b', "a\nb; id", "a\x1b[2Jb", "a\\b", "%s%n", "-n", "", "~root", "*",
    "\u202egpj", "名前", "a\u009bb", "$HOME", "!!", "a\tb", "#", "-n\x1b",
)
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), max_size=12)


def echoed(shell: str, texts: list[str]) -> list[str]:
    """What a shell makes of the words that stand for these texts."""
    script = "".join(f"printf '%s\\0' {shell_text.word(text)}\n" for text in texts)
    done = subprocess.run([shell], input=script.encode(), capture_output=True, check=True, timeout=20)
    assert not done.stderr
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_word_is_the_text(shell: str) -> None:
    assert echoed(shell, list(HOSTILE)) == list(HOSTILE)


@given(st.lists(ANY, min_size=20, max_size=40))
@settings(max_examples=20, deadline=None)
def test_any_word_is_its_text_and_is_printable(texts: list[str]) -> None:
    assert echoed("sh", texts) == texts
    assert all(shell_text.word(text).isprintable() for text in texts)


def test_a_text_that_ends_in_a_line_end_loses_no_other() -> None:
    """The one thing that `$(…)` takes away; no name in OpenNebula or Ceph ends in one."""
    assert echoed("sh", ["a\nb", "a\n\n"]) == ["a\nb", "a"]


@given(PAIRS)
def test_a_template_says_what_it_was_made_of(pairs: Pairs) -> None:
    lines = shell_text.template_lines(pairs)
    assert all(line.isprintable() and line != shell_text.END for line in lines)
    read = template.from_element(template.parse_xml("\n".join(lines)))
    assert read == pairs


@given(XML_TEXT | st.sampled_from(HOSTILE))
def test_prose_and_notes_stay_in_their_line(text: str) -> None:
    for made in (shell_text.prose(text), shell_text.note(text)):
        assert made.isprintable()
    assert shell_text.prose("[a](x) <b> `c`") == r"\[a\](x) \<b\> \`c\`"


def test_a_template_can_be_written_by_a_shell() -> None:
    pairs: Pairs = (("NAME", "$(id) `id` $HOME 'a' \\"), ("CONTEXT", (("SCRIPT", "a\nEND_OF_FILE\nid\n"),)))
    script = "\n".join(shell_text.file("/dev/stdout", pairs))
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=20, text=True)
    assert template.from_element(template.parse_xml(done.stdout)) == pairs
