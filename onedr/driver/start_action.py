"""Start a datastore action: its driver executable, with driver data made from what the API shows. And the
other end: the request inside driver data.
"""
from __future__ import annotations

import base64
import copy
import os
import pwd
import socket
import time

from lxml import etree

from onedr.host import process
from onedr.host.paths import front_end_paths
from onedr.model.errors import RefusedError
from onedr.runs.request import Request

VERBS = (
    "resume", "abort", "cancel", "move", "failover", "failback", "reprotect", "status", "reconcile", "enable",
    "disable", "drill", "drill_cleanup", "drill_report", "check", "rehearse", "history", "kept", "snapshots",
    "observe", "map", "recovery_plan", "runbook", "report", "plan", "pause", "resume_protection", "points",
)


def caller() -> str:
    """The person at this machine, behind sudo too: `user@host`."""
    return f"{os.environ.get('SUDO_USER') or pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


def command(verb: str) -> str:
    """Path of a verb's executable. Raises RefusedError for an unknown verb or a missing executable."""
    path = front_end_paths().drivers / verb
    if verb not in VERBS:
        raise RefusedError(f"DR_ACTION={verb.upper()} is not known; known are {', '.join(VERBS).upper()}.")
    if not path.exists():
        raise RefusedError(f"{path} is missing; run install.sh again.")
    return str(path)


def driver_data(datastore: etree._Element, request: Request) -> bytes:
    """What the executable reads from its standard input."""
    root = etree.Element("DS_DRIVER_ACTION_DATA")
    root.append(copy.deepcopy(datastore))
    asked = etree.SubElement(root, "DR_REQUEST")
    for tag, text in (
        ("CONFIRM", request.confirm), ("DRY_RUN", "YES" if request.dry_run else "NO"),
        ("START", "YES" if request.start else "NO"),
        ("ACCEPT_UNSIGNED", "YES" if request.accept_unsigned else "NO"),
        ("BY", request.by), ("TRIGGER", request.trigger), ("AT", f"{request.at or time.time():.3f}"),
        *(("VM", vm) for vm in request.vms),
    ):
        etree.SubElement(asked, tag).text = text
    for key, value in request.attributes:
        etree.SubElement(asked, "ATTRIBUTE", NAME=key).text = value
    return base64.b64encode(etree.tostring(root))


def start_detached(datastore: etree._Element, request: Request) -> int:
    """Start the action so that it outlives the hook; what it does is in the log. Returns the pid."""
    datastore_id = str(datastore.findtext("ID"))
    return process.detach([command(request.verb), datastore_id], driver_data(datastore, request))


def read_request(root: etree._Element, verb: str) -> Request:
    """The request inside driver data; driver data without one ask for the plain verb."""
    asked = root.find("DR_REQUEST")
    if asked is None:
        return Request(verb, by=caller(), trigger="driver", at=time.time())
    return Request(
        verb=verb,
        confirm=asked.findtext("CONFIRM") or "",
        dry_run=asked.findtext("DRY_RUN") == "YES",
        vms=tuple(str(vm.text) for vm in asked.iterfind("VM") if vm.text),
        start=asked.findtext("START") != "NO",
        accept_unsigned=asked.findtext("ACCEPT_UNSIGNED") == "YES",
        attributes=tuple((str(found.get("NAME")), found.text or "") for found in asked.iterfind("ATTRIBUTE")),
        by=asked.findtext("BY") or caller(),
        trigger=asked.findtext("TRIGGER") or "driver",
        at=_moment(asked.findtext("AT")),
    )


def _moment(text: str | None) -> float:
    try:
        return min(float(text or ""), time.time())
    except ValueError:
        return time.time()
