"""DR_MESSAGE of a datastore is read by every user, that of an image by all who may use the image: other people's VMs
and images are counted in it, not named.
"""
from __future__ import annotations

import ast
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from samples import HERE, THERE, disk, vm_record
from worlds import REQUESTS, WORLDS, confirmed, copy_of, facts

from onedr.ceph import connection
from onedr.drill import plan as drill_plan
from onedr.drill.plan import DrillFacts
from onedr.failover import rollback
from onedr.failover.facts import FailoverFacts
from onedr.failover.plan import plan_failover
from onedr.failover.verdict import RunEnd, judge_end
from onedr.model.errors import OneDRError, PlanRefusedError, RefusedError, RunInProgressError
from onedr.model.template import Pairs
from onedr.model.text import NOTHING, Sentence, filled, named, public_of, together
from onedr.model.types import CephAccess, Mode, PeerState
from onedr.opennebula.vms import PeerVm
from onedr.protection import delete_image
from onedr.protection.delete_rules import RemovalFacts, refusal
from onedr.protection.disable_plan import DisableFacts, disable_plan
from onedr.protection.enable_plan import ConversionItem, DatastoreFacts
from onedr.runs.request import Request
from onedr.runs.state import ImageState, judge_state

ONEDR = Path(__file__).parents[3] / "onedr"
NAMED = re.compile(r"one-\d|\bvm\d|secret|alice|\bweb\b")  # what the worlds here call their VMs and images
ITEMS = st.builds(
    ImageState, st.integers(0, 9).map("secret-{}".format), st.booleans(), st.booleans(), st.booleans(),
    st.none() | st.floats(0, 2000), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from(["", "", "alice's secret is in the way"]),
)


@given(st.booleans(), st.lists(ITEMS, max_size=4), st.sampled_from(["", "", "failover", "drill"]), st.booleans())
def test_a_state_names_nothing(protect: bool, items: list[ImageState], run: str, interrupted: bool) -> None:
    lacking = Sentence(" It left secret out.", " It left 1 out.")
    said = judge_state(protect, items, 900, run, interrupted, lacking).message
    assert said.public and not NAMED.search(said.public)


@given(st.builds(
    RunEnd, st.sampled_from(["move", "failover"]), st.booleans(), st.just("now"), st.floats(0, 100),
    st.integers(0, 3), st.integers(0, 3), st.lists(st.just("secret"), max_size=2).map(tuple), st.integers(0, 3),
    st.sampled_from(["", "secret cannot be read"]), st.sampled_from([NOTHING, named(["secret-1", "secret-2"])]),
))
def test_the_end_of_a_run_names_nothing(end: RunEnd) -> None:
    said = judge_end(end)[2]
    assert said.public and not NAMED.search(said.public)


def test_the_end_of_a_run_says_how_many_and_where_the_names_are() -> None:
    end = RunEnd("failover", False, "now", 1.0, 4, 3, ("secret",), 2)
    assert "1 not; 2 item(s) failed. See onedr history" in judge_end(end)[2].public
    split = judge_end(replace(end, split=named(["secret-1", "secret-2"])))[2]
    assert split.public == "2 image(s) (see onedr status)"


@given(WORLDS, REQUESTS)
def test_a_refused_plan_names_nothing(world: FailoverFacts, request: Request) -> None:
    refusal = plan_failover(world, request).refusal
    if refusal:
        public = PlanRefusedError(refusal).public
        assert public and not NAMED.search(public), "and it does not fall back on the log"


ON_IT = PeerVm(42, "secret", "ACTIVE", "", frozenset({"one-1"}))
SPLIT = frozenset({"one-1"})
LIVING = facts(copy_of("one-1"), peer=PeerState.ANSWERS, there=(ON_IT,))


@pytest.mark.parametrize(("world", "request_", "words"), [
    (LIVING, Request("failover"), "shows 1 VM(s) running on these disks"),
    (replace(LIVING, can_fence=False), Request("move"), "If the peer is lost, run: onedr failover ceph"),
    (replace(LIVING, split=SPLIT), confirmed(), "1 image(s) (see onedr status)"),
    (LIVING, confirmed(vms=("secret",)), "No record of the VMs"),
    (LIVING, replace(confirmed(), confirm="other"), "'other' is not this datastore's name"),
    (facts(copy_of("one-1", complete=False)), confirmed(), "for 2 reason(s)"),
    (facts(copy_of("one-1", complete=False), copy_of("one-2", None), peer=PeerState.ANSWERS, there=()), Request("move"),
     "onedr move ceph --dry-run names them"),
])
def test_what_a_refusal_shows_in_sunstone(world: FailoverFacts, request_: Request, words: str) -> None:
    public = PlanRefusedError(plan_failover(world, request_).refusal).public
    assert words in public and not NAMED.search(public)


