"""How much a failover may lose of each VM. Pure.

Two answers, because this site does not know when the other one stopped: if it stopped when it was last
seen, and at most, if it went on writing until now behind a cut line.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onedr.model.records import ImageFacts
from onedr.model.types import PeerState
from onedr.replication import inventory, recovery_point
from onedr.replication.inventory import VmItem

# States in which a VM writes nothing.
_AT_REST = frozenset({"PENDING", "HOLD", "STOPPED", "SUSPENDED", "POWEROFF", "UNDEPLOYED"})


@dataclass(frozen=True)
class Loss:
    """Seconds of writes that may be missing: `if_seen_s` when the site stopped as it was last seen,
    `at_most_s` when it goes on; and bytes, when it stopped as rbd-mirror here last saw it. None: unknown.
    """

    if_seen_s: float | None
    at_most_s: float | None
    if_seen_bytes: int | None = None


def last_seen(images: Iterable[ImageFacts], peer: PeerState, now: float) -> float | None:
    """When the other site last gave a sign of life: now, when its Ceph answers, else when it wrote the newest
    time mark or record that arrived here. Epoch seconds; None: it is not known.

    By the other site's clock; what is of the future tells nothing.
    """
    if peer is PeerState.ANSWERS:
        return now
    copies = [image for image in images if not image.primary]
    written = [
        record.written_at for image in copies for record in (image.vm, image.image)
        if record is not None and not record.doubt
    ]
    marks = [image.recovery_point for image in copies if image.recovery_point is not None]
    return max((at for at in (*written, *marks) if at <= now + recovery_point.AHEAD_S), default=None)


def loss(item: VmItem, seen: float | None, now: float, behind: Mapping[str, int] | None = None) -> Loss:
    """What a VM may lose. `seen`: when its site was last seen; `behind`: bytes by image, of rbd-mirror."""
    point = item.recovery_point
    at_most = recovery_point.age_s(point, now)
    if point is None or at_most is None or seen is None:
        return Loss(None, at_most)
    if item.record.state in _AT_REST and point >= item.envelope.written_at:
        return Loss(0.0, at_most, 0)
    return Loss(max(0.0, seen - point), at_most, _missing(item, behind or {}))


def _missing(item: VmItem, behind: Mapping[str, int]) -> int | None:
    """Bytes of all its disks; None where one is not known."""
    written = [image.name for image in item.images if not inventory.is_cdrom(image)]
    known = [behind[name] for name in written if name in behind]
    return sum(known) if len(known) == len(written) else None
