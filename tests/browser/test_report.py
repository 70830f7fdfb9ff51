"""The link to a drill's report: it opens the page that the document holds, and nothing in that page runs."""
from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest
from fake_oned import DATASTORE, DOCUMENT, EXAMPLE
from lxml.builder import E  # type: ignore[import-not-found]
from playwright.sync_api import Page

from conftest import Sunstone
from onedr.runs.html_parts import document

FILE = EXAMPLE["STATUS"]["drill"]["report"].rpartition("/")[2]
LINK = "[data-cy=onedr-report-link]"
HOSTILE = """<!DOCTYPE html><html><head><meta http-equiv="refresh" content="0;url=/taken"></head><body>
<script>parent.document.title = 'taken'; fetch('/fireedge/api/taken')</script>
<img src="/taken-image" onerror="top.document.title = 'taken'"><svg onload="top.document.title = 'taken'"></svg>
<form action="/taken"><button id="post">send</button></form><a id="top" target="_top" href="/taken">go</a>
<a id="script" href="javascript:top.document.title = 'taken'">run</a><h1>hostile</h1></body></html>"""


def report(html: bytes, **changes: Any) -> dict[str, Any]:
    """REPORT of a document."""
    packed = base64.b64encode(gzip.compress(html)).decode()
    return {"schema": 1, "as_of": 1764500200.0, "datastore": EXAMPLE["STATUS"]["datastore"], "file": FILE,
            "size": len(html), "page": packed, **changes}


def opened(sunstone: Sunstone, page: bytes) -> Page:
    """The tab that the link opens."""
    sunstone.oned.documents[DOCUMENT]["REPORT"] = report(page)
    shown = sunstone.open()
    shown.wait_for_selector(LINK)
    with shown.context.expect_page() as new:
        shown.click(LINK)
    new.value.wait_for_load_state()
    return new.value


def test_the_link_opens_the_report_in_a_tab_of_its_own(sunstone: Sunstone) -> None:
    page = document("Disaster recovery drill of ceph-dr", E.p(E.span("Result: PASSED", {"class": "verdict"})))
    tab = opened(sunstone, page)
    assert tab.url.startswith("blob:") and tab.title() == "Drill of ceph-dr"
    frame = tab.frame_locator("iframe")
    assert frame.locator("h1").inner_text() == "Disaster recovery drill of ceph-dr"
    assert frame.locator(".verdict").evaluate("each => getComputedStyle(each).fontWeight") == "700"  # its own style
    assert sunstone.marked("onedr-report").startswith("Its files: onedr drill report ceph-dr")


def test_nothing_in_a_hostile_page_runs_or_asks_anything_of_the_network(sunstone: Sunstone) -> None:
    """DR_DOCUMENT can name a document that someone else wrote, and a Blob has Sunstone's origin."""
    asked: list[str] = []
    sunstone.page.context.on("request", lambda request: asked.append(request.url))
    tab = opened(sunstone, HOSTILE.encode())
    frame = tab.frame_locator("iframe")
    assert frame.locator("h1").inner_text() == "hostile"
    for each in ("#post", "#top", "#script"):
        frame.locator(each).click(no_wait_after=True)
    assert frame.locator("h1").inner_text() == "hostile"
    assert tab.title() == "Drill of ceph-dr" and tab.url.startswith("blob:")
    assert tab.evaluate("document.querySelector('iframe').contentDocument") is None, "it has another origin"
    assert [url for url in asked if "taken" in url] == []


@pytest.mark.parametrize("held", [
    None, report(b"another drill's", file=f"{DATASTORE}-onedr-drill-1a2b3c4d-100-1.html"), report(b"too long", page="")])
def test_without_its_page_the_report_is_named_only(sunstone: Sunstone, held: dict[str, Any] | None) -> None:
    sunstone.oned.documents[DOCUMENT]["REPORT"] = held
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-report]")
    assert sunstone.marked("onedr-report").startswith("Its report: ") and page.locator(LINK).count() == 0


@pytest.mark.parametrize("packed, said", [
    (base64.b64encode(gzip.compress(b" " * (2 * 1024 * 1024 + 1))).decode(), "it is longer than 2.0 MiB"),
    ("no Base64 at all", "Its report cannot be shown"),
    (base64.b64encode(b"no gzip").decode(), "Its report cannot be shown"),
])
def test_a_page_that_cannot_be_unpacked_is_told(sunstone: Sunstone, packed: str, said: str) -> None:
    sunstone.oned.documents[DOCUMENT]["REPORT"] = report(b"", page=packed)
    page = sunstone.open()
    page.wait_for_selector(f"[data-cy=onedr-drill] >> text={said}")
    assert page.locator(LINK).count() == 0 and page.evaluate("window.errors") == []


def test_the_document_of_another_datastore_has_no_report(sunstone: Sunstone) -> None:
    sunstone.oned.documents[DOCUMENT]["REPORT"] = report(b"x", datastore={"id": 5, "name": "x", "site": "y"})
    sunstone.open().wait_for_selector("text=another datastore")
    assert sunstone.page.locator(LINK).count() == 0
