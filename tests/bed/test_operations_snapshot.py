"""Nothing a user can do to a disk ends its mirroring or harms the peer's copy: snapshot mode. The rows are in operations.py."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import operations
import pytest
from operations import Ground

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = pytest.mark.long  # what differs by mode is tested by test_drivers_snapshots.py and others


@pytest.fixture(scope="module")
def ground(sites: Sites) -> Iterator[Ground]:
    with operations.prepared(sites, "DR_MODE=SNAPSHOT") as made:
        yield made


# A clone is flattened before it is mirrored in this mode: an image like a persistent one from then on.
@pytest.mark.parametrize("disk", [
    pytest.param(operations.PERSISTENT, id="persistent"), pytest.param(operations.CLONE, id="clone"),
])
@pytest.mark.parametrize("row", operations.BY_DISK)
def test_a_disk_stays_mirrored(ground: Ground, row: Callable[[Ground, int], None], disk: int) -> None:
    row(ground, disk)


@pytest.mark.parametrize("row", operations.ONCE)
def test_an_image_stays_mirrored(ground: Ground, row: Callable[[Ground], None]) -> None:
    row(ground)
