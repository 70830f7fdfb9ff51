"""80 columns are enough for every table of every verb: no line is longer, no word of a heading and no date is broken."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from rich.table import Table
from test_hostile_text import SHOWN, shown

from onedr.cli import output, terminal

__all__ = ["shown"]  # the fixture
NAME = "web-frontend-07.example"
RULE = "\u2500" * 10


@pytest.mark.parametrize("verb", SHOWN, ids=" ".join)
def test_tables_fit(shown: Any, verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Sequence[str]] = []
    make = output.table

    def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
        tables.append(columns)
        return make(title, columns, rows)

    monkeypatch.setattr(output, "table", table)
    monkeypatch.setattr(output, "console", lambda: terminal.PlainConsole(width=80))
    text = shown(verb, SHOWN[verb](NAME)).output
    lines = text.splitlines()
    rules = [place for place, line in enumerate(lines) if RULE in line]
    assert len(rules) == len(tables)
    for columns, rule in zip(tables, rules):
        first = next(place for place in range(rule - 1, -1, -1) if not lines[place].strip())
        heading = " ".join(lines[first:rule]).split()
        assert sorted(heading) == sorted(" ".join(columns).split()), "\n".join(lines[first:rule])
        last = next(place for place in range(rule, len(lines)) if not lines[place].strip())
        assert max(map(len, lines[first:last])) <= 80
    assert "1970-0" not in text or "1970-01-01" in text
