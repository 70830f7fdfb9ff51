"""Text of users in commands, templates and prose: as data, with no character that a terminal acts on. Pure.

What is not printable is written as an escape of the language it stands in: octal for a shell, a character
reference in XML.
"""
from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from onedr.model import template
from onedr.model.template import Pairs
from onedr.model.text import printable

END = "END_OF_FILE"  # no line of a template is this: each begins with < or a blank
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|&~])")
_PLAIN_IN_PRINTF = re.compile(rb"[A-Za-z0-9 ./_=:,@+]")


def word(text: str) -> str:
    """One word of a POSIX shell that stands for this text."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(
        chr(byte) if _PLAIN_IN_PRINTF.match(bytes([byte])) else f"\\{byte:03o}" for byte in text.encode()
    )
    return f"\"$(printf '{escaped}')\""


def command(words: Iterable[str]) -> str:
    """A command line of these words."""
    return " ".join(word(each) for each in words)


def prose(text: str) -> str:
    """The text inside a paragraph of Markdown."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def note(text: str) -> str:
    """A shell comment of one line."""
    return f"# {printable(text)}"


def file(name: str, pairs: Pairs) -> tuple[str, ...]:
    """Commands that write a template to a file: XML, which oned takes wherever it takes a template
    (docs/opennebula-facts.md O26), an attribute in a line.
    """
    return (f"cat > {word(name)} <<'{END}'", *template_lines(pairs), END)


def template_lines(pairs: Pairs) -> tuple[str, ...]:
    """A template as lines of XML. What lies between elements means nothing to oned (Template::from_xml)."""
    lines = ["<TEMPLATE>"]
    for key, value in pairs:
        if isinstance(value, str) or not value:
            lines.append(f"  {_element(key, value)}")
            continue
        lines += [f"  <{key}>", *(f"    {_element(inner, text)}" for inner, text in value), f"  </{key}>"]
    return (*lines, "</TEMPLATE>")


def _element(key: str, value: template.Value) -> str:
    made = template.to_xml(value, key)
    return "".join(letter if letter.isprintable() else f"&#{ord(letter)};" for letter in made)
