"""Dataclasses as JSON objects and back; the field's name is the key."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

Json = dict[str, Any]
"""A JSON object as `json` reads and writes it: where its shape is not ours, or is checked only after this."""
Kind = TypeVar("Kind")
_OF = "of"
_MAX_DIGITS = 40


def parsed(text: str | bytes) -> Any:
    """JSON that others may have written. Raises ValueError, also for one that is nested without end."""
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _whole(digits: str) -> int:
    """Python before 3.11 takes hours for a number of some million digits."""
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def nested(kind: type, **options: Any) -> Any:
    """A field that holds one `kind`, a dataclass, or a tuple of them."""
    return field(metadata={_OF: kind}, **options)


def from_json(kind: type[Kind], data: Mapping[str, Any]) -> Kind:
    """The dataclass `kind` from a JSON object.

    A key it does not know is ignored, a missing one takes the field's default. Raises TypeError when a field
    without a default is missing.
    """
    values = {}
    for one in fields(kind):  # type: ignore[arg-type]
        if one.name in data:
            values[one.name] = _value(one.metadata.get(_OF), data[one.name])
    return kind(**values)


def _value(kind: type | None, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value) if kind is None else tuple(from_json(kind, each) for each in value)
    return value if kind is None or value is None else from_json(kind, value)
