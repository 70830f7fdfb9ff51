"""RBD groups and their members. Ceph does not remove an image that is in a group, and mirrors no group."""
from __future__ import annotations

import rbd

from onedr.ceph.connection import Pool


def members(pool: Pool) -> dict[str, str]:
    """By name of each image of the pool that is in a group of the pool: the group. Raises rbd.Error."""
    found: dict[str, str] = {}
    here = pool.io.get_pool_id()
    for group in pool.rbd.group_list(pool.io):
        try:
            images = list(rbd.Group(pool.io, group).list_images())
        except rbd.ObjectNotFound:
            continue  # removed meanwhile
        found.update({str(image["name"]): str(group) for image in images if image["pool"] == here})
    return found
