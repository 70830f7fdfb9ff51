"""docs/security.md: every test that it names exists."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[^`\s]+)`", (ROOT / "docs/security.md").read_text())))


@pytest.mark.parametrize("named", NAMED)
def test_every_named_test_exists(named: str) -> None:
    path, _, name = named.partition("::")
    text = (ROOT / path).read_text()
    assert "\ndef test_" in text, "a file without tests proves nothing"
    assert not name or re.search(rf"^(def {name}\(|{name} = )", text, re.MULTILINE), f"{path} has no {name}"


def test_every_row_of_the_promises_names_a_test() -> None:
    page = (ROOT / "docs/security.md").read_text()
    part = page[page.index("## Promises, and the tests") : page.index("## Records")]
    rows = [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) > 15 and all(row.rstrip(" |").endswith("`") and "`tests/" in row for row in rows)
