"""What a run is about: which images it takes, which stay, and bases of others. Pure."""
from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from onedr.failover import refusal_plan
from onedr.failover.facts import FailoverFacts, Fence
from onedr.model.records import ImageFacts
from onedr.model.text import NOTHING, Sentence
from onedr.opennebula.vms import PeerVm
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request


def is_left(item: VmItem, request: Request) -> bool:
    """Did the operator leave this VM behind, by its name or id at the peer?"""
    return bool({item.record.name, str(item.record.vm_id)} & set(request.leave))


def stays(vm: PeerVm, request: Request) -> bool:
    """The same for a VM as the peer's front-end shows it."""
    return bool({vm.name, str(vm.vm_id)} & set(request.leave))


def images_to_take(
    facts: FailoverFacts, request: Request, vms: Iterable[VmItem], left: Iterable[VmItem]
) -> list[ImageFacts]:
    """The images of these VMs with all that they are read through; and without `vms` asked for, every other
    image of the datastore that came from the peer and is not left behind.
    """
    wanted = {image.name: image for item in vms for image in item.images}
    if not request.vms:
        staying = _left_names(facts, request, left)
        wanted.update(
            (image.name, image) for image in facts.images
            if refusal_plan.from_peer(image, facts.here) and image.name not in staying
        )
    by_name = {image.name: image for image in facts.images}
    for image in list(wanted.values()):
        parent = image.parent
        while parent in by_name and parent not in wanted:  # a clone is read through its parent
            wanted[parent] = by_name[parent]
            parent = by_name[parent].parent
    return list(wanted.values())


def _left_names(facts: FailoverFacts, request: Request, left: Iterable[VmItem]) -> set[str]:
    """Images of VMs left behind, images left by name, and bases that only those are read through."""
    names = {image.name for item in left for image in item.images} | set(request.leave)
    names |= {name for vm in facts.there or () if stays(vm, request) for name in vm.images}
    bases = {image.name for image in facts.images if (found := readers(facts, image.name)) and found <= names}
    return names | bases


def readers(facts: FailoverFacts, name: str) -> frozenset[str]:
    """Images that are read through this one, here or at the peer."""
    known = {image.name for image in facts.images if image.parent == name and image.mode is not None}
    return facts.children.get(name, frozenset()) | known


def bases_in_use(
    facts: FailoverFacts, request: Request, fence: Fence, images: Sequence[ImageFacts]
) -> dict[str, str]:
    """By image that would be demoted at the peer: what there is read through it and does not come along."""
    if fence is not Fence.DEMOTE:
        return {}
    coming = {image.name for image in images}
    found = {}
    for image in images:
        loose = sorted(readers(facts, image.name) - coming)
        if loose and not image.primary and image.name not in request.take:
            more = f" and {len(loose) - 3} more" if len(loose) > 3 else ""
            found[image.name] = f"{', '.join(loose[:3])}{more}"
    return found


def bases_refusal(facts: FailoverFacts, request: Request, bases: Mapping[str, str]) -> Sentence:
    """Why nothing is done; empty when no base is in the way."""
    if not bases:
        return NOTHING
    reasons = "; ".join(f"{base}, through which {names} there are read" for base, names in bases.items())
    why = "those have no complete copy here, or do not come along. Nothing was changed."
    hint = dry_run(facts, request)
    return Sentence(
        f"This would demote, at the peer, {reasons}: {why} Wait for their copies, or to demote it all the "
        f"same: {command(facts, request, take=tuple(bases))}",
        f"This would demote, at the peer, {len(bases)} base(s) of other disks: {why} {hint}",
    )


def dry_run(facts: FailoverFacts, request: Request) -> str:
    """What names the VMs and images that a public sentence counts."""
    return f"onedr {request.verb} {facts.datastore} --dry-run names them and what can be done."


def command(
    facts: FailoverFacts, request: Request, leave: tuple[str, ...] = (), take: tuple[str, ...] = ()
) -> str:
    """The command line that asks for the same, with more left behind or taken."""
    words = ["onedr", request.verb, facts.datastore]
    for option, values in (
        ("--vm", request.vms), ("--leave", (*request.leave, *leave)), ("--take", (*request.take, *take)),
    ):
        words += [word for value in dict.fromkeys(values) for word in (option, value)]
    if request.verb == "failover":
        words += ["--confirm", facts.datastore]
    return shlex.join(words)
