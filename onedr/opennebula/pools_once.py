"""A session that asks oned for each pool once: for work over many datastores at one moment."""
from __future__ import annotations

from threading import Lock
from typing import Any

from lxml import etree

from onedr.opennebula.api import FrontEnd


class PoolsOnce(FrontEnd):
    """As FrontEnd, but a pool is what it was at the first call. `calls`: how many oned had to answer."""

    def __init__(self, limit_s: float = 30):
        super().__init__(limit_s=limit_s)
        self.calls = 0
        self._seen: dict[tuple[object, ...], list[etree._Element]] = {}
        self._lock = Lock()

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls += 1
        return super().call(method, *arguments)

    def _pool(self, method: str, tag: str, *arguments: Any) -> list[etree._Element]:
        with self._lock:  # threads that want the same wait for the first
            key = (method, tag, *arguments)
            if key not in self._seen:
                self._seen[key] = super()._pool(method, tag, *arguments)
            return self._seen[key]
