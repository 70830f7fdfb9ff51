"""A disk taken back to a point in time, and to its newer state again (docs/points.md).

What is newer is preserved first, as a thin clone `onedr-kept-<image>-newer-<point>-<promotion epoch>`, until
`onedr failover --commit` or `--undo`.
"""
from __future__ import annotations

from contextlib import suppress

import rbd

from onedr.ceph import image_use, mirroring, rewind
from onedr.ceph.connection import Pool
from onedr.model.errors import RefusedError, StorageError
from onedr.replication import epoch, preserved_copies
from onedr.replication.preserved_copies import PreservedCopy
from onedr.replication.vm_points import VmPoint

_SHORT_S = 1
_NEVER = 253402300799.0  # end of the year 9999: commit or undo ends it, no clock does


def take_back(pool: Pool, name: str, point: VmPoint, vm: str, site: str, now: float) -> str:
    """Give a primary the content of its point. Repeated, it does what is missing.

    `vm`, `site`: whose disk it is, for people; `now`: epoch seconds. Raises OneDRError, rbd.Error.
    """
    image_use.wait_until_no_writer(pool, name)
    with pool.image(name, read_only=True) as image:
        term = epoch.epoch_in(dict(image.metadata_list()), mirroring.global_id(image))
    kept = f"{preserved_copies.PREFIX}{name}-newer-{point.name}-{term.number if term else 0}"
    _keep(pool, name, PreservedCopy(kept, name, vm, site, now, _NEVER, None, point=point.snapshot))
    compared = rewind.write_back(pool, name, point.snapshot, name)
    return f"as of {point.name}, {compared >> 20} MiB compared; what is newer is kept as {kept}"


def _keep(pool: Pool, name: str, wanted: PreservedCopy) -> None:
    """A copy that is there is of before the first byte was written back."""
    if preserved_copies.copies_of(pool, wanted.name) is not None:
        return
    snapshot = wanted.name
    with suppress(rbd.ImageExists), pool.image(name) as image:
        image.create_snap(snapshot)  # it exists where a run was killed before it had the copy
    preserved_copies.preserve(pool, wanted, snapshot)
    with pool.image(name) as image:
        image.remove_snap(snapshot)  # it stays for its clone, and no list shows it


def newer_states(pool: Pool, names: set[str]) -> list[PreservedCopy]:
    """What is kept of these images since they were taken back. Raises rbd.Error."""
    return [each for each in preserved_copies.all_copies(pool) if each.point and each.image in names]


def bring_forward(pool: Pool, kept: PreservedCopy) -> str:
    """Give an image its newer state again, and remove the copy of it. Raises OneDRError, rbd.Error."""
    image_use.wait_until_no_writer(pool, kept.image)
    rewind.copy_over(pool, kept.name, kept.image)
    return release(pool, kept)


def release(pool: Pool, kept: PreservedCopy) -> str:
    """Remove the copy of an image's newer state. Raises OneDRError, rbd.Error."""
    preserved_copies.remove_copy(pool, kept.name)
    return f"{kept.name} is removed"


def refuse_while_used(pool: Pool, kept: list[PreservedCopy]) -> None:
    """Raise RefusedError that names the images that a client has open: their VMs must be off."""
    used = []
    for each in kept:
        try:
            image_use.wait_until_unused(pool, each.image, _SHORT_S)
        except StorageError:
            used.append(f"{each.image} (disk of VM {each.vm})")
    if used:
        raise RefusedError(
            f"In use: {', '.join(used)}. Power the VMs off first (onevm poweroff); nothing was changed."
        )
