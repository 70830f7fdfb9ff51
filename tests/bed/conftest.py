"""Beds for the tests: real clusters, taken down at the end whatever happened."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.bed import Bed


@contextmanager
def made_bed(frontends: bool) -> Iterator[Bed]:
    """A running bed in a folder of its own. Not in pytest's: Ceph's sockets allow 42 characters only."""
    base = Path(tempfile.mkdtemp(prefix="bed-", dir="/tmp"))
    bed = Bed(base)
    try:
        bed.up(frontends=frontends)
        yield bed
    finally:
        bed.down()


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Two sites with front-ends; shared by all tests, so leave it healthy (`bed.up()` repairs it)."""
    with made_bed(frontends=True) as made:
        yield made


@pytest.fixture(scope="module")
def ceph_bed() -> Iterator[Bed]:
    """Two sites without front-ends, of one test file."""
    with made_bed(frontends=False) as made:
        yield made
