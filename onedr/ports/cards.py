"""Cards: what each site says of its protected datastores in its own pool, for the other site to read.

Omap of the object `onedr.site`: the datastore's name -> JSON of a Card. It is written by reconcile, when it changed. No secret.
"""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import rados

from onedr.errors import StorageError
from onedr.facts import Card
from onedr.ports import omap
from onedr.ports.ceph import Pool

OBJECT = "onedr.site"


def publish(pool: Pool, card: Card) -> bool:
    """Write it when it changed. Returns whether it did. Raises rados.Error."""
    text = json.dumps(asdict(card)).encode()
    if omap.some(pool, OBJECT, (card.datastore,)).get(card.datastore) == text:
        return False
    omap.put(pool, OBJECT, {card.datastore: text})
    return True


def withdraw(pool: Pool, datastore: str) -> None:
    """Take a datastore's card away; the last one takes the object along. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        if set(omap.keys(pool, OBJECT, "")) <= {datastore}:
            pool.io.remove_object(OBJECT)
            return
        omap.drop(pool, OBJECT, datastore)


def read(pool: Pool) -> dict[str, Card]:
    """All cards of the pool's cluster by name of the datastore. Raises rados.Error, StorageError for one that is damaged."""
    return {name: _card(name, value) for name, value in omap.all_of(pool, OBJECT).items()}


def _card(name: str, value: bytes) -> Card:
    try:
        data = json.loads(value)
        return Card(**{**data, **{key: tuple(map(tuple, data[key])) for key in ("network_map", "options")}})
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"The card of datastore {name} in {OBJECT} is damaged ({error!r}); onedr reconcile there.") from error
