"""Templates: attributes that are single or vectors, read from oned's text or XML form, written as XML."""
from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from typing import Union

from sandbox.frontend.objects.errors import TemplateError

Vector = dict[str, str]
Value = Union[str, Vector]

_SKIP = re.compile(r"[ \t]*#.*\n|[ \t\n]+")
_VARIABLE = re.compile(r"[A-Za-z0-9_]+")
_EMPTY = re.compile(r"[ \t]*=[ \t]*\n")
_EQUAL = re.compile(r"[ \t]*=[ \t]*")
_COMMA = re.compile(r"[ \t\n]*,[ \t\n]*")
_CLOSE = re.compile(r"[ \t\n]*\][ \t\n]*")
_OPEN = re.compile(r"[ \t]*\[[ \t\n]*")
_CDATA_END = re.compile(r".*\]\]>.*")
_QUOTED = re.compile(r'"((?:\\"|[^"])*)"')
_WORD = re.compile(r"[^=# \t\n,\[\]]+")

Token = tuple[str, str]


class Template(dict[str, list[Value]]):
    """Attribute name to the values it was given, in their order; names are upper case."""

    @classmethod
    def of(cls, **attributes: Value | Iterable[Value]) -> Template:
        """A template from Python values; lists give repeated attributes."""
        made = cls()
        for key, value in attributes.items():
            values = [value] if isinstance(value, (str, dict)) else list(value)
            for one in values:
                made.add(key, one)
        return made

    def add(self, key: str, value: Value) -> None:
        """One more value of an attribute."""
        self.setdefault(key.upper(), []).append(value)

    def put(self, key: str, value: Value) -> None:
        """The only value of an attribute."""
        self[key.upper()] = [value]

    def text(self, key: str, default: str = "") -> str:
        """The first single value, or the default."""
        for value in self.get(key, []):
            if isinstance(value, str):
                return value
        return default

    def vectors(self, key: str) -> list[Vector]:
        """All vector values of an attribute."""
        return [value for value in self.get(key, []) if isinstance(value, dict)]

    def vector(self, key: str) -> Vector | None:
        """The first vector value."""
        found = self.vectors(key)
        return found[0] if found else None

    def take(self, key: str, default: str = "") -> str:
        """Remove an attribute, giving its first single value."""
        value = self.text(key, default)
        self.pop(key, None)
        return value

    def number(self, key: str) -> int | None:
        """The leading integer of a value, as a C++ stream reads it."""
        return leading_int(self.text(key))

    def merge(self, other: Template) -> None:
        """Append mode of an update: attributes of the other replace the same ones here."""
        for key, values in other.items():
            self[key] = [dict(value) if isinstance(value, dict) else value for value in values]

    def clone(self) -> Template:
        """An independent copy."""
        made = Template()
        made.merge(self)
        return made

    def to_xml(self, root: str = "TEMPLATE") -> str:
        """XML in oned's order: names sorted, repeated values as they came."""
        return f"<{root}>{''.join(_xml_items(self))}</{root}>"


def leading_int(text: str) -> int | None:
    """The integer at the start of a text, or None."""
    match = re.match(r"\s*([+-]?\d+)", text)
    return int(match.group(1)) if match else None


def cdata(text: str) -> str:
    """A CDATA section; the end mark inside is split."""
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def _xml_items(template: Template) -> Iterator[str]:
    for key in sorted(template):
        for value in template[key]:
            if isinstance(value, str):
                yield f"<{key}>{cdata(value)}</{key}>"
            elif value:
                inner = "".join(f"<{name}>{cdata(value[name])}</{name}>" for name in sorted(value))
                yield f"<{key}>{inner}</{key}>"
            else:
                yield f"<{key}/>"


def parse(text: str) -> Template:
    """Read either form, as every call does that takes a template."""
    if text.lstrip().startswith("<"):
        return _from_xml(text)
    return _from_tokens(list(_tokens(text)))


