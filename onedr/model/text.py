"""Sentences for people."""
from __future__ import annotations

from collections.abc import Collection


def first_few(texts: Collection[str], shown: int = 3, separator: str = ", ") -> str:
    """The first few of many, and how many more there are."""
    more = len(texts) - shown
    return separator.join(list(texts)[:shown]) + (f" and {more} more" if more > 0 else "")
