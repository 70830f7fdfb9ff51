"""What is about to be made, noted in the pool before it is begun: how the half-made image of a killed run is known again.

Omap of the object `onedr.making`: the image's name -> its maker as in MADE_KEY. It is there while the image is being made.
"""
from __future__ import annotations

import json
from contextlib import suppress

import rados

from onedr.ports.ceph import Pool

_OBJECT = "onedr.making"


def note(pool: Pool, name: str, maker: dict[str, str]) -> None:
    """Say who is about to make the image. Raises rados.Error."""
    with rados.WriteOpCtx() as operation:
        pool.io.set_omap(operation, (name,), (json.dumps(maker).encode(),))
        pool.io.operate_write_op(operation, _OBJECT)


def of(pool: Pool, name: str) -> dict[str, str]:
    """Who began to make the image and has not ended; empty when nobody did."""
    with rados.ReadOpCtx() as operation:
        pairs, _ = pool.io.get_omap_vals_by_keys(operation, (name,))
        try:
            pool.io.operate_read_op(operation, _OBJECT)
        except rados.ObjectNotFound:
            return {}
        found = [bytes(value) for _, value in pairs]
    return dict(json.loads(found[0])) if found else {}


def clear(pool: Pool, name: str) -> None:
    """The image is made, or gone. A note that stays behind says nothing about an image that carries its maker's name."""
    with rados.WriteOpCtx() as operation, suppress(rados.Error):
        pool.io.remove_omap_keys(operation, (name,))
        pool.io.operate_write_op(operation, _OBJECT)
