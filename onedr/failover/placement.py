"""Would a VM of the peer start here?

Networks, addresses, capacity: found before anything is changed.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from onedr.failover import host_choice, quota_plan
from onedr.failover.host_choice import Host, Places
from onedr.failover.snapshot_list_plan import of_disk
from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.records import ImageRecord
from onedr.opennebula import attributes, nics
from onedr.opennebula.nics import Counterparts, network_here
from onedr.opennebula.quotas import Admission, Needs, Quotas
from onedr.opennebula.vm_template import Recreation, recreate
from onedr.replication.inventory import VmItem


@dataclass(frozen=True)
class Placement:
    """What this site has for the peer's VMs.

    `taken`: who holds an address or MAC, by network id and address. `clusters`: of the datastore; empty: not
    known.
    """

    counterparts: Counterparts = field(default_factory=Counterparts)
    taken: Mapping[tuple[int, str], str] = field(default_factory=dict)
    hosts: tuple[Host, ...] | None = None  # None: not known
    quotas: Quotas = field(default_factory=Quotas)
    datastore_id: int = -1
    registered: Mapping[str, int] = field(default_factory=dict)  # ids of the images here by RBD name
    clusters: frozenset[int] = frozenset()


def networks_wanted(items: Iterable[VmItem], here: Counterparts) -> set[str]:
    """Names here (or ids, where a mapping says so) of the networks these VMs need."""
    found = set()
    for item in items:
        for nic in nics.of_template(item.record.template):
            with suppress(RefusedError):  # no counterpart, or not clear: an obstacle of the VM
                found.add(network_here(nic, here)[0])
    return found


def preview(item: VmItem, here: Counterparts) -> Recreation:
    """The VM as it would be created here. Raises RefusedError with every reason why it cannot be."""
    image_ids = {disk.disk_id: 0 for disk in item.record.disks if disk.protected}
    try:
        return recreate(item.record, item.origin, item.envelope.site, image_ids, here, start=False)
    except ValueError as error:
        raise RefusedError(f"its record has an attribute that cannot be used: {error}.") from error


@dataclass(frozen=True)
class Placed:
    """By origin: why a VM cannot be created here; of the others, sentences on what would not be as it was."""

    blockers: Mapping[str, str]
    differences: Mapping[str, tuple[str, ...]]


def place(items: Iterable[VmItem], ground: Placement) -> Placed:
    """What would become of each VM here, found before anything is changed.

    A VM is blocked by something without a counterpart, by an address in use, or by a quota. Of two VMs that
    would get the same address (their networks were mapped to one) the later one is blocked.
    """
    taken, admission, here = dict(ground.taken), Admission(ground.quotas), ground.counterparts
    known: dict[str, int | None] = dict(ground.registered)
    blockers: dict[str, str] = {}
    differences: dict[str, tuple[str, ...]] = {}
    for item in items:
        try:
            made = preview(item, ground.counterparts)
        except RefusedError as error:
            blockers[item.origin] = str(error)
            continue
        addresses = dict.fromkeys(_addresses(made))
        reasons = [
            f"its address {address} in network {_name(network_id, ground)!r} belongs to "
            f"{taken[network_id, address]} here; free it first"
            for network_id, address in addresses if (network_id, address) in taken
        ]
        needs = quota_plan.of_vm(item, made.template, ground.quotas.own_attributes)
        if not reasons:
            wanted = quota_plan.of_new(item, needs, here, ground.datastore_id, known)
            reasons = list(filter(None, (admission.refusal(wanted),)))
        if reasons:
            blockers[item.origin] = "; ".join(reasons)
            continue
        taken.update(dict.fromkeys(addresses, f"VM {item.record.name} of the peer"))
        known = {**dict.fromkeys(image.name for image in item.images), **known}
        warnings = (
            *made.warnings, *of_memory(item.record.state), *_of_snapshots(item), *of_images(item),
            *_nowhere(item, made, needs, ground),
        )
        if warnings:
            differences[item.origin] = warnings
    return Placed(blockers, differences)


def _nowhere(item: VmItem, made: Recreation, needs: Needs, ground: Placement) -> Iterable[str]:
    """Why no host here can take it."""
    limits = quota_plan.cluster_limits(item, ground.counterparts, ground.quotas)
    places = Places(ground.hosts, ground.clusters, ground.counterparts.networks)
    why = host_choice.nowhere(made.template, made.user_template, places, needs, limits)
    return (why,) if why else ()


def of_memory(state: str) -> Iterable[str]:
    """Of a VM in that state at the other site: what of it is no disk."""
    if state in ("SUSPENDED", "STOPPED"):
        yield f"it is {state}: its memory stays at the other site, here it boots from its disks"


def _of_snapshots(item: VmItem) -> Iterable[str]:
    """oned's list of disk snapshots is rewritten, by oned's clock (docs/fidelity.md)."""
    for disk in item.record.disks:
        found = of_disk(item.record.snapshots, disk.disk_id).snapshots if disk.protected else ()
        if found:
            yield (
                f"disk {disk.disk_id}: the list of its {len(found)} snapshot(s) is rewritten, with the "
                "date of the run and today's size of the disk"
            )


OF_IMAGE = "image "  # begins a sentence about an image's own attributes


def of_images(item: VmItem) -> Iterable[str]:
    """What is left out of its images' own attributes. Sentences."""
    for image in item.images:
        if image.image is not None and isinstance(image.image.body, ImageRecord):
            names = [key for key, _ in image.image.body.template if key in attributes.IMAGE]
            yield from attributes.said(attributes.IMAGE, names, f"{OF_IMAGE}{image.image.body.name}: ")


def _addresses(made: Recreation) -> Iterable[tuple[int, str]]:
    for nic in nics.of_template(made.template):
        for key in ("IP", "IP6", "MAC"):
            if template.get(nic, key):
                yield int(template.get(nic, "NETWORK_ID")), template.get(nic, key)


def _name(network_id: int, ground: Placement) -> str:
    found = nics.network_called(ground.counterparts.networks, network_id)
    return found.name if found else str(network_id)


def without_capacity(items: Iterable[VmItem], ground: Placement) -> dict[str, str]:
    """By origin, of VMs in the order in which they start: a warning for each that no host has room for.

    First fit, as a rough guide: the scheduler has the last word, such a VM stays PENDING until there is room.
    """
    if ground.hosts is None:
        return {}
    free = {host.name: [host.free_cpu, host.free_mib] for host in ground.hosts}
    found = {}
    for item in items:
        cpu, mib = _needs(item)
        place = next((room for room in free.values() if room[0] >= cpu and room[1] >= mib), None)
        if place is None:
            needs = f"{cpu / 100:g} CPU, {mib} MiB"
            found[item.origin] = f"no host here has room for it ({needs}): it will stay PENDING until one has"
        else:
            place[0] -= cpu
            place[1] -= mib
    return found


def _needs(item: VmItem) -> tuple[int, int]:
    cpu, memory = (
        template.get(item.record.template, "CPU", "0"),
        template.get(item.record.template, "MEMORY", "0"),
    )
    try:
        return round(float(cpu) * 100), round(float(memory))
    except (ValueError, OverflowError):
        return 0, 0  # oned itself judges a template it once took
