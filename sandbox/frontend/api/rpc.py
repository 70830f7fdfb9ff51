"""XML-RPC on the wire: requests decoded, answers written the way xmlrpc-c writes them."""
from __future__ import annotations

import xmlrpc.client
from collections.abc import Sequence
from typing import Any
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from sandbox.frontend.objects.errors import Fault

Result = Sequence[Any]
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<methodResponse>\n'
_PARSE_FAULT = -503


def decode(body: bytes) -> tuple[str, tuple[Any, ...]]:
    """Method and parameters of a request."""
    try:
        parameters, method = xmlrpc.client.loads(body)
    except (ExpatError, xmlrpc.client.Error, ValueError, KeyError, TypeError) as failure:
        raise Fault(_PARSE_FAULT, f"Call is not valid XML-RPC. {failure}") from failure
    return method or "", parameters


def encode(result: Result) -> bytes:
    """An answer: an array of values."""
    values = "\n".join(f"<value>{_value(value)}</value>" for value in result)
    return (f"{_HEAD}<params>\n<param><value><array><data>\n{values}\n</data></array></value></param>\n"
            "</params>\n</methodResponse>\n").encode()


def encode_fault(fault: Fault) -> bytes:
    """A fault."""
    return (f"{_HEAD}<fault>\n<value><struct>\n<member><name>faultCode</name>\n"
            f"<value><i4>{fault.number}</i4></value></member>\n<member><name>faultString</name>\n<value><string>{escape(fault.text)}</string></value>"
            "</member>\n</struct></value>\n</fault>\n</methodResponse>\n").encode()


class Wide(int):
    """An integer sent as i8."""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return f"<boolean>{int(value)}</boolean>"
    if isinstance(value, Wide):
        return f"<i8>{int(value)}</i8>"
    if isinstance(value, int):
        return f"<i4>{int(value)}</i4>"
    return f"<string>{escape(str(value), {chr(13): '&#x0d;'})}</string>"


_PYTHON_TYPES = {"i": (int, "integer"), "b": (bool, "boolean"), "s": (str, "string"), "a": (list, "array")}


def check_types(signature: str, parameters: tuple[Any, ...]) -> None:
    """Compare parameters with a signature such as `si?b`; what follows `?` may be missing."""
    needed, _, optional = signature.partition("?")
    kinds = needed + optional
    for place, parameter in enumerate(parameters[:len(kinds)]):
        wanted, name = _PYTHON_TYPES[kinds[place]]
        if not isinstance(parameter, wanted) or wanted is int and isinstance(parameter, bool):
            raise Fault(-501, f"Parameter that is supposed to be {name} is not")
    if len(parameters) < len(needed):
        raise Fault(-501, "Not enough parameters")
