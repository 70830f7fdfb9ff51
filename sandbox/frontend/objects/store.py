"""Objects in memory, each change written to SQLite at once, so that they survive a SIGKILL."""
from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from sandbox.frontend.objects.errors import no_exists
from sandbox.frontend.objects.pool_object import PoolObject, dump, load

FIRST_USER_ID = 100
Stored = TypeVar("Stored", bound=PoolObject)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (kind TEXT, oid INTEGER, body TEXT, PRIMARY KEY (kind, oid));
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, next INTEGER);
CREATE TABLE IF NOT EXISTS hook_log (hook INTEGER, exe INTEGER, stamp INTEGER, rc INTEGER, body TEXT,
                                     PRIMARY KEY (hook, exe));
"""


class Store:
    """All pools of a front-end. Callers hold the front-end's lock."""

    def __init__(self, path: Path, kinds: Iterable[type[PoolObject]]) -> None:
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A killed process loses nothing without sync; only a machine crash could.
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.executescript(_SCHEMA)
        self._pools: dict[str, dict[int, PoolObject]] = {}
        for kind in kinds:
            rows = self.database.execute("SELECT oid, body FROM objects WHERE kind = ?", (kind.KIND,))
            self._pools[kind.KIND] = {oid: load(kind, body) for oid, body in rows}

    def next_id(self, counter: str, first: int = 0) -> int:
        """A number never given before."""
        number = self.peek_id(counter, first)
        self.database.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (counter, number + 1))
        return number

    def peek_id(self, counter: str, first: int = 0) -> int:
        """The number next_id would give: an object that is refused uses none up."""
        row = self.database.execute("SELECT next FROM counters WHERE name = ?", (counter,)).fetchone()
        return int(row[0]) if row else first

    def put(self, obj: PoolObject) -> None:
        """Insert or update."""
        self._pools[obj.KIND][obj.oid] = obj
        row = (obj.KIND, obj.oid, dump(obj))
        self.database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", row)

    def drop(self, obj: PoolObject) -> None:
        """Forget an object."""
        self._pools[obj.KIND].pop(obj.oid, None)
        self.database.execute("DELETE FROM objects WHERE kind = ? AND oid = ?", (obj.KIND, obj.oid))

    def find(self, kind: type[Stored], oid: int) -> Stored | None:
        """The object, or None."""
        found = self._pools[kind.KIND].get(oid)
        return found if isinstance(found, kind) else None

    def get(self, kind: type[Stored], oid: int) -> Stored:
        """The object, or the error a caller gets."""
        found = self.find(kind, oid)
        if found is None:
            raise no_exists(kind.LABEL, oid)
        return found

    def all(self, kind: type[Stored]) -> list[Stored]:
        """Every object, newest id first as oned lists them."""
        pool = self._pools[kind.KIND]
        return [found for oid in sorted(pool, reverse=True) if isinstance(found := pool[oid], kind)]

    def by_name(self, kind: type[Stored], name: str, uid: int | None = None) -> Stored | None:
        """The object of this name, of this owner if given."""
        for found in self.all(kind):
            if found.name == name and uid in (None, found.uid):
                return found
        return None

    def close(self) -> None:
        """Close the database."""
        self.database.close()
