"""Would each VM start at a site?

Copies, networks, addresses, owners, capacity, processor, and failback of VMs.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

from onedr.check.facts import CheckFacts, CheckResult, TargetFacts, known, ok, problem, warn
from onedr.failover import failback_plan, placement, start_order
from onedr.model import template
from onedr.model.records import ImageRecord
from onedr.model.text import first_few
from onedr.opennebula.mapped import Owner, name_owner
from onedr.replication import inventory
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request

_ANY_HOST = ("host-passthrough", "host-model", "")


def start_here(facts: CheckFacts) -> Iterator[CheckResult]:
    """The peer's VMs here, after a failover."""
    yield from _start(facts, known(facts.start_here), False)


def start_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """Our VMs at the peer."""
    yield from _start(facts, known(facts.start_there), True)


def _start(facts: CheckFacts, target: TargetFacts, own: bool) -> Iterator[CheckResult]:
    where = site_of(own)
    items, fresh = vm_items(facts, target, own)
    todo = f"onedr status {facts.datastore}" if not own else "at the peer: see its onedr check"
    troubles = {item.origin: "; ".join(item.blockers) for item in items if item.blockers}
    for origin, why in {
        **placement.place(fresh, target.placement).blockers,
        **_coming_home(facts, target, items),
    }.items():
        troubles[origin] = f"{troubles[origin]}; {why}" if origin in troubles else why
    for item in items:
        if item.origin in troubles:
            yield problem(f"{item.label} would not start {where}: {troubles[item.origin]}", todo)
    if not troubles:
        yield ok(
            f"{len(items)} VM(s) would start {where}"
            if items
            else f"no VM would have to start {where}"
        )


def site_of(own: bool) -> str:
    """Where VMs would start, in words: our `own` ones at the peer."""
    return "at the peer" if own else "here"


def to_start(facts: CheckFacts, own: bool) -> list[VmItem]:
    """VMs that the other site than theirs would have to start."""
    found = inventory.vms(known(facts.images), known(facts.here.fsid), own)
    return [item for item in found if own or any(not image.primary for image in item.images)]


def vm_items(facts: CheckFacts, target: TargetFacts, own: bool) -> tuple[list[VmItem], list[VmItem]]:
    """VMs that the site would have to start, and those of them that it would have to create:
    for the others a VM exists there.
    """
    items = to_start(facts, own)
    homes = failback_plan.homes(items, target.local)
    fresh = [item for item in items if item.origin not in homes and item.origin not in target.recovered]
    return items, start_order.by_priority(fresh)


def _coming_home(facts: CheckFacts, target: TargetFacts, items: list[VmItem]) -> dict[str, str]:
    """Why VMs of the target site cannot use their disks again after a failback."""
    images = {image.name: image for image in known(facts.images)}
    homes = failback_plan.homes(items, target.local)
    found = {
        item.origin: why for item in items if item.origin in homes
        if (why := failback_plan.obstacle(item, homes[item.origin], images, target.fsid))
    }
    return {**failback_plan.clones_of_others(items, homes, target.local), **found}


def owners(facts: CheckFacts) -> Iterator[CheckResult]:
    """VMs are created by oneadmin, whatever VM_RESTRICTED_ATTR says, and then given to their owner
    (docs/opennebula-facts.md O31).
    """
    yield from _owners(facts, known(facts.start_here), False)


def owners_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """The same of our VMs at the peer."""
    yield from _owners(facts, known(facts.start_there), True)


def _owners(facts: CheckFacts, target: TargetFacts, own: bool) -> Iterator[CheckResult]:
    where = site_of(own)
    _, fresh = vm_items(facts, target, own)
    mapping = target.placement.counterparts.mapping
    pairs = {Owner(item.record.owner, item.record.group) for item in fresh}
    called = {there: name_owner(there, mapping) for there in pairs}
    users = _missing(((there.owner, here.owner) for there, here in called.items()), target.users)
    groups = _missing(((there.group, here.group) for there, here in called.items()), target.groups)
    todo = f"create, or onedr map {facts.datastore} --draft"
    if users:
        yield warn(
            f"no user {first_few(users)} {where}: their VMs and images will belong to oneadmin there",
            f"oneuser {todo}",
        )
    if groups:
        yield warn(
            f"no group {first_few(groups)} {where}: it will be oneadmin instead", f"onegroup {todo}"
        )
    if not users and not groups:
        yield ok(f"owners and groups of the VMs are {where}")


