"""The plan of a drill: which VMs of the peer are started here, in which steps; and the plan of its cleanup.
Pure.

A drill changes neither the primary's data nor any role (docs/design.md, "A drill changes nothing in
production"): at the primary it only creates one user snapshot of each disk, and everything it creates here
has its tag (names.drill_tag). Cleanup removes what has that tag, not what a journal says, so that it works
after any crash.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from onedr.drill import drill_networks
from onedr.failover import placement, point_plan, refusal_plan, start_order, waves_plan
from onedr.failover.facts import RunPlan
from onedr.failover.placement import Placement
from onedr.model import names, template
from onedr.model.records import ImageFacts, VmRecord
from onedr.model.recovery_plan import Chosen
from onedr.model.text import Sentence, filled, first_few
from onedr.model.types import PeerState
from onedr.opennebula.nics import NETWORK_OWNER, Counterparts
from onedr.opennebula.vm_template import DRILL
from onedr.replication import inventory, split_brain
from onedr.replication.inventory import VmItem
from onedr.runs.request import Request
from onedr.runs.steps import Step, StepKind

DRILL_OF = "DR_DRILL_OF"  # on a drill's VM: origin of the VM that it is a copy of
# Attributes that would trigger actions, or that belong to the production VM only.
_NOT_OF_A_DRILL = ("SCHED_ACTION", "BACKUP_CONFIG", "NIC_DEFAULT")
_OF_THE_USER = ("DR_PROTECT", DRILL, DRILL_OF)
_NIC_PLACE = (
    "NETWORK", "NETWORK_ID", "NETWORK_UNAME", "NETWORK_UID", NETWORK_OWNER, "IP", "IP6", "MAC", "EXTERNAL_IP",
)


@dataclass(frozen=True)
class DrillFacts:
    """The facts for the plan of a drill.

    `network`: DR_DRILL_NETWORK; `remaining`: what remains of an earlier drill.
    """

    datastore: str
    here: str
    protected: bool
    images: tuple[ImageFacts, ...]
    peer: PeerState
    peer_detail: str
    can_connect: bool
    network: str = ""
    placement: Placement = field(default_factory=Placement)
    remaining: tuple[str, ...] = ()
    split: frozenset[str] = frozenset()  # primary at both sites, and nothing says who is right
    recovery: Chosen = field(default_factory=Chosen)  # the recovery plan


def plan_drill(facts: DrillFacts, request: Request) -> RunPlan:
    """The plan, or the reason why the drill is refused."""
    every = inventory.vms(facts.images, facts.here)
    vms = [item for item in every if start_order.chosen(item, request.vms)]
    refusal = _refusal(facts, every)
    if refusal:
        return RunPlan(refusal, vms=tuple(vms))
    left_out = start_order.not_found(request, vms)
    here = facts.placement.counterparts
    left_out.update({
        item.origin: why for item in vms
        if (why := _blocker(item, facts.images)
            or drill_networks.obstacle(item, here, facts.network, every))
    })
    points = point_plan.choose((item for item in vms if item.origin not in left_out), request)
    origins = {item.origin for item in vms}
    left_out.update({origin: why for origin, why in points.left_out.items() if origin in origins})
    vms = point_plan.as_of(vms, points)
    good = start_order.by_priority(item for item in vms if item.origin not in left_out)
    if not good:
        reasons = "; ".join(left_out.values()) or "it has no VM of the peer"
        return RunPlan(
            Sentence(
                f"No VM of {facts.datastore} can be started: {reasons}.",
                f"No VM can be started. onedr drill start {facts.datastore} --dry-run says why.",
            ),
            vms=tuple(vms), left_out=left_out,
        )
    starting = [item for item in good if start_order.wants_start(item, request)]
    steps = _steps(good, starting, points)
    waves = waves_plan.of_run(facts.recovery.plan, steps, vms, start_order.Delays({}, {}, {}))
    return RunPlan(
        "",
        tuple(waves_plan.in_order(steps, waves)),
        tuple(vms),
        left_out,
        placement.without_capacity(starting, facts.placement),
        points=points.points,
        waves=waves,
    )


def _refusal(facts: DrillFacts, vms: Sequence[VmItem]) -> Sentence:
    if not facts.protected:
        return Sentence(
            f"Datastore {facts.datastore} is not protected (DR_PROTECT=YES is missing), so there is nothing "
            "to drill."
        )
    if facts.recovery.doubt:
        return refusal_plan.chosen_refusal(facts.recovery.doubt)
    if facts.split:
        return split_brain.split_refusal(facts.split, facts.datastore)
    if not any(image.mode is not None and not image.primary for image in facts.images):
        return Sentence(
            "There is no copy of the peer's images here: a drill runs at the secondary site of "
            f"{facts.datastore}. See onedr status."
        )
    if facts.remaining:
        text = "An earlier drill has not been cleaned up{}. First run: onedr drill cleanup "
        left = Sentence(f" ({first_few(facts.remaining)})", f" ({len(facts.remaining)} object(s))")
        return filled(text, left).then(Sentence(f"{facts.datastore}."))
    networks = drill_networks.refusal(facts.placement.counterparts, facts.network, vms)
    return networks or Sentence(_peer_refusal(facts))


def _peer_refusal(facts: DrillFacts) -> str:
    if facts.peer is not PeerState.ANSWERS:
        return (
            f"The peer's Ceph does not answer ({facts.peer_detail}); a drill needs one snapshot of each disk "
            f"there. If the peer is lost, run onedr failover {facts.datastore} instead."
        )
    if not facts.can_connect:
        return (
            f"The peer's Ceph answers ({facts.peer_detail}) but refuses access from here. Give CEPH_USER the "
            "caps to read the peer's key, or set DR_PEER_CEPH_CONF; see docs/failover.md."
        )
    return ""


def _blocker(item: VmItem, images: Iterable[ImageFacts]) -> str:
    if item.blockers:
        return "; ".join(item.blockers)
    if any(disk.to_clone for disk in item.record.disks):
        return f"VM {item.record.name} was never deployed: it has no data that a drill could try"
    if not item.images:
        return f"VM {item.record.name} has no protected disk here"
    by_name = {image.name: image for image in images}
    for image in item.images:
        if image.mode is None or image.primary:
            return f"its disk {image.name} is writable here, so it is not a copy of the peer's"
        bad = next(
            (found for found in _chain(image, by_name) if not found.primary and not found.complete), None
        )
        if bad is not None:
            return f"the initial copy of {bad.name} never completed"
        if image.stale:
            return f"the copy {image.name} is stale: onedr reprotect comes first"
    return ""


def _chain(image: ImageFacts, by_name: Mapping[str, ImageFacts]) -> list[ImageFacts]:
    """The image and its chain of parents."""
    found = [image]
    while found[-1].parent in by_name and by_name[str(found[-1].parent)] not in found:
        found.append(by_name[str(found[-1].parent)])
    return found


def _steps(vms: Sequence[VmItem], starting: Sequence[VmItem], points: point_plan.Chosen) -> list[Step]:
    disks = list(dict.fromkeys(image.name for item in vms for image in item.images))
    return [
        *(Step(StepKind.SNAPSHOT, name, f"snapshot {name} at the peer") for name in disks),
        *(Step(StepKind.ARRIVE, name, f"wait for that snapshot of {name} here") for name in disks),
        *(Step(StepKind.CLONE, name, f"clone {name} from it") for name in disks),
        *point_plan.rewinds(disks, points, "the clone of {}"),
        *(Step(StepKind.REGISTER, name, f"register the clone of {name} as an image") for name in disks),
        *(
            Step(StepKind.CREATE, item.origin, f"create VM {vm_name(item.record.name)} on hold")
            for item in vms
        ),
        *(Step(StepKind.START, item.origin, f"start VM {vm_name(item.record.name)}") for item in starting),
        *(Step(StepKind.CHECK, item.origin, f"check VM {vm_name(item.record.name)}") for item in starting),
        *(Step(StepKind.PROVE, name, f"verify that {name} is still replicated") for name in disks),
    ]


def vm_name(name: str) -> str:
    """Name of a drill's VM; oned accepts 128 characters."""
    return f"drill-{name}"[:128]


