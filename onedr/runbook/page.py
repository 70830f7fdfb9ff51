"""A run book as Markdown, which is as readable printed as it is. Pure."""
from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from onedr.runbook.facts import Block, Chapter, Part, Title

RUN, READ = "sh", "text"  # languages of the blocks: run here in this order; or only when the text says so
_WIDTH = 110


def lines(title: str, chapters: Iterable[Chapter]) -> Iterator[str]:
    """Lines without their ends."""
    yield f"# {title}"
    for number, chapter in enumerate(chapters, 1):
        yield from ("", f"## {number}. {chapter.title}")
        for part in chapter.parts:
            yield ""
            yield from _part(part)


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Title):
        yield f"### {part.text}"
    elif isinstance(part, Block):
        yield f"```{RUN if part.here else READ}"
        yield from part.lines
        yield "```"
    else:
        indent = "  " if part.startswith("- ") else ""
        yield from textwrap.wrap(
            part, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
