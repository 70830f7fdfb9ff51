"""Beds for the tests: real clusters, taken down at the end whatever happened."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.bed import Bed, temporary


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Two sites with front-ends; shared by all tests, so leave it healthy (`bed.up()` repairs it)."""
    with temporary(frontends=True) as made:
        yield made


@pytest.fixture(scope="module")
def ceph_bed() -> Iterator[Bed]:
    """Two sites without front-ends, of one test file."""
    with temporary(frontends=False) as made:
        yield made
