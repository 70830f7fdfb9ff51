"""A run book as one HTML page, to be printed or kept on a telephone, from its own Markdown (runbook/page.py).
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lxml.builder import E  # type: ignore[import-not-found]

from onedr.runbook.page import RUN
from onedr.runs.html_parts import document, text

_FENCE = "```"
_HEADINGS = (("### ", E.h3), ("## ", E.h2))
_CODE = re.compile("`([^`]*)`")


def page(lines: Iterable[str]) -> bytes:
    """The page of a book's lines. The first is its title."""
    title, *rest = lines
    return document(title.removeprefix("# "), *_parts(iter(rest)))


def _parts(lines: Iterator[str]) -> Iterator[Any]:
    paragraph: list[str] = []
    items: list[list[str]] = []
    for line in lines:
        heading = _heading(line)
        plain = heading is None and line and not line.startswith(_FENCE)
        if plain and (paragraph or not line.startswith("- ")) and not items:
            paragraph.append(line)
        elif plain and line.startswith("- "):
            items.append([line[2:]])
        elif plain:
            items[-1].append(line.strip())
        else:
            yield from _ended(paragraph, items)
            if heading is not None:
                yield heading
            elif line:
                yield _block(line.removeprefix(_FENCE), lines)
    yield from _ended(paragraph, items)


def _heading(line: str) -> Any:
    return next((made(text(line[len(mark):])) for mark, made in _HEADINGS if line.startswith(mark)), None)


def _ended(paragraph: list[str], items: list[list[str]]) -> Iterator[Any]:
    if paragraph:
        yield E.p(*_inline(" ".join(paragraph)))
    if items:
        yield E.ul(*(E.li(*_inline(" ".join(item))) for item in items))
    paragraph.clear()
    items.clear()


def _block(language: str, lines: Iterator[str]) -> Any:
    """What is run here in this order is marked; its lines are kept as they are."""
    found = []
    for line in lines:
        if line == _FENCE:
            break
        found.append(text(line))
    return E.pre("\n".join(found), {"class": "here" if language == RUN else "elsewhere"})


def _inline(words: str) -> Iterator[Any]:
    for place, piece in enumerate(_CODE.split(words)):
        yield E.code(text(piece)) if place % 2 else text(piece)
