"""A drill's report goes into the document as it was kept; a document that cannot be written stops no drill."""
from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from onedr.drill import show_report
from onedr.drill.report import SavedReport
from onedr.model.errors import FrontEndError

FILE = "3-onedr-drill-0ad1c9f2-3-9.html"
DOCUMENT = "onedr.drill.show_report.place.Document"
SAVED = SavedReport(Path("/x/3.json"), Path("/x") / FILE, "0f", b"<html>the page</html>")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    monkeypatch.setattr(show_report, "FrontEnd", lambda **_: None)
    monkeypatch.setattr(DOCUMENT, lambda *_: SimpleNamespace(put=found.append))
    return found


def show() -> None:
    target = SimpleNamespace(settings=SimpleNamespace(site=""), datastore_id=3, name="ceph")
    pool = SimpleNamespace(fsid=lambda: "0ad1c9f2-aaaa")
    show_report.show_report(cast(Any, pool), cast(Any, target), SAVED)


def test_the_page_is_put_under_its_name(written: list[dict[str, str]]) -> None:
    show()
    part = json.loads(written[0]["REPORT"])
    assert (part["file"], part["datastore"]) == (FILE, {"id": 3, "name": "ceph", "site": "0ad1c9f2"})
    assert gzip.decompress(base64.b64decode(part["page"])) == SAVED.page


def test_a_document_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch, written: list[Any]) -> None:
    def refuse(_: Any) -> None:
        raise FrontEndError("oned is away")

    warned: list[str] = []
    monkeypatch.setattr(DOCUMENT, lambda *_: SimpleNamespace(put=refuse))
    monkeypatch.setattr("onedr.drill.show_report.log.warning", warned.append)
    show()
    assert warned == [f"the document does not show the report /x/{FILE}: oned is away"]
