"""Which actions a state allows, what each does, and what confirms it. Pure; the run itself decides again.
"""
from __future__ import annotations

from dataclasses import dataclass

from onedr.document.form import ActionShown
from onedr.model.types import PeerState, State
from onedr.runs.state import DRILLS, MOVES

NAME, NONE = "name", "none"  # of ActionShown.confirm
PLANNED = ("MOVE", "FAILOVER", "FAILBACK", "REPROTECT", "DRILL", "DRILL_CLEANUP")  # words of DR_PLAN

_TEXTS = {
    "MOVE": (
        "Stops the VMs at the other site, waits until everything has arrived, and starts them here. Nothing "
        "is lost, or nothing is changed."
    ),
    "FAILOVER": "Takes over here, also while the other site is down. What has not arrived is lost.",
    "FAILBACK": (
        "Moves the VMs home: they stop at the other site and start here under their old ids. Nothing is "
        "lost, or nothing is changed."
    ),
    "REPROTECT": (
        "Makes this site the standby: what only its images hold is preserved, then they are replaced by "
        "copies of the other site's."
    ),
    "DRILL": (
        "Starts the other site's VMs here from clones, in the drill network. Production and replication are "
        "not touched."
    ),
    "DRILL_CLEANUP": "Removes what drills made: VMs, images, clones and snapshots.",
    "RESUME": "Continues the interrupted run.",
    "ABORT": "Rolls the interrupted run back. It has promoted nothing yet.",
    "CANCEL": (
        "Asks the run to stop after the step it is in. Before its first promotion a move is rolled back; "
        "after it, or in another run, it ends as INTERRUPTED."
    ),
}
_GIVES_UP = "Gives up this site's images where both sites are primary. "
_HINTS = {
    State.UNPROTECTED: "onedr enable protects it.",
    State.PROTECTING: "A move, failover or drill is started at the other site, which receives.",
    State.PROTECTED: "A move, failover or drill is started at the other site, which receives.",
    State.DEGRADED: "A move, failover or drill is started at the other site, which receives.",
    State.ACTIVE_UNPROTECTED: "When the other site is back, start REPROTECT there.",
    State.SPLIT_BRAIN: "Stop the VMs of one site first. REPROTECT there gives up that site's images.",
}


@dataclass(frozen=True)
class Situation:
    """What decides. `running`: verb of the run in progress at either site; `interrupted`: of the one that
    died, and whether it had begun to promote. `away`: VMs of this site run at the other. `drilled`: a drill's
    VMs exist.
    """

    state: State
    peer: PeerState
    running: str = ""
    interrupted: str = ""
    promoted: bool = False
    away: bool = False
    drilled: bool = False


def allowed(seen: Situation) -> tuple[ActionShown, ...]:
    """In the order in which a page shows them."""
    if seen.running:
        return (_shown("CANCEL"),) if seen.running in (*MOVES, *DRILLS, "reprotect") else ()
    if seen.state is State.STANDBY:
        return tuple(map(_shown, _of_standby(seen)))
    if seen.state is State.INTERRUPTED:
        return tuple(map(_shown, _of_interrupted(seen)))
    if seen.state is State.RETURNED:
        return (_shown("REPROTECT"),)
    if seen.state is State.SPLIT_BRAIN:
        return (ActionShown("REPROTECT", _GIVES_UP + _TEXTS["REPROTECT"], NAME, True),)
    return ()


def hint(seen: Situation) -> str:
    """Where an action is started that this state does not allow here; empty for nothing to say."""
    return "" if seen.running else _HINTS.get(seen.state, "")


def _of_standby(seen: Situation) -> list[str]:
    answers = seen.peer is PeerState.ANSWERS
    found = []
    if answers:
        found.append("FAILBACK" if seen.away else "MOVE")
    found.append("FAILOVER")
    if seen.drilled:
        found.append("DRILL_CLEANUP")
    elif answers:
        found.append("DRILL")
    return found


def _of_interrupted(seen: Situation) -> list[str]:
    if seen.interrupted in DRILLS:
        return ["DRILL_CLEANUP", "FAILOVER"]
    if seen.interrupted in MOVES:
        return ["RESUME"] if seen.promoted else ["RESUME", "ABORT"]
    return ["RESUME"] if seen.interrupted == "reprotect" else []


def _shown(action: str) -> ActionShown:
    return ActionShown(
        action, _TEXTS[action], NAME if action == "FAILOVER" else NONE, action in PLANNED)
