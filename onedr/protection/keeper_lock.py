"""Waking, pausing and locking the keeper of a datastore (protection.keeper)."""
from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from onedr.host import bridge, log, process
from onedr.host.paths import front_end_paths


def wake_keeper(datastore_id: int, changed: bool = True) -> None:
    """Notify the running keeper of a change, or start one as a detached process. Without `changed` it is only
    asked to look, at its own pace.

    A failure to start it is only a warning: it must not fail the caller's action.
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        front_end.call("wake", datastore_id=datastore_id, changed=changed)
        return
    try:
        with keeper_slot(datastore_id) as free:
            if not free:
                (news if changed else reminder)(datastore_id).touch()
                return
        process.detach([sys.executable, "-m", "onedr.driver.keeper_process", str(datastore_id)], b"")
    except OSError as error:
        log.warn_oned(f"the keeper of datastore {datastore_id} did not start: {error}")


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


class KeeperPause:
    """Keeps a datastore's keeper from working, by its lock; ends with this process at the latest."""

    def __init__(self, datastore_id: int):
        self._id = datastore_id
        self._taken: ExitStack | None = None

    def take(self) -> bool:
        """Pause it; False while a keeper is at work."""
        front_end = bridge.bridge_session()
        if front_end is not None:
            return bool(front_end.call("hold", datastore_id=self._id)[0])
        if self._taken is None:
            stack = ExitStack()
            if not stack.enter_context(keeper_slot(self._id)):
                stack.close()
                return False
            self._taken = stack
        return True

    def release(self) -> None:
        """Let it work again."""
        front_end = bridge.bridge_session()
        if front_end is not None:
            front_end.call("let_go", datastore_id=self._id)
        elif self._taken is not None:
            self._taken.close()
            self._taken = None


def news(datastore_id: int) -> Path:
    """The file that exists when something changed since the keeper's last pass."""
    return front_end_paths().state / f"keeper-{datastore_id}.news"


def reminder(datastore_id: int) -> Path:
    """The file that exists when the datastore was monitored since the keeper's last pass."""
    return front_end_paths().state / f"keeper-{datastore_id}.reminder"


def has_news(datastore_id: int, peek: bool = False) -> bool:
    """Did something change since the last pass? The notification is removed unless `peek` is set."""
    return _is_noted("news", datastore_id, peek)


def is_reminded(datastore_id: int, peek: bool = False) -> bool:
    """Was the datastore monitored since the last pass? The same."""
    return _is_noted("reminded", datastore_id, peek)


def _is_noted(what: str, datastore_id: int, peek: bool) -> bool:
    front_end = bridge.bridge_session()
    if front_end is not None:
        return bool(front_end.call(what, datastore_id=datastore_id, peek=peek)[0])
    path = news(datastore_id) if what == "news" else reminder(datastore_id)
    if not path.exists():
        return False
    if not peek:
        path.unlink(missing_ok=True)
    return True
