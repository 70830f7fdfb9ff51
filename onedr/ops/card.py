"""What this site says of a datastore in its pool, for the other site's `onedr check` to read."""
from __future__ import annotations

import rados

from onedr.errors import OneDRError, RecordError, StorageError
from onedr.facts import Card
from onedr.ops.protected import Datastore
from onedr.ports import cards, estate, seal
from onedr.ports.ceph import Pool
from onedr.ports.places import places


def leave(pool: Pool, datastore: Datastore) -> None:
    """Write the card when something of it changed. Raises StorageError."""
    settings = datastore.settings
    card = Card(
        fsid=pool.fsid(), site=settings.site or pool.fsid()[:8], site_index=settings.site_index, datastore=datastore.name,
        mode=settings.mode.value, network_map=settings.network_map, key=_fingerprint(), options=_options(pool),
    )
    try:
        cards.publish(pool, card)
    except rados.Error as error:
        raise StorageError(f"Ceph, {cards.OBJECT} of pool {pool.access.pool}: {error}") from error


def _fingerprint() -> str:
    try:
        return seal.fingerprint(seal.load_key(places().record_key))
    except RecordError:
        return ""  # a key that may not be used is none; this site's own check says why


def _options(pool: Pool) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(sorted(estate.mirror_options(pool).items()))
    except (OneDRError, rados.Error):
        return ()  # our user may not read them: then the other site does not know them