_NO_TEXT = "\ue000"  # for <![CDATA[]]>: oned keeps an empty text, but skips an element without text


def _from_xml(text: str) -> Template:
    try:
        root = ElementTree.fromstring(text.replace("<![CDATA[]]>", _NO_TEXT))
    except ElementTree.ParseError as failure:
        raise TemplateError("Parse error.") from failure
    made = Template()
    for child in root:
        if len(child):
            parts = {part.tag.upper(): part.text.replace(_NO_TEXT, "") for part in child if part.text}
            made.add(child.tag, parts)
        elif child.text:
            made.add(child.tag, child.text.replace(_NO_TEXT, ""))
    return made


def _tokens(text: str) -> Iterator[Token]:
    """oned's lexer: characters it has no rule for are skipped, as flex does."""
    place, in_value = 0, False
    while place < len(text):
        found = _value_token(text, place) if in_value else _plain_token(text, place)
        if found is None:
            place += 1
            continue
        kind, value, end = found
        place = end
        in_value = kind == "EQUAL"
        if kind != "SKIP":
            yield kind, value


def _plain_token(text: str, place: int) -> tuple[str, str, int] | None:
    """The longest match wins, the earlier rule among equals."""
    best: tuple[str, str, int] | None = None
    rules = (("SKIP", _SKIP), ("VARIABLE", _VARIABLE), ("EQUAL", _EQUAL), ("EMPTY", _EMPTY),
             ("COMMA", _COMMA), ("CLOSE", _CLOSE))
    for kind, rule in rules:
        match = rule.match(text, place)
        if match and match.end() > place and (best is None or match.end() > best[2]):
            best = (kind, match.group(), match.end())
    return best


def _value_token(text: str, place: int) -> tuple[str, str, int] | None:
    match = _CDATA_END.match(text, place)
    quoted = _QUOTED.match(text, place)
    if match and not (quoted and quoted.end() > match.end()):
        return "CDATA", "", match.end()
    if quoted:
        return "STRING", quoted.group(1), quoted.end()
    match = _OPEN.match(text, place)
    if match:
        return "OPEN", "", match.end()
    match = _WORD.match(text, place)
    return ("STRING", match.group(), match.end()) if match else None


def _from_tokens(tokens: list[Token]) -> Template:
    made = Template()
    place = 0
    if not tokens:
        raise TemplateError("Parse error.")
    while place < len(tokens):
        place = _attribute(tokens, place, made)
    return made


def _kind(tokens: list[Token], place: int) -> str:
    return tokens[place][0] if place < len(tokens) else "END"


def _attribute(tokens: list[Token], place: int, made: Template) -> int:
    if _kind(tokens, place) != "VARIABLE":
        raise TemplateError("Parse error.")
    name = tokens[place][1]
    after, what = _kind(tokens, place + 1), _kind(tokens, place + 2)
    if after == "EMPTY":
        made.add(name, "")
        return place + 2
    if after == "EQUAL" and what == "STRING":
        made.add(name, _unescape(tokens[place + 2][1]))
        return place + 3
    if after == "EQUAL" and what == "OPEN":
        end, vector = _vector(tokens, place + 3)
        made.add(name, vector)
        return end
    raise TemplateError("Parse error.")


def _vector(tokens: list[Token], place: int) -> tuple[int, Vector]:
    vector: Vector = {}
    if _kind(tokens, place) == "CLOSE":
        return place + 1, vector
    while True:
        kinds = [_kind(tokens, place + step) for step in range(4)]
        if kinds[:3] != ["VARIABLE", "EQUAL", "STRING"] or kinds[3] not in ("COMMA", "CLOSE"):
            raise TemplateError("Parse error.")
        vector.setdefault(tokens[place][1].upper(), _unescape(tokens[place + 2][1]))
        place += 4
        if kinds[3] == "CLOSE":
            return place, vector


def _unescape(text: str) -> str:
    return text.replace('\\"', '"')
