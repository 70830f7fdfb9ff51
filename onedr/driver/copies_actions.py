"""The verbs that list preserved copies and snapshots of disks."""
from __future__ import annotations

from dataclasses import asdict

from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.failover import show_snapshots
from onedr.host import log
from onedr.model import template
from onedr.opennebula.api import FrontEnd
from onedr.rejoin import reprotect
from onedr.runs.answer_events import KeptEvent, PreservedCopyShown, SnapshotsEvent
from onedr.runs.request import Request


def kept(data: ActionData, request: Request) -> None:
    """The preserved copies, after the one named by the attribute REMOVE was removed."""
    target, removed = data.target, template.get(request.attributes, "REMOVE")
    if removed:
        reprotect.remove_kept(target, removed)
        log.info(f"preserved copy {removed} removed, asked by {request.by}")
    look = f"rbd device map --read-only {target.access.pool}"
    copies = tuple(
        PreservedCopyShown(**asdict(each), look=f"{look}/{each.name}")
        for each in reprotect.kept_copies(target)
    )
    emit(KeptEvent(target.name, copies))


def snapshots(data: ActionData, request: Request) -> None:
    """The snapshots of disks, after those that are not listed here were (attribute LIST)."""
    frontend, target = FrontEnd(), data.target
    warnings: tuple[str, ...] = ()
    if ("LIST", "YES") in request.attributes:
        warnings = show_snapshots.list_all(target, frontend)
        log.info(f"disk snapshots listed, asked by {request.by}")
    emit(SnapshotsEvent(target.name, show_snapshots.shown(target, frontend), warnings))
