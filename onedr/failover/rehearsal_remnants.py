"""What a rehearsal made at this site, removed: by the turn itself, by the next one when it was killed, and by
a run that needs the addresses.

An object is a rehearsal's when it carries the token of a turn that the pool knows, a rehearsal's name, and no
data: its disks are stand-ins without an RBD image. Anything else stays.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from lxml import etree

from onedr.ceph import parallel
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model import names, template
from onedr.model.errors import OneDRError
from onedr.opennebula import removal
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.vm_template import REHEARSAL
from onedr.replication import rehearsals

_LIMIT_S = 90
_THREADS = 8


def remove(pool: Pool, datastore_id: int, frontend: FrontEnd, token: str = "") -> dict[str, str]:
    """Remove all that turns of this datastore made, and of the turn of `token`. Returns what stays, and why.

    The notes in the pool stay: `settle` drops them. Raises FrontEndError, rados.Error.
    """
    tokens = rehearsals.made(pool, datastore_id).tokens | ({token} - {""})
    if not tokens:
        return {}
    left: dict[str, str] = {}
    vms = [number(vm, "ID") for vm in frontend.vms() if _is_ours(vm, tokens, pool.access.pool)]
    left.update(_each("VM", vms, lambda vm: removal.terminate(frontend, vm, _LIMIT_S)))
    # after the VMs, which hold them
    images = [number(image, "ID") for image in frontend.images() if _is_ours(image, tokens, pool.access.pool)]
    left.update(_each("image", images, lambda image: removal.delete_image(frontend, image, _LIMIT_S)))
    return left


def settle(pool: Pool, datastore_id: int, frontend: FrontEnd, token: str = "") -> dict[str, str]:
    """The same by whoever holds the rehearsal's lock: nothing is being made, so the notes go too."""
    known = rehearsals.made(pool, datastore_id)
    left = remove(pool, datastore_id, frontend, token)
    if not left:
        rehearsals.clear(pool, datastore_id, known)
    return left


def give_way(pool: Pool, datastore_id: int, frontend: FrontEnd) -> None:
    """A run takes the addresses of a rehearsal that is under way, or was killed.

    What stays is named in the log; oned names it to whoever is refused for it.
    """
    for what, why in remove(pool, datastore_id, frontend).items():
        log.warning(f"the rehearsal's {what} stays: {why}")


def _each(kind: str, numbers: Iterable[int], action: Callable[[int], str]) -> dict[str, str]:
    found = parallel.each(numbers, action, _LIMIT_S + 10, _THREADS)
    return {f"{kind} {each}": str(why) for each, why in found.items() if isinstance(why, OneDRError)}


def _is_ours(element: etree._Element, tokens: Collection[str], pool: str) -> bool:
    image = element.tag == "IMAGE"
    token = template.get(attributes(element, "TEMPLATE" if image else "USER_TEMPLATE"), REHEARSAL)
    places = [element] if image else element.findall("TEMPLATE/DISK")
    sources = {place.findtext("SOURCE") or "" for place in places} - ({""} if not image else set())
    return (
        token in tokens
        and (element.findtext("NAME") or "").startswith(names.REHEARSAL)
        and all(source.startswith(f"{pool}/{names.stand_in(token, '')}") for source in sources)
    )
