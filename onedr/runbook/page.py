"""A run book as Markdown, which is as readable printed as it is. Pure."""
from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from onedr.runbook.facts import Block, Chapter, Part, Title

RUN, READ = "sh", "text"  # languages of the blocks: run here in this order; or only when the text says so
_WIDTH = 110
_CODE, _NO_BREAK, _BULLET = re.compile("`[^`]*`"), "\0", "- "


def lines(title: str, chapters: Iterable[Chapter]) -> Iterator[str]:
    """Lines without their ends."""
    yield f"# {title}"
    for number, chapter in enumerate(chapters, 1):
        yield from ("", f"## {number}. {chapter.title}")
        before: Part = ""
        for part in chapter.parts:
            if not (_is_bullet(before) and _is_bullet(part)):
                yield ""
            yield from _part(part)
            before = part


def _is_bullet(part: Part) -> bool:
    return isinstance(part, str) and part.startswith(_BULLET)


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Title):
        yield f"### {part.text}"
    elif isinstance(part, Block):
        yield f"```{RUN if part.here else READ}"
        yield from part.lines
        yield "```"
    else:
        whole = _CODE.sub(lambda found: found[0].replace(" ", _NO_BREAK), part)  # a command is not folded
        for line in textwrap.wrap(
            whole, _WIDTH, subsequent_indent="  " * _is_bullet(part), break_long_words=False,
            break_on_hyphens=False,
        ):
            yield line.replace(_NO_BREAK, " ")
