"""The event bus: events go to the hook process unacknowledged, as oned publishes over ZeroMQ."""
from __future__ import annotations

import logging
import queue
import socket
import threading
from pathlib import Path
from typing import Any

from sandbox.frontend.hooks import sockets
from sandbox.frontend.hooks.records import keep_record
from sandbox.frontend.objects.hooks import Hook
from sandbox.frontend.objects.store import Store

LOG = logging.getLogger("HKM")
Message = dict[str, Any]


class HookBus:
    """Matches events with hooks, sends them on, and takes the execution records back."""

    def __init__(self, store: Store, lock: threading.RLock, var: Path, retention: int) -> None:
        self.store = store
        self.lock = lock
        self.var = var
        self.retention = retention
        self._queue: queue.Queue[Message | None] = queue.Queue()

    def start(self) -> None:
        """Begin sending and receiving."""
        threading.Thread(target=self._send_all, daemon=True, name="events").start()
        listener = sockets.listen(self.var / sockets.RECORDS)
        threading.Thread(target=self._accept, args=(listener,), daemon=True, name="records").start()

    def publish(self, kind: str, key: str, xml: str) -> None:
        """An event; it reaches the hooks that are registered now."""
        for hook in self.store.all(Hook):
            if hook.type == kind and hook.key == key:
                self._queue.put({**hook.orders(), "event": f"<HOOK_MESSAGE>{xml}</HOOK_MESSAGE>", "key": key})

    def retry(self, hook: Hook, arguments: str) -> None:
        """Run stored arguments again."""
        self._queue.put({**hook.orders(), "arguments": arguments, "key": hook.key, "retry": True})

    def _send_all(self) -> None:
        connection: socket.socket | None = None
        while True:
            message = self._queue.get()
            if message is None:
                return
            connection = self._send(connection, message)

    def _send(self, connection: socket.socket | None, message: Message) -> socket.socket | None:
        """A connection of a hook process that died takes its event with it: so does ZeroMQ."""
        try:
            if connection is None or _is_dead(connection):
                connection = sockets.connect(self.var / sockets.EVENTS)
            sockets.send(connection, message)
        except OSError as failure:
            LOG.debug("event for hook %s lost: %s", message["hook"], failure)
            if connection is not None:
                connection.close()
            return None
        return connection

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._take_record, args=(connection,), daemon=True).start()

    def _take_record(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(sockets.TIME_LIMIT)
            try:
                record = sockets.receive(connection)
                if record is not None:
                    self._keep(record)
                    sockets.send(connection, {"ack": True})
            except OSError as failure:
                LOG.warning("hook record not taken: %s", failure)

    def _keep(self, record: Message) -> None:
        with self.lock:
            keep_record(self.store, record, self.retention)
        LOG.info("%s executing Hook %s", "Error" if record["code"] else "Success", record["hook"])


def _is_dead(connection: socket.socket) -> bool:
    """The hook process never writes: readable means closed."""
    try:
        connection.setblocking(False)
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(sockets.TIME_LIMIT)
