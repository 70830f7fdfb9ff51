"""The lease as text, and what a watcher may conclude from seeing it again and again.

Pure. No clock of another machine is believed: a lease is dead when the watcher itself, by its own monotonic
clock, has seen it not renewed for long enough.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from onedr.model.json_form import Json, parsed


@dataclass(frozen=True)
class Lease:
    """Who runs what. `generation` grows with every owner, `renewal` with every sign of life.

    `owner`: host, pid, and the pid's start time. `machine`: what pids count on. `home`: id of the cluster
    whose pool has the run's journal. `began`: epoch seconds by the owner's clock, for people only.
    """

    owner: str
    verb: str
    generation: int
    renewal: int = 0
    released: bool = False
    machine: str = ""
    home: str = ""
    site: str = ""
    datastore: str = ""
    run: str = ""
    by: str = ""
    began: float = 0.0

    @property
    def host(self) -> str:
        return self.owner.split(":")[0]


_KINDS: Mapping[str, Any] = {"generation": int, "renewal": int, "released": bool, "began": (int, float)}
_NO_MOMENT = 1e11  # epoch seconds
# A lease that cannot be read: it is watched like any other, and taken over when nothing renews it.
_UNREADABLE = Lease("an unknown process", "an unknown run", 0)


def encode(lease: Lease) -> str:
    """The lease as text: of two signs of life no two are alike."""
    return json.dumps(asdict(lease))


def decode(text: str) -> Lease | None:
    """The lease; None when nothing ever ran.

    Releases before wrote `until`, epoch seconds, 0 when released.
    """
    if not text:
        return None
    try:
        found = parsed(text)
        names = [field.name for field in fields(Lease)]
        known: Json = {name: found[name] for name in names if name in found}
        if any(not isinstance(value, _KINDS.get(name, str)) for name, value in known.items()):
            return _UNREADABLE
        if "until" in found:
            known["released"] = found["until"] == 0
        if not 0 <= known.get("began", 0) < _NO_MOMENT:
            known["began"] = 0.0
        return Lease(**known)
    except (ValueError, TypeError):
        return _UNREADABLE


class Sight(Enum):
    """What a watcher knows of a lease."""

    FREE = "free"  # never taken, given back, or its owner is known to have ended
    WATCHED = "watched"  # taken, and not yet known to live or to be dead
    ALIVE = "alive"  # renewed, or taken by another, since it was seen last
    DEAD = "dead"  # not renewed for long enough


class Watch:
    """One watcher of one lease. `dead_s`: seconds without a renewal after which it is dead."""

    def __init__(self, dead_s: float):
        self._dead_s = dead_s
        self._text: str | None = None
        self._since = 0.0

    def see(self, text: str, free: bool, now: float) -> Sight:
        """Judge the lease's text as it is at `now`, seconds of the watcher's monotonic clock."""
        if free:
            self._text = None
            return Sight.FREE
        first, changed = self._text is None, text != self._text
        if changed:
            self._text, self._since = text, now
        if first:
            return Sight.WATCHED
        if changed:
            return Sight.ALIVE
        return Sight.DEAD if now - self._since >= self._dead_s else Sight.WATCHED
