"""How a move or failover ended: state, result and sentence, from what was read afterwards. Pure."""
from __future__ import annotations

from dataclasses import dataclass

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
    split: str = ""


def judge_end(end: RunEnd) -> tuple[State, str, str]:
    """State, result for the journal, and a sentence. A site that is primary of nothing has not taken over."""
    if end.split:
        return State.SPLIT_BRAIN, "PARTIAL", end.split
    again = f"See onedr history for the reasons; rerun onedr {end.verb} to retry them"
    if not end.active:
        text = f"Nothing was taken over: {end.failed} item(s) failed, this site is the standby as before."
        return State.STANDBY, "FAILED", f"{text} {again}."
    text = f"This site took over at {end.when} in {end.seconds:.0f} s: {end.recovered} VM(s) recovered"
    following = end.lossless and not end.unread
    state = State.PROTECTING if following else State.ACTIVE_UNPROTECTED
    if end.failed:
        text += f", {len(end.lacking)} not ({', '.join(end.lacking)})" if end.lacking else ""
        return state, "PARTIAL", f"{text}; {end.failed} item(s) failed. {again}."
    if following:
        return state, "DONE", f"{text}, no data lost. Replication now runs in the opposite direction."
    if end.lossless:
        text += f"; the peer's roles could not be read afterwards ({end.unread}): see onedr status."
    else:
        text += ". There is no copy at the peer until it is back and reprotected."
    return state, "DONE", text
