"""What oned is told of a pool's room."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from onedr.ceph.connection import Pool
from onedr.driver.monitor import usage
from onedr.model.types import MIB


def told(**stats: int) -> dict[str, int]:
    pools = [{"name": "other", "stats": {"max_avail": 1}}, {"name": "one", "stats": stats}]

    def mon(**_: Any) -> dict[str, Any]:
        return {"pools": pools}

    answer = usage(cast(Pool, SimpleNamespace(mon=mon, access=SimpleNamespace(pool="one"))))
    return {name: int(value) for name, value in (line.split("=") for line in answer.splitlines())}


@pytest.mark.parametrize(
    ("quota", "available", "free"),
    [(200, 5000, 100), (200, 60, 60), (0, 5000, 5000), (80, 5000, 0), (100, 5000, 0)],
)
def test_the_smaller_of_what_the_quota_leaves_and_of_the_free_space(
    quota: int, available: int, free: int
) -> None:
    found = told(stored=100 * MIB, bytes_used=300 * MIB, max_avail=available * MIB, quota_bytes=quota * MIB)
    assert found == {"USED_MB": 100, "TOTAL_MB": 100 + free, "FREE_MB": free}
