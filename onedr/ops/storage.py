"""The storage steps of a failover: fence, cut off the local rbd-mirror, promote; each reads back what it promised."""
from __future__ import annotations

import time

import rbd

from onedr.errors import OneDRError
from onedr.ports import mirror
from onedr.ports.ceph import Pool

_PAUSE_S = 0.3
_UNFORCED_LIMIT_S = 60  # a demotion arrives within 12 s in journal mode with stock settings (CEPH-FACTS §4)


def promote(pool: Pool, name: str, peer_demoted: bool) -> str:
    """Make this site's copy the primary. Returns how.

    Plain first. When the peer was demoted, plain promotion is tried until its demotion has arrived; otherwise forced.
    """
    with pool.image(name) as image:
        if mirror.is_primary(image):
            return "was primary already"
        how = _plain(image, _UNFORCED_LIMIT_S if peer_demoted else 0)
        if how is None:
            if peer_demoted:
                raise OneDRError(f"the peer's demotion did not arrive within {_UNFORCED_LIMIT_S} s; does rbd-mirror run here?")
            image.mirror_image_promote(True)
            how = "promoted by force"
    with pool.image(name, read_only=True) as image:
        if not mirror.is_primary(image):
            raise OneDRError(f"{name} is not primary although Ceph accepted its promotion")
    return how


def _plain(image: rbd.Image, limit_s: float) -> str | None:
    end = time.monotonic() + limit_s
    while True:
        try:
            image.mirror_image_promote(False)
            return "promoted"
        except (rbd.ImageBusy, rbd.ReadOnlyImage, rbd.InvalidArgument):  # all three are seen while a demotion arrives
            if time.monotonic() >= end:
                return None
            time.sleep(_PAUSE_S)


def wait_for_demotion(pool: Pool, names: set[str], limit_s: float = 45) -> None:
    """After fencing: wait until rbd-mirror here shows that nobody is primary. Promoting earlier has ended in split-brain
    (CEPH-FACTS §0.7). The status is a hint, so the wait just ends at its limit.

    Image by image: the list call says `status not found` of a demoted image (measured on 16.2.15).
    """
    waiting, end = set(names), time.monotonic() + limit_s
    while waiting and time.monotonic() < end:
        waiting = {name for name in waiting if not _sees_demotion(pool, name)}
        if waiting:
            time.sleep(_PAUSE_S)


def _sees_demotion(pool: Pool, name: str) -> bool:
    with pool.image(name, read_only=True) as image:
        description = str(image.mirror_image_get_status().get("description"))
    return "not primary" in description or "demoted" in description
