"""How to reach Ceph: the attributes of a datastore or VM disk, and the stock driver's defaults file."""
from __future__ import annotations

import shlex

from onedr.host.paths import front_end_paths
from onedr.model import template
from onedr.model.errors import InputError
from onedr.model.parsing import NAME
from onedr.model.template import Pairs
from onedr.model.types import CephAccess


def defaults() -> dict[str, str]:
    """The stock driver's defaults: POOL_NAME, STAGING_DIR, CEPH_TRASH."""
    return _assignments("datastore/ceph/ceph.conf")


def file_systems() -> dict[str, list[str]]:
    """mkfs options of each supported file system:
    SUPPORTED_FS and FS_OPTS_<fs> of OpenNebula's datastore.conf.
    """
    found = _assignments("datastore/datastore.conf")
    kinds = found.get("SUPPORTED_FS", "ext2,ext3,ext4,xfs").split(",")
    return {kind.strip(): shlex.split(found.get(f"FS_OPTS_{kind.strip()}", "")) for kind in kinds}


def hypervisor_defaults() -> dict[str, str]:
    """Settings of the KVM driver: LIBVIRT_URI, VIRSH_TIMEOUT."""
    return _assignments("vmm/kvm/kvmrc")


def _assignments(file: str) -> dict[str, str]:
    """Shell assignments of a file below remotes/etc, read without a shell; empty when there is none."""
    path = front_end_paths().remotes / "etc" / file
    found = {}
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        key, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and key.strip().isidentifier():
            words = shlex.split(value, comments=True)
            found[key.strip()] = words[0] if words else ""
    return found


def ceph_access(attributes: Pairs) -> CephAccess:
    """Pool, user, configuration and key file as the stock driver reads them.

    Raises InputError for an invalid name of a pool or user.
    """
    pool = template.get(attributes, "POOL_NAME") or defaults().get("POOL_NAME", "") or "one"
    if NAME.fullmatch(pool.partition("/")[0]) and NAME.fullmatch(pool.partition("/")[2]):
        raise InputError(
            f"POOL_NAME {pool} names an RBD namespace, and OneDR protects images in a pool's default "
            "namespace only (docs/limits.md)."
        )
    for name in filter(
        None, (pool, template.get(attributes, "EC_POOL_NAME"), template.get(attributes, "CEPH_USER"))
    ):
        if not NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is not a valid name of a Ceph pool or user; correct the datastore's attributes."
            )
    return CephAccess(
        pool=pool,
        user=template.get(attributes, "CEPH_USER"),
        conf=template.get(attributes, "CEPH_CONF"),
        keyfile=template.get(attributes, "CEPH_KEY"),
        data_pool=template.get(attributes, "EC_POOL_NAME"),
    )


def moves_to_trash(attributes: Pairs) -> bool:
    """CEPH_TRASH of the object, else of the defaults file."""
    return (template.get(attributes, "CEPH_TRASH") or defaults().get("CEPH_TRASH", "")).lower() in (
        "yes",
        "true",
    )
