"""A datastore's document, as a client of oned's API sees it."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from sandbox.cloud import Cloud
from sandbox.waiting import until

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/document.schema.json").read_text())


def shown(cloud: Cloud) -> Any:
    """The DOCUMENT that the datastore names; None before there is one."""
    number = cloud.api.datastore.info(cloud.datastore_id).TEMPLATE.get("DR_DOCUMENT")
    return None if not number else cloud.api.document.info(int(number))


def parts(cloud: Cloud) -> dict[str, Any]:
    """Its parts by name, all of them of the schema."""
    found = shown(cloud)
    texts = {} if found is None else {key: found.TEMPLATE.get(key) for key in ("STATUS", "RUN", "PLAN", "REPORT")}
    read = {key: json.loads(text) for key, text in texts.items() if text}
    jsonschema.validate(read, SCHEMA)
    return read


def wait(cloud: Cloud, what: str, seen: Callable[[dict[str, Any]], bool], limit_s: float) -> dict[str, Any]:
    """Wait until its parts say something; they are then."""
    until(what, lambda: seen(parts(cloud)), limit_s)
    return parts(cloud)
