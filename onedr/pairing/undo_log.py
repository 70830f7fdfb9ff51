"""What `onedr setup` changed in a cluster and did not take back yet, kept by that cluster's monitors:
`onedr/setup`.

There it outlives a front-end, all of an HA set see it, and only an administrator reads it. It holds no
secret.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from onedr.ceph.admin import Cluster
from onedr.model.errors import StorageError
from onedr.pairing.plan import Change, ChangeKind, Recorded

KEY = "onedr/setup"
_SCHEMA = 1
OF_A_MACHINE = (ChangeKind.KEYRING, ChangeKind.KEY, ChangeKind.DAEMON)
# their value after is not known before
_KNOWN_AFTERWARDS = (ChangeKind.KEYRING, ChangeKind.KEY, ChangeKind.PEER)


@dataclass
class UndoLog:
    """`changes` in the order in which they were made; `offers`: files not used yet, by id; `joined`: files
    used here, by id.
    """

    changes: list[Recorded] = field(default_factory=list)
    offers: dict[str, dict[str, Any]] = field(default_factory=dict)
    joined: dict[str, dict[str, Any]] = field(default_factory=dict)

    def pools(self) -> set[str]:
        """Pools that were set up."""
        return {each.scope for each in self.changes} - {""}

    def announce(self, changes: Iterable[Change], host: str) -> None:
        """Note changes before they are made; what was noted before keeps its value of then, unless somebody
        else changed it.
        """
        for change in changes:
            if change.kind is ChangeKind.OFFER:
                self._add(Recorded(ChangeKind.PEER, change.scope, None, None, change.scope), None)
                continue
            after = None if change.kind in _KNOWN_AFTERWARDS else change.after
            machine = host if change.kind in OF_A_MACHINE else ""
            self._add(
                Recorded(change.kind, change.key, change.before, after, change.scope, machine), change.before
            )

    def _add(self, new: Recorded, now: str | None) -> None:
        for place, old in enumerate(self.changes):
            if (old.kind, old.key, old.host) == (new.kind, new.key, new.host):
                before = old.before if old.after is None or old.after == now else new.before
                self.changes[place] = Recorded(new.kind, new.key, before, new.after, new.scope, new.host)
                return
        self.changes.append(new)

    def settle(self, values: Mapping[tuple[ChangeKind, str], str | None]) -> None:
        """Note what changes came to."""
        self.changes = [
            Recorded(
                each.kind,
                each.key,
                each.before,
                values.get((each.kind, each.key), each.after),
                each.scope,
                each.host,
            )
            for each in self.changes
        ]

    def forget(self, kind: ChangeKind, key: str) -> None:
        """It was taken back."""
        self.changes = [each for each in self.changes if (each.kind, each.key) != (kind, key)]

    def save(self, cluster: Cluster) -> None:
        """Keep it; an empty one leaves nothing. Raises StorageError, NoRightError."""
        if not self.changes and not self.offers:
            cluster.store(KEY, None)
            return
        changes = [{**asdict(each), "kind": each.kind.value} for each in self.changes]
        cluster.store(
            KEY,
            json.dumps({"schema": _SCHEMA, "changes": changes, "offers": self.offers, "joined": self.joined}),
        )


def load_undo_log(cluster: Cluster) -> UndoLog:
    """Read it; an empty one when there is none.

    Raises StorageError for one that cannot be understood, NoRightError.
    """
    text = cluster.stored(KEY)
    if text is None:
        return UndoLog()
    try:
        found = json.loads(text)
        if found["schema"] != _SCHEMA:
            raise ValueError(f"schema {found['schema']}")
        changes = [Recorded(**{**each, "kind": ChangeKind(each["kind"])}) for each in found["changes"]]
        return UndoLog(changes, dict(found["offers"]), dict(found["joined"]))
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"What onedr setup noted in this cluster cannot be understood ({error}); look at it: ceph "
            f"config-key get {KEY}."
        ) from error
