"""How a call fails: oned's error codes and texts, and XML-RPC faults."""
from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Third value of an error answer."""

    AUTHENTICATION = 0x100
    AUTHORIZATION = 0x200
    NO_EXISTS = 0x400
    ACTION = 0x800
    RPC_API = 0x1000
    INTERNAL = 0x2000
    ALLOCATE = 0x4000


class ApiError(Exception):
    """An error answer; the dispatcher puts `[one.x.y] ` before the text."""

    def __init__(self, code: Code, text: str, oid: int = -1) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.oid = oid


class Fault(Exception):
    """An XML-RPC fault: the call was not understood at all."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.text = text


class TemplateError(Exception):
    """A template text that oned refuses to read."""


def no_exists(label: str, oid: int) -> ApiError:
    """The object is not there."""
    return ApiError(Code.NO_EXISTS, f"Error getting {label} [{oid}].", oid)


def action(text: str, oid: int = -1) -> ApiError:
    """The operation is not possible now."""
    return ApiError(Code.ACTION, text, oid)


def internal(text: str, oid: int = -1) -> ApiError:
    """Bad data, or a failure inside."""
    return ApiError(Code.INTERNAL, text, oid)


def not_allocated(label: str, text: str) -> ApiError:
    """A new object was refused."""
    return ApiError(Code.ALLOCATE, f"Error allocating a new {label}. {text}")


def unauthorized(uid: int, text: str) -> ApiError:
    """The caller lacks a right, or the object is locked."""
    return ApiError(Code.AUTHORIZATION, f"User [{uid}] : {text}.")


def unsupported(text: str) -> ApiError:
    """The stand-in does not do this: say so instead of pretending."""
    return ApiError(Code.RPC_API, f"The stand-in front-end does not support {text}")
