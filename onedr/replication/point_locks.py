"""Points in time that are locked until a date: what would remove one before then is refused
(docs/points.md, "Locked points").

A note counts here whether it is authentic or not: a forged one delays a removal, and removes nothing.
"""
from __future__ import annotations

import time
from collections.abc import Collection, Mapping

import rbd

from onedr.ceph import group_snapshots
from onedr.model.errors import RefusedError
from onedr.model.text import Sentence
from onedr.replication import points, vm_points


def locked_until(values: Mapping[str, str], held: Collection[str], now: float) -> float:
    """Until when the last lock of an image is in force (epoch seconds); 0.0: none is.

    `values`: its metadata; `held`: its group snapshots. Metadata that Ceph copied from another image brings
    notes of snapshots along that this one does not have.
    """
    notes = points.decode(values.get(points.KEY, ""), None)
    return max((note.until for name, note in notes.items() if name in held and note.until > now), default=0.0)


def of_image(image: rbd.Image, now: float) -> float:
    """The same of an open image. Raises rbd.Error."""
    held = [each.name for each in group_snapshots.of_image(image)]
    return locked_until(dict(image.metadata_list()), held, now) if held else 0.0


def refusal(until: float) -> Sentence | None:
    """Why an image is not removed; None when no lock is in force."""
    if not until:
        return None
    return Sentence(
        f"a point in time of it is locked until {vm_points.moment_name(until)}; see onedr points. It can be "
        "removed after that."
    )


def refuse_while_locked(image: rbd.Image, where: str) -> None:
    """Before an open image is removed; `where`: pool/name, for people. Raises RefusedError, rbd.Error."""
    why = refusal(of_image(image, time.time()))
    if why:
        raise RefusedError(Sentence(f"RBD image {where} is not removed: ").then(why))
