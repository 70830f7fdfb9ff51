"""A front-end in being: its files, objects, drivers and the one lock that guards the objects."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sandbox.frontend.config import Config
from sandbox.frontend.drivers import Executor
from sandbox.frontend.events import HookBus
from sandbox.frontend.objects import PoolObject
from sandbox.frontend.store import Store

LOG = logging.getLogger("ONE")


class Stateful(Protocol):
    """An object whose state changes are told to hooks."""

    def changed(self) -> bool:
        """Whether the state differs from the last one told."""
        ...

    def event(self) -> tuple[str, str]:
        """Hook key and message."""
        ...

    def settle(self) -> None:
        """Remember the state as told."""
        ...


class Frontend:
    """Everything the calls work on."""

    def __init__(self, location: Path, listen: str, kinds: list[type[PoolObject]]) -> None:
        self.location = location
        self.var = location / "var"
        self.config = Config(location)
        self.lock = threading.RLock()
        self.store = Store(self.var / "one.db", kinds)
        self.hooks = HookBus(self.store, self.lock, self.var, self.config.hook_log_retention())
        self.wake_scheduler = threading.Event()
        self.endpoint = f"http://{listen}/RPC2"
        environment = {"ONE_LOCATION": str(location), "ONE_XMLRPC": self.endpoint,
                       "ONE_AUTH": str(self.var / ".one" / "one_auth")}
        datastore, transfer = self.config.options("DATASTORE_MAD"), self.config.options("TM_MAD")
        self.datastore_driver = Executor("ImM", datastore.threads, self.var, environment,
                                         self.config.driver_nice(), datastore.timeout)
        self.transfer_driver = Executor("TrM", transfer.threads, self.var, environment)
        self.vmm_driver = Executor("VMM", transfer.threads, self.var, environment)

    @property
    def datastores_path(self) -> Path:
        """Where datastore folders lie."""
        return self.var / "datastores"

    def save(self, obj: PoolObject) -> None:
        """Store an object; a changed state goes to the hooks first, still with its PREV_STATE."""
        tell = getattr(obj, "event", None)
        if tell is not None:
            self._tell(obj)  # type: ignore[arg-type]
        self.store.put(obj)

    def _tell(self, obj: Stateful) -> None:
        if obj.changed():
            key, message = obj.event()
            self.hooks.publish("state", key, message)
            obj.settle()

    def background(self, work: Callable[[], None], name: str) -> None:
        """Run something that waits for drivers; the lock is taken inside where needed."""
        threading.Thread(target=self._guarded, args=(work, name), daemon=True, name=name).start()

    def _guarded(self, work: Callable[[], None], name: str) -> None:
        try:
            work()
        finally:
            LOG.debug("%s ended", name)
