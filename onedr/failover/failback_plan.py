"""VMs that come home: the site they left still has their objects, which take their disks back under their old
ids.

What was changed of them at the other site comes along. Nothing here may destroy data: a clone is only
unplugged where its RBD image is gone already, for unplugging it would delete it at both sites.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from onedr.model import names, template
from onedr.model.records import DiskRef, ImageFacts, ImageRecord, VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import mapped, scheduled_actions, vm_template
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.objects import is_shareable
from onedr.opennebula.own_marks import STAND_IN
from onedr.opennebula.vm_template import MARKS
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication.inventory import VmItem

_PLAIN = re.compile("[0-9]{1,18}")  # str.isdigit also takes what int() does not


def homes(items: Iterable[VmItem], local: Mapping[str, PeerVm]) -> dict[str, PeerVm]:
    """By origin of the item, the VM of this site that it is:
    it left from here, or it came here once and was left here, locked.
    """
    found = {}
    for item in items:
        left = local.get(item.record.origin)
        if left is not None and not _same_disks(item, left):
            left = None  # a VM that has none of these disks is another VM, whatever a record says
        came = local.get(item.origin)
        home = left if left is not None else came if came is not None and came.locked_state else None
        if home is not None:
            found[item.origin] = home
    return found


def known_here(
    items: Iterable[VmItem], local: Mapping[str, PeerVm], recovered: Mapping[str, Recovered]
) -> tuple[dict[str, PeerVm], dict[str, Recovered]]:
    """`local` and `recovered` without VMs that a run made here, that were never deployed, and were deployed
    at the other site since: their disks here were never made, so those come with a new VM.
    """
    deployed = [item for item in items if not any(disk.to_clone for disk in item.record.disks)]
    other = {
        item.origin for item in deployed
        if item.origin in local and local[item.origin].bases and not _same_disks(item, local[item.origin])
    }
    return (
        {origin: vm for origin, vm in local.items() if origin not in other},
        {origin: found for origin, found in recovered.items() if origin not in other},
    )


def _same_disks(item: VmItem, home: PeerVm) -> bool:
    """Has the VM at home one of these disks? Two that were never deployed are made from one base instead."""
    ours = {_stands_for(image) for image in item.images}  # a CDROM has another name there
    used = {image.name for image in item.images} | ours
    to_clone = any(disk.to_clone for disk in item.record.disks)
    return bool(home.images & used or (to_clone and home.bases & ours))


def _stands_for(image: ImageFacts) -> str:
    """Name, at the site where it is at home, of an image that the other site took over as a base."""
    body = image.image.body if image.image else None
    return (body.stands_for if isinstance(body, ImageRecord) else "") or image.name


def waits(item: VmItem, home: PeerVm, images: Mapping[str, ImageFacts], here: str) -> bool:
    """Has it yet to take its disks back?

    Locked, or one of them is not primary here, or it is off and has other disks.
    """
    if home.locked_state or any(name in images and not images[name].primary for name in home.images):
        return True
    changes = disks(item, home, images, here)
    return home.state == "POWEROFF" and bool(changes.plug or changes.unplug)


@dataclass(frozen=True)
class Disks:
    """What has to change of a VM's disks here:
    by RBD name here, those to plug in (as the record has them), those to unplug.
    """

    plug: Mapping[str, DiskRef]
    unplug: frozenset[str]


def disks(item: VmItem, home: PeerVm, images: Mapping[str, ImageFacts], here: str) -> Disks:
    """The disks of a VM at home against those it has at the other site."""
    there = {_name_here(disk, home, images, here): disk for disk in item.record.disks if disk.protected}
    plug = {name: disk for name, disk in there.items() if name not in home.images}
    return Disks(plug, frozenset(home.images - there.keys()))


def _name_here(disk: DiskRef, home: PeerVm, images: Mapping[str, ImageFacts], here: str) -> str:
    """Name here of a disk: of one that is a clone to be made at both sites, that of the clone at home; of a
    CDROM, the name under which it was taken over.
    """
    name = str(disk.rbd).rpartition("/")[2]
    if not disk.to_clone:
        own = _own_name(name, images, here)
        taken = sorted(mine for mine in home.images if mine in images and _stands_for(images[mine]) == own)
        return taken[0] if disk.shared and taken and own not in home.images else own
    base = _stands_for(images[name]) if name in images else name
    clones = [clone for clone in home.clones if clone.endswith(f"-{home.vm_id}-{disk.disk_id}")]
    for clone in clones:
        mine = names.base_of(clone, home.vm_id, disk.disk_id)
        if base == (_stands_for(images[mine]) if mine in images else mine):
            return clone
    return _own_name(name, images, here)


def _own_name(name: str, images: Mapping[str, ImageFacts], here: str) -> str:
    """Name here of an image that a VM there uses as it is (a CDROM),
    where the peer had taken over a base of ours.
    """
    image = images.get(name)
    if image is None or not is_ours_there(image, here):
        return name
    body = image.image.body if image.image else None
    source = body.stands_for if isinstance(body, ImageRecord) else ""
    return source or name


def obstacle(item: VmItem, home: PeerVm, images: Mapping[str, ImageFacts], here: str) -> str:
    """Why it cannot come home; empty when it can, or is there."""
    if not waits(item, home, images, here):
        return ""
    if home.state == "ACTIVE" and not home.locked_state:
        return f"VM {home.vm_id} here, which it came from, is ACTIVE; power it off"
    changes = disks(item, home, images, here)
    if not changes.plug and not changes.unplug:
        return ""
    if home.state != "POWEROFF":
        names = ", ".join(sorted({*changes.plug, *changes.unplug}))
        return (
            f"its disks were changed at the other site ({names}) and VM {home.vm_id} here is {home.state}: "
            "power it off first"
        )
    for name in sorted(changes.unplug & home.clones):
        if name in images:
            return (
                f"its disk {name} was unplugged at the other site and exists there as an image; unplugging "
                f"it from VM {home.vm_id} here would delete it. Plug it in again there, or save what you "
                "need and delete that image there"
            )
    return ""


def clones_here(local: Mapping[str, PeerVm]) -> dict[str, PeerVm]:
    """RBD names of the clones of this site's VMs, and whose they are:
    they are no images here, and go with their VM.
    """
    return {name: vm for vm in local.values() for name in vm.clones}


def clones_of_others(
    items: Iterable[VmItem], homes_: Mapping[str, PeerVm], local: Mapping[str, PeerVm]
) -> dict[str, str]:
    """By origin, VMs with a disk that is another VM's clone here:
    at the other site it was given from one to the other.
    """
    clones = clones_here(local)
    found = {}
    for item in items:
        home = homes_.get(item.origin)
        for image in item.images:
            owner = clones.get(image.name)
            if owner is not None and (home is None or owner.vm_id != home.vm_id):
                found[item.origin] = (
                    f"its disk {image.name} is the clone of VM {owner.name} ({owner.vm_id}) here and goes "
                    "with it: save it as an image of its own at the other site, and use that"
                )
    return found


def taken_back(local: Mapping[str, PeerVm], images: Iterable[ImageFacts], here: str) -> dict[str, PeerVm]:
    """By `<here>:<id>`, VMs that have all their disks back and were not started: the run that gave them those
    died.

    Once this site has recorded them as its own, no record of the peer's tells of them any more.
    """
    own = {image.name: _recorded(image, here) for image in images if image.primary}
    return {
        f"{here}:{vm.vm_id}": vm
        for vm in local.values()
        if vm.locked_state
        and not vm.locked
        and vm.state == "POWEROFF"
        and vm.images <= own.keys()
        and {own[name] for name in vm.images if own[name] is not None} == {vm.vm_id}  # a CDROM has no record
    }


def _recorded(image: ImageFacts, here: str) -> int | None:
    """Id of the VM of this site that the image's newest record is about."""
    found = image.vm
    return (
        found.body.vm_id
        if found is not None and found.fsid == here and isinstance(found.body, VmRecord)
        else None
    )


