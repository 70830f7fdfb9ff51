"""The front-end steps of a failover: register images, recreate VMs, start them; each reads back what it promised."""
from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from onedr import template
from onedr.errors import FrontEndError, OneDRError
from onedr.model import MIB, ImageFacts, ImageRecord, Settings, VmRecord
from onedr.policy import definition, secrets, vm_template
from onedr.policy.failover import Recovered
from onedr.policy.inventory import VmItem
from onedr.policy.vm_template import Network
from onedr.ports import seal
from onedr.ports.frontend import FrontEnd, attributes, number
from onedr.ports.places import places

_RUNNING = ("ACTIVE", 3)
_FAILURES = {14: "FAILURE", 36: "BOOT_FAILURE", 39: "PROLOG_FAILURE"}
_PAUSE_S = 0.3
_MAX_NAME = 128


@dataclass
class Site:
    """The front-end here, as far as recreating needs it: read once per run."""

    frontend: FrontEnd
    datastore_id: int
    pool: str
    settings: Settings
    users: Mapping[str, int]
    groups: Mapping[str, int]
    networks: Mapping[str, Network]
    images: dict[str, int] = field(default_factory=dict)  # OpenNebula image id by RBD name
    half_images: set[str] = field(default_factory=set)  # registered by a run that was interrupted
    half_vms: dict[str, int] = field(default_factory=dict)  # likewise, VM id by origin
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def warn(self, target: str, text: str) -> None:
        """Note something the operator should know about a target."""
        self.warnings.setdefault(target, []).append(text)


def survey(frontend: FrontEnd, datastore_id: int, pool: str, settings: Settings) -> Site:
    """Read users, groups, networks and registered images."""
    networks = {str(found.findtext("NAME")): _network(found) for found in frontend.networks()}
    site = Site(frontend, datastore_id, pool, settings, frontend.users(), frontend.groups(), networks)
    for image in frontend.images():
        source = image.findtext("SOURCE") or ""
        if source.startswith(f"{pool}/"):
            name = source.partition("/")[2]
            site.images[name] = number(image, "ID")
            if _half_made(attributes(image)):
                site.half_images.add(name)
    return site


def _half_made(pairs: template.Pairs) -> bool:
    return bool(template.get(pairs, vm_template.ORIGIN)) and template.get(pairs, vm_template.FINISHED) != "YES"


def _network(element: etree._Element) -> Network:
    ranges = tuple(
        (str(found.findtext("IP")), number(found, "SIZE")) for found in element.iterfind("AR_POOL/AR") if found.findtext("IP")
    )
    return Network(number(element, "ID"), str(element.findtext("NAME")), ranges)


def recovered(frontend: FrontEnd) -> dict[str, Recovered]:
    """VMs of this site that carry DR_ORIGIN, by origin."""
    found = {}
    for vm in frontend.vms():
        user = attributes(vm, "USER_TEMPLATE")
        origin = template.get(user, vm_template.ORIGIN)
        if origin:
            pending = template.get(user, vm_template.START_PENDING) == "YES"
            found[origin] = Recovered(number(vm, "ID"), definition.vm_state(vm), pending, not _half_made(user))
    return found


