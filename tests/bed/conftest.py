"""The fixtures of beds.py for the tests of this folder."""
from __future__ import annotations

import pytest
from beds import REAL, Sites, bed, ceph_bed, here, site, sites, slowest_first, there

__all__ = ["REAL", "Sites", "bed", "ceph_bed", "here", "site", "sites", "there"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slowest_first(items)
