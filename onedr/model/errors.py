"""One small tree of errors. Each says what is wrong, where, and what to do next."""
from __future__ import annotations

_LONGEST = 1000  # characters of a sentence: what users wrote may be part of it, in any length


def plain(text: str) -> str:
    """Text from anywhere as one printable line of bounded length; what is cut is its middle: the end says
    what to do next.
    """
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST * 2 // 3]} … {line[-_LONGEST // 3 :]}"


class OneDRError(Exception):
    """Base of every error a user may see: one plain sentence, no newline."""

    exit_code = 1

    def __init__(self, message: str):
        super().__init__(plain(message))


class InputError(OneDRError):
    """What was handed to us cannot be used: garbled data, a missing or bad attribute, a forbidden path."""

    exit_code = 1


class RefusedError(OneDRError):
    """The request is understood and will not be done, to keep data safe."""

    exit_code = 2


class StorageError(OneDRError):
    """Ceph answered with an error, or did not answer within the limit."""

    exit_code = 3


class ForeignImageError(StorageError):
    """An RBD image of the wanted name exists and is not ours to touch."""


class FrontEndError(OneDRError):
    """The front-end answered with an error (`code` as in docs/opennebula-facts.md O25) or not at all (`code`
    None).
    """

    exit_code = 4

    def __init__(self, message: str, code: int | None = None):
        super().__init__(message)
        self.code = code


class RecordError(OneDRError):
    """A record on an image is damaged or incomplete."""


class SchemaError(RecordError):
    """A record is of a schema this release does not know; it must not be replaced either."""


class PartialError(OneDRError):
    """Some items of a run failed; the rest was done."""

    exit_code = 5


def to_wire(error: OneDRError) -> dict[str, object]:
    """An error as JSON, for the line to a bridge host."""
    return {"kind": type(error).__name__, "message": str(error), "code": getattr(error, "code", None)}


def from_wire(data: dict[str, object]) -> OneDRError:
    """The error again; one this side does not know becomes a plain OneDRError."""
    message = str(data["message"])
    if data["kind"] == FrontEndError.__name__:
        return FrontEndError(message, data["code"])  # type: ignore[arg-type]
    kinds = {kind.__name__: kind for kind in _below(OneDRError)}
    return kinds.get(str(data["kind"]), OneDRError)(message)


def _below(kind: type[OneDRError]) -> list[type[OneDRError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _below(child))]
