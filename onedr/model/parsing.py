"""Strict parsing of text from outside: numbers, SOURCE, names."""
from __future__ import annotations

import re

from lxml import etree

from onedr.model.errors import InputError
from onedr.model.types import ImageName

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SOURCE = re.compile(rf"({NAME.pattern})/({NAME.pattern})")
_DIGITS = 18
_PLAIN_HTTP = re.compile(r"http://(\[[^\]]*\]|[^\s/:]*)", re.I)
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]")


def integer(element: etree._Element, path: str) -> int:
    """A non-negative number below `element`. Raises InputError."""
    return count(element.findtext(path) or "", f"{element.tag}/{path}")


def count(text: str, what: str) -> int:
    """A non-negative number. Raises InputError; `what` names the value in its message."""
    digits = text.strip(" \t\r\n")  # strip() alone would also remove control characters
    if not re.fullmatch(r"[0-9]{1,18}", digits):
        raise InputError(f"{what} is {text!r}, not a number.")
    return int(digits)


def plain_number(text: str) -> int | None:
    """A number of at most 18 ASCII digits; None for any other text, also for what `int` refuses or takes long
    for.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def in_plain_text(endpoint: str) -> bool:
    """Does what is sent to this address travel readably to another machine?"""
    match = _PLAIN_HTTP.match(endpoint)
    return match is not None and not _LOOPBACK.fullmatch(match[1].lower())


def source(text: str) -> ImageName:
    """SOURCE `pool/image`. Raises InputError."""
    match = _SOURCE.fullmatch(text.strip())
    if not match:
        raise InputError(f"SOURCE {text!r} is not of the form pool/image.")
    return ImageName(match[1], match[2])
