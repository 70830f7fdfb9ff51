"""What changed between two looks, as notices; which of them are told. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from onedr.model.rehearsed import Result
from onedr.model.text import first_few
from onedr.model.types import Role
from onedr.runs.answer_events import ObservedEvent
from onedr.runs.state import NEEDS_A_PERSON

AGAIN_S = 900.0  # the same notice is not told again within that time
HOUR_S, MOST_AN_HOUR = 3600.0, 30
_BAD = frozenset(state.value for state in NEEDS_A_PERSON)
_UNREAD = "UNREAD"


@dataclass(frozen=True)
class Seen:
    """A datastore at one look. `run`: of the one in progress, its id and text; `ended`: of each verb the end
    of its newest run (epoch seconds) and its result; `refused`: VMs that the last rehearsal refused;
    `paused`: is a standby's replication paused? Its state does not say so; the primary's does.
    """

    state: str
    message: str = ""
    late: bool = False
    run: tuple[str, str] = ("", "")
    ended: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    paused: bool = False


@dataclass(frozen=True)
class Notice:
    """One thing to tell. `severity`: info, warning, critical; `at`: epoch seconds. `state`: what a datastore
    came into, of a notice of that.
    """

    datastore: str
    kind: str
    severity: str
    text: str
    at: float
    state: str = ""

    @property
    def key(self) -> str:
        """What makes it the same as another."""
        return f"{self.datastore}/{self.kind}/{self.text}"

    @property
    def alarm(self) -> str:
        """What of it no flood of others may hide; empty for nothing."""
        return f"{self.datastore} is {self.state}" if self.state and self.severity == "critical" else ""


def seen_of(event: ObservedEvent) -> Seen:
    """A datastore that was read."""
    status = event.status
    ages = [disk.age_s for disk in status.disks if disk.age_s is not None]
    return Seen(
        state=status.state, message=status.message,
        late=bool(status.objective_s and ages and max(ages) > status.objective_s),
        run=(status.run.run, status.run.text) if status.run is not None else ("", ""),
        ended={run.verb: (run.ended, run.result) for run in event.runs},
        refused=tuple(
            vm.name for vm in status.vms
            if vm.rehearsal is not None and vm.rehearsal.result is Result.REFUSED
        ),
        paused=status.paused and status.role == Role.SECONDARY.value,
    )


def unread(why: str) -> Seen:
    """A datastore that could not be read."""
    return Seen(_UNREAD, why)


def notices(before: Mapping[str, Seen], now: Mapping[str, Seen], at: float) -> list[Notice]:
    """What to tell of what changed, by datastore. Of one that was never seen: only what is wrong with it."""
    found: list[Notice] = []
    for name, seen in now.items():
        found += _of(name, before.get(name), seen, at)
    gone = [name for name in before if name not in now]
    return found + [
        Notice(name, "gone", "warning", f"{name} is no datastore of OneDR any more.", at) for name in gone
    ]


def _of(name: str, before: Seen | None, now: Seen, at: float) -> Iterable[Notice]:
    bad = now.state in _BAD or now.state == _UNREAD
    if before is None:
        if bad:
            text = f"{name} is {now.state}. {now.message}"
            yield Notice(name, "state", "critical", text, at, now.state)
        return
    if now.state != before.state:
        text = f"{name} is {now.state}, it was {before.state}. {now.message}"
        yield Notice(name, "state", "critical" if bad else "info", text, at, now.state)
    elif now.paused != before.paused:
        what, severity = ("is paused", "warning") if now.paused else ("goes on", "info")
        yield Notice(name, "paused", severity, f"Replication of {name} {what}. {now.message}", at)
    elif now.late != before.late:
        age = "are older than its objective" if now.late else "are young enough again"
        severity = "warning" if now.late else "info"
        yield Notice(name, "late", severity, f"Copies of {name} {age}. {now.message}", at)
    if _UNREAD not in (now.state, before.state):  # what happened while it could not be read is not known
        yield from _runs(name, before, now, at)


def _runs(name: str, before: Seen, now: Seen, at: float) -> Iterable[Notice]:
    if now.run[0] and now.run[0] != before.run[0]:
        yield Notice(name, "run", "info", f"On {name} began: {now.run[1]}", at)
    for verb, (ended, result) in now.ended.items():
        if before.ended.get(verb, (0.0, ""))[0] < ended:
            severity = "info" if result == "DONE" else "warning"
            text = f"The {verb} of {name} ended: {result}. More: onedr history {name}"
            yield Notice(name, "run", severity, text, at)
    new = [vm for vm in now.refused if vm not in before.refused]
    if new:
        text = f"A rehearsal of {name} found that this site would not accept {first_few(new)}."
        yield Notice(name, "rehearsal", "warning", text, at)


def to_tell(
    wanted: Sequence[Notice], told: Sequence[tuple[float, str]], at: float
) -> tuple[list[Notice], list[tuple[float, str]]]:
    """Those that are told now, and what was told lately with them (moment, key).

    The same is not told twice within AGAIN_S, and no more than MOST_AN_HOUR; one notice says how many were
    left out. Users can make many (by images that come and go): a datastore that came into a bad state is told
    all the same, each state once within AGAIN_S.
    """
    lately = [(moment, key) for moment, key in told if at - HOUR_S < moment <= at]
    found: list[Notice] = []
    left = 0
    for notice in sorted(wanted, key=lambda one: one.severity != "critical"):
        if any(key == notice.key and at - moment < AGAIN_S for moment, key in lately):
            continue
        known = any(key == notice.alarm and at - moment < AGAIN_S for moment, key in lately)
        if len(lately) >= MOST_AN_HOUR and (not notice.alarm or known):
            left += 1
            continue
        lately += [(at, key) for key in (notice.key, notice.alarm) if key]
        found.append(notice)
    if left and not any(key == _LEFT for _, key in lately):
        lately.append((at, _LEFT))
        text = f"{left} more notice(s) are not told: {MOST_AN_HOUR} were within an hour. See onedr status."
        found.append(Notice("", "left out", "warning", text, at))
    return found, lately


_LEFT = "left out"
