"""The errors. Each says what is wrong, where, and what to do next.

`word` is the error's stable code for programs and for docs/errors.md, which is made from the classes:
`meaning` and `todo` are its columns. An instance may carry another word than its class.
"""
from __future__ import annotations

from onedr.model.text import Sentence, printable, public_of

_LONGEST = 1000  # characters of a sentence, which may contain text of any length that users wrote


def plain(text: str) -> str:
    """Text as one printable line of bounded length.

    A long line loses its middle, because its end says what to do.
    """
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST * 2 // 3]} … {line[-_LONGEST // 3 :]}"


class OneDRError(Exception):
    """Base of every error that users see: one plain sentence without a newline.

    `public`: what of it may stand on the datastore, for every user to read; empty when that is not known.
    """

    exit_code = 1
    word = "error"
    meaning = "Something failed that has no code of its own."
    todo = "Do what the message says."

    def __init__(self, message: str):
        super().__init__(plain(message))
        self.public = plain(public_of(message, ""))


class UnexpectedError(OneDRError):
    """A fault in OneDR itself; its traceback is in the log."""

    word = "unexpected"
    meaning = "A fault in OneDR. Its traceback is in the log."
    todo = "Run the command again; report the traceback (docs/log.md)."


class TimedOutError(OneDRError):
    """One item of many did not end within its limit."""

    word = "timed-out"
    meaning = "One item did not end within its limit; the others were not held up."
    todo = "Look at `ceph -s`, then run the command again."


class InputError(OneDRError):
    """The input cannot be used: garbled data, a missing or bad attribute, a forbidden path."""

    word = "bad-input"
    meaning = "An argument, attribute or file cannot be used."
    todo = "Correct what the message names."


class RefusedError(OneDRError):
    """The request was understood and is refused to keep data safe."""

    exit_code = 2
    word = "refused"
    meaning = "The request was understood and refused to keep data safe. Nothing was changed."
    todo = "Do what the message says."


class PlanRefusedError(RefusedError):
    """The facts allow no safe plan."""

    word = "plan-refused"
    meaning = "What was found at the sites allows no safe plan. Nothing was changed."
    todo = "See the reasons in the message; `--dry-run` shows the facts."


class RunInProgressError(RefusedError):
    """Another run holds the lease of the datastore, at this site or the other."""

    word = "run-in-progress"
    meaning = "Another run is in progress on this datastore."
    todo = "Wait for it: `onedr status`, or ask it to stop: `onedr cancel`."

    def __init__(self, message: str):
        super().__init__(Sentence(message))  # it names runs and who began them, no VM


class NothingInterruptedError(RefusedError):
    """There is no interrupted run that could be resumed or aborted."""

    word = "nothing-interrupted"
    meaning = "There is no interrupted run to resume or abort."
    todo = "`onedr history` shows how the runs ended."

    def __init__(self, message: str):
        super().__init__(Sentence(message))


class StorageError(OneDRError):
    """Ceph answered with an error, or did not answer within the limit."""

    exit_code = 3
    word = "ceph"
    meaning = "Ceph answered with an error, or not within the limit."
    todo = "Look at `ceph -s` and the datastore's CEPH_ attributes."


class PeerUnreachableError(StorageError):
    """The peer's Ceph does not answer, or does not let us in."""

    word = "peer-unreachable"
    meaning = "The peer's Ceph does not answer, or refuses access."
    todo = "Check the inter-site link; `onedr check` shows what is reachable."


class ForeignImageError(StorageError):
    """An RBD image of the requested name exists and does not belong to this action."""

    word = "foreign-image"
    meaning = "An RBD image of the wanted name exists and does not belong to OneDR."
    todo = "Find its owner; rename or remove it."


class FrontEndError(OneDRError):
    """The front-end answered with an error (`code` as in docs/opennebula-facts.md O25)
    or not at all (`code` None).
    """

    exit_code = 4
    word = "front-end"
    meaning = "OpenNebula's front-end answered with an error, or not at all."
    todo = "Check that oned runs, and ONE_AUTH."

    def __init__(self, message: str, code: int | None = None):
        super().__init__(message)
        self.code = code


class RecordError(OneDRError):
    """A record on an image is damaged or incomplete."""

    word = "record-damaged"
    meaning = "The record of a VM or image is damaged or incomplete."
    todo = "Run `onedr reconcile` at the site that writes it."


class SchemaError(RecordError):
    """A record is of a schema this release does not know; it must not be replaced either."""

    word = "record-newer"
    meaning = "A record was written by a newer release of OneDR."
    todo = "Upgrade OneDR at this site."


class PartialError(OneDRError):
    """Some items of a run failed, the others succeeded."""

    exit_code = 5
    word = "partial"
    meaning = "Some items failed; the others were done."
    todo = "The verdict and `onedr history` name them; run the same command again."


class ProblemsFoundError(OneDRError):
    """`onedr check` found at least one problem, or `onedr status` a state that needs a person."""

    exit_code = 6
    word = "problems-found"
    meaning = "`onedr check` found at least one problem; `onedr status`: degraded or worse."
    todo = "Fix what it names; docs/checks.md explains each check, docs/states.md each state."


def all_errors() -> list[type[OneDRError]]:
    """Every class of error whose module is loaded."""
    return _below(OneDRError)


class InterruptedRunError(OneDRError):
    """A run ended before its end: its process was ended, it lost its lease, or it was asked to stop."""

    exit_code = 7
    word = "run-interrupted"
    meaning = "The run was interrupted: its process was ended, or it was asked to stop."
    todo = "`onedr resume` continues it; before its first promotion `onedr abort` rolls it back."


class LeaseLostError(InterruptedRunError):
    """Another run took the lease, or may have: it could not be renewed. This run must change nothing more."""

    word = "lease-lost"
    meaning = "The run could not renew its lease for so long that another may have taken it; it stopped."
    todo = "See `onedr status` and `onedr history`."


class RunStoppedError(InterruptedRunError):
    """The run was asked to stop, or lost sight of the peer where it needs it. It may still roll back."""

    word = "run-stopped"
    meaning = "The run was asked to stop, or could not reach the peer where it needs it."
    todo = "`onedr resume` continues it."


class StillRunningError(OneDRError):
    """This client left; the run continues without it."""

    exit_code = 8
    word = "still-running"
    meaning = "Ctrl-C ended the command. The run continues without it."
    todo = "`onedr history` shows how it ends, `onedr cancel` asks it to stop."


def to_wire(error: OneDRError) -> dict[str, object]:
    """An error as JSON, for the connection to a bridge host."""
    code = getattr(error, "code", None)
    return {"kind": type(error).__name__, "message": str(error), "code": code, "word": error.word}


def from_wire(data: dict[str, object]) -> OneDRError:
    """The error again; one whose class this side does not know becomes a plain OneDRError with its word."""
    message = str(data["message"])
    if data["kind"] == FrontEndError.__name__:
        return FrontEndError(message, data["code"])  # type: ignore[arg-type]
    kinds = {kind.__name__: kind for kind in all_errors()}
    error = kinds.get(str(data["kind"]), OneDRError)(message)
    error.word = str(data.get("word") or error.word)
    return error


def _below(kind: type[OneDRError]) -> list[type[OneDRError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _below(child))]