@pytest.mark.parametrize("changes", [
    {"remaining": ("secret-1",)}, {"split": SPLIT}, {}, {"network": "drills"}, {"peer": PeerState.GONE}, {"protected": False},
])
def test_a_refused_drill_names_nothing(changes: dict[str, object]) -> None:
    world = DrillFacts("ceph", HERE, True, (copy_of("one-1"),), PeerState.ANSWERS, "it greets", True)
    public = public_of(drill_plan.plan_drill(replace(world, **changes), Request("drill")).refusal, "")  # type: ignore[arg-type]
    assert public and not NAMED.search(public)


@pytest.mark.parametrize("changes", [
    {"locked_until": "20270131T000000Z"}, {"unreadable": True, "blocker": "secret"}, {"split": True, "mode": Mode.JOURNAL}, {"mode": Mode.JOURNAL, "primary": False},
])
def test_a_refused_disable_names_nothing(changes: dict[str, object]) -> None:
    item = ConversionItem("one-1", "VM 7", "secret", **changes)  # type: ignore[arg-type]
    datastore = DatastoreFacts("ceph", "0", "ceph_dr", "ceph_dr", ())
    found = disable_plan(DisableFacts(datastore, "", False, (item,)))
    public = PlanRefusedError(together(found.refusals)).public
    assert public and "…" not in public and not NAMED.search(public)


def test_a_rollback_names_nothing() -> None:
    for undone in ({}, {"one-1": "secret"}):
        public = rollback.said("move", "secret: no", undone).public
        assert public and not NAMED.search(public)


@given(st.builds(
    RemovalFacts, st.booleans(), st.booleans(), st.booleans(), st.booleans(),
    st.lists(st.sampled_from(["one/one-3-7-0", "one/secret"])).map(tuple), st.lists(st.just("9 (alice-db)")).map(tuple),
    st.booleans(),
))
def test_why_an_image_is_not_removed_names_no_other(found: RemovalFacts) -> None:
    reason = refusal(found)
    assert reason is None or (reason.public and not NAMED.search(reason.public))


@pytest.mark.parametrize(("error", "public"), [
    (RefusedError("it is the base of secret"), "may name other images or VMs"),
    (RefusedError(Sentence("base of secret", "base of 1 disk")), "base of 1 disk"),
])
def test_an_image_shows_what_is_public_of_it_and_its_driver_says_all(
    monkeypatch: pytest.MonkeyPatch, error: RefusedError, public: str
) -> None:
    """The driver's answer is in oned.log only."""
    shown: list[str] = []

    def update_image(image_id: int, pairs: Pairs) -> None:
        shown.extend(text for key, text in pairs if (image_id, key) == (5, "DR_MESSAGE"))

    def fails(*_: object) -> None:
        raise error

    pool = SimpleNamespace(exists=lambda name: True)
    monkeypatch.setattr(connection, "connect", lambda *_: nullcontext(pool))
    monkeypatch.setattr(delete_image, "FrontEnd", lambda **_: SimpleNamespace(update_image=update_image))
    monkeypatch.setattr(delete_image, "_facts", fails)
    image = etree.fromstring("<IMAGE><ID>5</ID><SOURCE>one/one-5</SOURCE></IMAGE>")
    with pytest.raises(RefusedError, match="secret"):
        delete_image.remove_image(image, CephAccess("one", "", ""), trash=False)
    assert len(shown) == 1 and public in shown[0] and not NAMED.search(shown[0])


def test_an_error_without_anything_public_has_none() -> None:
    assert RefusedError(f"VM {Sentence('secret')}").public == "" == OneDRError("secret").public
    assert RunInProgressError("it is ada's").public == "it is ada's"


@given(st.lists(st.text(), max_size=3), st.text())
def test_a_form_is_filled_whatever_its_parts_are(parts: list[str], more: str) -> None:
    made = filled("a{}" * len(parts) + "b", *parts)
    assert made == "".join(f"a{part}" for part in parts) + "b"
    assert made.public == "a…" * len(parts) + "b"
    assert made.then(more).public == made.public, "what is not known to be public is not"


def test_dr_message_is_written_in_these_places_only() -> None:
    """Each of them writes what is public, or the datastore's own settings; a new one belongs here after a look."""
    found = {
        str(path.relative_to(ONEDR))
        for path in ONEDR.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == "DR_MESSAGE"
    }
    of_datastores = {
        "runs/datastore_message.py", "driver/refusal.py", "driver/take_request.py", "hook/datastore.py",
        "protection/settle_rules.py", "protection/disable_plan.py",
    }
    of_images, readers = {"protection/delete_image.py"}, {
        "protection/glance.py", "protection/keeper.py", "cli/enable_output.py", "hook/settled_note.py", "opennebula/objects.py",
        "opennebula/own_marks.py",
        "opennebula/removal.py", "driver/bridge_api.py", "failover/failback_plan.py",
    }
    assert found == of_datastores | of_images | readers


def test_the_sample_names_are_in_what_the_operator_reads() -> None:
    body = vm_record(name="secret", disks=(disk(0, "one/one-1"),))
    plan = plan_failover(facts(copy_of("one-1", body, complete=False)), confirmed())
    assert NAMED.search(plan.refusal) and f"{THERE}" not in plan.refusal
