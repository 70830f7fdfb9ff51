"""SCHED_REQUIREMENTS against what a host reports, as oned's scheduler reads them. Pure.

`&`, `|` and `!` bind alike, from the left (expr_bool.y); `=` compares text with wildcards.
"""
from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

_TOKEN = re.compile(r'\s*("[^"]*"|!=|@>|[=<>!&|()]|[^\s=<>!&|()"@]+)')
_ORDER: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt}
Values = Mapping[str, Sequence[str]]


def matches(text: str, values: Values) -> bool | None:
    """Does an object with these values meet the requirement? None where that is not known: it names something
    that is not among them, or cannot be read.
    """
    try:
        return _Reader(text, values).whole()
    except (IndexError, ValueError):
        return None


@lru_cache(maxsize=256)
def _tokens(text: str) -> tuple[str, ...]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(text)
        found.append(match[1])
        at = match.end()
    return tuple(found)


class _Reader:
    def __init__(self, text: str, values: Values):
        self._tokens, self._values = list(_tokens(text)), values

    def whole(self) -> bool | None:
        result = self._joined() if self._tokens else True
        if self._tokens:
            raise ValueError(self._tokens)
        return result

    def _joined(self) -> bool | None:
        result = self._one()
        while self._tokens and self._tokens[0] in "&|":
            decides = self._tokens.pop(0) == "|"
            both = (result, self._one())
            result = decides if decides in both else None if None in both else not decides
        return result

    def _one(self) -> bool | None:
        token = self._tokens.pop(0)
        if token == "!":
            found = self._one()
            return None if found is None else not found
        if token == "(":
            found = self._joined()
            if self._tokens.pop(0) != ")":
                raise ValueError(token)
            return found
        how, wanted = self._tokens.pop(0), self._tokens.pop(0).strip('"')
        return self._compared(token.strip('"'), how, wanted)

    def _compared(self, key: str, how: str, wanted: str) -> bool | None:
        found = self._values.get(key)
        if not found:
            return None
        if how in _ORDER:
            return _ORDER[how](float(found[0]), float(wanted))
        if how not in ("=", "!=", "@>"):
            raise ValueError(how)
        meets = any(fnmatch.fnmatchcase(each, wanted) for each in (found if how == "@>" else found[:1]))
        return meets != (how == "!=")

