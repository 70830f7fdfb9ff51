"""PLAN: what a person decides by, with what confirms exactly it."""
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from onedr.cli.document_schema import schema
from onedr.document import fit_rules
from onedr.document.form import DatastoreShown, PlanPart
from onedr.document.plan_part import Asked, RunPlan, plan_part, without_plan
from onedr.runs.events import PeerShown
from onedr.runs.plan_events import (
    DrillPlanEvent,
    DrillVm,
    FailoverPlanEvent,
    FailoverVm,
    ReprotectImage,
    ReprotectPlanEvent,
    StepShown,
)
from onedr.runs.request import Request

ASKED = Asked(
    DatastoreShown(100, "ceph", "south"), "FAILOVER",
    Request("failover", by="ann", dry_run=True, attributes=(("PLAN", "FAILOVER"), ("REQUEST", "page-1"))),
)
VM = FailoverVm("f:1", "db", "north", 1, "ACTIVE", 5.0, 7.5, True, 2, ("one-1",), "", (), seen_loss_bytes=16384)
STEP = StepShown("promote", "one-1", "promote one-1", 120, "the copy is complete", "p", "i")
PLAN = FailoverPlanEvent(
    "ceph", peer=PeerShown("gone"), vms=(VM,), steps=(STEP,), digest="0f3c5a77e21b", fence="demoted", seen="It is gone.",
)


def part(event: RunPlan, **changes: Any) -> PlanPart:
    made = plan_part(replace(ASKED, **changes), event, 50.0)
    jsonschema.validate({"PLAN": json.loads(fit_rules.text_of(made))}, schema())
    return made


def test_it_answers_the_request_and_says_what_confirms_it() -> None:
    made = part(PLAN)
    assert (made.request, made.by, made.confirm, made.digest) == ("page-1", "ann", "ceph:0f3c5a77e21b", "0f3c5a77e21b")
    (row,) = made.vms.rows
    assert (row.loss_s, row.loss_bytes, row.starts, row.priority) == (7.5, 16384, True, 2)
    assert (made.peer, made.seen, made.fence, made.lossless) == ("gone", "It is gone.", "demoted", False)


def test_a_refused_plan_confirms_nothing() -> None:
    made = part(replace(PLAN, refusal="It is split."))
    assert (made.refusal, made.confirm) == ("It is split.", "")


def test_steps_of_a_kind_are_together_in_order() -> None:
    steps = tuple(replace(STEP, kind=kind, text=f"{kind} {at}") for kind in ("fence", "promote") for at in range(40))
    found = part(replace(PLAN, steps=steps)).steps
    assert [(each.kind, each.count) for each in found] == [("fence", 40), ("promote", 40)]
    assert found[1].texts == tuple(f"promote {at}" for at in range(5))


def test_what_is_left_out_is_named_as_people_name_it_and_comes_first() -> None:
    left = replace(VM, origin="f:2", vm=2, name="web", left_out="no copy", starts=False)
    made = part(replace(PLAN, vms=(VM, left), left_out={"f:2": "no copy", "one-9": "stays"}))
    assert [row.id for row in made.vms.rows] == [2, 1]
    assert [(row.item, row.why) for row in made.left_out.rows] == [("VM web (2 at north)", "no copy"), ("one-9", "stays")]


def test_a_drill_and_a_reprotect_have_no_digest() -> None:
    vm = DrillVm("f:1", "db", "north", 1, 5.0, 7.5, True, ("one-1",), "", ())
    drill = part(DrillPlanEvent("ceph", network="isolated", vms=(vm,), steps=(STEP,)))
    assert (drill.network, drill.confirm, drill.vms.rows[0].loss_s) == ("isolated", "", None)
    image = ReprotectImage("one-1", True, True, "db", 3.0, 1 << 30)
    again = part(ReprotectPlanEvent("ceph", images=(image,), left_out={"one-2": "split"}))
    assert (again.images.total, again.images.rows[0].bytes, again.confirm) == (1, 1 << 30, "")
    assert again.left_out.rows[0].item == "one-2"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3000), st.text(max_size=200))
def test_it_stays_small_and_says_how_many_there_are(count: int, text: str) -> None:
    vms = tuple(replace(VM, origin=f"f:{at}", vm=at, name=text, warnings=(text,) * 9) for at in range(count))
    steps = tuple(replace(STEP, kind=f"kind {at % 12}", text=text) for at in range(count))
    made = part(replace(PLAN, vms=vms, steps=steps, left_out={f"f:{at}": text for at in range(count)}))
    assert len(fit_rules.text_of(made)) <= fit_rules.PART_BYTES
    assert (made.vms.total, made.left_out.total, sum(each.count for each in made.steps)) == (count, count, count)


def test_without_a_plan_it_says_why() -> None:
    made = without_plan(ASKED, 50.0, "Ceph does not answer.")
    jsonschema.validate({"PLAN": json.loads(fit_rules.text_of(made))}, schema())
    assert (made.error, made.request, made.verb) == ("Ceph does not answer.", "page-1", "FAILOVER")
