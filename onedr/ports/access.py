"""How to reach Ceph: from the attributes of a datastore or of a VM's disk, and the stock driver's defaults file."""
from __future__ import annotations

import shlex

from onedr import template
from onedr.errors import InputError
from onedr.model import CephAccess
from onedr.parse import NAME
from onedr.ports.places import places
from onedr.template import Pairs


def defaults() -> dict[str, str]:
    """The stock driver's defaults (POOL_NAME, STAGING_DIR, CEPH_TRASH): shell assignments, read without a shell."""
    path = places().remotes / "etc" / "datastore" / "ceph" / "ceph.conf"
    found = {}
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        key, separator, value = line.partition("=")
        if separator and key.strip().isidentifier():
            words = shlex.split(value, comments=True)
            found[key.strip()] = words[0] if words else ""
    return found


def ceph_access(attributes: Pairs) -> CephAccess:
    """Pool, user, configuration and key file as the stock driver reads them.

    Raises InputError for a name that no pool or user can have.
    """
    pool = template.get(attributes, "POOL_NAME") or defaults().get("POOL_NAME", "") or "one"
    for name in filter(None, (pool, template.get(attributes, "EC_POOL_NAME"), template.get(attributes, "CEPH_USER"))):
        if not NAME.fullmatch(name):
            raise InputError(f"{name!r} is not a name for a Ceph pool or user; correct the datastore's attributes.")
    return CephAccess(
        pool=pool,
        user=template.get(attributes, "CEPH_USER"),
        conf=template.get(attributes, "CEPH_CONF"),
        keyfile=template.get(attributes, "CEPH_KEY"),
        data_pool=template.get(attributes, "EC_POOL_NAME"),
    )


def moves_to_trash(attributes: Pairs) -> bool:
    """CEPH_TRASH of the object, else of the defaults file."""
    return (template.get(attributes, "CEPH_TRASH") or defaults().get("CEPH_TRASH", "")).lower() in ("yes", "true")
