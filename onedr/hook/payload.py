"""What the hook manager passes: `state BASE64` or `one.<call> BASE64` on standard input
(docs/opennebula-facts.md O23).

oned does not escape the data of API hooks: user text may corrupt or forge what follows it. Only RESULT and
the first id are read, both of which come before any user text. Everything else is read through the API.

This module loads little: many events are none of OneDR's business, and their hooks need nothing else.
"""
from __future__ import annotations

import base64
import re
from typing import NamedTuple

from onedr.model.errors import InputError
from onedr.opennebula.own_marks import VM_SHOWN


def _given(position: int, value: str) -> str:
    """The pattern of an argument of a call."""
    return (
        rf"<PARAMETER>\s*<POSITION>{position}</POSITION>\s*<TYPE>IN</TYPE>\s*<VALUE>{value}</VALUE>\s*"
        r"</PARAMETER>\s*"
    )


STATE = "state"  # instead of a call: an object came into a state
_RESULT = re.compile(r"<RESULT>(\d+)</RESULT>")
_IN = re.compile(r"<POSITION>(\d+)</POSITION>\s*<TYPE>IN</TYPE>\s*<VALUE>(\d+)</VALUE>")
_OBJECT_ID = re.compile(r"\A\s*<(IMAGE|VM|DATASTORE)>\s*<ID>(\d+)</ID>")
_ID_POSITION = {"one.vm.action": 3}  # its first argument is the name of the action
# The whole document of an appending update (mode 1) that sets nothing but VM_SHOWN.
_TEXT = r"(?:[^<>]|<!\[CDATA\[[^<>\]]*\]\]>)*"
_SHOWS = (
    r"\s*<CALL_INFO>\s*<RESULT>\d+</RESULT>\s*<PARAMETERS>\s*"
    + _given(1, r"[^<>]*") + _given(2, r"\d+")
    + _given(3, rf"\s*<TEMPLATE>\s*(?:<({'|'.join(VM_SHOWN)})>{_TEXT}</\1>\s*)+</TEMPLATE>\s*")
    + _given(4, "1")
    + rf"(?:<PARAMETER>\s*<POSITION>\d+</POSITION>\s*<TYPE>OUT</TYPE>\s*<VALUE>{_TEXT}</VALUE>\s*"
    r"</PARAMETER>\s*)*"
    r"</PARAMETERS>\s*<EXTRA\s*/>\s*</CALL_INFO>\s*"
)
# the new id comes after the user's text
_NO_ID = ("one.datastore.allocate", "one.image.allocate", "one.vm.allocate")


class Event(NamedTuple):
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
    place leaves more in the document than the call has. A mistake costs no more than the time until the
    keeper's next pass.
    """
    return call == "one.vm.update" and bool(re.fullmatch(_SHOWS, document))


def nothing_to_do(text: str) -> str:
    """Why an event needs nothing at all, for the hook's log; empty for one that does, or that cannot be read.
    """
    try:
        event = read_event(text)
    except InputError:
        return ""  # the hook says so
    if not event.succeeded:
        return "nothing to do"
    return f"VM {event.object_id}: only what OneDR shows on it changed" if event.only_shows else ""
