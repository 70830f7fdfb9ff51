"""What is about to be made, noted in the pool before it is begun: how the half-made image of a killed run is
known again.

Omap of the object `onedr.making`: the image's name -> its maker as in MADE_KEY. It is there while the image
is being made.
"""
from __future__ import annotations

import json
from contextlib import suppress

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool

_OBJECT = "onedr.making"


def note_pending(pool: Pool, name: str, creator: dict[str, str]) -> None:
    """Say who is about to make the image. Raises rados.Error."""
    omap.write_keys(pool, _OBJECT, {name: json.dumps(creator).encode()})


def pending_note(pool: Pool, name: str) -> dict[str, str]:
    """Who began to make the image and has not ended; empty when nobody did."""
    return dict(json.loads(omap.read_keys(pool, _OBJECT, (name,)).get(name, b"{}")))


def clear_pending(pool: Pool, name: str) -> None:
    """The image is made, or gone.

    A note that stays behind says nothing about an image that carries its maker's name.
    """
    with suppress(rados.Error):
        omap.drop_keys(pool, _OBJECT, name)
