"""What VMs and images that a run brings count in the quotas of their owners. Pure.

oned counts a VM on hold as running: RUNNING_ limits hold for each VM that is created, and for those that
come home and start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from onedr.model import template
from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.template import Pairs
from onedr.model.types import MIB
from onedr.opennebula.mapped import Owner, owner_of
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.quotas import RUNNING, Admission, ClusterLimit, Key, Needs, Quotas
from onedr.replication.inventory import VmItem

Wanted = list[tuple[str, str, Needs]]


def of_vm(item: VmItem, made: Pairs, counted: Collection[str] = ()) -> dict[Key, float]:
    """What a VM that is created here counts for its owner and its group. `counted`: attributes of VMs that
    some quota limits.
    """
    needs = {**_basic(item, made, counted), **_running(item, made, counted)}
    needs[Key("VM", "", "SYSTEM_DISK_SIZE")] = sum(
        _number(template.get(disk, "SIZE"))
        for disk in template.vectors(made, "DISK")
        if not template.get(disk, "IMAGE_ID")
    )
    for kind in ("NIC", "NIC_ALIAS"):
        for nic in template.vectors(made, kind):
            key = Key("NETWORK", template.get(nic, "NETWORK_ID"), "LEASES")
            needs[key] = needs.get(key, 0.0) + 1
    return needs


def of_new(
    item: VmItem, needs: Needs, here: Counterparts, datastore_id: int, known: Mapping[str, int | None]
) -> Wanted:
    """What a VM that is created here counts (`needs`), and its images that are not `known`: by RBD name the
    id here, None of those that another VM of the plan brings.
    """
    owner = owner_of(item.record, here.mapping)
    used: dict[Key, float] = {}
    for disk in item.record.disks:
        image_id = known.get((disk.rbd or "").rpartition("/")[2]) if disk.protected else None
        if image_id is not None:
            key = Key("IMAGE", str(image_id), "RVMS")
            used[key] = used.get(key, 0.0) + 1
    found = [*_of(owner, {**needs, **used})]
    for image in item.images:
        if image.name not in known:
            found += _of(
                _image_owner(image, owner, here),
                {
                    Key("DATASTORE", str(datastore_id), "IMAGES"): 1.0,
                    Key("DATASTORE", str(datastore_id), "SIZE"): float(-(-image.size // MIB)),
                },
            )
    return found


def homes_refused(items: Iterable[VmItem], here: Counterparts, quotas: Quotas) -> dict[str, str]:
    """By origin, of VMs that come home and start: why the quota of their owner does not let them run."""
    admission, counted = Admission(quotas), quotas.own_attributes
    refused = {
        item.origin: admission.refusal(
            _of(owner_of(item.record, here.mapping), _running(item, item.record.template, counted))
        )
        for item in items
    }
    return {origin: why for origin, why in refused.items() if why}


def cluster_limits(item: VmItem, here: Counterparts, quotas: Quotas) -> list[ClusterLimit]:
    """Quotas of clusters that the owner and the group of a VM have here."""
    owner = owner_of(item.record, here.mapping)
    names = (("user", owner.owner), ("group", owner.group))
    return [limit for name in names for limit in quotas.clusters.get(name, ())]


def _image_owner(image: ImageFacts, vm_owner: Owner, here: Counterparts) -> Owner:
    body = image.image.body if image.image is not None else None
    return owner_of(body, here.mapping) if isinstance(body, ImageRecord) else vm_owner


def _of(owner: Owner, needs: Needs) -> Iterator[tuple[str, str, Needs]]:
    yield "user", owner.owner, needs
    yield "group", owner.group, needs


def _basic(item: VmItem, made: Pairs, counted: Collection[str]) -> dict[Key, float]:
    own, user = item.record.template, item.record.user_template
    values = {
        "VMS": 1.0,
        "CPU": _number(template.get(own, "CPU")),
        "MEMORY": _number(template.get(own, "MEMORY")),
        "PCI_DEV": float(sum(1 for _ in template.vectors(made, "PCI"))),
        **{key: _number(template.get(own, key) or template.get(user, key)) for key in counted},
    }
    return {Key("VM", "", metric): value for metric, value in values.items()}


def _running(item: VmItem, made: Pairs, counted: Collection[str]) -> dict[Key, float]:
    basic = _basic(item, made, counted)
    return {Key("VM", "", f"{RUNNING}{key.metric}"): value for key, value in basic.items()}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0  # oned itself judges a template it once took