def left_behind(
    local: Mapping[str, PeerVm], items: Iterable[VmItem], there: Iterable[PeerVm], datastore: str
) -> dict[int, PeerVm]:
    """By id, VMs locked here of which the other site has nothing more: no record, and no VM there with one of
    their disks. Those without a disk in `datastore` (its name) are another datastore's.
    """
    known = {home.vm_id for home in homes(items, local).values()}
    used = {name for vm in there for name in vm.images}
    return {
        vm.vm_id: vm for vm in local.values()
        if vm.locked_state and vm.state in ("POWEROFF", "HOLD")
        and vm.vm_id not in known and not _own_images(vm) & used and _has_disk_in(vm, datastore)
    }


def _own_images(vm: PeerVm) -> frozenset[str]:
    """Without those that another VM may write to as well, while it has others."""
    shared = {
        template.get(disk, "SOURCE").rpartition("/")[2] for disk in template.vectors(vm.template, "DISK")
        if is_shareable(disk)
    }
    return (vm.images - shared) or vm.images


def _has_disk_in(vm: PeerVm, datastore: str) -> bool:
    """True also where its disks do not name theirs."""
    named = {template.get(disk, "DATASTORE") for disk in template.vectors(vm.template, "DISK")} - {""}
    return not named or datastore in named


