"""docs/document.schema.json is the schema of what is written."""
from __future__ import annotations

import json
from pathlib import Path

from onedr.cli.document_schema import schema

PAGE = Path(__file__).parents[3] / "docs/document.schema.json"


def test_the_page_is_the_schema_of_the_classes() -> None:
    assert json.loads(PAGE.read_text()) == schema(), "python -m onedr.cli.document_schema > docs/document.schema.json"
