"""What a cluster says of itself: releases, replicas, room, rbd-mirror daemons, options. Reads only."""
from __future__ import annotations

import re

from onedr.errors import StorageError
from onedr.ports.ceph import Pool

_RELEASE = re.compile(r"ceph version ([0-9]+\.[0-9]+\.[0-9]+)")


def releases(pool: Pool) -> tuple[str, ...]:
    """Ceph releases of all its daemons, each once, such as `16.2.15`. Raises StorageError."""
    found = {_release(text) for text in pool.mon(prefix="versions")["overall"]}
    if not found:
        raise StorageError("Ceph does not say which releases its daemons are of.")
    return tuple(sorted(found))


def _release(text: str) -> str:
    match = _RELEASE.match(text)
    return match[1] if match else text
