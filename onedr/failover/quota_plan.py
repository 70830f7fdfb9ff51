"""What VMs and images that a run brings count in the quotas of their owners. Pure.

oned counts a VM on hold as running: RUNNING_ limits hold for each VM that is created, and for those that
come home and start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from onedr.model import template
from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.template import Pairs
from onedr.model.types import MIB
from onedr.opennebula.mapped import Owner, owner_of
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.quotas import Admission, Key, Needs, Quotas
from onedr.replication.inventory import VmItem

Wanted = list[tuple[str, str, Needs]]


def of_new(
    item: VmItem, made: Pairs, here: Counterparts, datastore_id: int, known: Collection[str]
) -> Wanted:
    """What a VM that is created here counts, and its images that are not `known` (RBD names)."""
    owner = owner_of(item.record, here.mapping)
    needs: dict[Key, float] = {**_basic(item.record.template), **_running(item.record.template)}
    needs[Key("VM", "", "SYSTEM_DISK_SIZE")] = sum(
        _number(template.get(disk, "SIZE"))
        for disk in template.vectors(made, "DISK")
        if not template.get(disk, "IMAGE_ID")
    )
    for kind in ("NIC", "NIC_ALIAS"):
        for nic in template.vectors(made, kind):
            key = Key("NETWORK", template.get(nic, "NETWORK_ID"), "LEASES")
            needs[key] = needs.get(key, 0.0) + 1
    found = [*_of(owner, needs)]
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
    admission = Admission(quotas)
    refused = {
        item.origin: admission.refusal(
            _of(owner_of(item.record, here.mapping), _running(item.record.template))
        )
        for item in items
    }
    return {origin: why for origin, why in refused.items() if why}


def _image_owner(image: ImageFacts, vm_owner: Owner, here: Counterparts) -> Owner:
    body = image.image.body if image.image is not None else None
    return owner_of(body, here.mapping) if isinstance(body, ImageRecord) else vm_owner


def _of(owner: Owner, needs: Needs) -> Iterator[tuple[str, str, Needs]]:
    yield "user", owner.owner, needs
    yield "group", owner.group, needs


def _basic(pairs: Pairs) -> dict[Key, float]:
    values = {
        "VMS": 1.0,
        "CPU": _number(template.get(pairs, "CPU")),
        "MEMORY": _number(template.get(pairs, "MEMORY")),
    }
    return {Key("VM", "", metric): value for metric, value in values.items()}


def _running(pairs: Pairs) -> dict[Key, float]:
    return {Key("VM", "", f"RUNNING_{key.metric}"): value for key, value in _basic(pairs).items()}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0  # oned itself judges a template it once took
