"""What a run leaves out because a record of it is in doubt or cannot be read (docs/records.md, "Authentic").
"""
from __future__ import annotations

from collections.abc import Iterable

from onedr.failover.facts import FailoverFacts
from onedr.model.records import ImageFacts
from onedr.replication import inventory
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request


def images(facts: FailoverFacts, request: Request, wanted: Iterable[ImageFacts]) -> dict[str, str]:
    """Images that would be taken for what a record in doubt says, without the operator's word; and why."""
    return {
        image.name: why
        for image in wanted
        if not request.accept_unsigned and not (image.primary and image.name in facts.registered)
        and (why := inventory.doubt_of("its record", image.image))
    }


def vms_not_known(
    facts: FailoverFacts, request: Request, wanted: Iterable[ImageFacts], known: Iterable[VmItem]
) -> dict[str, str]:
    """Of the images, those of a VM of which no record can be used: the disk comes, and the VM is said."""
    unread = {
        f"a VM that is read through {image.name}": "; ".join(image.bad_readers)
        for image in wanted if image.bad_readers and not request.vms and image.name not in facts.registered
    }
    covered = {image.name for item in known for image in item.images}
    return {
        **unread,
        **{f"the VM of {image.name}": image.bad_vm or inventory.doubt_of("its record", image.vm)
        for image in wanted
        if image.name not in covered and not request.vms and image.name not in facts.registered
        and (image.bad_vm or (image.vm is not None and image.vm.doubt and not request.accept_unsigned))
        },
    }
