"""Files of a bed run that failed are run once more, alone, and the second result counts."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

AGAIN = Path(__file__).parents[1] / "again.py"


def again(folder: Path, *failed: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = long\n")
    (folder / "test_good.py").write_text("def test_it(): pass\n")
    (folder / "test_bad.py").write_text("def test_it(): assert False\n")
    cache = folder / ".pytest_cache/bed/v/cache"
    cache.mkdir(parents=True)
    if failed:
        (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(failed, True)))
    return subprocess.run([sys.executable, AGAIN], cwd=folder, capture_output=True, text=True, check=False)


def test_what_passes_alone_is_named_and_good(tmp_path: Path) -> None:
    done = again(tmp_path, "test_good.py::test_it")
    assert done.returncode == 0
    assert done.stdout.endswith("Failed beside other beds, passed alone:\n  test_good.py::test_it\n")


def test_what_fails_twice_is_a_failure(tmp_path: Path) -> None:
    done = again(tmp_path, "test_good.py::test_it", "test_bad.py::test_it")
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout


@pytest.mark.parametrize("failed", [(), tuple(f"test_{number}.py::test_it" for number in range(7))])
def test_a_run_that_broke_down_or_failed_widely_is_not_run_again(tmp_path: Path, failed: tuple[str, ...]) -> None:
    done = again(tmp_path, *failed)
    assert done.returncode == 1 and "pytest" not in done.stdout
