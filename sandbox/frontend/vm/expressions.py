"""SCHED_REQUIREMENTS: comparisons joined by `&` and `|`, with `!` and brackets."""
from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

_TOKEN = re.compile(r'\s*(?:("(?:[^"])*")|(!=|@>|[=<>!&|()])|([^\s=<>!&|()"@]+))')


class BadExpression(Exception):
    """The expression cannot be read."""


def matches(expression: str, values: Mapping[str, str]) -> bool:
    """Whether an object with these attributes meets the expression; an empty one is met."""
    tokens = _tokens(expression)
    if not tokens:
        return True
    reader = _Reader(tokens, values)
    result = reader.either()
    if reader.place != len(tokens):
        raise BadExpression(expression)
    return result


def _tokens(text: str) -> list[str]:
    tokens, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadExpression(text)
        tokens.append(match.group().strip())
        place = match.end()
    return tokens


class _Reader:
    def __init__(self, tokens: list[str], values: Mapping[str, str]) -> None:
        self.tokens = tokens
        self.values = values
        self.place = 0

    def _next(self) -> str:
        if self.place >= len(self.tokens):
            raise BadExpression(" ".join(self.tokens))
        self.place += 1
        return self.tokens[self.place - 1]

    def _at(self, token: str) -> bool:
        return self.place < len(self.tokens) and self.tokens[self.place] == token

    def either(self) -> bool:
        """a | b; both sides are read."""
        result = self.both()
        while self._at("|"):
            self.place += 1
            result = self.both() or result
        return result

    def both(self) -> bool:
        """a & b."""
        result = self.single()
        while self._at("&"):
            self.place += 1
            result = self.single() and result
        return result

    def single(self) -> bool:
        """A comparison, a negation, or a bracket."""
        if self._at("!"):
            self.place += 1
            return not self.single()
        if self._at("("):
            self.place += 1
            result = self.either()
            if self._next() != ")":
                raise BadExpression(" ".join(self.tokens))
            return result
        name, sign, wanted = self._next().strip('"'), self._next(), self._next().strip('"')
        return _compare(self.values.get(name.upper()), sign, wanted)


def _compare(found: str | None, sign: str, wanted: str) -> bool:
    if found is None:
        return sign == "!="
    if sign == "@>":
        return wanted in found.split(",")
    if sign in ("=", "!="):
        return fnmatch.fnmatchcase(found, wanted) == (sign == "=")
    try:
        left, right = float(found), float(wanted)
    except ValueError:
        return False
    return left < right if sign == "<" else left > right
