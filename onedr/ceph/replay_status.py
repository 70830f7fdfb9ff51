"""How much rbd-mirror here had not yet replayed of the peer's journals, as it says itself.

A hint, up to 30 s old while the peer can be reached (docs/ceph-facts.md C15): it counts what the peer had
committed when rbd-mirror last looked.
"""
from __future__ import annotations

from onedr.ceph.connection import Pool
from onedr.ceph.mirroring import MirrorStatus
from onedr.model.lag import read_lag


def bytes_behind(pool: Pool) -> dict[str, int]:
    """By name of the images of which rbd-mirror here says it: in snapshot mode of none. Raises rbd.Error."""
    statuses = {str(status["name"]): status for status in pool.rbd.mirror_image_status_list(pool.io)}
    found = {name: status_behind(status) for name, status in statuses.items()}
    return {name: count for name, count in found.items() if count is not None}


def status_behind(status: MirrorStatus) -> int | None:
    """Of one image's status, bytes at most; None where it does not tell, or is of a daemon that is gone."""
    said = read_lag(str(status.get("description", ""))) if status.get("up") else None
    return None if said is None else said.bytes_behind
