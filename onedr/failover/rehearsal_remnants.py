"""What a rehearsal made at this site, removed: by the turn itself, by the next one when it was killed, and by
a run that needs the addresses.

An object is a rehearsal's when it carries the token of a turn that the pool knows. It is removed when it has
no data: its disks are stand-ins without an RBD image. Anything else stays.
"""
from __future__ import annotations

from collections.abc import Callable, Collection

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
_HAS_DATA = "it carries a rehearsal's token, and data that is not a rehearsal's; look at it, and remove it"
_THREADS = 8


def remove(pool: Pool, datastore_id: int, frontend: FrontEnd, token: str = "") -> dict[str, str]:
    """Remove all that turns of this datastore made, and of the turn of `token`. Returns what stays, and why.

    The notes in the pool stay: `settle` drops them. Raises FrontEndError, rados.Error.
    """
    tokens, name = rehearsals.made(pool, datastore_id).tokens | ({token} - {""}), pool.access.pool
    if not tokens:
        return {}
    found = [vm for vm in frontend.vms() if is_of(vm, tokens)]
    left = _each(found, name, lambda vm_id: removal.terminate(frontend, vm_id, _LIMIT_S))
    # after the VMs, which hold them
    found = [image for image in frontend.images() if is_of(image, tokens)]
    return {**left, **_each(found, name, lambda image_id: removal.delete_image(frontend, image_id, _LIMIT_S))}


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


def _each(found: list[etree._Element], pool: str, action: Callable[[int], str]) -> dict[str, str]:
    """Remove those that hold no data. Returns what stays, and why."""
    whole = [element for element in found if not has_data(element, pool)]
    ended = parallel.each([number(each, "ID") for each in whole], action, _LIMIT_S + 10, _THREADS)
    left = {_called(each): _HAS_DATA for each in found if each not in whole}
    for each in whole:
        why = ended[number(each, "ID")]
        if isinstance(why, OneDRError):
            left[_called(each)] = str(why)
    return left


def _called(element: etree._Element) -> str:
    return f"{'image' if element.tag == 'IMAGE' else 'VM'} {element.findtext('ID')}"


def _token(element: etree._Element) -> str:
    part = "TEMPLATE" if element.tag == "IMAGE" else "USER_TEMPLATE"
    return template.get(attributes(element, part), REHEARSAL)


def is_of(element: etree._Element, tokens: Collection[str]) -> bool:
    """Did a turn with one of these tokens make it? Its owner may have renamed it meanwhile."""
    return _token(element) in tokens


def has_data(element: etree._Element, pool: str) -> bool:
    """Has it anything but stand-ins of its turn? Then it is not removed."""
    image = element.tag == "IMAGE"
    places = [element] if image else element.findall("TEMPLATE/DISK")
    sources = [place.findtext("SOURCE") or "" for place in places]
    own = f"{pool}/{names.stand_in(_token(element), '')}"
    return any(not source.startswith(own) for source in sources if source or image)
