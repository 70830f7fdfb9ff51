"""What rados and rbd raise, for processes that may end before they need either: the two take 30 ms to load
(docs/bench.md).
"""
from __future__ import annotations


def ceph_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """They and `more`, for `except ceph_errors()`: Python evaluates it only when something was raised."""
    import rados
    import rbd

    return (*more, rados.Error, rbd.Error)