def register(site: Site, image: ImageFacts, owner: VmItem | None) -> str:
    """Register a promoted RBD image. Its own record says what it was; a VM's clone becomes a persistent image of its own."""
    size_mib = -(-image.size // MIB)
    source = f"{site.pool}/{image.name}"
    if image.image is not None and isinstance(image.image.body, ImageRecord):
        record, origin = image.image.body, f"{image.image.fsid}:{image.image.body.image_id}"
        description = vm_template.image_description(
            record.name, vm_template.image_type(record.type), record.persistent, source, size_mib, record.template, origin
        )
        image_id = _allocate(site, image.name, description, image.image.site)
        _give(site, "image", image_id, record.owner, record.group, record.permissions, image.name)
    else:
        if owner is None:
            raise OneDRError(f"no record says what {image.name} is")
        disk = next(disk for disk in owner.record.disks if (disk.rbd or "").endswith(f"/{image.name}"))
        name = f"{owner.record.name}-disk-{disk.disk_id}"[:_MAX_NAME]
        kind = "OS" if disk.disk_id == 0 else "DATABLOCK"
        description = vm_template.image_description(name, kind, True, source, size_mib, (), owner.origin)
        image_id = _allocate(site, image.name, description, owner.envelope.site)
        _give(site, "image", image_id, owner.record.owner, owner.record.group, owner.record.permissions, image.name)
    site.frontend.update_image(image_id, ((vm_template.FINISHED, "YES"),))
    site.images[image.name] = image_id
    return f"image {image_id}"


def _allocate(site: Site, rbd_name: str, description: template.Pairs, origin_site: str) -> int:
    """Register, or go on with what an interrupted run registered. A name that is taken gets the site's name behind it."""
    if rbd_name in site.images:
        return site.images[rbd_name]
    name = template.get(description, "NAME")
    tries = [name, f"{name}-{origin_site}"[:_MAX_NAME], *(f"{name}-{origin_site}-{n}"[:_MAX_NAME] for n in range(2, 10))]
    for candidate in tries:
        try:
            image_id = site.frontend.allocate_image((("NAME", candidate), *description[1:]), site.datastore_id)
        except FrontEndError as error:
            if "NAME is already taken" not in str(error):
                raise
            continue
        if candidate != name:
            site.warn(rbd_name, f"image name {name} was taken, it is {candidate} here")
        return image_id
    raise OneDRError(f"no free name like {name!r} for the image; rename one of yours")


def _give(site: Site, kind: str, object_id: int, owner: str, group: str, permissions: str, target: str) -> None:
    """Owner, group and permissions as recorded; what this site does not have stays with oneadmin, with a warning."""
    user_id, group_id = site.users.get(owner), site.groups.get(group)
    if user_id is None:
        site.warn(target, f"there is no user {owner!r} here: {kind} {object_id} belongs to oneadmin")
    if group_id is None:
        site.warn(target, f"there is no group {group!r} here: {kind} {object_id} is in group oneadmin")
    site.frontend.call(f"{kind}.chown", object_id, 0 if user_id is None else user_id, 0 if group_id is None else group_id)
    site.frontend.call(f"{kind}.chmod", object_id, *(int(bit) for bit in permissions))


def create(site: Site, item: VmItem, start: bool) -> str:
    """Recreate a VM on hold, with its owner and permissions. Reads back its origin."""
    record = _with_secrets(site, item)
    image_ids = {
        disk.disk_id: site.images[str(disk.rbd).rpartition("/")[2]]
        for disk in record.disks if disk.protected and str(disk.rbd).rpartition("/")[2] in site.images
    }
    built = vm_template.recreate(
        record, item.origin, item.envelope.site, image_ids, site.networks, dict(site.settings.network_map), start
    )
    for warning in (*built.warnings, *item.warnings):
        site.warn(item.origin, warning)
    vm_id = site.half_vms.get(item.origin)
    if vm_id is None:
        vm_id = site.frontend.allocate_vm(built.template)
    _give(site, "vm", vm_id, record.owner, record.group, record.permissions, item.origin)
    found = attributes(site.frontend.vm(vm_id), "USER_TEMPLATE")
    if template.get(found, vm_template.ORIGIN) != item.origin:
        raise OneDRError(f"VM {vm_id} was created but does not carry its origin {item.origin}")
    site.frontend.update_vm(vm_id, ((vm_template.FINISHED, "YES"),))
    return f"VM {vm_id}"


def _with_secrets(site: Site, item: VmItem) -> VmRecord:
    key = seal.load_key(places().record_key)
    parts = {}
    for part in ("template", "user_template"):
        pairs = getattr(item.record, part)
        sealed, withheld = template.get(pairs, "ONEDR_SEALED"), template.get(pairs, "ONEDR_WITHHELD")
        clean = template.without(pairs, "ONEDR_SEALED", "ONEDR_WITHHELD")
        if withheld:
            site.warn(item.origin, f"secrets were not recorded, the peer has no record key: {withheld}")
        if sealed and key is None:
            site.warn(item.origin, f"secrets cannot be opened: there is no record key at {places().record_key}")
        parts[part] = secrets.join(clean, seal.unseal(key, sealed)) if sealed and key else clean
    return VmRecord(**{**item.record.__dict__, **parts})


def start(site: Site, vm_id: int, limit_s: float) -> str:
    """Release a VM from hold and wait until it runs. Raises OneDRError that says where it stands when it does not."""
    vm = site.frontend.vm(vm_id)
    if definition.vm_state(vm) == "HOLD":
        site.frontend.call("vm.action", "release", vm_id)
    site.frontend.update_vm(vm_id, ((vm_template.START_PENDING, "NO"),))
    end = time.monotonic() + limit_s
    while True:
        vm = site.frontend.vm(vm_id)
        state, lcm = definition.vm_state(vm), number(vm, "LCM_STATE")
        if (state, lcm) == _RUNNING:
            return f"VM {vm_id} runs on {vm.findtext('HISTORY_RECORDS/HISTORY[last()]/HOSTNAME')}"
        reason = template.get(attributes(vm, "USER_TEMPLATE"), "ERROR") or template.get(
            attributes(vm, "USER_TEMPLATE"), "SCHED_MESSAGE")
        if lcm in _FAILURES or state in ("DONE", "FAILED"):
            raise OneDRError(f"VM {vm_id} did not start: {_FAILURES.get(lcm, state)} {reason}; onevm show {vm_id}")
        if time.monotonic() > end:
            raise OneDRError(f"VM {vm_id} is still {state} after {limit_s:g} s; is a host free? {reason} onevm show {vm_id}")
        time.sleep(_PAUSE_S)
