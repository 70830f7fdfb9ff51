"""A drill decided: refusals row by row, and what must hold for every plan and every cleanup whatever is
found.
"""
from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from drill_reports import DRILL_REPORT
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE
from worlds import ONE_DISK, ORIGIN, REQUESTS, copy_of, worlds

from onedr.drill import plan as drill_plan
from onedr.drill import report_html
from onedr.drill.plan import CloneFound, DrillFacts, DrillRemnants, ImageFound, SnapshotFound, VmFound
from onedr.failover.host_choice import Host
from onedr.failover.placement import Placement
from onedr.model import names, template
from onedr.model.records import ImageFacts, PointNote
from onedr.model.recovery_plan import Chosen, Gate, Group, RecoveryPlan
from onedr.model.types import PeerState
from onedr.opennebula.nics import Counterparts, Network, Range
from onedr.runs.request import Request
from onedr.runs.steps import StepKind

DRILLS = Network(9, "drills", (Range("203.0.113.0", "02:00:cb:00:71:00", 64),))
LAN = Network(1, "lan", (Range("192.0.2.0", "02:00:c0:00:02:00", 64),))
NETWORKS = {"drills": DRILLS, "lan": LAN}
GROUND = Placement(Counterparts(NETWORKS))
NIC = (("NETWORK", "lan"), ("IP", "192.0.2.7"), ("MAC", "02:00:c0:00:02:07"), ("MODEL", "virtio"))
WITH_NIC = replace(ONE_DISK, template=(*ONE_DISK.template, ("NIC", NIC)))
MINE, THEIRS = "0ad1c9f2-1111-4111-8111-111111111111", "beefcafe-1111-4111-8111-111111111111"
TAG = names.drill_tag(MINE, 100, 1763840000000)


def facts(*images: ImageFacts, **changes: Any) -> DrillFacts:
    values: dict[str, Any] = {
        "datastore": "ceph",
        "here": HERE,
        "protected": True,
        "peer": PeerState.ANSWERS,
        "peer_detail": "it greets",
        "can_connect": True,
        "network": "drills",
        "placement": GROUND,
    }
    return DrillFacts(**{**values, **changes}, images=images)


COPY = copy_of("one-1", WITH_NIC)


@pytest.mark.parametrize(
    ("given_facts", "reason"),
    [
        (facts(COPY, protected=False), "DR_PROTECT=YES is missing"),
        (facts(), "runs at the secondary"),
        (facts(copy_of("one-1", primary=True)), "runs at the secondary"),
        (facts(COPY, remaining=("VM drill-web (3)",)), "onedr drill cleanup ceph"),
        (facts(COPY, network=""), "set DR_DRILL_NETWORK"),
        (facts(COPY, network="gone"), "there is no virtual network of this name"),
        (facts(COPY, network="lan"), "after a failover VM web would use it"),
        (
            facts(COPY, placement=Placement(Counterparts(NETWORKS, {"lan": "drills"}))),
            "after a failover VM web would use it",
        ),
        (
            facts(
                COPY,
                placement=Placement(
                    Counterparts(
                        {**NETWORKS, "drills": replace(DRILLS, ranges=(Range("192.0.2.0", "", 64),))}
                    )
                ),
            ),
            "contains 192.0.2.7",
        ),
        (
            facts(
                COPY,
                placement=Placement(
                    Counterparts(
                        {**NETWORKS, "drills": replace(DRILLS, ranges=(replace(LAN.ranges[0], ip=""),))}
                    )
                ),
            ),
            "contains 02:00:c0:00:02:07",
        ),
        (facts(COPY, peer=PeerState.GONE), "does not answer"),
        (facts(COPY, peer=PeerState.UNKNOWN), "does not answer"),
        (facts(COPY, can_connect=False), "refuses access"),
        (facts(copy_of("one-1", complete=False)), "never completed"),
        (facts(copy_of("one-1", stale=True)), "is stale"),
        (facts(copy_of("one-1", primary=True), copy_of("one-2", None)), "one-1 is writable here"),
        (
            facts(copy_of("one-1", parent="one-9"), copy_of("one-9", None, complete=False)),
            "initial copy of one-9 never completed",
        ),
    ],
)
def test_it_is_refused_with_the_reason_and_without_steps(given_facts: DrillFacts, reason: str) -> None:
    plan = drill_plan.plan_drill(given_facts, Request("failover"))
    assert reason in plan.refusal
    assert plan.steps == ()


def test_the_steps_of_one_vm_in_their_order() -> None:
    plan = drill_plan.plan_drill(facts(COPY), Request("failover"))
    assert [(step.kind, step.target) for step in plan.steps] == [
        (StepKind.SNAPSHOT, "one-1"),
        (StepKind.ARRIVE, "one-1"),
        (StepKind.CLONE, "one-1"),
        (StepKind.REGISTER, "one-1"),
        (StepKind.CREATE, ORIGIN),
        (StepKind.START, ORIGIN),
        (StepKind.CHECK, ORIGIN),
        (StepKind.PROVE, "one-1"),
    ]


