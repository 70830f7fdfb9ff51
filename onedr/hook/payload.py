"""What the hook manager passes: `state BASE64` or `one.<call> BASE64` on standard input
(docs/opennebula-facts.md O23).

oned does not escape the data of API hooks: user text may corrupt or forge what follows it. Only RESULT and
the first id are read, both of which come before any user text. Everything else is read through the API.
"""
from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from onedr.model import template
from onedr.model.errors import InputError
from onedr.opennebula.api import APPEND
from onedr.opennebula.own_marks import VM_SHOWN

STATE = "state"  # instead of a call: an object came into a state
_RESULT = re.compile(r"<RESULT>(\d+)</RESULT>")
_IN = re.compile(r"<POSITION>(\d+)</POSITION>\s*<TYPE>IN</TYPE>\s*<VALUE>(\d+)</VALUE>")
_OBJECT_ID = re.compile(r"\A\s*<(IMAGE|VM|DATASTORE)>\s*<ID>(\d+)</ID>")
_ID_POSITION = {"one.vm.action": 3}  # its first argument is the name of the action
# the new id comes after the user's text
_NO_ID = ("one.datastore.allocate", "one.image.allocate", "one.vm.allocate")


@dataclass(frozen=True)
class Event:
    """The object of the event; `object_id` is None when the data cannot be trusted to contain it."""

    call: str
    object_id: int | None
    succeeded: bool
    only_shows: bool = False  # an update of a VM that sets nothing but what OneDR's keeper shows on it


def read_event(text: str) -> Event:
    """Decode standard input. Raises InputError for garbage."""
    call, _, encoded = text.strip().partition(" ")
    try:
        document = base64.b64decode(encoded, validate=True).decode()
    except ValueError as error:  # not base64, not ASCII, not UTF-8
        raise InputError(f"The hook's data on standard input cannot be read: {error}") from error
    if call == STATE:
        match = _OBJECT_ID.match(document)
        if not match:
            raise InputError("The hook's data does not start with an object's ID.")
        return Event(call, int(match[2]), True)
    result = _RESULT.search(document)
    succeeded = bool(result and result[1] == "1")
    return Event(call, _argument_id(call, document), succeeded, _only_shows(call, document))


def _argument_id(call: str, document: str) -> int | None:
    if call in _NO_ID:
        return None
    wanted = _ID_POSITION.get(call, 2)
    match = next((found for found in _IN.finditer(document) if int(found[1]) == wanted), None)
    return int(match[2]) if match else None


def _only_shows(call: str, document: str) -> bool:
    """Is it just what `FrontEnd.update_vm` sends for a VM's display? Text of a user that breaks out of its
    place leaves more arguments than the call has, or none of this form. A mistake costs no more than the time
    until the keeper's next pass.
    """
    if call != "one.vm.update" or not any(f"<{key}>" in document for key in VM_SHOWN):
        return False
    try:
        root = template.parse_xml(document)
    except ValueError:
        return False
    given = [each for each in root.iterfind("PARAMETERS/PARAMETER") if each.findtext("TYPE") == "IN"]
    if [each.findtext("POSITION") for each in given] != ["1", "2", "3", "4"]:
        return False
    value, mode = given[2].find("VALUE"), given[3].findtext("VALUE")
    if value is None or [child.tag for child in value] != ["TEMPLATE"] or mode != str(APPEND):
        return False
    around = [value.text, value[0].text, *(child.tail for child in value.iter() if child is not value)]
    return not "".join(filter(None, around)).strip() and {child.tag for child in value[0]} <= set(VM_SHOWN)
