"""Sentences for people."""
from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Collection, Iterable

_ON_A_DATASTORE = re.compile(
    r"\bonedr (?:drill (?:start|cleanup|report)|status|check|move|failover|failback|resume|abort|cancel|"
    r"reconcile|history|enable|disable|reprotect|kept|snapshots|map)\b(?![-_])"
)


def pasteable(text: str, datastore: str) -> str:
    """A sentence whose commands can be pasted: those that lack the datastore get its name, quoted for a
    shell.
    """
    name = shlex.quote(datastore)
    named = (f" {name}", f" {datastore}")

    def one(found: re.Match[str]) -> str:
        rest = text[found.end():]
        return found[0] if not datastore or rest.startswith(named) else f"{found[0]} {name}"

    return _ON_A_DATASTORE.sub(one, text)


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