def test_a_drill_goes_by_the_recovery_plan_and_is_held_by_one_that_is_in_doubt() -> None:
    group = Group("all", (COPY.vm.body.name,), gate=Gate(22, 60))  # type: ignore[union-attr]
    chosen = Chosen("tiers", 1, RecoveryPlan((group,)))
    plan = drill_plan.plan_drill(facts(COPY, recovery=chosen), Request("drill"))
    kinds = [(step.kind, step.target) for step in plan.steps]
    at = kinds.index((StepKind.START, ORIGIN))
    assert kinds[at + 1:at + 3] == [(StepKind.GATE, "group all"), (StepKind.CHECK, ORIGIN)]
    held = drill_plan.plan_drill(facts(COPY, recovery=Chosen("tiers", doubt="it is forged.")), Request("drill"))
    assert "it is forged." in held.refusal and "--plan none" in held.refusal and not held.steps


def test_a_vm_that_did_not_run_is_made_and_not_started() -> None:
    off = replace(WITH_NIC, state="POWEROFF")
    assert {
        step.kind for step in drill_plan.plan_drill(facts(copy_of("one-1", off)), Request("failover")).steps
    }.isdisjoint({StepKind.START, StepKind.CHECK})


def test_a_vm_nobody_knows_is_left_out_and_the_others_are_tried() -> None:
    plan = drill_plan.plan_drill(facts(COPY), Request("failover", vms=("web", "wbe")))
    assert plan.steps and "wbe" in plan.left_out


def test_no_room_is_told_and_stops_nothing() -> None:
    plan = drill_plan.plan_drill(
        facts(COPY, placement=replace(GROUND, hosts=(Host("h", 0, 0),))), Request("failover")
    )
    assert plan.steps and "no host here has room" in plan.warnings[ORIGIN]


def test_the_record_of_a_drills_vm_has_nothing_of_productions_place() -> None:
    user = (("DR_PROTECT", "YES"), ("DR_DRILL", "forged"), ("NOTE", "x"))
    own = (
        ("CPU", "1"),
        ("NIC", NIC),
        ("NIC_ALIAS", (*NIC, ("PARENT", "NIC0"))),
        ("SCHED_ACTION", (("ACTION", "terminate"),)),
    )
    made = drill_plan.drill_record(replace(WITH_NIC, template=own, user_template=user), GROUND.counterparts, "drills")
    assert made.name == "drill-web"
    assert made.template == (
        ("CPU", "1"), ("NIC", (("MODEL", "virtio"), ("NETWORK", "drills"))),
        ("NIC_ALIAS", (("MODEL", "virtio"), ("PARENT", "NIC0"), ("NETWORK", "drills"))),
    )
    assert made.user_template == (("NOTE", "x"),)


def test_a_long_name_stays_within_what_oned_takes() -> None:
    assert len(drill_plan.vm_name("x" * 128)) == 128


@given(worlds(), REQUESTS)
def test_a_plan_names_a_mirrored_image_only_to_be_snapshotted_cloned_and_watched(
    world: Any, request_: Request
) -> None:
    """Never to be written, promoted, demoted, removed: whatever the facts are."""
    given_facts = facts(
        *world.images, protected=world.protected, peer=world.peer, can_connect=world.can_fence
    )
    plan = drill_plan.plan_drill(given_facts, request_)
    harmless = {StepKind.SNAPSHOT, StepKind.ARRIVE, StepKind.CLONE, StepKind.REGISTER, StepKind.PROVE}
    by_name = {image.name: image for image in world.images}
    assert {step.kind for step in plan.steps} <= harmless | {StepKind.CREATE, StepKind.START, StepKind.CHECK}
    assert {step.kind for step in plan.steps if step.target in by_name} <= harmless
    for step in plan.steps:
        if step.kind is StepKind.SNAPSHOT:
            found = by_name[step.target]
            assert found.mode is not None and not found.primary and found.complete, (
                "only complete copies of the peer's"
            )


@given(worlds(), REQUESTS)
def test_a_vm_is_made_only_of_clones_of_all_its_disks(world: Any, request_: Request) -> None:
    plan = drill_plan.plan_drill(facts(*world.images), request_)
    cloned = {step.target for step in plan.steps if step.kind is StepKind.REGISTER}
    items = {item.origin: item for item in plan.vms}
    for step in plan.steps:
        if step.kind is StepKind.CREATE:
            item = items[step.target]
            assert {image.name for image in item.images} <= cloned and item.images
            assert (
                not {str(found.rbd).partition("/")[2] for found in item.record.disks if found.protected}
                - cloned
            )
    assert bool(plan.refusal) != bool(plan.steps)


