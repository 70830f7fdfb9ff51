"""Start a datastore action: the driver executable, with driver data made from what the API shows (DESIGN §7)."""
from __future__ import annotations

import base64
import copy
from dataclasses import dataclass

from lxml import etree

from onedr.errors import RefusedError
from onedr.ports import process
from onedr.ports.places import places

VERBS = ("failover", "failback", "status", "reconcile", "enable", "disable")


@dataclass(frozen=True)
class Request:
    """What is asked of a datastore; travels in `<DR_REQUEST>` of the driver data."""

    verb: str
    confirm: str = ""
    dry_run: bool = False
    vms: tuple[str, ...] = ()
    start: bool = True
    attributes: tuple[tuple[str, str], ...] = ()  # DR_ attributes given with it


def command(verb: str) -> str:
    """Path of a verb's executable. Raises RefusedError for a verb there is none of."""
    path = places().drivers / verb
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
        *(("VM", vm) for vm in request.vms),
    ):
        etree.SubElement(asked, tag).text = text
    for key, value in request.attributes:
        etree.SubElement(asked, "ATTRIBUTE", NAME=key).text = value
    return base64.b64encode(etree.tostring(root))


def start_detached(datastore: etree._Element, request: Request) -> int:
    """Start the action so that it outlives the hook; its events go to a log. Returns the pid."""
    datastore_id = str(datastore.findtext("ID"))
    log = places().state / f"{request.verb}-{datastore_id}.log"
    return process.detach([command(request.verb), datastore_id], driver_data(datastore, request), log)


def read_request(root: etree._Element, verb: str) -> Request:
    """The request inside driver data; an absent one asks for the plain verb."""
    asked = root.find("DR_REQUEST")
    if asked is None:
        return Request(verb)
    return Request(
        verb=verb, confirm=asked.findtext("CONFIRM") or "", dry_run=asked.findtext("DRY_RUN") == "YES",
        vms=tuple(str(vm.text) for vm in asked.iterfind("VM") if vm.text), start=asked.findtext("START") != "NO",
        attributes=tuple((str(found.get("NAME")), found.text or "") for found in asked.iterfind("ATTRIBUTE")),
    )
