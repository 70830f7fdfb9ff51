"""Setting options in the text of `onedr.conf`; comments, order and all other lines stay. Pure."""
from __future__ import annotations

import re
from collections.abc import Mapping

_SECTION = re.compile(r"\s*\[([^\]]*)\]")


def with_options(text: str, section: str, values: Mapping[str, str]) -> str:
    """The text with these options in a section; an empty value takes the option out.

    A line that sets the option is replaced; else the new one follows its commented-out line, else the
    section's heading. Lines that continue a value belong to it.
    """
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if _named(line) == section), None)
    if start is None:
        added = [f"{key} = {value}" for key, value in values.items() if value]
        return _joined([*lines, *([""] if lines else []), f"[{section}]", *added]) if added else text
    end = next((at for at in range(start + 1, len(lines)) if _named(lines[at]) is not None), len(lines))
    own = lines[start + 1 : end]
    for key, value in values.items():
        own = _set(own, key, value)
    return _joined([*lines[: start + 1], *own, *lines[end:]])


def _named(line: str) -> str | None:
    found = _SECTION.match(line)
    return found[1] if found else None


def _set(lines: list[str], key: str, value: str) -> list[str]:
    option = re.compile(rf"\s*{re.escape(key)}\s*[=:]", re.IGNORECASE)
    hint = re.compile(rf"\s*[#;]\s*{re.escape(key)}\s*[=:]", re.IGNORECASE)
    place = next((at for at, line in enumerate(lines) if option.match(line)), None)
    kept = list(lines)
    if place is None:
        place = next((at + 1 for at, line in enumerate(lines) if hint.match(line)), 0)
    else:
        end = place + 1
        while end < len(lines) and lines[end][:1].isspace() and lines[end].strip():
            end += 1
        del kept[place:end]
    return [*kept[:place], *([f"{key} = {value}"] if value else []), *kept[place:]]


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
