"""Site info: what each site publishes about its protected datastores in its own pool, for the other site to
read.

Omap of the object `onedr.site`: the datastore's name -> JSON of a SiteInfo. Written by reconcile when it
changed. It contains no secret.
"""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.errors import StorageError
from onedr.model.json_form import parsed
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
        data = parsed(value)
        return SiteInfo(
            str(data["fsid"]), str(data["site"]), int(data["site_index"]), str(data["datastore"]),
            str(data["mode"]), _pairs(data["network_map"]), str(data.get("key", "")), _pairs(data["options"]),
        )
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise StorageError(
            f"The settings that the site published for datastore {name} in {OBJECT} are damaged ({error!r}); "
            "run onedr reconcile there."
        ) from error


def _pairs(found: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(one), str(other)) for one, other in found)
