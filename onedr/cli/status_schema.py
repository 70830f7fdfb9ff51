"""docs/status.schema.json, written from the classes: `python -m onedr.cli.status_schema`."""
from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Union

from onedr.model.json_form import Json
from onedr.model.types import State
from onedr.runs.answer_events import StatusEvent
from onedr.runs.events import ErrorEvent
from onedr.runs.state import CODES

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}
_WORDS = {"state": [state.value for state in State], "code": list(CODES)}  # of a status


def schema() -> Json:
    """JSON Schema of what `onedr status --json` prints: a status, an error, or several of both."""
    one = {"oneOf": [_event(StatusEvent, _WORDS), _event(ErrorEvent, {})]}
    overview = {
        "type": "object", "required": ["event", "datastores"],
        "properties": {"event": {"const": "overview"}, "datastores": {"type": "array", "items": one}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "onedr status --json",
        "description": (
            "Durations are seconds, moments epoch seconds, sizes bytes. docs/status.md explains the fields. "
            "Fields may be added."
        ),
        "oneOf": [*one["oneOf"], overview],
    }


def _event(kind: Any, words: Mapping[str, list[str]]) -> Json:
    found = object_schema(kind)
    found["properties"]["event"] = {"const": kind.event}
    found["required"].insert(0, "event")
    for key, values in words.items():
        found["properties"][key] = {"enum": values}
    return found


def object_schema(kind: Any) -> Json:
    """Of a dataclass. Raises TypeError for a field that has no form in JSON."""
    hints = typing.get_type_hints(kind)
    return {
        "type": "object",
        "required": [
            one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING
        ],
        "properties": {one.name: _type(hints[one.name]) for one in fields(kind)},
    }


def _type(kind: Any) -> Json:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if origin in (Union, getattr(types, "UnionType", Union)):
        return {"oneOf": [_type(each) for each in inner if each is not type(None)] + [{"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _type(inner[0])}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [each.value for each in kind]}
    if is_dataclass(kind):
        return object_schema(kind)
    raise TypeError(f"{kind} has no form in the schema")


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