def _missing(pairs: Iterable[tuple[str, str]], known_names: frozenset[str]) -> list[str]:
    """Names there (with the one here, where the mapping gives another) of what is not here."""
    lacking = {(there, here) for there, here in pairs if here not in known_names}
    return sorted(
        there if there == here else f"{there} ({here or 'not clear'} by the mapping)"
        for there, here in lacking
    )


def capacity(facts: CheckFacts) -> Iterator[CheckResult]:
    """Capacity of the hosts here for the peer's VMs."""
    yield from _capacity(facts, known(facts.start_here), False)


def capacity_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """Capacity of the hosts at the peer for our VMs."""
    yield from _capacity(facts, known(facts.start_there), True)


def _capacity(facts: CheckFacts, target: TargetFacts, own: bool) -> Iterator[CheckResult]:
    where = site_of(own)
    _, fresh = vm_items(facts, target, own)
    starting = [item for item in fresh if start_order.wants_start(item, Request("failover"))]
    if target.placement.hosts is None:
        yield warn(f"the capacity {where} is unknown")
        return
    shortage = placement.without_capacity(starting, target.placement)
    labels = [item.label for item in starting if item.origin in shortage]
    if labels:
        yield warn(
            f"{len(labels)} of {len(starting)} VM(s) would stay PENDING {where} for lack of capacity: "
            f"{first_few(labels)}",
            "add hosts, or stop non-essential VMs",
        )
    else:
        hosts = len(target.placement.hosts)
        yield ok(f"{len(starting)} VM(s) fit on {hosts} host(s) {where}")


def image_names(facts: CheckFacts) -> Iterator[CheckResult]:
    """Names that images of the peer would get here:
    they must be unique for each owner, and oneadmin registers them.
    """
    target = known(facts.start_here)
    taken = []
    for image in known(facts.images):
        record = image.image
        if record is None or record.fsid == target.fsid or image.primary or image.name in target.registered:
            continue
        body = record.body
        if (
            isinstance(body, ImageRecord)
            and {("oneadmin", body.name), (body.owner, body.name)} & target.image_names
        ):
            taken.append(body.name)
    if taken:
        yield warn(
            f"image names of the peer are in use here: {first_few(sorted(taken))}; a failover will append "
            "the peer's name",
            "rename them with oneimage rename if that matters",
        )
    else:
        yield ok("the names of the peer's images are not in use here")


def processors(facts: CheckFacts) -> Iterator[CheckResult]:
    """CPU models and machine types that the peer's VMs require."""
    target = known(facts.start_here)
    _, fresh = vm_items(facts, target, False)
    wanted = [(item.label, *each) for item in fresh for each in _asked(item, target)]
    unknown = sorted({f"{what} {name}" for _, what, name, there in wanted if there is None})
    missing = [
        (label, what, name) for label, what, name, there in wanted if there is not None and name not in there
    ]
    for label, what, name in missing:
        yield problem(f"{label} requires {what} {name}, which no host here has",
                  f"change the {what} with onevm updateconf there, or add a host")
    if unknown:
        number = len({label for label, _, _, there in wanted if there is None})
        yield warn(
            f"{number} VM(s) require {first_few(unknown)}; the hosts here do not report what they have",
            "onehost list",
        )
    if not missing and not unknown:
        yield ok("the hosts here have the CPU models and machine types that VMs require" if wanted else
                 "no VM of the peer requires a specific CPU model or machine type")


def _asked(item: VmItem, target: TargetFacts) -> Iterator[tuple[str, str, frozenset[str] | None]]:
    """What a VM requires of a host's processor: kind, name, and what the hosts have of that kind."""
    for what, vector, key, there in (
        ("CPU model", "CPU_MODEL", "MODEL", target.models),
        ("machine type", "OS", "MACHINE", target.machines),
    ):
        name = next(
            (template.get(found, key) for found in template.vectors(item.record.template, vector)), ""
        )
        if name not in _ANY_HOST:
            yield what, name, there


def failback(facts: CheckFacts) -> Iterator[CheckResult]:
    """What a planned move needs besides healthy mirroring: both front-ends."""
    target = known(facts.start_there)
    number = len({vm.vm_id for vm in target.local.values()})
    yield ok(
        f"the peer's front-end answers: planned moves and failback are possible ({number} VM(s) there on "
        "this pool)"
    )
