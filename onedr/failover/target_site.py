"""The front-end here, as far as a failover needs it:
users, groups, networks, what is registered and recovered already.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lxml import etree

from onedr.ceph.connection import Pool
from onedr.failover import adopt_marks, peer_vms, placement
from onedr.failover.host_choice import Host
from onedr.failover.placement import Placement
from onedr.model import template
from onedr.model.site_map import Direction
from onedr.model.types import Settings
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, attributes, ids_by_name, number
from onedr.opennebula.mapped import Owner, name_owner
from onedr.opennebula.nics import ADMINS, Counterparts, Network, Owned, Range, every_network
from onedr.opennebula.quotas import Quotas, read_quotas
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication import ledger, rehearsals
from onedr.replication.inventory import VmItem
from onedr.replication.ledger import Ledger


@dataclass
class Site:
    """The front-end here, as far as recreating needs it: read once per run."""

    frontend: FrontEnd
    datastore_id: int
    pool: Pool
    here: str  # this cluster's id
    settings: Settings
    users: Mapping[str, int]
    groups: Mapping[str, int]
    counterparts: Counterparts
    images: dict[str, int] = field(default_factory=dict)  # OpenNebula image id by RBD name
    half_images: set[str] = field(default_factory=set)  # registered by a run that was interrupted
    half_vms: dict[str, int] = field(default_factory=dict)  # likewise, VM id by origin
    ledger: Ledger = field(default_factory=lambda: Ledger({}, {}, {}))
    quotas: Quotas = field(default_factory=Quotas)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def warn(self, target: str, text: str) -> None:
        """Note something the operator should know about a target."""
        told = self.warnings.setdefault(target, [])
        if text not in told:
            told.append(text)


def survey(
    frontend: FrontEnd, datastore_id: int, pool: Pool, settings: Settings, mapping: Direction | None = None
) -> Site:
    """Read users, groups, quotas, networks and registered images. `mapping`: the file in force."""
    users, groups = frontend.user_pool(), frontend.group_pool()
    site = Site(
        frontend, datastore_id, pool, pool.fsid(), settings, ids_by_name(users.iterfind("USER")),
        ids_by_name(groups.iterfind("GROUP")), counterparts(frontend, settings, mapping),
        quotas=read_quotas(users, groups),
    )
    adopt_marks.adopt(pool, frontend, settings.site_index)
    site.ledger = ledger.read_ledger(pool)
    for image in frontend.images():
        where, _, name = (image.findtext("SOURCE") or "").partition("/")
        if where != pool.access.pool:
            continue
        image_id = number(image, "ID")
        entry = site.ledger.image(image_id, name)
        begun = site.ledger.begun(template.get(attributes(image), ledger.TOKEN)) if entry is None else None
        if begun is not None:  # by a run that died before it could note it
            origin, _, stands_for = begun.partition(" ")
            entry = ledger.Entry(origin, (name,), stands_for=stands_for)
            ledger.note(pool, "image", image_id, entry)
        # A base image stands under a local clone's name here; it is looked for under its own too.
        names = {name, entry.stands_for if entry else ""} - {""}
        site.images.update(dict.fromkeys(names, image_id))
        if entry is not None and not entry.finished:
            site.half_images |= names
    return site


def counterparts(frontend: FrontEnd, settings: Settings, mapping: Direction | None = None) -> Counterparts:
    """Networks, security groups, VM groups and file images of this site, by name."""
    networks: dict[str, Network] = {}
    every = [network(element) for element in frontend.networks()]
    # of one name the admins' first: users may give their reservations any
    for found in sorted(every, key=lambda each: (ADMINS not in (each.owner, each.group), each.network_id)):
        first = networks.get(found.name)
        networks[found.name] = replace(first, twins=(*first.twins, found)) if first else found
    files = [image for image in frontend.images() if image.findtext("TYPE") in _FILE_TYPES]
    return Counterparts(
        networks, dict(settings.network_map), _owned(frontend.security_groups()),
        dict(settings.security_group_map), _owned(frontend.vm_groups()), _owned(files), mapping,
        places(frontend) if mapping is not None else {},
    )


def places(frontend: FrontEnd) -> dict[str, dict[str, int]]:
    """Ids by name of what requirements of a VM can name: clusters, hosts, system datastores."""
    system = [each for each in frontend.datastores() if each.findtext("TYPE") == _SYSTEM_DATASTORE]
    return {
        "clusters": ids_by_name(frontend.clusters()), "hosts": ids_by_name(frontend.hosts()),
        "system_datastores": ids_by_name(system),
    }


def _owned(elements: Iterable[etree._Element]) -> dict[str, tuple[Owned, ...]]:
    found: dict[str, tuple[Owned, ...]] = {}
    for element in elements:
        roles = tuple(str(role.text) for role in element.iterfind("ROLES/ROLE/NAME"))
        owner, group = (element.findtext(key) or "" for key in ("UNAME", "GNAME"))
        each = Owned(number(element, "ID"), owner, roles, group)
        name = element.findtext("NAME") or ""
        found[name] = (*found.get(name, ()), each)
    return found


def network(element: etree._Element) -> Network:
    """A `<VNET>` with its ranges and what it says of its NICs."""
    ranges = tuple(
        Range(
            part.findtext("IP") or "",
            part.findtext("MAC") or "",
            number(part, "SIZE"),
            part.findtext("IP6") or "",
            {key: text for key, tag in _PREFIXES.items() if (text := part.findtext(tag))},
        )
        for part in element.iterfind("AR_POOL/AR")
    )
    said = {key: value for key, value in attributes(element) if isinstance(value, str)}
    return Network(
        number(element, "ID"), str(element.findtext("NAME")), ranges, element.findtext("UNAME") or "",
        element.findtext("GNAME") or "", said, clusters=_clusters(element),
    )


_PREFIXES = {"IP6_GLOBAL": "GLOBAL_PREFIX", "IP6_ULA": "ULA_PREFIX"}


def _clusters(element: etree._Element) -> frozenset[int]:
    return frozenset(int(str(each.text)) for each in element.iterfind("CLUSTERS/ID"))


STANDS_IN = "oneadmin"  # gets what belongs to a user or group that a site does not have
_SYSTEM_DATASTORE = "1"  # TYPE
_FILE_TYPES = ("3", "4", "5")  # KERNEL, RAMDISK, CONTEXT
_HOST_IN_USE = ("1", "2")  # MONITORING_MONITORED, MONITORED: the scheduler takes these


def placement_here(site: Site, items: Iterable[VmItem]) -> Placement:
    """What this site has for these VMs of the peer:
    hosts with room, networks, and the addresses in them that are taken.
    """
    taken = {}
    # addresses of a rehearsal are free again before anything is created
    own = site.here == site.pool.fsid()
    rehearsed = {str(number) for number in rehearsals.vms_of_all(site.pool)} if own else set()
    wanted = placement.networks_wanted(items, site.counterparts)
    for found in every_network(site.counterparts.networks):
        if not wanted & {found.name, str(found.network_id)}:
            continue
        for lease in site.frontend.network(found.network_id).iterfind("AR_POOL/AR/LEASES/LEASE"):
            if lease.findtext("VM") in rehearsed:
                continue
            for address in filter(None, (lease.findtext(key) for key in ("IP", "IP6", "MAC"))):
                taken[(found.network_id, address)] = _holder(lease)
    hosts = [_host(host) for host in site.frontend.hosts() if host.findtext("STATE") in _HOST_IN_USE]
    known = {name: found_id for name, found_id in site.images.items() if name not in site.half_images}
    datastore = site.frontend.datastore(site.datastore_id) if site.datastore_id >= 0 else None
    clusters = _clusters(datastore) if datastore is not None else frozenset()
    return Placement(site.counterparts, taken, tuple(hosts), site.quotas, site.datastore_id, known, clusters)


def _holder(lease: etree._Element) -> str:
    vm = lease.findtext("VM") or ""
    return f"VM {vm}" if vm not in ("", "-1") else "a reservation or router"


def _host(element: etree._Element) -> Host:
    def free(maximum: str, used: str) -> int:
        return number(element, f"HOST_SHARE/{maximum}") - number(element, f"HOST_SHARE/{used}")

    devices = [
        device for device in element.iterfind("HOST_SHARE/PCI_DEVICES/PCI") if device.findtext("VMID") == "-1"
    ]
    return Host(
        str(element.findtext("NAME")), free("MAX_CPU", "CPU_USAGE"), free("MAX_MEM", "MEM_USAGE") // 1024,
        number(element, "CLUSTER_ID"), _values(element),
        tuple(
            (device.findtext("VENDOR") or "", device.findtext("DEVICE") or "", device.findtext("CLASS") or "")
            for device in devices
        ),
    )


_OF_A_HOST = ("ID", "NAME", "CLUSTER", "CLUSTER_ID", "IM_MAD", "VM_MAD")


def _values(element: etree._Element) -> dict[str, tuple[str, ...]]:
    """What requirements can name of a host, and that stays as it is: not what is free at the moment."""
    found: dict[str, tuple[str, ...]] = {key: (element.findtext(key) or "",) for key in _OF_A_HOST}
    for key, value in attributes(element):
        if isinstance(value, str):
            found[key] = (*found.get(key, ()), value)
    return found


def recovered(vms: Iterable[etree._Element], pool: Pool, known: Ledger) -> dict[str, Recovered]:
    """VMs of this site that a run of ours made, by origin: by the ledger and their real disks."""
    found = {}
    for vm in vms:
        seen = peer_vms.of_element(vm, pool.access.pool)
        entry = known.vm(seen.vm_id, seen.images)
        token = template.get(attributes(vm, "USER_TEMPLATE"), ledger.TOKEN)
        origin = entry.origin if entry else known.begun(token)
        if origin is not None:
            pending = entry.start_pending if entry else True
            finished = entry.finished if entry else False
            found[origin] = Recovered(seen.vm_id, seen.state, pending, finished)
    return found


def local(vms: Iterable[etree._Element], pool: Pool, known: Ledger) -> dict[str, PeerVm]:
    """VMs of this site with disks in the pool:
    by the origin they have at the peer's, and by the one they came with.
    """
    return local_of(vms, pool.access.pool, pool.fsid(), known)


def local_of(
    vms: Iterable[etree._Element], pool_name: str, fsid: str, known: Ledger | None = None
) -> dict[str, PeerVm]:
    """The same of the site whose cluster is `fsid`."""
    found = {}
    for vm in vms:
        seen = peer_vms.of_element(vm, pool_name)
        if not seen.images:
            continue
        found[f"{fsid}:{seen.vm_id}"] = seen
        entry = known.vm(seen.vm_id, seen.images) if known is not None else None
        if entry is not None:
            found[entry.origin] = seen
    return found


def give(
    site: Site, kind: str, object_id: int, record: Owner, permissions: str, target: str, home: bool = False
) -> None:
    """Owner, group (names at the other site) and permissions as recorded. What this site does not have stays
    with oneadmin, with a warning; a VM or image at `home` keeps its own, also where oneadmin stands for them
    there.
    """
    found = site.frontend.image(object_id) if kind == "image" else site.frontend.vm(object_id)
    had = Owner(found.findtext("UNAME") or "", found.findtext("GNAME") or "")
    called = name_owner(record, site.counterparts.mapping, had)
    if home:
        called = Owner(*(
            own if there == STANDS_IN == name or not name else name
            for own, there, name in zip(had, record, called)
        ))
    user_id, group_id = site.users.get(called.owner), site.groups.get(called.group)
    if user_id is None:
        there = _no_counterpart("user", record.owner, called.owner)
        site.warn(target, f"{there}: {kind} {object_id} belongs to oneadmin")
    if group_id is None:
        there = _no_counterpart("group", record.group, called.group)
        site.warn(target, f"{there}: {kind} {object_id} is in group oneadmin")
    wanted = (user_id or 0, group_id or 0)
    # What is so already is left alone: each call makes oned run hooks,
    # on a night when many objects come at once.
    if (number(found, "UID"), number(found, "GID")) != wanted:
        site.frontend.call(f"{kind}.chown", object_id, *wanted)
    if opennebula_objects.permissions(found) != permissions:
        site.frontend.call(f"{kind}.chmod", object_id, *(int(bit) for bit in permissions))


def _no_counterpart(word: str, there: str, here: str) -> str:
    if here == there:
        return f"there is no {word} {there!r} here"
    return (
        f"{word} {there!r} of the other site is {f'{here!r}, which is missing' if here else 'not clear'} here"
    )