def drill_record(record: VmRecord, here: Counterparts, standard: str) -> VmRecord:
    """The record of a drill's VM from that of the production VM: another name, each NIC in the drill network
    of its own network (`standard`: DR_DRILL_NETWORK, for those without), nothing that triggers actions.
    """
    built: list[tuple[str, object]] = []
    for key, value in record.template:
        if key in _NOT_OF_A_DRILL:
            continue
        if key in ("NIC", "NIC_ALIAS") and not isinstance(value, str):
            network = drill_networks.of_nic(value, here, standard)
            assert network is not None, "the plan leaves a VM out without it"
            value = (*template.without(value, *_NIC_PLACE), ("NETWORK", network.name))
        built.append((key, value))
    user = template.without(record.user_template, *_OF_THE_USER, *_NOT_OF_A_DRILL)
    return replace(record, name=vm_name(record.name), template=tuple(built), user_template=user)


@dataclass(frozen=True)
class VmFound:
    """A VM here with DR_DRILL. `disks`: RBD names of its disks in the datastore's pool."""

    vm_id: int
    name: str
    tag: str
    disks: frozenset[str]


@dataclass(frozen=True)
class ImageFound:
    """An OpenNebula image of the datastore with DR_DRILL. `rbd`: name of its RBD image."""

    image_id: int
    name: str
    tag: str
    rbd: str


@dataclass(frozen=True)
class CloneFound:
    """An RBD image with a drill clone's name.

    `made`: its metadata says that this site made it for a drill; `trash`: its id in the trash.
    """

    name: str
    made: bool
    trash: str = ""


@dataclass(frozen=True)
class SnapshotFound:
    """A drill's snapshot.

    `primary`: where it can be removed, `here` or `there`; empty: neither site is primary, or that is unknown;
    `both`: nothing is written to an image that is primary at both.
    """

    image: str
    tag: str
    primary: str

    @property
    def target(self) -> str:
        return f"{self.image}@{self.tag}"


