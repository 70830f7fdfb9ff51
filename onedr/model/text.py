"""Sentences for people."""
from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


def first_few(texts: Collection[str], shown: int = 3, separator: str = ", ") -> str:
    """The first few of many, and how many more there are."""
    more = len(texts) - shown
    return separator.join(list(texts)[:shown]) + (f" and {more} more" if more > 0 else "")


def closest(word: str, known: Iterable[str]) -> str:
    """`; do you mean …?` for the closest of the known words; a full stop when none is close."""
    found = difflib.get_close_matches(word, sorted(known), 1)
    return f"; do you mean {found[0]}?" if found else "."


def printable(text: str) -> str:
    """Text that users may have written, with a ? for each control character and line end in it: nothing that
    a terminal, a page or a reader of lines would act on.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)
