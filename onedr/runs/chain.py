"""The chain of a pool's history: each link carries the digest of the journal that a run left, and of the link
before it. So a journal that was changed or removed afterwards is found. Pure.

Links are keys `chain.<number>` of the object with the journals. The newest link's digest is in the log, which
may go to another machine: only that tells of a chain whose end was cut off.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from onedr.model import parsing
from onedr.model.json_form import parsed

PREFIX = "chain."
_FIRST = ""  # what the first link says of the one before it


@dataclass(frozen=True)
class Link:
    """A run's journal as it was left at `at` (epoch seconds), the `number`th time that any was."""

    number: int
    run: str
    digest: str
    before: str
    at: float


@dataclass(frozen=True)
class ChainVerdict:
    """What verifying found. `problems`: sentences; `unlinked`: runs that no link tells of, because they have
    not ended, or an earlier release wrote them; `head`: digest of the newest link, empty where there is none.
    """

    links: int
    problems: tuple[str, ...]
    unlinked: tuple[str, ...]
    head: str


def digest(data: bytes) -> str:
    """SHA-256 of a journal or link as it is stored."""
    return hashlib.sha256(data).hexdigest()


def next_link(newest: tuple[str, bytes] | None, run: str, journal: bytes, at: float) -> tuple[str, str]:
    """Key and text of the link after `newest` (key, value; None: there is none) for a run's journal."""
    number = 1 if newest is None else _number(newest[0]) + 1
    link = {
        "run": run, "digest": digest(journal), "before": _FIRST if newest is None else digest(newest[1]),
        "at": round(at, 3),
    }
    return f"{PREFIX}{number:016d}", json.dumps(link)


def verify(chain: Mapping[str, bytes], journals: Mapping[str, bytes]) -> ChainVerdict:
    """Compare every link with the one before it, and each run's newest link with its journal.

    `chain`: stored links by key; `journals`: stored journals by run.
    """
    problems: list[str] = []
    newest: dict[str, Link] = {}
    before, expected = _FIRST, 1
    for key in sorted(chain):
        link = read_link(key, chain[key])
        if link is None:
            problems.append(f"link {key[len(PREFIX):]} is damaged")
        else:
            if link.number != expected:
                problems.append(f"links {expected} to {link.number - 1} are missing")
            elif link.before != before:
                problems.append(f"link {link.number} does not follow the one before it: one was changed")
            newest[link.run] = link
        before, expected = digest(chain[key]), _number(key) + 1
    for run, link in newest.items():
        if run not in journals:
            problems.append(f"the journal of run {run} was removed")
        elif digest(journals[run]) != link.digest:
            problems.append(f"the journal of run {run} was changed after its run ended")
    unlinked = tuple(run for run in journals if run not in newest)
    return ChainVerdict(len(chain), tuple(problems), unlinked, before)


def read_link(key: str, value: bytes) -> Link | None:
    """A link; None for one that is damaged."""
    try:
        found = parsed(value)
        return Link(
            _number(key), str(found["run"]), str(found["digest"]), str(found["before"]), float(found["at"])
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _number(key: str) -> int:
    return parsing.plain_number(key[len(PREFIX):]) or 0
