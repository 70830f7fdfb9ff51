"""Parsing configuration files with augeas, with the position of each entry.

Augeas is the parser. Changes are splices at the byte positions that augeas reports (`aug_span`). Writing
through a lens would reuse the whitespace of the n-th entry for the n-th entry, so removing one of several
`TM_MAD_CONF` would change the layout of the following ones. A splice changes nothing else.
"""

from __future__ import annotations

import atexit
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onedr.model.errors import InputError


@dataclass(frozen=True)
class Node:
    """One entry: `NAME = value`, or `NAME = [ children ]`. Positions are byte offsets into the file."""

    name: str
    value: str
    start: int
    end: int
    value_start: int
    value_end: int
    children: tuple[Node, ...] = ()

    def child(self, name: str) -> Node | None:
        """The first child of that name. oned ignores case."""
        return next((c for c in self.children if c.name.upper() == name.upper()), None)

    def text_of(self, name: str) -> str:
        found = self.child(name)
        return found.value if found else ""


@dataclass(frozen=True)
class Splice:
    """Replace the bytes from `start` to `end` by `text`."""

    start: int
    end: int
    text: bytes


def apply(text: bytes, splices: Sequence[Splice]) -> bytes:
    """The file after all splices. Splices at the same position are applied in the order given."""
    parts, position = [], 0
    for splice in sorted(splices, key=lambda s: s.start):
        parts += [text[position : splice.start], splice.text]
        position = splice.end
    return b"".join([*parts, text[position:]])


def parse(text: bytes, lens: str, where: str, load_path: str = "") -> tuple[Node, ...]:
    """The entries of `text`, or an InputError with the line that does not fit the grammar."""
    engine = _engine(load_path)
    if b"\0" in text:
        line = text[: text.index(b"\0")].count(b"\n") + 1
        raise InputError(f"{where}, line {line}: a NUL byte. The file is damaged; restore it first.")
    for left in ("/parsed", "/augeas/text"):  # of the file before
        engine.remove(left)
    engine.set("/text", _plain(text))
    try:
        engine.text_store(lens, "/text", "/parsed")
    except ValueError:
        raise InputError(_why(engine, text, where)) from None
    if engine.match("/augeas/text/parsed/error"):
        raise InputError(_why(engine, text, where))
    return _children(engine, "/parsed", text)


@functools.cache
def _engine(load_path: str) -> Any:
    """Augeas with the lenses of that folder. One for all files: compiling the lenses takes ten times as long
    as reading a file with them.
    """
    try:
        import augeas
    except ImportError as error:
        raise InputError(
            f"Python cannot load augeas ({error}). Install it: apt install python3-augeas"
        ) from error
    flags = augeas.Augeas.NO_MODL_AUTOLOAD | augeas.Augeas.ENABLE_SPAN
    engine = augeas.Augeas(root="/", loadpath=load_path or None, flags=flags)
    atexit.register(engine.close)  # its own __del__ comes after the library is gone
    return engine


def _plain(text: bytes) -> str:
    """The text with non-ASCII bytes masked one to one, so that offsets are kept and no encoding is assumed.
    """
    masked = re.sub(rb"[\x80-\xff]", b"?", text).decode("ascii")
    return masked if masked.endswith("\n") else masked + "\n"


def _children(engine: Any, path: str, text: bytes) -> tuple[Node, ...]:
    nodes = []
    for match in engine.match(f"{path}/*"):
        name = re.sub(r"\[\d+\]$", "", match.rsplit("/", 1)[1])
        if name.startswith("#"):
            continue
        span = engine.span(match)
        value_start, value_end, start, end = span[3:7]
        value = _unquoted(text[value_start:value_end].decode(errors="replace"))
        children = _children(engine, match, text)
        nodes.append(Node(name, value, start, end, value_start, value_end, children))
    return tuple(nodes)


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1].replace('\\"', '"')
    return value


def _why(engine: Any, text: bytes, where: str) -> str:
    def of(name: str) -> str:
        return engine.get(f"/augeas/text/parsed/error/{name}") or ""

    line = of("line")
    if not line:
        lens_error = " ".join(engine.get(m) or "" for m in engine.match("/augeas//error/message"))
        return f"{where} could not be read: {lens_error or 'augeas gave no reason'}."
    # The value may be a password, so only the name of the entry is shown.
    lines = text.split(b"\n")
    entry = lines[min(int(line), len(lines)) - 1].split(b"=")[0].strip().decode(errors="replace")
    return (
        f"{where}, line {line}: this entry ({entry[:60] or 'empty line'}) does not fit the grammar"
        f" ({of('message')}). Nothing was changed. Correct the file, then run this again."
    )
