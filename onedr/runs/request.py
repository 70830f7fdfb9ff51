"""Start a datastore action: the driver executable, with driver data made from what the API shows
(docs/design.md, "Triggers").
"""
from __future__ import annotations

import base64
import copy
import os
import pwd
import socket
import time
from dataclasses import dataclass
from typing import Any

from lxml import etree

from onedr.host import process
from onedr.host.paths import front_end_paths
from onedr.model.errors import RefusedError

VERBS = ("resume", "abort", "failover", "failback", "reprotect", "status", "reconcile", "enable", "disable",
         "drill", "drill_cleanup", "check")


_current: list[Request] = []  # of this process: a driver executable serves one request


@dataclass(frozen=True)
class Request:
    """What is asked of a datastore; travels in `<DR_REQUEST>` of the driver data."""

    verb: str
    confirm: str = ""
    dry_run: bool = False
    vms: tuple[str, ...] = ()
    start: bool = True
    attributes: tuple[tuple[str, str], ...] = ()  # DR_ attributes given with it
    by: str = ""  # who asked: a user of this machine, or the datastore's owner
    trigger: str = ""  # how: onedr, DR_ACTION, the driver
    at: float = 0.0  # when, epoch seconds; 0: not known
    resumes: str = ""  # id of the interrupted run that this one goes on with


def serve(request: Request) -> None:
    """Note what this process was asked for: every run it makes journals that."""
    _current[:] = [request]


def served() -> Request:
    """What this process was asked for; a plain Request without a verb when nobody asked (tests, the keeper).
    """
    return _current[0] if _current else Request("")


def caller() -> str:
    """The person at this machine: behind sudo too."""
    return f"{os.environ.get('SUDO_USER') or pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


def command(verb: str) -> str:
    """Path of a verb's executable. Raises RefusedError for a verb there is none of."""
    path = front_end_paths().drivers / verb
    if verb not in VERBS:
        raise RefusedError(f"DR_ACTION={verb.upper()} is not known; known are {', '.join(VERBS).upper()}.")
    if not path.exists():
        raise RefusedError(f"{path} is missing; run install.sh again.")
    return str(path)


def driver_data(datastore: etree._Element, request: Request) -> bytes:
    """What goes on the executable's standard input."""
    root = etree.Element("DS_DRIVER_ACTION_DATA")
    root.append(copy.deepcopy(datastore))
    asked = etree.SubElement(root, "DR_REQUEST")
    for tag, text in (
        ("CONFIRM", request.confirm), ("DRY_RUN", "YES" if request.dry_run else "NO"),
        ("START", "YES" if request.start else "NO"),
        ("BY", request.by), ("TRIGGER", request.trigger), ("AT", f"{request.at or time.time():.3f}"),
        *(("VM", vm) for vm in request.vms),
    ):
        etree.SubElement(asked, tag).text = text
    for key, value in request.attributes:
        etree.SubElement(asked, "ATTRIBUTE", NAME=key).text = value
    return base64.b64encode(etree.tostring(root))


def start_detached(datastore: etree._Element, request: Request) -> int:
    """Start the action so that it outlives the hook; its events go to a log. Returns the pid."""
    datastore_id = str(datastore.findtext("ID"))
    log = front_end_paths().state / f"{request.verb}-{datastore_id}.log"
    return process.detach([command(request.verb), datastore_id], driver_data(datastore, request), log)


def read_request(root: etree._Element, verb: str) -> Request:
    """The request inside driver data; an absent one asks for the plain verb."""
    asked = root.find("DR_REQUEST")
    if asked is None:
        return Request(verb, by=caller(), trigger="driver", at=time.time())
    return Request(
        verb=verb,
        confirm=asked.findtext("CONFIRM") or "",
        dry_run=asked.findtext("DRY_RUN") == "YES",
        vms=tuple(str(vm.text) for vm in asked.iterfind("VM") if vm.text),
        start=asked.findtext("START") != "NO",
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


def journaled(request: Request) -> dict[str, Any]:
    """What of a request goes into its run's journal: all that is needed to ask for the same again, and who
    asked.
    """
    return {
        "request": {
            "verb": request.verb,
            "confirm": request.confirm,
            "vms": list(request.vms),
            "start": request.start,
            "attributes": [list(pair) for pair in request.attributes],
        },
        "by": request.by,
        "trigger": request.trigger,
        "asked": request.at,
        "resumes": request.resumes,
    }


def asked_again(entry: dict[str, Any], by: str, trigger: str) -> Request:
    """The request of an interrupted run, from its journal, asked by somebody else now. `at` stays: recovery
    is measured from it.

    Runs of before requests were journaled ask for the plain verb.
    """
    was = entry.get("request") or {}
    return Request(
        verb=str(entry["verb"]),
        confirm=str(was.get("confirm", "")),
        vms=tuple(map(str, was.get("vms", ()))),
        start=bool(was.get("start", True)),
        attributes=tuple((str(key), str(value)) for key, value in was.get("attributes", ())),
        by=by,
        trigger=trigger,
        at=float(entry.get("asked") or entry["began"]),
        resumes=str(entry["run"]),
    )
