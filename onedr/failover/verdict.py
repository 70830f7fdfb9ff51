"""How a move or failover ended: state, result and sentence, from what was read afterwards. Pure."""
from __future__ import annotations

from dataclasses import dataclass

from onedr.model.text import NOTHING, Sentence
from onedr.model.types import State


@dataclass(frozen=True)
class RunEnd:
    """What is known at the end. `active`: images of the datastore that are primary here now; `unread`: why
    the peer's roles could not be read; `split`: what to say of images that are primary at both sites.
    """

    verb: str
    lossless: bool
    when: str
    seconds: float
    active: int
    recovered: int  # VMs
    lacking: tuple[str, ...]  # names of VMs that were not recovered
    failed: int  # items of any kind
    unread: str = ""
    split: Sentence = NOTHING


def judge_end(end: RunEnd) -> tuple[State, str, Sentence]:
    """State, result for the journal, and a sentence, whose public form names no VM. A site that is primary of
    nothing has not taken over.
    """
    if end.split:
        return State.SPLIT_BRAIN, "PARTIAL", end.split
    again = f"See onedr history for the reasons; rerun onedr {end.verb} to retry them"
    if not end.active:
        text = f"Nothing was taken over: {end.failed} item(s) failed, this site is the standby as before."
        return State.STANDBY, "FAILED", Sentence(f"{text} {again}.")
    text = f"This site took over at {end.when} in {end.seconds:.0f} s: {end.recovered} VM(s) recovered"
    following = end.lossless and not end.unread
    state = State.PROTECTING if following else State.ACTIVE_UNPROTECTED
    if end.failed:
        lacking = Sentence(f", {len(end.lacking)} not") if end.lacking else NOTHING
        names = Sentence(f" ({', '.join(end.lacking)})" if end.lacking else "", "")
        rest = Sentence(f"; {end.failed} item(s) failed. {again}.")
        return state, "PARTIAL", Sentence(text).then(lacking).then(names).then(rest)
    if following:
        text = f"{text}, no data lost. Replication now runs in the opposite direction."
        return state, "DONE", Sentence(text)
    if end.lossless:
        text += "; the peer's roles could not be read afterwards"
        see = ": see onedr status."
        return state, "DONE", Sentence(f"{text} ({end.unread}){see}", f"{text}{see}")
    text += ". There is no copy at the peer until it is back and reprotected."
    return state, "DONE", Sentence(text)
