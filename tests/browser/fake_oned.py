"""oned for the tests of OneDR's page: datastores, their documents, a VM, in memory."""
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sandbox.fireedge.oned import OnedError
from sandbox.fireedge.translate import to_xml

Attributes = dict[str, Any]
EXAMPLE: dict[str, Any] = json.loads((Path(__file__).parent / "dr_document.example.json").read_text())
DATASTORE, DOCUMENT = 100, 7


def part(name: str, **changes: Any) -> dict[str, Any]:
    """A part of the example document, with changes."""
    return {**copy.deepcopy(EXAMPLE[name]), **changes}


class FakeOned:
    """`updated` is called after each update of a datastore, with its id and what was written. `forbidden`: calls
    that this user may not make.
    """

    def __init__(self) -> None:
        status = EXAMPLE["STATUS"]
        self.datastores: dict[int, tuple[str, Attributes]] = {
            1: ("default", {"DS_MAD": "fs"}),
            DATASTORE: (status["datastore"]["name"], {
                "DR_PROTECT": "YES", "DR_STATE": status["state"], "DR_ROLE": status["role"], "DR_MESSAGE": status["message"],
                "DR_PROTECTED": "5/6", "DR_RECOVERY_POINT": "2025-11-30T17:29:53Z", "DR_DOCUMENT": str(DOCUMENT),
            }),
        }
        self.documents: dict[int, dict[str, Any]] = {DOCUMENT: {"STATUS": part("STATUS"), "RUN": None, "PLAN": None}}
        self.vms: dict[int, Attributes] = {}
        self.forbidden: set[str] = set()
        self.updated: Callable[[int, Attributes], None] = lambda *_: None

    def __call__(self, method: str, *arguments: Any) -> str:
        if method in self.forbidden:
            raise OnedError(f"[one.{method}] User [3] : Not authorized to perform MANAGE DATASTORE [{DATASTORE}].")
        if method == "datastorepool.info":
            found = [self._datastore(each) for each in self.datastores]
            return to_xml("DATASTORE_POOL", {"DATASTORE": found} if found else "")
        if method == "datastore.info":
            return to_xml("DATASTORE", self._datastore(arguments[0]))
        if method == "document.info":
            return to_xml("DOCUMENT", self._document(arguments[0]))
        if method == "vm.info":
            return to_xml("VM", {"ID": arguments[0], **self.vms[arguments[0]]})
        assert method == "datastore.update", method
        return self._update(*arguments)

    def attributes(self, datastore: int = DATASTORE) -> Attributes:
        return self.datastores[datastore][1]

    def _datastore(self, datastore: int) -> Attributes:
        if datastore not in self.datastores:
            raise OnedError(f"[one.datastore.info] Error getting datastore [{datastore}].")
        name, attributes = self.datastores[datastore]
        return {"ID": datastore, "NAME": name, "TEMPLATE": attributes}

    def _document(self, document: int) -> Attributes:
        if document not in self.documents:
            raise OnedError(f"[one.document.info] Error getting document [{document}].")
        parts = self.documents[document]
        return {"ID": document, "TEMPLATE": {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in parts.items()}}

    def _update(self, datastore: int, text: str, how: int) -> str:
        written = {element.tag: element.text or "" for element in ElementTree.fromstring(text)}
        name, known = self.datastores[datastore]
        self.datastores[datastore] = (name, {**known, **written} if how == 1 else written)
        self.updated(datastore, written)
        return str(datastore)
