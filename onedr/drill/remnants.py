"""Everything at both sites that has a drill's tag."""
from __future__ import annotations

from collections.abc import Sequence

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.drill import plan as drill_plan
from onedr.drill import rbd_clones
from onedr.model import names, template
from onedr.model.records import ImageFacts
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula import vm_template
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.datastores import Datastore

_LOOK_LIMIT_S = 30


def find_remnants(
    pool: Pool,
    target: Datastore,
    images: Sequence[ImageFacts],
    frontend: FrontEnd,
    there: Pool | None,
    why: str,
) -> drill_plan.DrillRemnants:
    """Find everything that may belong to a drill.

    `there` None: the peer cannot be checked, `why` says why.
    """
    return drill_plan.DrillRemnants(
        pool.fsid(),
        target.datastore_id,
        tuple(_vms(frontend, pool.access.pool, target.datastore_id)),
        tuple(_images(frontend, pool.access.pool, target.datastore_id)),
        tuple(
            drill_plan.CloneFound(found.name, found.made, found.trash) for found in rbd_clones.clones(pool)
        ),
        tuple(_snapshots(pool, images, there)),
        why,
    )


def _vms(frontend: FrontEnd, pool: str, datastore_id: int) -> list[drill_plan.VmFound]:
    found = []
    for vm in frontend.vms():
        tag = template.get(attributes(vm, "USER_TEMPLATE"), vm_template.DRILL)
        if tag:
            disks = [
                str(disk.rbd) for disk in opennebula_objects.vm_record(vm, {datastore_id}).disks if disk.rbd
            ]
            mine = frozenset(disk.partition("/")[2] for disk in disks if disk.startswith(f"{pool}/"))
            found.append(drill_plan.VmFound(number(vm, "ID"), vm.findtext("NAME") or "", tag, mine))
    return found


def _images(frontend: FrontEnd, pool: str, datastore_id: int) -> list[drill_plan.ImageFound]:
    found = []
    for image in frontend.images():
        tag = template.get(attributes(image), vm_template.DRILL)
        where, _, name = (image.findtext("SOURCE") or "").partition("/")
        if tag and where == pool and image.findtext("DATASTORE_ID") == str(datastore_id):
            found.append(drill_plan.ImageFound(number(image, "ID"), image.findtext("NAME") or "", tag, name))
    return found


def _snapshots(
    pool: Pool, images: Sequence[ImageFacts], there: Pool | None
) -> list[drill_plan.SnapshotFound]:
    primary = {image.name for image in images if image.primary}
    here = _tags(pool, [image.name for image in images])
    place = {found: "here" if found[0] in primary else "" for found in here}
    if there is not None:
        other = there
        named = [name for name in other.names() if names.is_managed(name)]
        roles = mirroring.roles(other)
        at_peer = {name for name in named if name not in roles or roles[name].primary}
        for found in here | _tags(other, named):
            if found[0] in at_peer:
                place[found] = "both" if found[0] in primary & roles.keys() else "there"
            else:
                place.setdefault(found, "")
    return [drill_plan.SnapshotFound(image, tag, where) for (image, tag), where in sorted(place.items())]


def _tags(pool: Pool, wanted: Sequence[str]) -> set[tuple[str, str]]:
    results = parallel.each(wanted, lambda name: rbd_clones.tags(pool, name), _LOOK_LIMIT_S, 16)
    return {(name, tag) for name, tags in results.items() if isinstance(tags, set) for tag in tags}
