"""One turn: compare with the last look, tell what changed, try again what was not taken.

State is `var/onedr/notify.json` of this front-end: each site tells by itself, whatever became of the other.
"""
from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from onedr.host import log, secret_file
from onedr.host.paths import front_end_paths
from onedr.model.errors import OneDRError, RunInProgressError
from onedr.model.json_form import Json, from_json
from onedr.notify import change_rules, send
from onedr.notify.change_rules import Notice, Seen
from onedr.notify.settings import NotifySettings

_FIRST_RETRY_S, _LONGEST_RETRY_S, _GIVE_UP_S = 60.0, 3600.0, 86400.0


@dataclass
class Pending:
    """A notice that a channel has not taken: how often it was tried, when it is next."""

    notice: Notice
    channel: str
    tries: int = 0
    due: float = 0.0


@dataclass
class State:
    """What a turn leaves for the next."""

    seen: dict[str, Seen] = field(default_factory=dict)
    told: list[tuple[float, str]] = field(default_factory=list)
    spool: list[Pending] = field(default_factory=list)


def path() -> Path:
    """Path of the state."""
    return front_end_paths().state / "notify.json"


def turn(now: Mapping[str, Seen], settings: NotifySettings) -> tuple[int, int]:
    """How many notices were new, and how many deliveries wait.

    Raises InputError when the state cannot be kept, RunInProgressError when another turn is at work.
    """
    with _alone():
        state, at = load(), time.time()
        wanted = change_rules.notices(state.seen, now, at)
        fresh, state.told = change_rules.to_tell(wanted, state.told, at)
        state.seen = dict(now)
        state.spool += [Pending(notice, channel) for notice in fresh for channel in settings.channels]
        save(state)  # before the first is sent: whoever dies in between tells it again, and loses none
        _deliver(state, settings, at)
        save(state)
        return len(fresh), len(state.spool)


def _deliver(state: State, settings: NotifySettings, at: float) -> None:
    left = []
    for each in state.spool:
        if each.channel not in settings.channels:
            continue  # it is not in use any more
        if each.due > at or not _send(each, settings, at):
            left.append(each)
    state.spool = [each for each in left if at - each.notice.at < _GIVE_UP_S]
    for each in left:
        if at - each.notice.at >= _GIVE_UP_S:
            log.error(f"notice given up after a day, {each.channel} never took it: {each.notice.text}")


def _send(each: Pending, settings: NotifySettings, at: float) -> bool:
    try:
        send.send(each.channel, each.notice, settings)
    except OneDRError as error:
        each.tries += 1
        each.due = at + min(_FIRST_RETRY_S * 2 ** (each.tries - 1), _LONGEST_RETRY_S)
        log.warning(f"notice by {each.channel} not taken, try {each.tries}: {error}")
        return False
    return True


def test(settings: NotifySettings) -> dict[str, str]:
    """Send a test by each channel. Returns by channel what went wrong, empty where it was taken."""
    notice = Notice("", "test", "info", "This is a test of OneDR's notifications.", time.time())
    found = {}
    for channel in settings.channels:
        try:
            send.send(channel, notice, settings)
            found[channel] = ""
        except OneDRError as error:
            found[channel] = str(error)
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """One turn at a time at this front-end."""
    where = path().with_suffix(".lock")
    with where.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunInProgressError("Another onedr notify is at work at this front-end.") from error
        yield


def load() -> State:
    """The state; a new one when there is none, or it is damaged: then only what is wrong is told again."""
    try:
        data: Json = json.loads(path().read_text())
        return State(
            {name: _seen(each) for name, each in data["seen"].items()},
            [(float(moment), str(key)) for moment, key in data["told"]],
            [_pending(each) for each in data["spool"]],
        )
    except FileNotFoundError:
        return State()
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning(f"{path()} is damaged and begun anew: {error!r}")
        return State()


def _pending(data: Json) -> Pending:
    notice = from_json(Notice, data["notice"])
    return Pending(notice, str(data["channel"]), int(data["tries"]), float(data["due"]))


def _seen(data: Json) -> Seen:
    made = from_json(Seen, data)
    ended = {verb: (float(at), str(result)) for verb, (at, result) in made.ended.items()}
    return replace(made, ended=ended)


def save(state: State) -> None:
    """Keep the state, readable by its owner only: it names VMs."""
    text = json.dumps({
        "seen": {name: asdict(seen) for name, seen in state.seen.items()},
        "told": state.told, "spool": [asdict(each) for each in state.spool],
    })
    secret_file.write_secret(path(), text)
