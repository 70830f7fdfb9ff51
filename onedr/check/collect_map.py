"""Facts about the mapping and the recovery plan for `onedr check`."""

from __future__ import annotations

from onedr.ceph.connection import Pool
from onedr.check.collect_peer import PeerConnection
from onedr.check.facts import Known, MapFacts, Unknown
from onedr.failover import plan_choice
from onedr.model.errors import OneDRError
from onedr.model.recovery_plan import Chosen
from onedr.model.site_map import Direction
from onedr.opennebula.datastores import Datastore
from onedr.replication import map_store
from onedr.replication.signed_versions import name_there
from onedr.runs.request import Request


def collect(pool: Pool, datastore: Datastore, way: PeerConnection) -> MapFacts:
    """The mapping in force, by both pools where the peer's can be read. Raises StorageError, rados.Error."""
    peer, settings = _there(way), datastore.settings
    stored = map_store.newest(pool, datastore.name, settings, peer)
    found = stored.newest
    if found is None:
        return MapFacts(doubts=stored.doubts)
    map_store.direction(stored, pool, settings)  # of other sites: it is not usable, and says so
    there = (
        map_store.MAPPINGS.read(peer, name_there(datastore.name, settings)).newest if peer else None
    )
    return MapFacts(
        found.body, found.number, None if peer is None else there.number if there else 0, stored.doubts
    )


def recovery(pool: Pool, datastore: Datastore, way: PeerConnection) -> Chosen:
    """The recovery plan that a run here would go by. Raises rados.Error."""
    return plan_choice.read(pool, datastore, Request("check"), _there(way))


def _there(way: PeerConnection) -> Pool | None:
    try:
        return way.there()
    except OneDRError:
        return None


def towards(mapping: Known[MapFacts], site: str) -> Direction | None:
    """The mapping towards a site. Raises OneDRError where it is not known."""
    if isinstance(mapping, Unknown):
        raise OneDRError(f"the mapping is not known: {mapping.reason}")
    return mapping.site_map.towards(site) if mapping.site_map is not None else None


def towards_other(mapping: Known[MapFacts], site: str) -> Direction | None:
    """The mapping towards the other of its two sites. Raises OneDRError where it is not known."""
    found = towards(mapping, site)
    return found.site_map.towards(found.there) if found is not None else None
