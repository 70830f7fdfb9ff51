"""The mapping of a datastore in the pools of both sites, in versions (docs/mapping.md)."""

from __future__ import annotations

from onedr.ceph.connection import Pool
from onedr.model import site_map
from onedr.model.site_map import Direction, SiteMap
from onedr.model.types import Settings
from onedr.replication import signed_versions
from onedr.replication.signed_versions import Documents, name_there, site_name

Version = signed_versions.Version[SiteMap]
Stored = signed_versions.Stored[SiteMap]
MAPPINGS = Documents[SiteMap](
    object="onedr.map", kind="onedr.map", image="mapping", called="mapping", body="map",
    too_large="leave out what has the same name at both sites",
    set_again=lambda datastore: f"onedr map {datastore} --set FILE",
    to_json=site_map.to_json, from_json=site_map.from_json,
)


def newest(pool: Pool, datastore: str, settings: Settings, peer: Pool | None = None) -> Stored:
    """What is in force at this site, as `Documents.newest`."""
    return MAPPINGS.newest(pool, datastore, name_there(datastore, settings), peer)


def direction(stored: Stored, pool: Pool, settings: Settings) -> Direction | None:
    """The mapping in force towards this site; None when there is none. Raises InputError for other sites'
    one.
    """
    found = stored.newest
    return found.body.towards(site_name(pool, settings)) if found is not None else None
