"""The action `points`: shows the points in time of VMs, pins them, and ends a failover to them."""
from __future__ import annotations

from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.failover import point_end
from onedr.host import log
from onedr.protection import point_list
from onedr.replication import points
from onedr.runs.events import ProgressEvent
from onedr.runs.request import Request


def answer(data: ActionData, request: Request) -> None:
    """The points of VMs, after one of each was pinned (attributes PIN, WHY, UNTIL), or unpinned (UNPIN). Or
    the end of a failover to points (END). Or a point of a copy that is held in the trash (RECOVER, AT).
    """
    target, asked = data.target, dict(request.attributes)
    if "END" in asked:
        emit(ProgressEvent(point_end.end(target, asked["END"] == "UNDO", request.by)))
        log.info(f"failover to points: {asked['END']}, asked by {request.by}")
    elif "RECOVER" in asked:
        emit(point_list.recover(target, asked["RECOVER"], asked["AT"]))
        log.info(f"points {asked} asked by {request.by}")
    elif "PIN" in asked or "UNPIN" in asked:
        why = asked.get("WHY") or f"pinned by {request.by}" if "PIN" in asked else ""
        why, until = why[:points.MOST_PIN], asked.get("UNTIL", "")
        emit(point_list.pin(target, asked.get("PIN") or asked["UNPIN"], why, request.vms, until))
        log.info(f"points {asked} asked by {request.by}")
    else:
        emit(point_list.shown(target, request.vms))
