"""Whole templates that pages and editors write: what vanished comes back, an old action starts nothing."""
from __future__ import annotations

from collections.abc import Iterator

import pages
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pages import DATASTORE, STOCK, World

from onedr.model import settings as model_settings
from onedr.model import template
from onedr.model.errors import FrontEndError
from onedr.protection import settle
from onedr.protection.settle_rules import WORDS

MOVE = {"DR_ACTION": "FAILOVER", "DR_CONFIRM": "ceph"}


@pytest.fixture(autouse=True)
def pool() -> Iterator[None]:
    with pages.in_memory():
        yield


@pytest.fixture
def world() -> World:
    """A protected datastore that the keeper has seen."""
    made = World()
    made.update({"DR_RPO": "20m", "DR_SITE": "here"}, append=True)
    made.keeper()
    return made


def started(world: World) -> str:
    return template.get(world.hook(), "DR_ACTION")


def test_an_action_set_by_hand_needs_no_counter_and_starts_once(world: World) -> None:
    for _ in range(3):
        world.update(MOVE, append=True)
        assert (started(world), started(world)) == ("FAILOVER", "")
        assert not any(world.template.get(word) for word in WORDS)
        assert "taken off" not in world.template.get("DR_MESSAGE", "")


def test_the_request_comes_with_its_words(world: World) -> None:
    world.update({**MOVE, "DR_LEAVE": "7 8", "DR_REQUEST": "r1"}, append=True)
    taken = dict(world.hook())
    assert (taken["DR_CONFIRM"], taken["DR_LEAVE"], taken["DR_TAKE"]) == ("ceph", "7 8", "")


@pytest.mark.parametrize("append", [True, False], ids=["append", "replace"])
@pytest.mark.parametrize("when", ["while it was set", "before"])
def test_a_page_of_before_starts_nothing(world: World, append: bool, when: str) -> None:
    page = world.page()
    world.update(MOVE, append=True)
    page = world.page() if when == "while it was set" else page
    assert started(world) == "FAILOVER"
    world.update({**page, "NOTE": "unrelated"}, append)
    assert started(world) == ""
    assert world.template["NOTE"] == "unrelated"
    assert not world.template.get("DR_ACTION") and not world.template.get("DR_CONFIRM")
    said = "old page" in world.template.get("DR_MESSAGE", "")
    assert said == (when == "while it was set")
    world.update(MOVE, append=True)
    assert started(world) == "FAILOVER", "an operator's own word counts afterwards"


def test_the_keeper_does_not_make_an_old_pages_action_look_new(world: World) -> None:
    world.update(MOVE, append=True)
    page = world.page()
    world.hook()
    world.update(page, append=True)
    world.keeper()
    assert started(world) == ""


def test_the_keeper_leaves_an_operators_action_to_the_hook(world: World) -> None:
    world.update(MOVE, append=True)
    world.keeper()
    assert started(world) == "FAILOVER"


def test_a_request_id_is_accepted_once(world: World) -> None:
    for number, expected in (("r1", "FAILOVER"), ("r1", ""), ("r2", "FAILOVER")):
        world.update({**MOVE, "DR_REQUEST": number}, append=True)
        assert started(world) == expected, number
    world.update({**MOVE, "DR_REQUEST": "r1"}, append=True)
    assert started(world) == "" and "DR_REQUEST was used before" in world.template["DR_MESSAGE"]
    assert "DR_REQUEST was used before" in world.refusal, "any later writer of DR_MESSAGE shows it"


def test_a_request_id_without_an_action_does_not_spoil_a_later_one(world: World) -> None:
    world.update({**MOVE, "DR_REQUEST": "r1"}, append=True)
    world.hook()
    world.update({"DR_REQUEST": "r1"}, append=True)
    world.hook()
    world.update(MOVE, append=True)
    assert started(world) == "FAILOVER"


@pytest.mark.parametrize("request_id", ["x" * 65, "a\u009bb"])
def test_a_strange_request_id_starts_nothing(world: World, request_id: str) -> None:
    world.update({**MOVE, "DR_REQUEST": request_id}, append=True)
    assert started(world) == ""


def test_a_protected_datastore_without_a_counter_gets_one_before_it_takes_an_action() -> None:
    world = World()
    world.update(MOVE, append=True)
    assert started(world) == "" and "DR_SEQ was missing" in world.template["DR_MESSAGE"]
    world.update(MOVE, append=True)
    assert started(world) == "FAILOVER"


def test_an_unprotected_datastore_takes_its_first_action() -> None:
    world = World(protected=False)
    world.update({"DR_ACTION": "STATUS"}, append=True)
    assert started(world) == "STATUS"


@pytest.mark.parametrize("by", [World.hook, World.keeper])
def test_what_a_replacing_update_took_away_comes_back(world: World, by: object) -> None:
    world.update(STOCK, append=False)
    assert "DR_PROTECT" not in world.template and "LN_TARGET" not in world.template
    by(world)  # type: ignore[operator]
    shown = world.template
    assert (shown["DR_PROTECT"], shown["DR_RPO"], shown["DR_SITE"]) == ("YES", "20m", "here")
    assert shown["LN_TARGET"] == "NONE", "what oned sets with TM_MAD"
    assert all(word in shown["DR_MESSAGE"] for word in ("DR_PROTECT", "DR_RPO", "put back"))


def test_an_action_in_a_replacing_update_without_a_counter_starts_nothing(world: World) -> None:
    world.update({**STOCK, **MOVE}, append=False)
    assert started(world) == ""
    assert world.template["DR_PROTECT"] == "YES" and "nothing was started" in world.template["DR_MESSAGE"]


