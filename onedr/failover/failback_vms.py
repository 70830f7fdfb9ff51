"""A VM that left from here takes its disks back:
its own object goes on, with what was changed at the other site.
"""
from __future__ import annotations

from collections.abc import Mapping

from onedr.failover import (
    failback_plan,
    not_followed,
    recreate_vms,
    register_images,
    snapshot_list_plan,
    vm_nics,
    vm_settings,
)
from onedr.failover.locked_image import unlocked_image
from onedr.failover.peer_vms import LOCKS_ALL, forget_locked_state, let_go
from onedr.failover.powered_off import image_usable, settle
from onedr.failover.snapshot_lists import SnapshotLists
from onedr.failover.target_site import Site, give
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.model.records import DiskRef, ImageFacts, ImageRecord, VmRecord
from onedr.opennebula import image_template, scheduled_actions, vm_locks, vm_template
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import attributes, number
from onedr.opennebula.mapped import Owner
from onedr.opennebula.own_marks import NO_SECRETS
from onedr.opennebula.vms import PeerVm
from onedr.replication import secrets
from onedr.replication.inventory import VmItem

_CAPACITY = ("CPU", "VCPU", "MEMORY")


def return_vm(
    site: Site, item: VmItem, home: PeerVm, starts: bool, images: Mapping[str, ImageFacts],
    lists: SnapshotLists,
) -> str:
    """Unlock it and bring it up to date: name, owner, permissions, disks and their lists of snapshots, NICs,
    settings, user attributes, capacity. Reads back.

    It stays marked as locked until it runs, or until here when it is not to run: a run that dies in between
    finds it again.
    """
    vm_id, frontend = home.vm_id, site.frontend
    if frontend.vm(vm_id).find("LOCK") is not None:
        frontend.call("vm.unlock", vm_id)
    changed = _scheduled_actions(site, item, home)
    record = recreate_vms.with_secrets(site, item)
    if frontend.vm(vm_id).findtext("NAME") != record.name:
        frontend.call("vm.rename", vm_id, record.name)
    _give(site, "vm", vm_id, record, item.origin)
    changed += _disks(site, item, home, images, lists)
    changed += vm_nics.return_nics(site, item, vm_id)
    changed += vm_settings.return_settings(site, item, record, vm_id)
    _user_attributes(site, item, record, vm_id)
    _capacity(site, record, vm_id, item.origin)
    _scheduled_actions(site, item, home)  # those of disks that were plugged in
    _note_lock(site, record, vm_id)
    for text in not_followed.of_vm(vm_settings.now(site, vm_id), record, site.counterparts):
        site.warn(item.origin, text)
    if frontend.vm(vm_id).find("LOCK") is not None:
        raise OneDRError(f"VM {vm_id} is still locked although it was unlocked; onevm unlock {vm_id}")
    done = f"VM {vm_id} has its disks back" + (f": {', '.join(changed)}" if changed else "")
    return done if starts else done + let_go(frontend, vm_id)


def _give(site: Site, kind: str, object_id: int, record: VmRecord | ImageRecord, target: str) -> None:
    """Owner, group and permissions of the other site;
    oneadmin there may stand for who is missing there: it replaces no VM.
    """
    give(site, kind, object_id, Owner(record.owner, record.group), record.permissions, target, home=True)


def release_vm(site: Site, vm_id: int, target: str) -> str:
    """A VM the other site has no more: it stays locked and is no longer waited for;
    what to do with it is the operator's.
    """
    element = site.frontend.vm(vm_id)
    names = [
        str(disk.rbd).rpartition("/")[2]
        for disk in opennebula_objects.vm_record(element, ()).disks
        if disk.rbd
    ]
    gone = [name for name in names if not site.pool.exists(name)]
    text = f"VM {vm_id} {element.findtext('NAME')} stays locked: the other site has it no more"
    text += f", and its disk {', '.join(gone)} neither" if gone else ""
    site.warn(target, f"{text}. onevm unlock {vm_id}, then terminate it, or resume it as it was left there")
    if element.find("LOCK") is not None:
        site.frontend.call("vm.unlock", vm_id)  # a locked VM takes no attributes, not even from oneadmin
    forget_locked_state(site.frontend, vm_id)
    site.frontend.call("vm.lock", vm_id, LOCKS_ALL, False)
    if site.frontend.vm(vm_id).find("LOCK") is None:
        raise OneDRError(
            f"VM {vm_id} is not locked again although it was asked for; do not start it: onevm lock {vm_id} "
            "--all"
        )
    return f"VM {vm_id} stays locked"


