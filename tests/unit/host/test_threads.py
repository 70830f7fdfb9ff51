"""Threads are started in one place, so that each knows the bridge session and the log's context."""
from __future__ import annotations

from pathlib import Path

import pytest

from onedr.host import bridge, threads

ROOT = Path(__file__).parents[3]
# what starts threads by itself and neither asks the front-end nor logs in them
ALONE = {
    "onedr/host/threads.py", "onedr/cli/check.py", "onedr/cli/status.py", "onedr/cli/diagnose.py",
    "onedr/ceph/disk_snapshots.py",
}


@pytest.mark.parametrize("word", ["threading.Thread(", "ThreadPoolExecutor("])
def test_no_thread_is_started_elsewhere(word: str) -> None:
    found = {
        str(path.relative_to(ROOT)) for path in (ROOT / "onedr").rglob("*.py") if word in path.read_text()
    }
    assert found <= ALONE and found


def test_a_thread_works_for_the_front_end_of_its_starter() -> None:
    seen: list[object] = []
    session: object = object()

    def there() -> None:
        bridge.serve_session(session)  # type: ignore[arg-type]
        threads.start(lambda: seen.append(bridge.bridge_session())).join()

    threads.start(there).join()
    assert seen == [session] and bridge.bridge_session() is None
