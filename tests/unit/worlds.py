"""Facts for tests of plans: builders, random worlds, and what a world is after steps were done."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from samples import HERE, OUR_TERM, THERE, disk, envelope, image, image_record, vm_record

from onedr.failover import failback_plan, start_order
from onedr.failover.facts import FailoverFacts, RunPlan
from onedr.model.records import ImageFacts, VmRecord
from onedr.model.types import Mode, PeerState
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication import inventory
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind

ONE_DISK = vm_record(disks=(disk(0, "one/one-1"),))
ORIGIN = f"{THERE}:42"


def copy_of(name: str, body: VmRecord | None = ONE_DISK, known: bool = True, **changes: Any) -> ImageFacts:
    """A copy that carries a VM's record and, when the peer knew it as an image, the image's."""
    return image(
        name,
        vm=envelope(body) if body else None,
        image=envelope(image_record(name=name)) if known else None,
        **changes,
    )


def facts(*images: ImageFacts, **changes: Any) -> FailoverFacts:
    values: dict[str, Any] = {
        "datastore": "ceph",
        "here": HERE,
        "protected": True,
        "peer": PeerState.GONE,
        "peer_detail": "it refuses",
        "can_fence": True,
    }
    return FailoverFacts(**{**values, **changes}, images=images)


def confirmed(**changes: Any) -> Request:
    """A failover that the operator confirmed."""
    return Request("failover", confirm="ceph", **changes)


MOVE = Request("move")


def but(request: Request, leave: tuple[str, ...] = (), take: tuple[str, ...] = ()) -> Request:
    """The same request with more left behind, or taken."""
    given = [("LEAVE", word) for word in leave] + [("TAKE", word) for word in take]
    return replace(request, attributes=(*request.attributes, *given))


def steps(plan: RunPlan) -> list[tuple[StepKind, str]]:
    return [(step.kind, step.target) for step in plan.steps]


KINDS: dict[str, dict[str, Any]] = {
    "copy": {"complete": True},
    "incomplete": {"complete": False},
    "stale": {"stale": True},
    "taken": {"primary": True, "complete": False, "epoch": OUR_TERM},
    "cut short": {"primary": True, "complete": False},
    "unmirrored": {"mode": None, "primary": True, "complete": False},
    "unreadable": {"mode": None, "complete": False, "problems": ("cannot be read: x",)},
    "damaged": {"problems": ("record onedr.vm is damaged",)},
}
VM_COUNT = 3


@st.composite
def worlds(draw: st.DrawFn) -> FailoverFacts:
    count = draw(st.integers(0, 6))
    owners = [draw(st.sampled_from([None, *range(VM_COUNT)])) for _ in range(count)]
    bodies = [
        _body(draw, vm_id, [n for n in range(count) if owners[n] == vm_id]) for vm_id in range(VM_COUNT)
    ]
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
    homes = [home for body in bodies for home in _homes(draw, body)]
    return facts(
        *images,
        local={f"{HERE}:{home.vm_id}": home for home in homes},
        protected=draw(st.integers(0, 9)) > 0,
        peer=draw(st.sampled_from(PeerState)),
        can_fence=draw(st.booleans()),
        registered=draw(st.just(frozenset()) | st.frozensets(st.integers(0, 5).map("one-{}".format)))
        | {name for home in homes for name in home.images - home.clones},
        recovered=draw(
            st.dictionaries(st.integers(0, VM_COUNT).map(f"{THERE}:{{}}".format), recovered, max_size=2)
        ),
        there=draw(st.none() | st.just(tuple(_peer_vm(draw, body) for body in bodies))),
    )


@st.composite
def moves(draw: st.DrawFn) -> FailoverFacts:
    """A peer that is alive, and mostly complete copies: worlds in which a planned move or a failback begins,
    or went some way.
    """
    count = draw(st.integers(1, 5))
    owners = [draw(st.sampled_from(range(VM_COUNT))) for _ in range(count)]
    bodies = [
        _body(draw, vm_id, [n for n in range(count) if owners[n] == vm_id], whole=True)
        for vm_id in range(VM_COUNT) if vm_id in owners
    ]
    by_id = {body.vm_id: body for body in bodies}
    images = [
        image(
            f"one-{n}",
            vm=envelope(by_id[owner]),
            **KINDS[draw(st.sampled_from(["copy"] * 9 + ["taken", "incomplete"]))],
            image=draw(st.none() | st.just(envelope(image_record()))),
        )
        for n, owner in enumerate(owners)
    ]
    homes = [home for body in bodies for home in _homes(draw, body)]
    if draw(st.integers(0, 3)) == 0:  # one of which the other site has nothing more
        names = frozenset(draw(st.sampled_from([{"one-77"}, {"one-0"}])))
        homes.append(PeerVm(HOME_ID + 50, "gone", "POWEROFF", "ACTIVE", names, locked=draw(st.booleans())))
    return facts(
        *images, local={f"{HERE}:{home.vm_id}": home for home in homes}, peer=PeerState.ANSWERS,
        registered=draw(st.just(frozenset()) | st.frozensets(st.integers(0, 5).map("one-{}".format)))
        | {name for home in homes for name in home.images - home.clones},
        there=tuple(_peer_vm(draw, body) for body in bodies),
    )


WORLDS = st.one_of(worlds(), moves())
HOME_ID = 100  # of VM 0 at the site that looks; its own there is 0


def _homes(draw: st.DrawFn, body: VmRecord) -> list[PeerVm]:
    """The VM of this site that one at the peer left from: as it was, or with other disks, or in a state it
    should not be in.
    """
    if body.origin != f"{HERE}:{HOME_ID + body.vm_id}":
        return []
    names = {str(found.rbd).partition("/")[2] for found in body.disks if found.rbd}
    names ^= draw(st.sampled_from([set(), set(), set(), {"one-0"}, {"one-55"}]))
    clones = frozenset(name for name in names if draw(st.booleans()))
    state, held = draw(
        st.sampled_from(
            [("POWEROFF", "ACTIVE")] * 3 + [("POWEROFF", ""), ("HOLD", "PENDING"), ("ACTIVE", "")]
        )
    )
    return [PeerVm(HOME_ID + body.vm_id, body.name, state, held, frozenset(names), clones, locked=bool(held))]


def _peer_vm(draw: st.DrawFn, body: VmRecord) -> PeerVm:
    names = frozenset(str(found.rbd).partition("/")[2] for found in body.disks if found.rbd)
    state, held = draw(st.sampled_from(["ACTIVE", "POWEROFF"])), draw(st.sampled_from(["", "ACTIVE"]))
    return PeerVm(body.vm_id, body.name, state, held, names)


def _body(draw: st.DrawFn, vm_id: int, owned: list[int], whole: bool = False) -> VmRecord:
    disks = [disk(place, f"one/one-{n}") for place, n in enumerate(owned)]
    extra = draw(st.sampled_from(["", "", "", "volatile", "unprotected", "missing"])) if not whole else ""
    if extra:
        rbd = None if extra == "volatile" else "one/one-77"
        disks.append(disk(len(disks), rbd, protected=extra == "missing", reason="said so"))
    user: tuple[tuple[str, str], ...] = draw(
        st.sampled_from([(), (("DR_PRIORITY", "1"),), (("DR_START", "NO"),)])
    )
    origin = f"{HERE}:{HOME_ID + vm_id}" if draw(st.integers(0, 2)) <= whole else ""
    state = draw(st.sampled_from(["ACTIVE", "POWEROFF"]))
    return vm_record(
        vm_id=vm_id, name=f"vm{vm_id}", disks=tuple(disks), state=state, user_template=user, origin=origin,
    )


REQUESTS = st.builds(
    Request, verb=st.sampled_from(["move", "failover", "failback"]),
    confirm=st.sampled_from(["", "ceph", "ceph", "ceph", "other"]),
    vms=st.sampled_from([(), (), (), ("vm0",), ("1", "vm2"), ("vm0", "nobody")]),
    start=st.sampled_from([True, True, False]),
)


def executed(world: FailoverFacts, done: tuple[Step, ...], request: Request) -> FailoverFacts:
    """The facts after these steps were done."""
    images = {found.name: found for found in world.images}
    registered, recovered, local = set(world.registered), dict(world.recovered), dict(world.local)
    there = {str(vm.vm_id): vm for vm in world.there or ()}
    items = {item.origin: item for item in inventory.vms(world.images, world.here)}
    homes = failback_plan.homes(items.values(), world.local)
    for step in done:
        if step.kind is StepKind.PROMOTE:
            images[step.target] = replace(images[step.target], primary=True)
        elif step.kind is StepKind.TERM:
            images[step.target] = replace(images[step.target], epoch=OUR_TERM)
        elif step.kind is StepKind.STOP:
            found = there[step.target]
            there[step.target] = replace(found, state="POWEROFF", locked_state=found.locked_state or found.state)
        elif step.kind is StepKind.REGISTER:
            registered.add(step.target)
        elif step.kind is StepKind.CREATE:
            starts = start_order.wants_start(items[step.target], request)
            recovered[step.target] = Recovered(9, "HOLD", start_pending=starts, finished=True)
        elif step.kind is StepKind.RETURN:
            _returned(step.target, world, items, homes, local, request)
        elif step.kind is StepKind.START and (step.target in homes or step.target in local):
            key = f"{HERE}:{homes[step.target].vm_id}" if step.target in homes else step.target
            local[key] = replace(local[key], locked_state="", state="ACTIVE")
        elif step.kind is StepKind.START:
            recovered[step.target] = replace(recovered[step.target], state="ACTIVE", start_pending=False)
    return replace(
        world,
        images=tuple(images.values()),
        registered=frozenset(registered),
        recovered=recovered,
        local=local,
        there=None if world.there is None else tuple(there.values()),
    )


def _returned(
    target: str,
    world: FailoverFacts,
    items: dict[str, VmItem],
    homes: dict[str, PeerVm],
    local: dict[str, PeerVm],
    request: Request,
) -> None:
    """The VM has its disks; it stays marked as held until it runs, unless it shall not."""
    if target not in items:
        local[target] = replace(local[target], locked_state="")
        return
    home, images = homes[target], {found.name: found for found in world.images}
    changes = failback_plan.disks(items[target], home, images, world.here)
    now = (home.images - changes.unplug) | frozenset(changes.plug)
    held = home.locked_state if start_order.wants_start(items[target], request) else ""
    local[f"{HERE}:{home.vm_id}"] = replace(home, images=now, locked_state=held, locked=False)


def lasting(plan: RunPlan) -> list[tuple[StepKind, str]]:
    """Steps that must not be done twice; stopping what is stopped, demoting what is demoted, giving back what
    is given back and waiting harm nobody.
    """
    again = (StepKind.SYNC, StepKind.STOP, StepKind.DRAIN, StepKind.FENCE, StepKind.CUT, StepKind.RETURN)
    return [(kind, target) for kind, target in steps(plan) if kind not in again]