def _disks(
    site: Site, item: VmItem, home: PeerVm, images: Mapping[str, ImageFacts], lists: SnapshotLists
) -> list[str]:
    """Unplug and plug in what differs, list the snapshots there are,
    grow what is larger there. Returns what was done.
    """
    changes = failback_plan.disks(item, home, images, site.here)
    vm_id, frontend = home.vm_id, site.frontend
    for name in sorted(changes.unplug):
        mine = _by_name(site, vm_id)
        if name not in mine:
            continue  # by a run before
        if mine[name].clone and site.pool.exists(name):
            raise OneDRError(
                f"disk {name} of VM {vm_id} is not unplugged: that would delete it, and it exists at the "
                "other site"
            )
        frontend.call("vm.detach", vm_id, mine[name].disk_id)
        settle(frontend, vm_id)
    for name, disk in sorted(changes.plug.items(), key=lambda pair: pair[1].disk_id):
        if name not in _by_name(site, vm_id):
            _plug(site, item, vm_id, name, disk)
    if set(_by_name(site, vm_id)) != (home.images - changes.unplug) | set(changes.plug):
        raise OneDRError(
            f"VM {vm_id} has disks {', '.join(sorted(_by_name(site, vm_id)))}, not those of the other site"
        )
    return [
        *(f"{name} unplugged" for name in sorted(changes.unplug)),
        *(f"{name} plugged in" for name in sorted(changes.plug)),
        *_snapshots(site, item, vm_id, lists),
        *_grow(site, item, vm_id),
    ]


def _snapshots(site: Site, item: VmItem, vm_id: int, lists: SnapshotLists) -> list[str]:
    """Before its disks grow: a revert makes oned believe that a disk shrank."""
    there = {str(disk.rbd).rpartition("/")[2]: disk.disk_id for disk in item.record.disks}
    done = []
    for name, disk in _by_name(site, vm_id).items():
        if disk.shared or name not in there:
            continue
        recorded = snapshot_list_plan.of_disk(item.record.snapshots, there[name])
        if lists.list_disk(vm_id, disk.disk_id, name, recorded, item.origin):
            done.append(f"the snapshots of {name} are listed")
    return done


def _by_name(site: Site, vm_id: int) -> dict[str, DiskRef]:
    """Disks a VM here has in the pool, by RBD name."""
    disks = opennebula_objects.vm_record(site.frontend.vm(vm_id), ()).disks
    return {
        str(disk.rbd).rpartition("/")[2]: disk
        for disk in disks
        if (disk.rbd or "").startswith(f"{site.pool.access.pool}/")
    }


def _plug(site: Site, item: VmItem, vm_id: int, name: str, disk: DiskRef) -> None:
    image_id = site.images.get(name)
    if image_id is None:
        raise OneDRError(f"its disk {name}, plugged in at the other site, is no image here yet; repeat")
    image_usable(site.frontend, image_id, disk.shared)
    pairs = next(
        (found for found in template.vectors(item.record.template, "DISK")
         if template.get(found, "DISK_ID", "0") == str(disk.disk_id)), ())
    taken = {template.get(found, "TARGET") for key in ("DISK", "CONTEXT")
             for found in template.vectors(attributes(site.frontend.vm(vm_id)), key)}
    kept = vm_template.disk_settings(pairs)
    if template.get(kept, "TARGET") in taken:
        kept = template.without(kept, "TARGET")
    disk_of = template.to_xml((("DISK", (("IMAGE_ID", str(image_id)), *kept)),))
    with unlocked_image(site.frontend, image_id):
        site.frontend.call("vm.attach", vm_id, disk_of)
    settle(site.frontend, vm_id)
    if name not in _by_name(site, vm_id):
        raise OneDRError(
            f"VM {vm_id} has not got disk {name} (image {image_id}) although it was plugged in; onevm show "
            f"{vm_id}"
        )


def _grow(site: Site, item: VmItem, vm_id: int) -> list[str]:
    """oned's own idea of the size of disks that grew at the other site;
    their RBD images are as large already.
    """
    own = attributes(site.frontend.vm(vm_id))
    there = {str(disk.rbd).rpartition("/")[2]: disk.disk_id for disk in item.record.disks}
    pairs = [(disk.disk_id, there[name]) for name, disk in _by_name(site, vm_id).items() if name in there]
    done = []
    for disk_id, size in failback_plan.grown(own, item.record.template, pairs).items():
        site.frontend.call("vm.diskresize", vm_id, disk_id, str(size))
        settle(site.frontend, vm_id)
        done.append(f"disk {disk_id} has {size} MiB")
    return done


def _user_attributes(site: Site, item: VmItem, record: VmRecord, vm_id: int) -> None:
    """As they are at the other site, what was taken off there too;
    what could not be read is left as it is here.
    """
    complete = not any(template.get(record.user_template, key) for key in (secrets.WITHHELD, NO_SECRETS))
    own = attributes(site.frontend.vm(vm_id), "USER_TEMPLATE")
    there, unmapped = failback_plan.requirements_here(own, record.user_template, site.counterparts)
    for key in unmapped:
        site.warn(item.origin, f"{key} names objects of the other site: VM {vm_id} keeps its own")
    wanted = failback_plan.user_attributes(own, there, complete)
    if wanted is not None:
        site.frontend.replace_vm(vm_id, wanted)


