"""Sentences for people."""
from __future__ import annotations

from collections.abc import Collection


def first_few(texts: Collection[str], shown: int = 3, separator: str = ", ") -> str:
    """The first few of many, and how many more there are."""
    more = len(texts) - shown
    return separator.join(list(texts)[:shown]) + (f" and {more} more" if more > 0 else "")


def printable(text: str) -> str:
    """Text that users may have written, with a ? for each control character and line end in it: nothing that
    a terminal, a page or a reader of lines would act on.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)
