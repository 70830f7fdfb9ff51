"""VMs that come home: the site they left still has their objects, which take their disks back under their old ids (P45)."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from onedr import template
from onedr.model import ImageFacts, ImageRecord
from onedr.policy.inventory import VmItem
from onedr.policy.plan import PeerVm
from onedr.policy.vm_template import ORIGIN


def homes(items: Iterable[VmItem], local: Mapping[str, PeerVm]) -> dict[str, PeerVm]:
    """By origin of the item, the VM of this site that it is: it left from here, or it came here once and was left here, held."""
    found = {}
    for item in items:
        left = local.get(template.get(item.record.user_template, ORIGIN))
        came = local.get(item.origin)
        home = left if left is not None else came if came is not None and came.held else None
        if home is not None:
            found[item.origin] = home
    return found


def waits(home: PeerVm, images: Mapping[str, ImageFacts]) -> bool:
    """Has it yet to take its disks back? Held, or one of them is not primary here."""
    return bool(home.held) or any(name in images and not images[name].primary for name in home.images)


def obstacle(item: VmItem, home: PeerVm) -> str:
    """Why it cannot come home as it is; empty when it can."""
    disks = {str(disk.rbd).rpartition("/")[2] for disk in item.record.disks if disk.protected}
    if disks != home.images:
        differ = ", ".join(sorted(disks ^ home.images))
        return (
            f"VM {home.vm_id} here, which it came from, has other disks ({differ}): they were attached or detached at the other "
            f"site. Make them alike there, then repeat"
        )
    if home.state == "ACTIVE" and not home.held:
        return f"VM {home.vm_id} here, which it came from, is ACTIVE; power it off"
    return ""


def is_ours_there(image: ImageFacts, here: str) -> bool:
    """Is this an image that the peer made of one of ours (a base it took over)? It is registered here under its own name."""
    body = image.image.body if image.image else None
    return isinstance(body, ImageRecord) and template.get(body.template, ORIGIN).startswith(f"{here}:")
