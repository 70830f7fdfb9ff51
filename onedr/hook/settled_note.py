"""What a datastore was like when the pool last had nothing to put right, in a file of this front-end.

So the keeper's own updates, the most frequent ones, need no connection to Ceph. An update that changes a
setting, a driver or the counter, or takes one away, differs from the note.
"""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lxml import etree

from onedr.host import log, trusted_folder
from onedr.host.atomic_file import write_atomically
from onedr.host.paths import front_end_paths
from onedr.model import template
from onedr.opennebula.api import attributes, number
from onedr.protection.settle_rules import ACTION

# OneDR shows these, and the rules that put attributes right do not read them.
_SHOWN = (
    "DR_STATE", "DR_ROLE", "DR_MESSAGE", "DR_PROGRESS", "DR_PROTECTED", "DR_RECOVERY_POINT", "DR_DOCUMENT",
)


def is_settled(element: etree._Element) -> bool:
    """Is a `<DATASTORE>` as it was noted, with no action set? A note that cannot be read counts as none."""
    if template.get(attributes(element), ACTION).strip():
        return False
    try:
        return _path(element).read_text() == _fingerprint(element)
    except (OSError, ValueError):
        return False


def note_settled(before: etree._Element, after: etree._Element) -> None:
    """Note a datastore that was put right, unless it changed meanwhile: that change has its own event."""
    if _fingerprint(before) != _fingerprint(after):
        return
    path = _path(after)
    try:
        trusted_folder.make_folders(path.parent)
        write_atomically(path, _fingerprint(after).encode(), 0o600)
    except OSError as error:
        log.warn_oned(f"{path} was not written, the next update asks the pool again: {error}")


def _path(element: etree._Element) -> Path:
    return front_end_paths().state / f"settled-{number(element, 'ID')}"


def _fingerprint(element: etree._Element) -> str:
    pairs = sorted(json.dumps(pair) for pair in attributes(element) if pair[0] not in _SHOWN)
    identity = [element.findtext(name) for name in ("NAME", "DS_MAD", "TM_MAD")]
    return hashlib.sha256(json.dumps([identity, pairs]).encode()).hexdigest()
