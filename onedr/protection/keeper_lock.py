"""Waking, pausing and locking the keeper of a datastore (protection.keeper)."""
from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from onedr.host import bridge, process
from onedr.host.paths import front_end_paths

_paused: dict[int, ExitStack] = {}


def wake_keeper(datastore_id: int) -> None:
    """Notify the running keeper of a change, or start one as a detached process.

    A failure to start it is only a warning: it must not fail the caller's action.
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        front_end.call("wake", datastore_id=datastore_id)
        return
    try:
        with keeper_slot(datastore_id) as free:
            if not free:
                news(datastore_id).touch()
                return
        log = front_end_paths().state / f"keeper-{datastore_id}.log"
        process.detach([sys.executable, "-m", "onedr.driver.keeper_process", str(datastore_id)], b"", log)
    except OSError as error:
        print(f"WARN: the keeper of datastore {datastore_id} did not start: {error}", file=sys.stderr)


@contextmanager
def keeper_slot(datastore_id: int) -> Iterator[bool]:
    """Hold the keeper's lock in the block. False when another process holds it."""
    path = front_end_paths().state / f"keeper-{datastore_id}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def pause_keeper(datastore_id: int) -> bool:
    """Hold the keeper's lock until `resume_keeper` or the end of this process. False when a keeper runs."""
    front_end = bridge.bridge_session()
    if front_end is not None:
        return bool(front_end.call("hold", datastore_id=datastore_id)[0])
    if datastore_id in _paused:
        return True
    stack = ExitStack()
    if not stack.enter_context(keeper_slot(datastore_id)):
        stack.close()
        return False
    _paused[datastore_id] = stack
    return True


def resume_keeper(datastore_id: int) -> None:
    """Release the lock that `pause_keeper` acquired."""
    front_end = bridge.bridge_session()
    if front_end is not None:
        front_end.call("let_go", datastore_id=datastore_id)
        return
    if datastore_id in _paused:
        _paused.pop(datastore_id).close()


def news(datastore_id: int) -> Path:
    """The file that exists when something changed since the keeper's last pass."""
    return front_end_paths().state / f"keeper-{datastore_id}.news"


def has_news(datastore_id: int, peek: bool = False) -> bool:
    """Did something change since the last pass? The notification is removed unless `peek` is set."""
    front_end = bridge.bridge_session()
    if front_end is not None:
        return bool(front_end.call("news", datastore_id=datastore_id, peek=peek)[0])
    path = news(datastore_id)
    if not path.exists():
        return False
    if not peek:
        path.unlink(missing_ok=True)
    return True
