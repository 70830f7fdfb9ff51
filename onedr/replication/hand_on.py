"""A mapping or recovery plan that was set while the peer did not answer is brought to it."""
from __future__ import annotations

from onedr.ceph.connection import Pool
from onedr.model.types import Settings
from onedr.replication import plan_store
from onedr.replication.map_store import MAPPINGS
from onedr.replication.signed_versions import name_there


def hand_on(pool: Pool, peer: Pool, datastore: str, settings: Settings) -> None:
    """Nothing is asked of the peer where it was seen to hold all. Raises rados.Error, OneDRError."""
    if MAPPINGS.to_hand_on(pool, datastore):
        MAPPINGS.hand_on(pool, peer, datastore, name_there(datastore, settings))
    if plan_store.to_hand_on(pool, datastore):
        plan_store.hand_on(pool, peer, datastore, settings)
