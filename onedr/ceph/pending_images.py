"""Pending creations, noted in the pool before they start: they identify incomplete images of killed runs.

Omap of the object `onedr.making`: name of the image -> its creator as in CREATOR_KEY, while the image is
being created.
"""
from __future__ import annotations

import json
from contextlib import suppress

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.json_form import parsed

_OBJECT = "onedr.making"


def note_pending(pool: Pool, name: str, creator: dict[str, str]) -> None:
    """Note who is about to create the image. Raises rados.Error."""
    omap.write_keys(pool, _OBJECT, {name: json.dumps(creator).encode()})


def pending_note(pool: Pool, name: str) -> dict[str, str]:
    """Who started to create the image and has not finished; empty when there is no note.

    Of a note that is damaged both words are empty: the image counts as incomplete, and as nobody's.
    """
    try:
        found = parsed(omap.read_keys(pool, _OBJECT, (name,)).get(name, b"{}"))
        return {key: str(value) for key, value in found.items()}
    except (AttributeError, ValueError):
        return {"fsid": "", "what": ""}


def clear_pending(pool: Pool, name: str) -> None:
    """Remove the note: the image is complete, or removed.

    A note that remains is ignored for an image that carries its creator.
    """
    with suppress(rados.Error):
        omap.drop_keys(pool, _OBJECT, name)
