"""One small tree of errors. Each says what is wrong, where, and what to do next."""
from __future__ import annotations


class OneDRError(Exception):
    """Base of every error a user may see: one plain sentence, no newline."""

    exit_code = 1

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


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
    """The front-end answered with an error (`code` as in ONED-FACTS §5) or not at all (`code` None)."""

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
