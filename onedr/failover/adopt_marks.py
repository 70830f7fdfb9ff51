"""Take objects that an earlier release recovered into the pool's ledger: once, and only where the marks on
them agree with their real disks.

Earlier releases knew what they had made by attributes on it, which its users can write.
"""
from __future__ import annotations

from onedr.ceph.connection import Pool
from onedr.failover import peer_vms
from onedr.model import names, template
from onedr.opennebula import vm_template
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.replication import ledger
from onedr.replication.ledger import Entry


def adopt(pool: Pool, frontend: FrontEnd, site_index: int) -> None:
    """Note what carries marks and has the disks to it. Nothing where the pool has a ledger already."""
    if ledger.is_kept(pool):
        return
    images = _images(frontend, pool.access.pool, site_index)
    for image_id, entry in images.items():
        ledger.note(pool, "image", image_id, entry)
    by_disk = {entry.disks[0]: entry for entry in images.values()}
    for vm in frontend.vms():
        marks = attributes(vm, "USER_TEMPLATE")
        seen = peer_vms.of_element(vm, pool.access.pool)
        origin = template.get(marks, vm_template.ORIGIN)
        if origin and agrees(origin, seen.images, by_disk):
            finished = template.get(marks, vm_template.FINISHED) == "YES"
            pending = template.get(marks, vm_template.START_PENDING) == "YES"
            ledger.note(pool, "vm", seen.vm_id, Entry(origin, tuple(sorted(seen.images)), finished, pending))
    ledger.keep(pool)


def _images(frontend: FrontEnd, pool_name: str, site_index: int) -> dict[int, Entry]:
    found = {}
    for image in frontend.images():
        where, _, name = (image.findtext("SOURCE") or "").partition("/")
        marks = attributes(image)
        origin, source = (template.get(marks, key) for key in (vm_template.ORIGIN, vm_template.ORIGIN_SOURCE))
        # SOURCE is oned's to set: a user cannot put his image onto another's data.
        if origin and where == pool_name and name in (source, names.taken_base(source, site_index)):
            finished = template.get(marks, vm_template.FINISHED) == "YES"
            found[number(image, "ID")] = Entry(origin, (name,), finished, stands_for=source)
    return found


def agrees(origin: str, disks: frozenset[str], taken: dict[str, Entry]) -> bool:
    """Does a VM with this mark have a disk that was taken over from that site,
    and of that VM where its name says of which?
    """
    cluster, _, vm_id = origin.partition(":")
    for name in disks & taken.keys():
        named = names.parse_vm_disk(name)
        if taken[name].origin.startswith(f"{cluster}:") and (named is None or str(named.vm_id) == vm_id):
            return True
    return False
