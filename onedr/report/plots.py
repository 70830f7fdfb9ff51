"""The plots of a report, as SVG that fits any width: places are per cent, letters keep their size."""
from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lxml.builder import ElementMaker  # type: ignore[import-not-found]

from onedr.model.seen import AgeSeen
from onedr.protection.age_history import SLOT_S
from onedr.runs.html_parts import text
from onedr.runs.journal_entry import StepsDone

S = ElementMaker()
_DAYS_S, _LEAST_S, _BINS = 7 * 86400, 6 * 3600, 168
_TOP, _HIGH, _FOOT = 18, 190, 22  # pixels: above the plot, the plot, below it
_TICKS_S = (3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400)
_MOST_TICKS = 8
_AGE, _OBJECTIVE, _NO_COPY, _UNSEEN = "#1f4e8c", "#9b0000", "#f2b8b5", "#e4e4e4"
_ROW = 34  # pixels of a bar with its text
_MOST_BARS = 40


@dataclass(frozen=True)
class Bin:
    """A part of the time: the worst age in it, None where an item had no copy. `seen`: was anything noted?"""

    seen: bool = False
    age_s: float | None = 0.0


def age_text(seconds: float) -> str:
    """A duration in the unit that fits it."""
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def bins(ages: Sequence[AgeSeen], begin: float, now: float) -> list[Bin]:
    """The worst of each part of the time between `begin` and `now` (epoch seconds). What is noted every ten
    minutes fills shorter parts too.
    """
    made, width = [Bin()] * _BINS, (now - begin) / _BINS
    for one in ages:
        since = one.at // SLOT_S * SLOT_S - begin
        first, end = math.floor(since / width), math.ceil((since + SLOT_S) / width)
        for place in range(max(0, first), min(_BINS, end)):
            made[place] = _worse(made[place], one)
    return made


def _worse(known: Bin, one: AgeSeen) -> Bin:
    if not known.seen:
        return Bin(True, one.age_s)
    return Bin(True, None if None in (known.age_s, one.age_s) else max(known.age_s or 0.0, one.age_s or 0.0))


def ages(noted: Sequence[AgeSeen], objective_s: int, now: float) -> Any:
    """The age of the oldest recovery point over the last days, with the objective."""
    begin = now - min(_DAYS_S, max(_LEAST_S, now - min((one.at for one in noted), default=now)))
    parts = bins(noted, begin, now)
    worst = max((part.age_s or 0.0 for part in parts if part.seen), default=0.0)
    top = max(worst, float(objective_s), 1.0) * 1.15
    made = S.svg({
        "height": str(_TOP + _HIGH + _FOOT), "role": "img", "aria-label": _label(worst, objective_s),
    })
    made.extend(_bands(parts))
    made.extend(_time_axis(begin, now))
    made.append(_curve(parts, top))
    if objective_s:
        made.extend(_level(objective_s, top, f"objective {age_text(objective_s)}", _OBJECTIVE, "6 4"))
    if worst:
        made.extend(_level(worst, top, f"worst {age_text(worst)}", _AGE, "1 4", at="100%"))
    made.append(S.line(_line("0", _TOP + _HIGH, "100%", _TOP + _HIGH, "#666")))
    return made


def _label(worst: float, objective_s: int) -> str:
    return f"Age of the oldest recovery point; worst {age_text(worst)}, objective {age_text(objective_s)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3f}%"


def _line(x1: str, y1: float, x2: str, y2: float, color: str, dash: str = "") -> dict[str, str]:
    found = {"x1": x1, "y1": f"{y1:.1f}", "x2": x2, "y2": f"{y2:.1f}", "stroke": color}
    return {**found, "stroke-dasharray": dash} if dash else found


