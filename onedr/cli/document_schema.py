"""docs/document.schema.json, written from the classes: `python -m onedr.cli.document_schema`."""
from __future__ import annotations

import json
import typing

from onedr.cli.status_schema import object_schema
from onedr.document.form import SCHEMA, PlanPart, ReportPart, RunPart, StatusPart
from onedr.model.json_form import Json


def schema() -> Json:
    """JSON Schema of the attributes of a document, each parsed, as one object of them."""
    parts = (StatusPart, RunPart, PlanPart, ReportPart)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The document of a protected datastore",
        "description": (
            "Each property is an attribute of the document's TEMPLATE that holds this as JSON text. "
            "Durations are seconds, moments epoch seconds, sizes bytes. docs/document.md explains the "
            "fields. Fields may be added; a reader refuses another `schema`."
        ),
        "type": "object",
        "properties": {
            kind.name: {"oneOf": [_part(kind), {"type": "null"}]} for kind in parts
        },
    }


def _part(kind: type[typing.Any]) -> Json:
    found = object_schema(kind)
    found["required"].append("schema")
    found["properties"]["schema"] = {"const": SCHEMA}
    return found


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
