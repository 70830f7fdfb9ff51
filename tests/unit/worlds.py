"""Facts for tests of plans: builders, random worlds, and what a world is after steps were done."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from samples import HERE, OUR_TERM, THERE, disk, envelope, image, image_record, vm_record

from onedr.model import ImageFacts, Mode, Peer, VmRecord
from onedr.policy import failover, inventory
from onedr.policy.plan import Facts, Kind, PeerVm, Plan, Recovered, Request, Step

ONE_DISK = vm_record(disks=(disk(0, "one/one-1"),))
ORIGIN = f"{THERE}:42"


def copy_of(name: str, body: VmRecord | None = ONE_DISK, known: bool = True, **changes: Any) -> ImageFacts:
    """A copy that carries a VM's record and, when the peer knew it as an image, the image's."""
    return image(
        name, vm=envelope(body) if body else None, image=envelope(image_record(name=name)) if known else None, **changes
    )


def facts(*images: ImageFacts, **changes: Any) -> Facts:
    values: dict[str, Any] = {
        "datastore": "ceph", "here": HERE, "protected": True, "peer": Peer.GONE, "peer_detail": "it refuses",
        "can_fence": True,
    }
    return Facts(**{**values, **changes}, images=images)


def steps(plan: Plan) -> list[tuple[Kind, str]]:
    return [(step.kind, step.target) for step in plan.steps]


KINDS = {
    "copy": {"complete": True}, "incomplete": {"complete": False}, "stale": {"stale": True},
    "taken": {"primary": True, "complete": False, "term": OUR_TERM}, "cut short": {"primary": True, "complete": False},
    "unmirrored": {"mode": None, "primary": True, "complete": False},
    "unreadable": {"mode": None, "complete": False, "problems": ("cannot be read: x",)},
    "damaged": {"problems": ("record onedr.vm is damaged",)},
}
VM_COUNT = 3


@st.composite
def worlds(draw: st.DrawFn) -> Facts:
    count = draw(st.integers(0, 6))
    owners = [draw(st.sampled_from([None, *range(VM_COUNT)])) for _ in range(count)]
    bodies = [_body(draw, vm_id, [n for n in range(count) if owners[n] == vm_id]) for vm_id in range(VM_COUNT)]
    images = []
    for n, owner in enumerate(owners):
        kind = draw(st.sampled_from(["copy", "copy", "copy", *KINDS]))
        images.append(image(
            f"one-{n}", **{"mode": draw(st.sampled_from(Mode)), **KINDS[kind]},
            parent=draw(st.none() | st.integers(0, count).map("one-{}".format)),
            vm=None if owner is None or kind == "unreadable" else envelope(bodies[owner]),
            image=draw(st.none() | st.just(envelope(image_record()))) if kind != "unreadable" else None,
        ))
    recovered = st.builds(Recovered, st.integers(0, 99), st.just("HOLD"), st.booleans(), st.booleans())
    return facts(
        *images, protected=draw(st.integers(0, 9)) > 0, peer=draw(st.sampled_from(Peer)), can_fence=draw(st.booleans()),
        registered=draw(st.just(frozenset()) | st.frozensets(st.integers(0, 5).map("one-{}".format))),
        recovered=draw(st.dictionaries(st.integers(0, VM_COUNT).map(f"{THERE}:{{}}".format), recovered, max_size=2)),
        there=draw(st.none() | st.just(tuple(_peer_vm(draw, body) for body in bodies))),
    )


def _peer_vm(draw: st.DrawFn, body: VmRecord) -> PeerVm:
    names = frozenset(str(found.rbd).partition("/")[2] for found in body.disks if found.rbd)
    state, held = draw(st.sampled_from(["ACTIVE", "POWEROFF"])), draw(st.sampled_from(["", "ACTIVE"]))
    return PeerVm(body.vm_id, body.name, state, held, names)


def _body(draw: st.DrawFn, vm_id: int, owned: list[int]) -> VmRecord:
    disks = [disk(place, f"one/one-{n}") for place, n in enumerate(owned)]
    extra = draw(st.sampled_from(["", "", "", "volatile", "unprotected", "missing"]))
    if extra:
        rbd = None if extra == "volatile" else "one/one-77"
        disks.append(disk(len(disks), rbd, protected=extra == "missing", reason="said so"))
    user = draw(st.sampled_from([(), (("DR_PRIORITY", "1"),), (("DR_START", "NO"),)]))
    state = draw(st.sampled_from(["ACTIVE", "POWEROFF"]))
    return vm_record(vm_id=vm_id, name=f"vm{vm_id}", disks=tuple(disks), state=state, user_template=user)


REQUESTS = st.builds(
    Request, confirm=st.sampled_from(["", "ceph", "ceph", "ceph", "other"]),
    vms=st.sampled_from([(), (), (), ("vm0",), ("1", "vm2"), ("vm0", "nobody")]),
    start=st.sampled_from([True, True, False]),
)


def executed(world: Facts, done: tuple[Step, ...], request: Request) -> Facts:
    """The facts after these steps were done."""
    images = {found.name: found for found in world.images}
    registered, recovered = set(world.registered), dict(world.recovered)
    there = {str(vm.vm_id): vm for vm in world.there or ()}
    items = {item.origin: item for item in inventory.vms(world.images, world.here)}
    for step in done:
        if step.kind is Kind.PROMOTE:
            images[step.target] = replace(images[step.target], primary=True)
        elif step.kind is Kind.TERM:
            images[step.target] = replace(images[step.target], term=OUR_TERM)
        elif step.kind is Kind.STOP:
            found = there[step.target]
            there[step.target] = replace(found, state="POWEROFF", held=found.held or found.state)
        elif step.kind is Kind.REGISTER:
            registered.add(step.target)
        elif step.kind is Kind.CREATE:
            starts = failover.wants_start(items[step.target], request)
            recovered[step.target] = Recovered(9, "HOLD", start_pending=starts, finished=True)
        elif step.kind is Kind.START:
            recovered[step.target] = replace(recovered[step.target], state="ACTIVE", start_pending=False)
    return replace(
        world, images=tuple(images.values()), registered=frozenset(registered), recovered=recovered,
        there=None if world.there is None else tuple(there.values()),
    )


def lasting(plan: Plan) -> list[tuple[Kind, str]]:
    """Steps that must not be done twice; stopping what is stopped, demoting what is demoted and waiting harm nobody."""
    again = (Kind.SYNC, Kind.STOP, Kind.DRAIN, Kind.FENCE, Kind.CUT)
    return [(kind, target) for kind, target in steps(plan) if kind not in again]
