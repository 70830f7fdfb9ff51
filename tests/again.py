"""Run the test files of the last bed run that failed once more, one after another, with no other bed beside them.

`python -m tests.again` ends with 0 when all of them pass alone. What failed beside other beds is printed then
too: a limit that was too short, or a race, is a fault of its own (docs/testing.md).
"""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CACHE = Path(".pytest_cache/bed")  # of the bed's runs only: others write their own beside them
MOST = 6  # files; more than that is no accident of a busy machine


def failed_before() -> list[str]:
    """Ids of the tests that failed; none when the run itself broke down."""
    written = CACHE / "v/cache/lastfailed"
    return sorted(map(str, json.loads(written.read_text()))) if written.exists() else []


def main() -> int:
    failed = failed_before()
    files = sorted({test.partition("::")[0] for test in failed})
    if not 0 < len(files) <= MOST:
        print(f"{len(files)} files failed, of at most {MOST} that are run again.", flush=True)
        return 1
    print(f"\nOnce more, alone: {' '.join(files)}", flush=True)
    command = [sys.executable, "-m", "pytest", *files, "-m", "not long", "-o", f"cache_dir={CACHE}-alone"]
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        print("Failed beside other beds, passed alone:", *failed, sep="\n  ", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
