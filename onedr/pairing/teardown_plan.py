"""`onedr teardown`: what an earlier `onedr setup` changed, taken back. Pure."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from onedr.pairing.plan import Change, ChangeKind, PairingPlan, Recorded, display_value, same_number

# a pool stays an RBD pool, it may hold images; files are withdrawn on their own
UNTOUCHED = (ChangeKind.POOL, ChangeKind.OFFER)


def plan_teardown(
    recorded: Sequence[Recorded],
    current: Mapping[tuple[ChangeKind, str], str | None],
    pool: str,
    host: str,
    in_use: Collection[str],
) -> PairingPlan:
    """Take back what is recorded for the pool, last first, and what is for the whole site when no other pool
    needs it.

    `current`: values now. Something that somebody changed since stays as it is, with a note; a user that a
    datastore still comes as (`in_use`) stays too.
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
            notes.append(f"User {each.key} stays: a datastore here still comes as it.")
        elif (
            each.after is not None
            and now != each.after
            and not (each.kind is ChangeKind.SETTING and same_number(now, each.after))
        ):
            notes.append(
                f"{each.kind.value} {each.key} stays as it is ({display_value(each.kind, now)}): somebody "
                "changed it since."
            )
        else:
            changes.append(
                Change(
                    each.kind, each.key, now, each.before, f"{each.kind.value} {each.key}", scope=each.scope
                )
            )
    if others:
        notes.append(f"Users, settings and the site's name stay: pool(s) {', '.join(others)} need them.")
    return PairingPlan((), tuple(changes), tuple(notes))


def remaining_records(recorded: Sequence[Recorded], pool: str, host: str) -> list[Recorded]:
    """What stays recorded after that: what other pools need, and what is for another machine to take back."""
    others = {each.scope for each in recorded} - {"", pool}
    return [
        each for each in recorded
        if each.scope not in ("", pool) or (not each.scope and others) or (each.host and each.host != host)
    ]
