"""The nightly rehearsal: the keeper starts it where oned runs its monitor action, the leader of an HA set."""
from __future__ import annotations

import time

import rados

from onedr.ceph.connection import Pool
from onedr.host import front_end_process, log
from onedr.model.errors import OneDRError
from onedr.model.types import Role
from onedr.opennebula.datastores import Datastore
from onedr.protection import rehearsal_rules
from onedr.replication import rehearsals


def look(pool: Pool, datastore: Datastore, role: Role) -> None:
    """Start a rehearsal of this datastore when one is due, or when a killed one left something behind.

    Whoever holds its lock is working on it. A failure to start is a warning: the next pass tries again.
    """
    try:
        if not (rehearsals.made(pool, datastore.datastore_id) or is_due(pool, datastore, role)):
            return
        if rehearsals.is_free(pool, datastore.datastore_id):
            start(datastore.datastore_id)
    except (OSError, OneDRError, rados.Error) as error:
        log.warning(f"the rehearsal did not start: {error}")


def is_due(pool: Pool, datastore: Datastore, role: Role) -> bool:
    """Is a rehearsal due now, by the turns noted in the pool?"""
    now = time.time()
    last = rehearsals.last_turn(pool, datastore.datastore_id)
    offset_s = time.localtime(now).tm_gmtoff
    return rehearsal_rules.is_due(datastore.settings, role, last, now, offset_s)


def start(datastore_id: int) -> None:
    """Start it as a detached process of the front-end. Raises OSError."""
    front_end_process.start("rehearse", "onedr.driver.rehearsal_process", datastore_id)