def is_ours_there(image: ImageFacts, here: str) -> bool:
    """Is this an image that the peer made of one of ours (a base it took over)?

    It is registered here under its own name.
    """
    body = image.image.body if image.image else None
    return isinstance(body, ImageRecord) and body.origin.startswith(f"{here}:")


_OF_HERE = (*MARKS, "ERROR", "DR_MESSAGE", "SCHED_MESSAGE")
_RENAMED = "DR_ORIGIN_"  # what named hosts or clusters of here was put aside there under this


def user_attributes(own: Pairs, there: Pairs, complete: bool) -> Pairs | None:
    """The user attributes for a VM here: those of the other site, and what is of this site only. None:
    they are so.

    Not `complete` (secrets could not be read): what is missing there stays here.
    """
    put_aside = {key[len(_RENAMED):] for key, _ in there if key.startswith(_RENAMED)}

    def is_ours(key: str) -> bool:
        return key in _OF_HERE or key in put_aside or key.startswith((_RENAMED, "ONEDR_"))

    followed = tuple(pair for pair in there if not is_ours(pair[0]))
    names = {key for key, _ in followed}
    kept = tuple(
        (key, value) for key, value in own
        if (is_ours(key) or (not complete and key not in names)) and not key.startswith(STAND_IN)
    )
    wanted = (*kept, *followed)
    return None if sorted(map(repr, own)) == sorted(map(repr, wanted)) else wanted


def requirements_here(own: Pairs, there: Pairs, here: Counterparts) -> tuple[Pairs, list[str]]:
    """The user attributes of the other site with its requirements as they read here by the mapping, and the
    keys of those that cannot be mapped: for these, what the VM has here counts.
    """
    if here.mapping is None:
        return there, []
    found: list[tuple[str, str | Pairs]] = []
    unmapped = []
    for key, value in there:
        if not vm_template.names_a_place(key, value):
            found.append((key, value))
            continue
        text = mapped.requirements(key, value, here) if isinstance(value, str) else None
        mine = template.get(own, key)
        if mine and mapped.requirements_there(key, mine, here.mapping) == value:
            text = mine  # nobody changed it there: a pattern stays one
        if text is None:
            unmapped.append(key)
            found += [pair for pair in own if pair[0] == key]
        else:
            found.append((key, text))
    return tuple(found), unmapped


def scheduled(own: Pairs, there: VmRecord, vm_id: int) -> scheduled_actions.Changes:
    """What the VM here needs to have the scheduled actions of the other site. A disk is the same by its RBD
    image.
    """
    mine = disk_names(own, vm_id)
    disks = {
        str(disk.disk_id): mine[name] for disk in there.disks
        if (name := str(disk.rbd).rpartition("/")[2]) in mine
    }
    return scheduled_actions.changes(own, there.template, disks)


def disk_names(own: Pairs, vm_id: int) -> dict[str, str]:
    """DISK_ID by RBD name, of a VM here."""
    found = {}
    for disk in template.vectors(own, "DISK"):
        source, number = template.get(disk, "SOURCE").rpartition("/")[2], template.get(disk, "DISK_ID")
        if source and _PLAIN.fullmatch(number):
            clone = template.get(disk, "CLONE").upper() == "YES"
            found[names.vm_disk(source, vm_id, int(number)) if clone else source] = number
    return found


def grown(own: Pairs, there: Pairs, pairs_of: Sequence[tuple[int, int]]) -> dict[int, int]:
    """By disk id here: MiB it has at the other site, of disks that are larger there.

    `pairs_of`: (disk id here, there).
    """
    sizes_here, sizes_there = _sizes(own), _sizes(there)
    return {
        mine: sizes_there[other] for mine, other in pairs_of
        if sizes_there.get(other, 0) > sizes_here.get(mine, 0) > 0
    }


def _sizes(pairs: Pairs) -> dict[int, int]:
    found = {}
    for disk in template.vectors(pairs, "DISK"):
        number, size = template.get(disk, "DISK_ID"), template.get(disk, "SIZE")
        if _PLAIN.fullmatch(number) and _PLAIN.fullmatch(size):
            found[int(number)] = int(size)
    return found
