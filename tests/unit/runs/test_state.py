"""The named state of a datastore: the worst thing is said first, with a name and a next step."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model.text import Sentence
from onedr.model.types import Role, State
from onedr.runs import state as runs_state
from onedr.runs.state import ImageState, StateVerdict


def item(name: str = "one-1", **changes: Any) -> ImageState:
    return ImageState(
        **{"name": name, "mirrored": True, "primary": True, "copied": True, "age_s": 5.0, **changes}
    )


SAFE, COPY = item(), item(primary=False)


def verdict(
    *items: ImageState, protect: bool = True, run: str = "", interrupted: bool = False, lacking: str = "",
    unseen: bool = False,
) -> StateVerdict:
    return runs_state.judge_state(protect, items, 900, run, interrupted, Sentence(lacking), unseen)


@pytest.mark.parametrize(
    ("items", "given_", "expected", "words"),
    [
        ([SAFE], {"run": "failover", "interrupted": True}, State.INTERRUPTED, "onedr resume to continue"),
        ([SAFE], {"run": "abort"}, State.FAILING_OVER, "abort in progress"),
        ([item(split=True)], {"run": "failover", "interrupted": True}, State.INTERRUPTED, "failover"),
        ([SAFE], {"run": "failover"}, State.FAILING_OVER, "failover in progress"),
        ([SAFE], {"protect": False, "run": "failover"}, State.FAILING_OVER, "failover"),
        ([SAFE], {"protect": False}, State.UNPROTECTED, "DR_PROTECT=YES"),
        ([SAFE, item("one-2", split=True, problem="x")], {}, State.SPLIT_BRAIN, "one-2"),
        ([item(primary=False, split=True)], {}, State.SPLIT_BRAIN, "one-1"),
        ([COPY], {}, State.STANDBY, "ready to take over"),
        (
            [COPY, item("one-2", primary=False, copied=False)],
            {},
            State.STANDBY,
            "1 copies are not complete yet: one-2",
        ),
        ([item(copied=False, taken=True)], {}, State.ACTIVE_UNPROTECTED, "no complete copy of one-1"),
        ([item(copied=False, taken=True)], {"lacking": " db."}, State.ACTIVE_UNPROTECTED, "db."),
        ([item(taken=True)], {}, State.PROTECTED, "1 of 1"),
        # after a failback, a new image: its first copy is under way, nobody took over
        ([item(taken=True), item("one-2", copied=False)], {}, State.PROTECTING, "one-2"),
        # an image made at the standby does not make it the primary
        ([COPY, item("one-3", primary=False), item("one-2", copied=False)], {}, State.STANDBY, "one-2"),
        # the loser of two runs at once: nothing was promoted here
        ([COPY, item("one-2", primary=False)], {"lacking": " one-1."}, State.STANDBY, "ready to take over"),
        ([item(problem="no peer"), item("one-2", copied=False)], {}, State.DEGRADED, "one-1 (no peer)"),
        # a peer that is gone: neither is a first copy under way, nor is it known that copies are young
        ([item(copied=False, age_s=None)], {"unseen": True}, State.DEGRADED, "The peer's copies cannot be read now: nothing is known"),
        ([SAFE, item("one-2", age_s=None)], {"unseen": True}, State.DEGRADED, "of those of one-2"),
        ([item(copied=False, taken=True)], {"unseen": True}, State.ACTIVE_UNPROTECTED, "no complete copy of one-1"),
        ([COPY], {"unseen": True}, State.STANDBY, "ready to take over"),
        ([item(problem="no peer")], {"unseen": True}, State.DEGRADED, "one-1 (no peer)"),
        ([item(mirrored=False)], {}, State.DEGRADED, "one-1 (not mirrored)"),
        ([SAFE, item("one-2", age_s=901.0)], {}, State.DEGRADED, "objective of 900 s: one-2"),
        ([item(age_s=900.0)], {}, State.PROTECTED, "1 of 1"),
        ([item(age_s=None)], {}, State.PROTECTED, "1 of 1"),
        ([SAFE, item("one-2", copied=False, age_s=5000.0)], {}, State.PROTECTING, "one-2"),
        ([SAFE, item("one-2")], {}, State.PROTECTED, "2 of 2"),
        ([], {}, State.PROTECTED, "0 of 0"),
    ],
)
def test_each_situation_has_its_state_and_its_sentence(
    items: list[ImageState], given_: dict[str, Any], expected: State, words: str
) -> None:
    found = verdict(*items, **given_)
    assert found.state is expected
    assert words in found.message


@pytest.mark.parametrize(("items", "protect", "role"), [
    ([COPY], False, Role.UNPROTECTED), ([], True, Role.PRIMARY), ([SAFE], True, Role.PRIMARY),
    ([COPY], True, Role.SECONDARY), ([COPY, SAFE], True, Role.PRIMARY),
    ([COPY, COPY, SAFE], True, Role.SECONDARY), ([COPY, COPY, item(taken=True)], True, Role.PRIMARY),
    ([COPY, item(mirrored=False)], True, Role.SECONDARY),
    ([item(mirrored=False, primary=False)], True, Role.PRIMARY),
])
def test_the_role_is_that_of_the_mirrored_images(items: list[ImageState], protect: bool, role: Role) -> None:
    assert verdict(*items, protect=protect).role is role


def test_only_what_is_mirrored_copied_and_without_a_problem_counts_as_safe() -> None:
    found = verdict(SAFE, item(copied=False), item(mirrored=False), item(problem="x"), item(age_s=None))
    assert (found.safe, found.total) == (2, 5)


def test_many_names_are_cut_short_with_their_number() -> None:
    found = verdict(*(item(f"one-{n}", problem="x") for n in range(10)))
    assert "10 of 10 not protected: one-0, one-1, one-2 and 7 more" in found.message


ITEMS = st.builds(
    ImageState, st.sampled_from(["one-1", "one-2"]), mirrored=st.booleans(), primary=st.booleans(),
    copied=st.booleans(), age_s=st.none() | st.floats(0, 2000), split=st.booleans(), stale=st.booleans(),
    problem=st.sampled_from(["", "it is broken"]), taken=st.booleans(),
)
WORLDS = st.lists(ITEMS, max_size=5)


@given(WORLDS, st.booleans(), st.sampled_from(["", "failover"]), st.booleans(), st.sampled_from(["", " Left."]))
def test_protected_is_said_only_when_every_item_is_safe_and_young(
    items: list[ImageState], protect: bool, run: str, interrupted: bool, lacking: str
) -> None:
    found = runs_state.judge_state(protect, items, 900, run, interrupted, Sentence(lacking))
    assert found.message
    if found.state is State.PROTECTED:
        assert found.safe == found.total == len(items)
        assert all(each.age_s is None or each.age_s <= 900 for each in items)
        assert not any(each.split for each in items)


@given(WORLDS, st.sampled_from(["", " Left."]))
def test_a_site_took_over_only_what_it_promoted_and_what_has_no_copy(
    items: list[ImageState], lacking: str
) -> None:
    """Whatever the last run said of itself: roles are read now."""
    found = verdict(*items, lacking=lacking)
    bare = [each for each in items if each.primary and each.taken and each.mirrored and not each.copied]
    if found.state is State.ACTIVE_UNPROTECTED:
        assert bare and all(each.name in found.message or "more" in found.message for each in bare)
    if not any(each.primary and each.mirrored for each in items):
        assert found.state is not State.ACTIVE_UNPROTECTED


@given(WORLDS)
def test_what_is_split_or_stale_is_said_before_anything_else(items: list[ImageState]) -> None:
    found = verdict(*items)
    if any(each.split for each in items):
        assert found.state is State.SPLIT_BRAIN
    elif any(each.stale for each in items):
        assert found.state is State.RETURNED


@given(WORLDS)
def test_a_new_image_changes_no_role_of_a_standby(items: list[ImageState]) -> None:
    copies = [replace(each, primary=False, mirrored=True, split=False, stale=False) for each in items]
    if len(copies) > 1:
        new = item("one-9", copied=False)
        assert verdict(*copies, new).role is verdict(*copies).role is Role.SECONDARY


def test_every_state_has_a_description_for_its_page() -> None:
    assert set(runs_state.DESCRIPTIONS) == set(State)


@pytest.mark.parametrize(("items", "changes", "code", "state"), [
    ([SAFE], {}, "PAUSED", State.DEGRADED),
    ([item(copied=False), item("one-2", mirrored=False, problem="no")], {}, "PAUSED", State.DEGRADED),
    ([COPY], {}, "PAUSED_HERE", State.STANDBY),
    ([SAFE], {"run": "drill"}, "DRILL", State.DRILLING),
    ([item(split=True)], {}, "BOTH_PRIMARY", State.SPLIT_BRAIN),
    ([item(taken=True, copied=False)], {}, "TOOK_OVER", State.ACTIVE_UNPROTECTED),
    ([SAFE], {"protect": False}, "NOT_ASKED_FOR", State.UNPROTECTED),
    ([], {}, "SAFE", State.PROTECTED),
])
def test_a_pause_is_said_unless_there_is_worse(
    items: list[ImageState], changes: dict[str, Any], code: str, state: State
) -> None:
    given_ = {"protect": True, "run": "", **changes}
    found = runs_state.judge_state(given_["protect"], items, 900, given_["run"], False, paused=True)
    assert (found.code, found.state) == (code, state)
    assert ("onedr resume-protection" in found.message) == code.startswith("PAUSED")
    assert "one-" not in found.message.public or not code.startswith("PAUSED")
