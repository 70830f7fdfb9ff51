"""A headless browser, FireEdge's stand-in, and a oned in memory. Needs chromium and `make setup`."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_oned import DATASTORE, FakeOned
from playwright.sync_api import Browser, Page

from sandbox.fireedge.browser import LIBRARIES, chromium
from sandbox.fireedge.server import FireEdge

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@dataclass
class Sunstone:
    """The page in a browser, and what is behind it."""

    page: Page
    fireedge: FireEdge
    oned: FakeOned
    url: str

    def open(self, show: str = "datastore", **options: str) -> Page:
        """Open it as `host.html` describes; our tab is chosen where there is one."""
        words = {"show": show, "id": str(DATASTORE), **options}
        self.page.goto(f"{self.url}/?" + "&".join(f"{key}={value}" for key, value in words.items()))
        self.page.wait_for_selector("body[data-ready]")
        tab = self.page.locator("[data-cy=tab-onedr]")
        if show != "page" and tab.count():
            tab.click()
        return self.page

    def marked(self, name: str) -> str:
        """The text of a marked part, when it is there."""
        return self.page.locator(f"[data-cy={name}]").inner_text()


@pytest.fixture
def sunstone(browser: Browser) -> Iterator[Sunstone]:
    oned = FakeOned()
    fireedge = FireEdge({"": oned}, ROOT / "sunstone", LIBRARIES)
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    with fireedge.served() as url:
        page = context.new_page()
        page.set_default_timeout(20000)
        yield Sunstone(page, fireedge, oned, url)
        context.close()
