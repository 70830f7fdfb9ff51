"""Site info: what each site publishes about its protected datastores in its own pool, for the other site to
read.

Omap of the object `onedr.site`: the datastore's name -> JSON of a SiteInfo. Written by reconcile when it
changed. It contains no secret.
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
    """Write it if it changed. Returns whether it changed. Raises rados.Error."""
    text = json.dumps(asdict(info)).encode()
    if omap.read_keys(pool, OBJECT, (info.datastore,)).get(info.datastore) == text:
        return False
    omap.write_keys(pool, OBJECT, {info.datastore: text})
    return True


def withdraw_site_info(pool: Pool, datastore: str) -> None:
    """Remove a datastore's entry, and the object with the last one. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        if set(omap.list_keys(pool, OBJECT, "")) <= {datastore}:
            pool.io.remove_object(OBJECT)
            return
        omap.drop_keys(pool, OBJECT, datastore)


def read_site_info(pool: Pool) -> dict[str, SiteInfo]:
    """All entries of the pool by name of the datastore.

    Raises rados.Error, and StorageError for a damaged entry.
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
            f"The settings that the site published for datastore {name} in {OBJECT} are damaged ({error!r}); "
            "run onedr reconcile there."
        ) from error
