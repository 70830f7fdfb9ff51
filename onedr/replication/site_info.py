"""Cards: what each site says of its protected datastores in its own pool, for the other site to read.

Omap of the object `onedr.site`: the datastore's name -> JSON of a Card. It is written by reconcile, when it
changed. No secret.
"""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.errors import StorageError
from onedr.model.records import SiteInfo

OBJECT = "onedr.site"


def publish_site_info(pool: Pool, info: SiteInfo) -> bool:
    """Write it when it changed. Returns whether it did. Raises rados.Error."""
    text = json.dumps(asdict(info)).encode()
    if omap.read_keys(pool, OBJECT, (info.datastore,)).get(info.datastore) == text:
        return False
    omap.write_keys(pool, OBJECT, {info.datastore: text})
    return True


def withdraw_site_info(pool: Pool, datastore: str) -> None:
    """Take a datastore's card away; the last one takes the object along. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        if set(omap.list_keys(pool, OBJECT, "")) <= {datastore}:
            pool.io.remove_object(OBJECT)
            return
        omap.drop_keys(pool, OBJECT, datastore)


def read_site_info(pool: Pool) -> dict[str, SiteInfo]:
    """All cards of the pool's cluster by name of the datastore.

    Raises rados.Error, StorageError for one that is damaged.
    """
    return {name: _parse(name, value) for name, value in omap.read_all(pool, OBJECT).items()}


def _parse(name: str, value: bytes) -> SiteInfo:
    try:
        data = json.loads(value)
        return SiteInfo(
            **{**data, **{key: tuple(map(tuple, data[key])) for key in ("network_map", "options")}}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"The card of datastore {name} in {OBJECT} is damaged ({error!r}); onedr reconcile there."
        ) from error
