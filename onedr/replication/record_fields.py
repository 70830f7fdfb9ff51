"""Every field of a record checked for its type and bounds when it is read: a record is text from outside.

Raises ValueError that names the field.
"""
from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from onedr.model.records import DiskRef, Epoch, ImageRecord, Mark, VmRecord
from onedr.model.template import Pairs
from onedr.opennebula.objects import VM_STATES

Check = Callable[[Any], Any]
Fields = dict[str, Any]
"""Checked values by the name of the field that takes them."""

_MAX_ID = 2**31 - 1  # oned keeps ids as int
_MAX_MIB = 2**43  # 8 EiB, the largest RBD image
_MAX_GENERATION = 2**63 - 1
_MAX_TIME_S = 253402300799  # end of the year 9999
_MAX_NAME = 4096
_MAX_DISKS = 1024
_MAX_PARTS = 1024
_MAX_TYPE = 15
_LINES = str.maketrans("", "", "\t\n\r")
_START = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_ASCII_TAG = re.compile("[A-Za-z_][A-Za-z_0-9.-]*", re.ASCII)
_FSID = re.compile("[0-9A-Za-z-]{1,64}")
_PERMISSIONS = re.compile("[01]{9}")


# Compiled only for text that needs it: the two take 6 ms, of every driver's start.
@functools.cache
def _not_xml() -> re.Pattern[str]:
    return re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@functools.cache
def _xml_name() -> re.Pattern[str]:
    return re.compile(f"[{_START}][{_START}0-9.\xb7\u0300-\u036f\u203f\u2040-]*")


def is_xml_text(value: str) -> bool:
    """Whether XML 1.0 can carry it: all text came from oned as XML, and goes back so."""
    return value.translate(_LINES).isprintable() or not _not_xml().search(value)


def is_xml_name(name: str) -> bool:
    """Whether it can be the name of an attribute, which is an element's in XML (without a namespace)."""
    return bool(_ASCII_TAG.fullmatch(name) or (not name.isascii() and _xml_name().fullmatch(name)))


def _text(limit: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > limit or not is_xml_text(value):
            raise ValueError(f"is no text of at most {limit} characters")
        return value

    return check


def _like(pattern: re.Pattern[str], what: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"is not {what}")
        return value

    return check


def _number(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:  # a bool is an int
            raise ValueError(f"is no whole number from {low} to {high}")
        return value

    return check


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def moment(value: Any) -> float:
    """Seconds since the epoch that a calendar has. Raises ValueError."""
    if type(value) not in (int, float) or not 0 <= value <= _MAX_TIME_S:
        raise ValueError("is no time in seconds since the epoch")
    return float(value)


def _state(value: Any) -> str:
    if value not in VM_STATES:
        raise ValueError("is no state of a VM")
    return str(value)


def _or_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def pairs(value: Any) -> Pairs:
    """Decoded JSON as the attributes of a template: texts, and vectors of texts as oned has them. Raises
    ValueError for another shape.
    """
    return _pairs(value, 1)


def _snapshots(value: Any) -> Pairs:
    """Lists of disk snapshots: a vector for each disk, with one for each snapshot in it."""
    return _pairs(value, 2)


def _pairs(value: Any, depth: int) -> Pairs:
    if not isinstance(value, list):
        raise ValueError("is no list of attributes")
    return tuple(_pair(one, depth) for one in value)


def _pair(one: Any, depth: int) -> tuple[str, Any]:
    if not isinstance(one, list) or len(one) != 2:
        raise ValueError("has an attribute that is no pair")
    key, value = one
    if not isinstance(key, str) or len(key) > _MAX_NAME or not is_xml_name(key):
        raise ValueError("has an attribute whose name cannot be one")
    if not isinstance(value, str):
        if not depth:
            raise ValueError(f"has a list inside {key:.80}, where OpenNebula has text")
        return key, _pairs(value, depth - 1)
    if not is_xml_text(value):
        raise ValueError("has an attribute with a character that no attribute can have")
    return key, value


def _disks(value: Any) -> tuple[DiskRef, ...]:
    if not isinstance(value, list) or len(value) > _MAX_DISKS:
        raise ValueError(f"is no list of at most {_MAX_DISKS} disks")
    return tuple(DiskRef(**_checked(DiskRef, _DISK, one)) for one in value)


_NAME, _ID, _ID_OR_NONE = _text(_MAX_NAME), _number(0, _MAX_ID), _number(-1, _MAX_ID)
_OWNED: Mapping[str, Check] = {
    "name": _NAME, "owner": _NAME, "group": _NAME, "template": pairs, "snapshots": _snapshots,
    "permissions": _like(_PERMISSIONS, "nine digits 0 or 1"), "origin": _NAME,
}
_DISK: Mapping[str, Check] = {
    "disk_id": _ID, "rbd": _or_none(_NAME), "image_id": _or_none(_ID), "image_name": _NAME, "clone": _truth,
    "protected": _truth, "reason": _NAME, "datastore": _NAME, "datastore_id": _ID_OR_NONE,
    "shared": _truth,
}
_VM: Mapping[str, Check] = {
    **_OWNED, "vm_id": _ID, "state": _state, "user_template": pairs, "disks": _disks,
}
_IMAGE: Mapping[str, Check] = {
    **_OWNED, "image_id": _ID, "type": _number(0, _MAX_TYPE), "persistent": _truth,
    "size_mib": _number(0, _MAX_MIB), "datastore": _NAME, "datastore_id": _ID_OR_NONE, "stands_for": _NAME,
}
_HEAD: Mapping[str, Check] = {
    "site": _NAME, "fsid": _like(_FSID, "the id of a cluster"), "mon_host": _text(_MAX_NAME * 8),
    "generation": _number(0, _MAX_GENERATION), "written_at": moment, "parts": _number(1, _MAX_PARTS),
}


def head(data: Mapping[str, Any]) -> Fields:
    """The fields of a record's head that are no text of its body."""
    return {name: _field(name, check, data[name]) for name, check in _HEAD.items()}


def vm(data: Any) -> VmRecord:
    """A VM's record from its JSON body; records of releases before lack some fields."""
    return VmRecord(**_checked(VmRecord, _VM, data))


def image(data: Any) -> ImageRecord:
    """An image's record from its JSON body."""
    return ImageRecord(**_checked(ImageRecord, _IMAGE, data))


def mark(data: Any) -> Mark:
    """A time mark from its JSON. Raises ValueError, KeyError, TypeError."""
    return Mark(_field("at", moment, data["at"]), _field("replaying", _truth, data["replaying"]))


def epoch(data: Any) -> Epoch:
    """A term from its JSON; -1 is one that its writer could not read. Raises as `mark`."""
    return Epoch(
        _number(-1, _MAX_GENERATION)(data["term"]), _NAME(data["fsid"]), _NAME(data["site"]),
        moment(data["at"]), _or_none(moment)(data["point"]),
    )


def _checked(kind: type, checks: Mapping[str, Check], data: Any) -> Fields:
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__} is no object")
    unknown = data.keys() - checks.keys()
    missing = {one.name for one in fields(kind) if one.default is MISSING} - data.keys()
    if unknown or missing:
        raise ValueError(f"{kind.__name__} has the unknown field {min(unknown)!r:.80}" if unknown else
                         f"{kind.__name__} lacks {', '.join(sorted(missing))}")
    return {name: _field(name, checks[name], value) for name, value in data.items()}


def _field(name: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
