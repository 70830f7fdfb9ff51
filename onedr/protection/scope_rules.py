"""Datastores that OneDR does not protect, and what a status says of them. Pure."""
from __future__ import annotations

from onedr.model.types import DRIVER, STOCK_DRIVER, Role, State
from onedr.runs.answer_events import StatusEvent
from onedr.runs.events import PeerShown

_IMAGES, _SYSTEM = "0", "1"


def out_of_scope(name: str, kind: str, driver: str) -> StatusEvent | None:
    """The status of a datastore without images of OneDR's driver; None for one that has them.

    `kind`: its TYPE; `driver`: DS_MAD; empty where the caller does not say.
    """
    if kind == _SYSTEM:
        text = (
            "A system datastore: volatile disks, swap and checkpoints of VMs are here, and they are never "
            "mirrored. A recovered VM gets new, empty ones. What is protected are image datastores: onedr "
            "status lists them."
        )
        return _event(name, "NO_IMAGES", text)
    if kind not in (_IMAGES, ""):
        return _event(name, "NO_IMAGES", "It has no disks of VMs, so there is nothing to protect.")
    if driver in (DRIVER, ""):
        return None
    if driver == STOCK_DRIVER:
        text = f"Not protected. onedr enable {name} --dry-run shows what protecting it would do."
        return _event(name, "NOT_ASKED_FOR", text)
    return _event(name, "NOT_ASKED_FOR", f"Not protected, and cannot be: DS_MAD is {driver}, and no Ceph.")


def _event(name: str, code: str, text: str) -> StatusEvent:
    return StatusEvent(
        name, State.UNPROTECTED.value, code, Role.UNPROTECTED.value, text, 0, 0, "-", PeerShown("not asked")
    )