def _scheduled_actions(site: Site, item: VmItem, home: PeerVm) -> list[str]:
    """First of all: one that is due, and was taken off or carried out at the other site, is carried out here
    within oned's next turn once the VM is unlocked.
    """
    vm_id = home.vm_id

    def wanted() -> scheduled_actions.Changes:
        own = attributes(site.frontend.vm(vm_id))
        return failback_plan.scheduled(own, item.record, home.vm_id)

    found = wanted()
    for number_here in found.delete:
        site.frontend.call("vm.scheddelete", vm_id, number_here)
    for action in found.add:
        site.frontend.call("vm.schedadd", vm_id, template.to_xml((("SCHED_ACTION", action),)))
    if (found.delete or found.add) and ((left := wanted()).delete or left.add):
        raise OneDRError(
            f"VM {vm_id} has not the scheduled actions it had at the other site although they were changed; "
            f"onevm show {vm_id}"
        )
    return ["its scheduled actions"] if found.delete or found.add else []


def _note_lock(site: Site, record: VmRecord, vm_id: int) -> None:
    """The user's lock as it is at the other site; records of earlier releases do not say."""
    wanted = vm_locks.recorded(record.template)
    own = attributes(site.frontend.vm(vm_id), "USER_TEMPLATE")
    if wanted is not None and wanted != vm_locks.user_lock(own):
        site.frontend.update_vm(vm_id, ((vm_locks.USER_LOCK, str(wanted) if wanted else ""),))


def _capacity(site: Site, record: VmRecord, vm_id: int, origin: str) -> None:
    """Reads back."""
    vm = site.frontend.vm(vm_id)
    own = attributes(vm)
    wanted = tuple(
        (key, template.get(record.template, key)) for key in _CAPACITY if template.get(record.template, key)
    )
    if all(template.get(own, key) == value for key, value in wanted):
        return
    if opennebula_objects.vm_state(vm) not in ("POWEROFF", "UNDEPLOYED"):
        state = opennebula_objects.vm_state(vm)
        site.warn(
            origin, f"its capacity was changed at the other site; VM {vm_id} keeps its own, for it is {state}"
        )
        return
    site.frontend.call("vm.resize", vm_id, template.to_xml(wanted), False)
    own = attributes(site.frontend.vm(vm_id))
    left = [key for key, value in wanted if template.get(own, key) != value]
    if left:
        site.warn(origin, f"{', '.join(left)} of VM {vm_id} did not become what it was at the other site")


def follow_images(site: Site, images: Mapping[str, ImageFacts], lists: SnapshotLists) -> None:
    """Images of this site that were changed or deleted at the other: the changed ones follow, the deleted
    ones are named and disabled. What cannot be followed is a warning of that image: its data is here.
    """
    for name, fact in images.items():
        record = fact.image
        if (
            record is None
            or record.fsid == site.here
            or not isinstance(record.body, ImageRecord)
            or name not in site.images
        ):
            continue
        try:
            with unlocked_image(site.frontend, site.images[name]):
                _follow(site, name, site.images[name], record.body, lists)
        except OneDRError as error:
            site.warn(
                name, f"image {site.images[name]} does not follow what was changed at the other site: {error}"
            )
    existing = set(site.pool.names())
    for image in site.frontend.images():
        pool, _, name = (image.findtext("SOURCE") or "").partition("/")
        ours = image.findtext("DATASTORE_ID") == str(site.datastore_id) and pool == site.pool.access.pool
        if not ours or name in existing or opennebula_objects.image_state(image) not in ("READY", "DISABLED"):
            continue
        image_id = number(image, "ID")
        text = f"image {image_id} {image.findtext('NAME')} was deleted at the other site, {name} is gone"
        site.warn(name, f"{text}: it is disabled here; oneimage delete {image_id}")
        if opennebula_objects.image_state(image) == "READY":
            with unlocked_image(site.frontend, image_id):
                site.frontend.call("image.enable", image_id, False)


def _follow(site: Site, name: str, image_id: int, record: ImageRecord, lists: SnapshotLists) -> None:
    image = site.frontend.image(image_id)
    own = attributes(image)
    was = image.findtext("NAME") or ""
    # There it may have got our site's name behind it, for its own was taken (register).
    if was != record.name and not record.name.startswith(f"{was}-{site.settings.site or site.here[:8]}"):
        site.frontend.call("image.rename", image_id, record.name)
    _give(site, "image", image_id, record, name)
    changed = image_template.portable_image(record.template)
    missing = tuple(pair for pair in changed if pair not in own)
    if missing:
        site.frontend.update_image(image_id, missing)
    if record.persistent and opennebula_objects.image_state(image) == "READY":
        lists.list_image(image_id, name, snapshot_list_plan.read_list(record.snapshots))
    _follow_state(site, name, image_id, image_template.is_disabled(record.template))


def _follow_state(site: Site, name: str, image_id: int, disabled: bool) -> None:
    """One that was disabled there is here too; one that is disabled here stays so, and is named."""
    here = opennebula_objects.image_state(site.frontend.image(image_id))
    if disabled and here == "READY":
        register_images.disable(site, image_id)
    elif here == "DISABLED" and not disabled:
        text = f"image {image_id} is disabled here and not at the other site"
        site.warn(name, f"{text}: oneimage enable {image_id}")