@dataclass(frozen=True)
class DrillRemnants:
    """Everything that may belong to a drill of this datastore. `here` is this cluster's id."""

    here: str
    datastore_id: int
    vms: tuple[VmFound, ...] = ()
    images: tuple[ImageFound, ...] = ()
    clones: tuple[CloneFound, ...] = ()
    snapshots: tuple[SnapshotFound, ...] = ()
    peer_detail: str = ""  # why the peer could not be checked; empty: it was checked


def remaining(found: DrillRemnants) -> tuple[str, ...]:
    """What remains of this site's drills, which would conflict with another one."""
    own = [f"VM {vm.name} ({vm.vm_id})" for vm in found.vms if _own_vm(found, vm)]
    own += [f"image {image.name} ({image.image_id})" for image in found.images if _own_image(found, image)]
    own += [clone.name for clone in found.clones if _own(found, clone.name)]
    return (*own, *(snapshot.target for snapshot in found.snapshots if _own(found, snapshot.tag)))


def _own(found: DrillRemnants, name: str) -> bool:
    parsed = names.parse_drill(name)
    return parsed is not None and (parsed.cluster, parsed.datastore_id) == (
        found.here[:8],
        found.datastore_id,
    )


def _own_vm(found: DrillRemnants, vm: VmFound) -> bool:
    """The attribute alone may have been set by a user: a drill's VM also uses that drill's clones."""
    tags = {parsed.tag for disk in vm.disks if (parsed := names.parse_drill(disk))}
    return _own(found, vm.tag) and vm.tag in tags


def _own_image(found: DrillRemnants, image: ImageFound) -> bool:
    parsed = names.parse_drill(image.rbd)
    return _own(found, image.tag) and parsed is not None and parsed.tag == image.tag


def _peers(found: DrillRemnants, snapshot: SnapshotFound) -> bool:
    """Was it made at this site, the primary, for a drill of the other site?

    The clones there do not need it.
    """
    parsed = names.parse_drill(snapshot.tag)
    return snapshot.primary == "here" and parsed is not None and parsed.cluster != found.here[:8]


def plan_cleanup(found: DrillRemnants) -> RunPlan:
    """The ordered removal of everything that has a tag of this site's drills, and of snapshots that a drill
    of an unreachable peer left here.
    """
    vms = [vm for vm in found.vms if _own_vm(found, vm)]
    images = [image for image in found.images if _own_image(found, image)]
    clones = [clone for clone in found.clones if _own(found, clone.name) and clone.made]
    wanted = [
        snapshot for snapshot in found.snapshots if _own(found, snapshot.tag) or _peers(found, snapshot)
    ]
    snapshots = [snapshot for snapshot in wanted if snapshot.primary in ("here", "there")]
    left_out = {
        clone.name: (
            "it has the name of a drill's clone, but no note that OneDR made it; check it and remove it "
            "with rbd rm"
        )
        for clone in found.clones
        if _own(found, clone.name) and not clone.made
    }
    left_out.update({each.target: _why_left(found, each) for each in wanted if each not in snapshots})
    steps = [
        *(Step(StepKind.TERMINATE, f"VM {vm.vm_id}", f"terminate VM {vm.name} ({vm.vm_id})") for vm in vms),
        *(Step(StepKind.REMOVE, clone.name, f"remove the clone {clone.name}") for clone in clones),
        *(
            Step(StepKind.DELETE, f"image {image.image_id}", f"delete image {image.name} ({image.image_id})")
            for image in images
        ),
        *(Step(StepKind.UNSNAP, s.target, f"remove the snapshot {s.target} {_where(s)}") for s in snapshots),
    ]
    return RunPlan("", tuple(steps), left_out=left_out)


def _why_left(found: DrillRemnants, snapshot: SnapshotFound) -> str:
    if snapshot.primary == "both":
        return "the snapshot remains: its image is primary at both sites (docs/guard.md)"
    why = found.peer_detail or "neither site is its primary at the moment"
    return f"the snapshot remains at the peer ({why}); run onedr drill cleanup again when that is fixed"


def _where(snapshot: SnapshotFound) -> str:
    return "here" if snapshot.primary == "here" else "at the peer"


def drill_verdict(
    failed: Mapping[str, str], unproven: Iterable[str], started: int, rto_s: float | None, objective_s: int
) -> list[str]:
    """The reasons why a drill failed; empty when it passed.

    `rto_s` None: not all VMs passed their checks.
    """
    reasons = [f"{item}: {why}" for item, why in failed.items()]
    if not started and not failed:
        reasons.append("no VM was started, because none of them runs at the peer")
    if objective_s and rto_s is not None and rto_s > objective_s:
        reasons.append(f"the recovery took {rto_s:.0f} s, the objective DR_RTO is {objective_s} s")
    return reasons + [f"{name}: its recovery point did not advance during the drill" for name in unproven]