OTHER = names.drill_tag(THEIRS, 100, 1763840000000)
ELSEWHERE = names.drill_tag(MINE, 101, 1763840000000)
TAGS = st.sampled_from([TAG, names.drill_tag(MINE, 100, 5), OTHER, ELSEWHERE, "", "forged", "onedr-drill-x"])
CLONES = st.builds(names.drill_clone, TAGS, st.sampled_from(["one-1", "one-1-2-0", "one-7"]))
NAMES = CLONES | st.sampled_from(["one-1", "one-sys-1-0"])
SNAPSHOTS = TAGS | st.sampled_from(["0", "snap"])
FOUND = st.builds(
    DrillRemnants,
    st.just(MINE),
    st.just(100),
    st.lists(
        st.builds(VmFound, st.integers(0, 9), st.just("x"), TAGS, st.frozensets(NAMES, max_size=3)),
        max_size=4,
    ).map(tuple),
    st.lists(st.builds(ImageFound, st.integers(0, 9), st.just("x"), TAGS, NAMES), max_size=4).map(tuple),
    st.lists(st.builds(CloneFound, NAMES, st.booleans()), max_size=4).map(tuple),
    st.lists(
        st.builds(
            SnapshotFound,
            st.sampled_from(["one-1", "one-2"]),
            SNAPSHOTS,
            st.sampled_from(["", "here", "there", "both"]),
        ),
        max_size=4,
    ).map(tuple),
    st.sampled_from(["", "it is silent"]),
)


@given(FOUND)
def test_cleanup_removes_only_what_carries_the_mark_of_this_sites_drills(found: DrillRemnants) -> None:
    def own(name: str) -> bool:
        parsed = names.parse_drill(name)
        return parsed is not None and parsed.cluster == MINE[:8] and parsed.datastore_id == 100

    plan = drill_plan.plan_cleanup(found)
    vms = {f"VM {vm.vm_id}": vm for vm in reversed(found.vms)}
    for step in plan.steps:
        if step.kind is StepKind.TERMINATE:
            candidates = [vm for vm in found.vms if f"VM {vm.vm_id}" == step.target]
            assert any(
                own(vm.tag) and any(name.startswith(f"{vm.tag}-") for name in vm.disks) for vm in candidates
            ), vms
        elif step.kind is StepKind.DELETE:
            candidates_ = [image for image in found.images if f"image {image.image_id}" == step.target]
            assert any(own(image.tag) and image.rbd.startswith(f"{image.tag}-") for image in candidates_)
        elif step.kind is StepKind.REMOVE:
            assert own(step.target) and any(clone.made for clone in found.clones if clone.name == step.target)
        else:
            image, _, tag = step.target.partition("@")
            assert step.kind is StepKind.UNSNAP and names.parse_drill(tag)
            places = {
                snapshot.primary
                for snapshot in found.snapshots
                if (snapshot.image, snapshot.tag) == (image, tag)
            }
            assert places & ({"here", "there"} if own(tag) else {"here"})


@given(FOUND)
def test_what_is_its_own_is_removed_or_named(found: DrillRemnants) -> None:
    plan = drill_plan.plan_cleanup(found)
    named = {step.target for step in plan.steps} | set(plan.left_out)
    for vm in found.vms:
        parsed = [names.parse_drill(name) for name in vm.disks]
        if vm.tag == TAG and any(one is not None and one.tag == TAG for one in parsed):
            assert f"VM {vm.vm_id}" in named
    assert {clone.name for clone in found.clones if clone.name.startswith(f"{TAG}-")} <= named
    assert {snapshot.target for snapshot in found.snapshots if snapshot.tag == TAG} <= named


def test_a_snapshot_whose_primary_is_not_seen_is_left_with_the_reason() -> None:
    found = DrillRemnants(MINE, 100, snapshots=(SnapshotFound("one-1", TAG, ""),), peer_detail="it is silent")
    plan = drill_plan.plan_cleanup(found)
    assert plan.steps == () and "it is silent" in plan.left_out[f"one-1@{TAG}"]


def test_nothing_is_written_to_an_image_that_is_primary_at_both_sites() -> None:
    found = DrillRemnants(MINE, 100, snapshots=(SnapshotFound("one-1", TAG, "both"),))
    plan = drill_plan.plan_cleanup(found)
    assert plan.steps == () and "primary at both sites" in plan.left_out[f"one-1@{TAG}"]


def test_what_a_dead_secondary_left_is_removed_at_the_primary() -> None:
    plan = drill_plan.plan_cleanup(
        DrillRemnants(MINE, 100, snapshots=(SnapshotFound("one-1", OTHER, "here"),))
    )
    assert [(step.kind, step.target) for step in plan.steps] == [(StepKind.UNSNAP, f"one-1@{OTHER}")]


