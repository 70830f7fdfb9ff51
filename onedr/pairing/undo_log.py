"""What `onedr setup` changed in a cluster and teardown has not undone, in the monitors' key store:
`onedr/setup`.

There it survives the loss of a front-end, is visible to a whole HA set, and only administrators can read it.
It contains no secret.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from onedr.ceph.admin import Cluster
from onedr.model.errors import StorageError
from onedr.pairing.facts import Change, ChangeKind, Recorded

KEY = "onedr/setup"
_SCHEMA = 1
OF_A_MACHINE = (
    ChangeKind.KEYRING, ChangeKind.KEY, ChangeKind.DAEMON, ChangeKind.PASSWORD, ChangeKind.FRONT_END,
)
# their value after the change is unknown before
_KNOWN_AFTERWARDS = (ChangeKind.KEYRING, ChangeKind.KEY, ChangeKind.PEER, ChangeKind.PASSWORD)


@dataclass(frozen=True)
class Offer:
    """A join file that was not used: where it is, and when it expires (epoch seconds)."""

    pool: str
    path: str
    host: str
    expires: float


@dataclass(frozen=True)
class Joined:
    """A join file that was used here: of which site, and when (epoch seconds)."""

    site: str
    at: float


@dataclass
class UndoLog:
    """`changes` in the order in which they were made; `offers`, `joined`: by the join file's id."""

    changes: list[Recorded] = field(default_factory=list)
    offers: dict[str, Offer] = field(default_factory=dict)
    joined: dict[str, Joined] = field(default_factory=dict)

    def pools(self) -> set[str]:
        """The pools that were set up."""
        return {each.scope for each in self.changes} - {""}

    def announce(self, changes: Iterable[Change], host: str) -> None:
        """Record changes before they are made.

        An earlier record keeps its original value, unless the object was changed by others.
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
        """Record the values after the changes."""
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

    def save(self, cluster: Cluster) -> None:
        """Store the log; an empty one is removed. Raises StorageError, NoRightError."""
        if not self.changes and not self.offers:
            cluster.store(KEY, None)
            return
        changes = [{**asdict(each), "kind": each.kind.value} for each in self.changes]
        offers = {join_id: asdict(offer) for join_id, offer in self.offers.items()}
        joined = {join_id: asdict(entry) for join_id, entry in self.joined.items()}
        cluster.store(
            KEY, json.dumps({"schema": _SCHEMA, "changes": changes, "offers": offers, "joined": joined})
        )


def load_undo_log(cluster: Cluster) -> UndoLog:
    """Read the log; an empty one when there is none.

    Raises StorageError for one that cannot be parsed, NoRightError.
    """
    text = cluster.stored(KEY)
    if text is None:
        return UndoLog()
    try:
        found = json.loads(text)
        if found["schema"] != _SCHEMA:
            raise ValueError(f"schema {found['schema']}")
        changes = [Recorded(**{**each, "kind": ChangeKind(each["kind"])}) for each in found["changes"]]
        offers = {str(join_id): Offer(**entry) for join_id, entry in found["offers"].items()}
        joined = {str(join_id): Joined(**entry) for join_id, entry in found["joined"].items()}
        return UndoLog(changes, offers, joined)
    except (AttributeError, ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"The undo log of onedr setup in this cluster cannot be read ({error}); see ceph config-key get "
            f"{KEY}."
        ) from error