def test_a_page_of_before_enable_does_not_bring_the_stock_drivers_back(world: World) -> None:
    world.update({**STOCK, "DS_MAD": "ceph", "TM_MAD": "ceph"}, append=True)
    world.hook()
    assert world.drivers == {"DS_MAD": "ceph_dr", "TM_MAD": "ceph_dr"}


def test_a_changed_value_is_taken_over_and_an_empty_one_clears(world: World) -> None:
    world.update({"DR_RPO": "5m", "DR_SITE": "", "DR_RTO": "1h"}, append=True)
    assert not world.hook()
    assert world.known is not None and "DR_SITE" not in world.known.settings
    world.update(STOCK, append=False)
    world.hook()
    assert (world.template["DR_RPO"], world.template["DR_RTO"]) == ("5m", "1h")
    assert "DR_SITE" not in world.template


def test_what_cannot_be_used_is_not_kept(world: World) -> None:
    world.update({"DR_RPO": "soon"}, append=True)
    world.hook()
    world.update(STOCK, append=False)
    world.hook()
    assert world.template["DR_RPO"] == "20m"


def test_no_is_taken_over_from_who_knows_the_datastore_only(world: World) -> None:
    old = {**world.page(), "DR_PROTECT": "NO"}
    world.update(MOVE, append=True)
    world.hook()
    world.update(old, append=True)
    world.hook()
    assert world.template["DR_PROTECT"] == "YES"
    world.update({"DR_PROTECT": "NO"}, append=True)
    world.hook()
    assert world.template["DR_PROTECT"] == "NO" and "DR_PROTECT=NO was set" in world.template["DR_MESSAGE"]


def test_an_empty_dr_protect_ends_nothing(world: World) -> None:
    world.update({"DR_PROTECT": ""}, append=True)
    world.hook()
    assert world.template["DR_PROTECT"] == "YES"


def test_disable_ends_it_and_enable_begins_anew(world: World) -> None:
    settle.end(world, DATASTORE)  # type: ignore[arg-type]
    world.update({**STOCK, "DS_MAD": "ceph", "TM_MAD": "ceph"}, append=False)
    world.hook()
    assert "DR_PROTECT" not in world.template and world.drivers["DS_MAD"] == "ceph"
    settle.begin(world, DATASTORE)  # type: ignore[arg-type]
    world.update({"DR_PROTECT": "YES", "DS_MAD": "ceph_dr", "TM_MAD": "ceph_dr"}, append=True)
    world.keeper()
    assert "DR_RPO" not in world.template
    world.update(STOCK, append=False)
    world.hook()
    assert world.template["DR_PROTECT"] == "YES"


def test_another_datastore_with_the_id_is_left_alone(world: World) -> None:
    world.name = "files"  # of a front-end that was set up anew
    world.update({**STOCK, "DS_MAD": "ceph", "TM_MAD": "ceph"}, append=False)
    before = world.page()
    assert world.hook() == () and world.page() == before


def test_a_datastore_that_does_not_keep_its_attributes_starts_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.update(MOVE, append=True)
    monkeypatch.setattr(world, "update_datastore", lambda *_: None)
    with pytest.raises(FrontEndError, match="do not stay"):
        world.hook()


VALUES = {"DR_RPO": ("5m", "20m"), "DR_SITE": ("here", "there"), "DR_KEEP": ("1d", "7d")}


class Pages(RuleBasedStateMachine):
    """Pages opened at any time write at any time, in both modes; operators set actions, hooks and keepers run.

    Each action that an operator sets has a number, which pages carry along. A number starts once at most, and
    never after it was taken off.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool = pages.in_memory()
        self.pool.__enter__()
        self.world = World()
        self.world.keeper()
        self.open: list[tuple[dict[str, str], int]] = []
        self.shown = self.last = 0  # number of the action that the datastore shows; 0: of no operator
        self.spent: set[int] = {0}

    def teardown(self) -> None:
        self.pool.__exit__(None, None, None)

    @rule()
    def open_page(self) -> None:
        self.open.append((self.world.page(), self.shown))

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 9), append=st.booleans())
    def write_page(self, number: int, append: bool) -> None:
        page, carried = self.open[number % len(self.open)]
        self.world.update({**page, "NOTE": "x"}, append)
        if not append or "DR_ACTION" in page:
            self.shown = carried

    @rule(known=st.sampled_from([STOCK, {**STOCK, **MOVE}]))
    def write_file(self, known: dict[str, str]) -> None:
        """Nobody opens a page while there is no counter (docs/limits.md)."""
        self.world.update(known, append=False)
        self.shown = 0
        self.hook()

    @rule()
    def set_action(self) -> None:
        self.world.update(MOVE, append=True)
        self.last += 1
        self.shown = self.last

    @rule(key=st.sampled_from(sorted(VALUES)), which=st.booleans())
    def set_value(self, key: str, which: bool) -> None:
        self.world.update({key: VALUES[key][which]}, append=True)

    @rule()
    def hook(self) -> None:
        if self.world.hook():
            assert self.shown not in self.spent, "an action started that no operator had set since"
        assert not self.world.template.get("DR_ACTION")
        self.note_spent()
        assert self.world.template["DR_PROTECT"] == "YES"

    @rule()
    def keeper(self) -> None:
        self.world.keeper()
        self.note_spent()

    def note_spent(self) -> None:
        if not self.world.template.get("DR_ACTION"):
            self.spent.add(self.shown)
            self.shown = 0

    @invariant()
    def protection_is_known_for_good(self) -> None:
        assert self.world.known is not None and self.world.known.protected

    @invariant()
    def what_the_pool_knows_is_valid(self) -> None:
        assert self.world.known is not None
        model_settings.read_settings(tuple(self.world.known.settings.items()), "ceph")


TestPages = Pages.TestCase
TestPages.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
