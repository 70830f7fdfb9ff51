"""The benches whose tables docs/bench.md and docs/check.md show still run, at their smallest."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", [
    ("drivers", "--rounds", "1", "--only", "ln,monitor"), ("promote", "--images", "2", "--modes", "journal"),
    ("failover", "--vms", "2"), ("points", "--vms", "2", "--rounds", "2"), ("check", "--images", "2"),
    ("scale", "--images", "2", "--vms", "1", "--idle-s", "2", "--runs", "1"),
], ids=lambda words: words[0])
def test_a_bench_prints_its_table(words: tuple[str, ...]) -> None:
    bench, *rest = words
    done = subprocess.run([sys.executable, str(REPO / "bench" / bench), *rest], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) >= 2, done.stdout
