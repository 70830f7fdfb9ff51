"""Publishes this site's settings of a datastore in its pool, for the other site's `onedr check`."""
from __future__ import annotations

import rados

from onedr.ceph import cluster_info
from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model.errors import OneDRError, RecordError, StorageError
from onedr.model.records import SiteInfo
from onedr.opennebula.datastores import Datastore
from onedr.replication import encryption, quiet_marks, site_info


def publish(pool: Pool, datastore: Datastore) -> None:
    """Write the site info when it changed. Raises StorageError."""
    settings = datastore.settings
    info = SiteInfo(
        fsid=pool.fsid(),
        site=settings.site or pool.fsid()[:8],
        site_index=settings.site_index,
        datastore=datastore.name,
        mode=settings.mode.value,
        network_map=settings.network_map,
        key=fingerprint(),
        options=(*_options(pool), quiet_marks.OPTION),
    )
    try:
        site_info.publish_site_info(pool, info)
    except rados.Error as error:
        raise StorageError(f"Ceph, {site_info.OBJECT} of pool {pool.access.pool}: {error}") from error


def fingerprint() -> str:
    """Of this site's record key; empty without one."""
    try:
        return encryption.fingerprint(encryption.load_key(front_end_paths().record_key))
    except RecordError:
        return ""  # an unusable key counts as none; this site's own check reports it


def _options(pool: Pool) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(sorted(cluster_info.mirror_options(pool).items()))
    except (OneDRError, rados.Error):
        return ()  # our user may not read them, so the other site does not know them
