"""The plan of `onedr teardown`, which undoes what `onedr setup` changed. Pure."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from onedr.pairing.facts import Change, ChangeKind, PairingPlan, Recorded, display_value
from onedr.pairing.plan import same_number

# a pool remains an RBD pool, because it may have images; join files are withdrawn separately
UNTOUCHED = (ChangeKind.POOL, ChangeKind.OFFER)


def plan_teardown(
    recorded: Sequence[Recorded],
    current: Mapping[tuple[ChangeKind, str], str | None],
    pool: str,
    host: str,
    in_use: Collection[str],
) -> PairingPlan:
    """Undo what is recorded for the pool, last first, and what is for the whole site when no other pool needs
    it.

    `current`: current values. What was changed since then is kept, with a note, and so is a user that a
    datastore still uses (`in_use`).
    """
    others = sorted({each.scope for each in recorded} - {"", pool})
    changes, notes = [], []
    for each in reversed(recorded):
        now = current.get((each.kind, each.key))
        if each.kind in UNTOUCHED or each.scope not in ("", pool) or (not each.scope and others):
            continue
        if each.host and each.host != host:
            notes.append(f"{each.key} is on machine {each.host}: run onedr teardown there too.")
        elif now == each.before:
            continue
        elif each.kind is ChangeKind.USER and each.before is None and each.key in in_use:
            notes.append(f"User {each.key} is kept: a datastore here still uses it.")
        elif (
            each.after is not None
            and now != each.after
            and not (each.kind is ChangeKind.SETTING and same_number(now, each.after))
        ):
            notes.append(
                f"{each.kind.value} {each.key} is kept ({display_value(each.kind, now)}): it was changed "
                "since setup."
            )
        else:
            changes.append(
                Change(
                    each.kind, each.key, now, each.before, f"{each.kind.value} {each.key}", scope=each.scope
                )
            )
    if others:
        notes.append(f"Users, settings and the site's name are kept: pool(s) {', '.join(others)} need them.")
    return PairingPlan((), tuple(changes), tuple(notes))


def remaining_records(recorded: Sequence[Recorded], pool: str, host: str) -> list[Recorded]:
    """What remains recorded after that: what other pools need, and what another machine must undo."""
    others = {each.scope for each in recorded} - {"", pool}
    return [
        each for each in recorded
        if each.scope not in ("", pool) or (not each.scope and others) or (each.host and each.host != host)
    ]
