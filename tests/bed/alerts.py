"""Alerts over what a site's exporter really says: its file, by promtool and the rules that install.sh lays."""
from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.cloud import Cloud
from tests.prometheus import firing, held


def scrape(cloud: Cloud, file: Path) -> str:
    """What the exporter of a site says now."""
    cloud.run("onedr", "exporter", "--textfile", str(file))
    return file.read_text()


def firing_now(cloud: Cloud) -> set[str]:
    """Alerts that would fire if what the exporter says now stayed as it is."""
    with TemporaryDirectory() as folder:
        return firing(held(scrape(cloud, Path(folder) / "onedr.prom"), time.time()), Path(folder))