def _bands(parts: Sequence[Bin]) -> Iterable[Any]:
    """Where an item had no complete copy, and where nothing was noted; neighbours are one band."""
    begin = 0
    for place in range(1, len(parts) + 1):
        color = _band(parts[begin])
        if place < len(parts) and _band(parts[place]) == color:
            continue
        if color:
            yield S.rect({
                "x": _percent(begin / len(parts)), "width": _percent((place - begin) / len(parts)),
                "y": str(_TOP), "height": str(_HIGH), "fill": color,
            })
        begin = place


def _band(part: Bin) -> str:
    return _UNSEEN if not part.seen else _NO_COPY if part.age_s is None else ""


def _curve(parts: Sequence[Bin], top: float) -> Any:
    """Pieces of the curve: it has none where no age is known."""
    made = S.svg({
        "x": "0", "y": str(_TOP), "width": "100%", "height": str(_HIGH), "preserveAspectRatio": "none",
        "viewBox": f"0 0 {len(parts)} 1000",
    })
    words, drawn = [], False
    for place, part in enumerate(parts):
        known = part.seen and part.age_s is not None
        if known:
            height = 1000 - 1000 * (part.age_s or 0.0) / top
            words.append(f"{'L' if drawn else 'M'}{place} {height:.1f}H{place + 1}")
        drawn = known
    path = {"fill": "none", "stroke": _AGE, "stroke-width": "2", "vector-effect": "non-scaling-stroke"}
    made.append(S.path({"d": "".join(words) or "M0 0", **path}))
    return made


def _level(value: float, top: float, words: str, color: str, dash: str, at: str = "0%") -> Iterable[Any]:
    height = _TOP + _HIGH * (1 - value / top)
    yield S.line(_line("0", height, "100%", height, color, dash))
    anchor = "end" if at == "100%" else "start"
    yield S.text(words, {"x": at, "y": f"{height - 4:.1f}", "text-anchor": anchor})


def _time_axis(begin: float, now: float) -> Iterable[Any]:
    every = next((one for one in _TICKS_S if (now - begin) / one <= _MOST_TICKS), _TICKS_S[-1])
    form = "%m-%d" if every == _TICKS_S[-1] else "%H:%M"
    at = math.ceil(begin / every) * every
    while at <= now:
        share = (at - begin) / (now - begin)
        yield S.line(_line(_percent(share), _TOP, _percent(share), _TOP + _HIGH, "#ccc"))
        anchor = "start" if share < 0.04 else "end" if share > 0.96 else "middle"
        yield S.text(
            time.strftime(form, time.gmtime(at)),
            {"x": _percent(share), "y": str(_TOP + _HIGH + 16), "text-anchor": anchor},
        )
        at += every


def steps(done: Sequence[StepsDone], began: float, took_s: float | None) -> Any:
    """A bar for each kind of step of a run, from when it began to when its last item ended."""
    shown = done[:_MOST_BARS]
    ends = [one.at - began + max(one.seconds.values(), default=0.0) for one in shown]
    whole = max([*ends, took_s or 0.0, 0.1])
    made = S.svg({"height": str(_ROW * len(shown) + 4), "role": "img", "aria-label": "Time of each step"})
    for row, one in enumerate(shown):
        made.extend(_bar(one, row * _ROW, max(0.0, one.at - began), whole))
    return made


def _bar(one: StepsDone, y: int, start_s: float, whole: float) -> Iterable[Any]:
    lasts = max(one.seconds.values(), default=0.0)
    count = one.of if one.of is not None else len(one.results)
    words = f"{text(one.kind)}: {count} item(s), {age_text(lasts)}, began after {age_text(start_s)}"
    start = min(1.0, start_s / whole)
    yield S.text(words, {"x": "0", "y": str(y + 13)})
    yield S.rect({"x": "0", "y": str(y + 17), "width": "100%", "height": "11", "fill": "#eee"})
    yield S.rect({
        "x": _percent(start), "y": str(y + 17), "width": _percent(max(0.004, min(lasts / whole, 1 - start))),
        "height": "11", "fill": _AGE,
    })
