"""How much a document holds, and how often it is written: oned rewrites all of it with every update, and
browsers fetch it every few seconds. Pure.
"""
from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, TypeVar

from onedr.document.form import PlanPart, ReportPart, RunPart, StatusPart
from onedr.model.text import printable

PART_BYTES = 192 * 1024  # of the JSON text of one part
ROOM = {"vms": 80 * 1024, "unprotected": 16 * 1024, "images": 24 * 1024, "left_out": 8 * 1024}
# A drill's report is fetched with the rest every few seconds; a browser unpacks no more than the second.
REPORT_BYTES, REPORT_PAGE_BYTES = 48 * 1024, 2 * 1024 * 1024
_TEXT = 300  # letters; a letter may take six bytes in JSON
_REFRESH_S, _REFRESH_S_PER_KIB = 60.0, 2.0  # when only moments moved on
_CHANGE_S, _CHANGE_S_PER_KIB = 5.0, 0.1
Row = TypeVar("Row")


def short(text: str) -> str:
    """A text that users may have written: printable, and not longer than a sentence."""
    shown = printable(text)
    return shown if len(shown) <= _TEXT else f"{shown[:_TEXT - 1]}…"


def few(texts: Iterable[str], most: int) -> tuple[str, ...]:
    """The first of several texts."""
    return tuple(short(text) for text, _ in zip(texts, range(most)))


def fitting(rows: Iterable[Row], room: int) -> tuple[Row, ...]:
    """The first rows whose JSON text is together not longer than `room` bytes."""
    kept: list[Row] = []
    for row in rows:
        room -= len(json.dumps(asdict(row))) + 2  # type: ignore[call-overload]
        if room < 0:
            break
        kept.append(row)
    return tuple(kept)


def text_of(part: StatusPart | RunPart | PlanPart | ReportPart) -> str:
    """The JSON text of a part, in ASCII: oned and every client pass it on as it is."""
    return json.dumps(_rounded(asdict(part)))


def _rounded(value: Any) -> Any:
    """Moments and durations to a tenth of a second."""
    if isinstance(value, float):
        return round(value, 1)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, (list, tuple)) else value


def is_due(changed: bool, passed_s: float, size: int) -> bool:
    """May STATUS be written? `changed`: not only moments did; `passed_s`: since it was last written, negative
    where a clock was wrong; `size`: its bytes then.
    """
    least_s, more_s = (_CHANGE_S, _CHANGE_S_PER_KIB) if changed else (_REFRESH_S, _REFRESH_S_PER_KIB)
    pause_s = least_s + more_s * size / 1024
    return not 0 <= passed_s < pause_s
