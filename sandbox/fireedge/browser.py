"""A headless browser for tests: Debian's Chromium."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

LIBRARIES = Path(sys.prefix) / "share/browser"  # where `make setup` puts React and MUI
_PROGRAM = "/usr/bin/chromium"
# Tests run as root, which Chromium's sandbox refuses; containers have little /dev/shm.
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Runs while the context lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_PROGRAM, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()