def test_what_the_peers_own_drill_has_at_the_peer_is_left_alone() -> None:
    plan = drill_plan.plan_cleanup(
        DrillRemnants(
            MINE, 100, snapshots=(SnapshotFound("one-1", OTHER, "there"), SnapshotFound("one-2", OTHER, ""))
        )
    )
    assert (plan.steps, plan.left_out) == ((), {})


def test_another_drill_is_refused_for_what_is_ones_own_and_not_for_others() -> None:
    vm = VmFound(3, "drill-web", TAG, frozenset({names.drill_clone(TAG, "one-1")}))
    forged = VmFound(4, "web", TAG, frozenset({"one-1"}))
    found = DrillRemnants(
        MINE,
        100,
        (vm, forged),
        snapshots=(SnapshotFound("one-1", OTHER, ""), SnapshotFound("one-1", TAG, "")),
    )
    assert drill_plan.remaining(found) == ("VM drill-web (3)", f"one-1@{TAG}")


def test_a_users_image_with_a_drills_mark_keeps_no_drill_from_beginning() -> None:
    """Cleanup would not remove it either: the mark is a text that its owner may have written."""
    found = DrillRemnants(MINE, 100, images=(ImageFound(5, "mine", TAG, "one-5"),))
    assert not drill_plan.remaining(found) and not drill_plan.plan_cleanup(found).steps
    made = DrillRemnants(MINE, 100, images=(ImageFound(6, "drill-web", TAG, names.drill_clone(TAG, "one-1")),))
    assert drill_plan.remaining(made) == ("image drill-web (6)",)


@pytest.mark.parametrize(("given_verdict", "expected"), [
    (({}, (), 2, 30.0, 60), []),
    (({}, (), 2, 30.0, 0), []),
    (({"VM web": "no disk"}, (), 2, None, 60), ["VM web: no disk"]),
    (({}, (), 2, 90.0, 60), ["the recovery took 90 s, the objective DR_RTO is 60 s"]),
    (({}, ("one-1",), 2, 30.0, 0), ["one-1: its recovery point did not advance during the drill"]),
    (({}, (), 0, None, 60), ["no VM was started, because none of them runs at the peer"]),
])
def test_the_verdict_names_each_reason(given_verdict: Any, expected: list[str]) -> None:
    assert drill_plan.drill_verdict(*given_verdict) == expected


def test_names_of_drills_go_there_and_back_and_nothing_else_is_one() -> None:
    fsid = "0ad1c9f2-aaaa-bbbb-cccc-000000000000"
    tag = names.drill_tag(fsid, 100, 1763840000000)
    assert names.parse_drill(tag) == names.DrillName(tag, "0ad1c9f2", 100)
    assert names.parse_drill(names.drill_clone(tag, "one-1-2-0")) == names.DrillName(
        tag, "0ad1c9f2", 100, "one-1-2-0"
    )
    assert not names.is_managed(names.drill_clone(tag, "one-1")), "nothing mirrors or recovers it"
    for other in ("one-1", "snap", "0", "onedr-drill", f"{tag}-", f"{tag}-sys", f"x{tag}", tag.upper()):
        assert names.parse_drill(other) is None


def test_nothing_a_user_wrote_becomes_part_of_the_page() -> None:
    page = report_html.page(DRILL_REPORT, "d" * 64, "x.json").decode()
    for evil in ("<script>", "<img", "<b>", "<i>", "</table></td>", "\x1b", "\x00"):
        assert evil not in page, evil
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        and "Pending: the drill VMs are still running." in page
    )
    root = template.parse_xml(re.sub("<meta [^>]*>", "", page.partition("\n")[2]))
    assert root.tag == "html"




def test_with_a_point_the_clones_are_taken_back_to_it_before_the_vm_is_made() -> None:
    note = {"s": PointNote(2000.5, 0.1)}
    with_point = replace(COPY, points=note, group_snapshots=frozenset({"s"}))
    asked = Request("drill", attributes=(("POINT", "newest"),))
    plan = drill_plan.plan_drill(facts(with_point), asked)
    kinds = [step.kind for step in plan.steps]
    assert kinds.index(StepKind.CLONE) < kinds.index(StepKind.REWIND) < kinds.index(StepKind.REGISTER)
    assert plan.points["one-1"].snapshot == "s" and plan.vms[0].recovery_point == 2000.5
    without = drill_plan.plan_drill(facts(COPY), asked)
    assert "no point" in without.refusal and not without.steps
    plain = drill_plan.plan_drill(facts(with_point), Request("drill"))
    assert StepKind.REWIND not in [step.kind for step in plain.steps] and not plain.points
