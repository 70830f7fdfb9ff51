"""The front-end that all calls work on: configuration, objects and their lock, hook bus, drivers."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from sandbox.frontend.executor import Executor
from sandbox.frontend.hooks.bus import HookBus
from sandbox.frontend.objects.config import Config
from sandbox.frontend.objects.pool_object import PoolObject, StatefulObject
from sandbox.frontend.objects.store import Store

LOG = logging.getLogger("ONE")


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
        """The folder of the datastores."""
        return self.var / "datastores"

    def save(self, obj: PoolObject) -> None:
        """Store an object; a changed state goes to the hooks first, still with its PREV_STATE."""
        if isinstance(obj, StatefulObject) and obj.changed():
            self.hooks.publish("state", *obj.event())
            obj.settle()
        self.store.put(obj)

    def background(self, work: Callable[[], None], name: str) -> None:
        """Run something that waits for drivers; the lock is taken inside where needed."""
        threading.Thread(target=self._guarded, args=(work, name), daemon=True, name=name).start()

    def _guarded(self, work: Callable[[], None], name: str) -> None:
        try:
            work()
        finally:
            LOG.debug("%s ended", name)
