"""The errors. Each says what is wrong, where, and what to do next."""
from __future__ import annotations

_LONGEST = 1000  # characters of a sentence, which may contain text of any length that users wrote


def plain(text: str) -> str:
    """Text as one printable line of bounded length.

    A long line loses its middle, because its end says what to do.
    """
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST * 2 // 3]} … {line[-_LONGEST // 3 :]}"


class OneDRError(Exception):
    """Base of every error that users see: one plain sentence without a newline."""

    exit_code = 1

    def __init__(self, message: str):
        super().__init__(plain(message))


class InputError(OneDRError):
    """The input cannot be used: garbled data, a missing or bad attribute, a forbidden path."""

    exit_code = 1


class RefusedError(OneDRError):
    """The request was understood and is refused to keep data safe."""

    exit_code = 2


class StorageError(OneDRError):
    """Ceph answered with an error, or did not answer within the limit."""

    exit_code = 3


class ForeignImageError(StorageError):
    """An RBD image of the requested name exists and does not belong to this action."""


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
    """Some items of a run failed, the others succeeded."""

    exit_code = 5


def to_wire(error: OneDRError) -> dict[str, object]:
    """An error as JSON, for the connection to a bridge host."""
    return {"kind": type(error).__name__, "message": str(error), "code": getattr(error, "code", None)}


def from_wire(data: dict[str, object]) -> OneDRError:
    """The error again. An unknown kind becomes a plain OneDRError."""
    message = str(data["message"])
    if data["kind"] == FrontEndError.__name__:
        return FrontEndError(message, data["code"])  # type: ignore[arg-type]
    kinds = {kind.__name__: kind for kind in _below(OneDRError)}
    return kinds.get(str(data["kind"]), OneDRError)(message)


def _below(kind: type[OneDRError]) -> list[type[OneDRError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _below(child))]
