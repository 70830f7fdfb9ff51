"""A oned with datastores and documents, and a datastore's status, in memory."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from lxml import etree

from onedr.model import template
from onedr.model.errors import FrontEndError
from onedr.model.rehearsed import Rehearsed, Result
from onedr.opennebula import documents
from onedr.runs.answer_events import StatusDisk, StatusEvent, StatusVm, UnprotectedItem
from onedr.runs.events import PeerShown


class Oned:
    """Answers one.document.* as oned does; keeps what it was asked."""

    def __init__(self, uid: int = 3, gid: int = 105, group_m: str = "0", other_u: str = "1"):
        self.asked: list[tuple[Any, ...]] = []
        self.documents: dict[int, dict[str, Any]] = {}
        self.attributes: dict[str, str] = {}
        self.uid, self.gid, self.group_m, self.other_u = uid, gid, group_m, other_u
        self.locked = False

    def datastore(self, datastore_id: int) -> etree._Element:
        bits = f"<GROUP_U>1</GROUP_U><GROUP_M>{self.group_m}</GROUP_M><OTHER_U>{self.other_u}</OTHER_U>"
        return template.parse_xml(
            f"<DATASTORE><ID>{datastore_id}</ID><UID>{self.uid}</UID><GID>{self.gid}</GID><NAME>ceph</NAME>"
            f"<PERMISSIONS>{bits}</PERMISSIONS>{template.to_xml(tuple(self.attributes.items()))}</DATASTORE>"
        )

    def update_datastore(self, _: int, pairs: template.Pairs) -> None:
        self.attributes.update(dict(pairs))

    def call(self, method: str, *words: Any) -> Any:
        self.asked.append((method, *words))
        verb = method.partition(".")[2]
        if verb == "allocate":
            made = len(self.asked)
            named = template.from_element(template.parse_xml(words[0]))
            # as a careless umask of oneadmin's leaves it
            self.documents[made] = {"name": dict(named)["NAME"], "type": words[1], "owner": (0, 0),
                                    "bits": (1, 1, 0, 1, 0, 0, 1, 0, 0), "parts": {}}
            return made
        found = self.documents.get(words[0])
        if found is None:
            raise FrontEndError("no such document", 1024)
        if self.locked and verb != "info":
            raise FrontEndError("locked", 512)
        return getattr(self, f"_{verb}")(words[0], found, *words[1:])

    def _info(self, oid: int, found: dict[str, Any], _: bool) -> str:
        return f"<DOCUMENT><ID>{oid}</ID><NAME>{found['name']}</NAME><TYPE>{found['type']}</TYPE></DOCUMENT>"

    def _update(self, _: int, found: dict[str, Any], text: str, mode: int) -> int:
        assert mode == 1
        assert found["bits"][6:] == (0, 0, 0), "names were written where others could read them"
        found["parts"].update(dict(template.from_element(template.parse_xml(text))))
        return 0

    def _chown(self, _: int, found: dict[str, Any], uid: int, gid: int) -> int:
        assert not any(found["bits"][3:]), "a group got rights that were meant for another one"
        found["owner"] = (uid, gid)
        return 0

    def _chmod(self, _: int, found: dict[str, Any], *bits: int) -> int:
        found["bits"] = bits
        return 0

    def _delete(self, oid: int, *_: Any) -> int:
        del self.documents[oid]
        return oid

    def shown(self) -> dict[str, Any]:
        """The document that the datastore names."""
        return self.documents[int(self.attributes[documents.ATTRIBUTE])]


def vm(number: int, **changes: Any) -> StatusVm:
    made = StatusVm(
        f"vm-{number}", number, "north", False, "ACTIVE", (f"one-{number}",), 1000.0, 5.0, (), (),
    )
    return replace(made, **changes)


def disk(number: int, **changes: Any) -> StatusDisk:
    made = StatusDisk(f"one-{number}", 1 << 30, "JOURNAL", "secondary", True, 1000.0, 5.0, number, ())
    return replace(made, **changes)


def status(vms: tuple[StatusVm, ...], **changes: Any) -> StatusEvent:
    made = StatusEvent(
        "ceph", "STANDBY", "READY", "secondary", "Ready.", len(vms), len(vms), "JOURNAL",
        PeerShown("its monitors answer", "answers"), vms, tuple(disk(each.vm) for each in vms),
        unprotected=(UnprotectedItem("one-99", "DR_PROTECT=NO", "by_choice"),), objective_s=60,
    )
    return replace(made, **changes)


def rehearsed(number: int, result: Result, why: str = "") -> Rehearsed:
    return Rehearsed(f"f:{number}", f"vm-{number}", number, "north", 900.0, result, why)
