"""Moving in and out of protection: for any datastore the plan is safe, complete and takes back what it did.
"""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model import template
from onedr.model.types import DRIVER, STOCK_DRIVER, Mode
from onedr.protection import disable_plan, enable_plan
from onedr.protection.disable_plan import DisableFacts
from onedr.protection.enable_plan import ConversionItem, DatastoreFacts, EnableFacts, Vm

STOCK_ATTRIBUTES = (
    ("DS_MAD", STOCK_DRIVER),
    ("TM_MAD", STOCK_DRIVER),
    ("DISK_TYPE", "RBD"),
    ("POOL_NAME", "one"),
    ("CLONE_TARGET", "SELF"),
    ("TM_MAD_SYSTEM", "ssh"),
    ("NOTE", 'a "b" <c>'),
)
PLAIN = DatastoreFacts("prod", "0", STOCK_DRIVER, STOCK_DRIVER, STOCK_ATTRIBUTES)
GOOD = EnableFacts(PLAIN, (), systems=(STOCK_DRIVER,), there=frozenset())

numbers = st.integers(0, 5)
items = st.builds(
    ConversionItem,
    name=st.builds(lambda n: f"one-{n}", numbers),
    holder=st.just("image 1"),
    label=st.builds(lambda n: f"{n}", numbers),
    exists=st.booleans(),
    mode=st.sampled_from([None, Mode.JOURNAL, Mode.SNAPSHOT]),
    primary=st.booleans(),
    size=st.integers(0, 1 << 40),
    parent=st.one_of(st.just(""), st.builds(lambda n: f"one/one-{n}", numbers)),
    wanted=st.booleans(),
    blocker=st.sampled_from(["", "the image is LOCKED"]),
    traces=st.booleans(),
    from_peer=st.booleans(),
    copied=st.booleans(),
    split=st.booleans(),
    used_by=st.sampled_from(["", "one/x"]),
    unreadable=st.booleans(),
)
many = st.lists(items, max_size=6).map(tuple)
requested = st.lists(
    st.sampled_from(
        [
            ("DR_MODE", "SNAPSHOT"),
            ("DR_MODE", "WRONG"),
            ("DR_SITE_INDEX", "1"),
            ("DR_RPO", "x"),
            ("DR_CLONES", "FLATTEN"),
        ]
    ),
    max_size=3,
).map(tuple)
enabling = st.builds(
    EnableFacts,
    datastore=st.just(PLAIN),
    requested=requested,
    items=many,
    pool_problem=st.sampled_from(["", "pool one has no peer"]),
    systems=st.sampled_from([(), (STOCK_DRIVER,), ("lvm",)]),
    there=st.one_of(st.none(), st.frozensets(st.sampled_from(["one-1", "one-9"]))),
    unknown_to_oned=st.sampled_from([(), ("TM_MAD/ARGUMENTS",)]),
    shortage=st.sampled_from(["", "it needs 5 MiB"]),
)
possible = st.builds(
    EnableFacts,
    datastore=st.just(PLAIN),
    requested=st.sampled_from([(), (("DR_RPO", "1h"),), (("DR_SITE_INDEX", "1"),)]),
    items=st.lists(items, max_size=6).map(
        lambda found: tuple(replace(item, mode=item.mode and Mode.JOURNAL) for item in found)
    ),
    systems=st.just((DRIVER, "lvm")),
    there=st.sampled_from([None, frozenset(), frozenset({"one-2000000000"})]),
)
disabling = st.builds(
    DisableFacts,
    datastore=st.just(replace(PLAIN, ds_mad=DRIVER, tm_mad=DRIVER)),
    confirm=st.sampled_from(["", "prod", "other"]),
    dry_run=st.booleans(),
    items=many,
    interrupted=st.sampled_from(["", "failover"]),
)
calm = st.builds(  # what nobody objects to
    ConversionItem,
    name=st.just("one-1"),
    holder=st.just("image 1"),
    label=st.just("image 1"),
    exists=st.booleans(),
    primary=st.booleans(),
    wanted=st.booleans(),
    traces=st.booleans(),
    copied=st.just(True),
    used_by=st.sampled_from(["", "one/x"]),
    blocker=st.sampled_from(["", "the image is LOCKED"]),
)
calm_disabling = st.builds(
    DisableFacts,
    datastore=st.just(replace(PLAIN, ds_mad=DRIVER, tm_mad=DRIVER)),
    confirm=st.just("prod"),
    dry_run=st.booleans(),
    items=st.lists(
        calm.map(lambda item: replace(item, mode=Mode.JOURNAL if item.primary and item.wanted else None)),
        max_size=3,
    ),
)


def after(datastore: DatastoreFacts, changes: template.Pairs) -> DatastoreFacts:
    """The datastore as oned shows it after such an update in append mode."""
    attributes = tuple({**dict(datastore.attributes), **dict(changes)}.items())
    return replace(
        datastore, attributes=attributes, ds_mad=dict(attributes)["DS_MAD"], tm_mad=dict(attributes)["TM_MAD"]
    )


@given(enabling)
def test_each_item_gets_one_verdict_and_a_refusal_changes_nothing(facts: EnableFacts) -> None:
    plan = enable_plan.enable_plan(facts)
    if plan.refusals:
        assert (plan.changes, plan.steps) == ((), ())
    else:
        assert [verdict.item for verdict in plan.verdicts] == list(facts.items)
        assert dict(plan.changes)["DS_MAD"] == dict(plan.changes)["TM_MAD"] == DRIVER
    for verdict in plan.verdicts:
        if verdict.what == "act":
            assert (
                verdict.item.exists
                and verdict.item.primary
                and verdict.item.wanted
                and verdict.item.mode is None
            )


@given(possible)
def test_enabling_again_has_nothing_left_to_set(facts: EnableFacts) -> None:
    plan = enable_plan.enable_plan(facts)
    assert not plan.refusals
    again = after(facts.datastore, plan.changes)
    assert again.enabled
    assert enable_plan.enable_plan(replace(facts, datastore=again)).changes == ()


@given(possible)
def test_the_way_back_gives_the_attributes_of_before(facts: EnableFacts) -> None:
    protected = after(facts.datastore, enable_plan.enable_plan(facts).changes)
    back = disable_plan.disable_plan(DisableFacts(protected, "prod", False))
    assert not back.refusals
    stock = after(protected, back.changes)
    assert sorted(disable_plan.stock_attributes(stock.attributes, False)) == sorted(STOCK_ATTRIBUTES)
    assert set(disable_plan.stock_attributes(stock.attributes, True)) == {
        *STOCK_ATTRIBUTES,
        *enable_plan.CEPH_MODE,
    }


@given(st.one_of(disabling, calm_disabling))
def test_only_what_is_known_and_ours_is_stripped(facts: DisableFacts) -> None:
    plan = disable_plan.disable_plan(facts)
    if plan.refusals:
        assert (plan.changes, plan.steps) == ((), ())
        return
    assert facts.dry_run or facts.confirm == "prod"
    assert not facts.interrupted
    for item in facts.items:
        assert not item.unreadable and not item.split
        assert item.primary or not item.mode, "the peer's copies are not touched from here"
        assert not (item.mode and item.from_peer and item.wanted and not item.copied), "the only good copy"
    for item in plan.to_act():
        assert item.exists and item.primary and not item.used_by and (item.mode or item.traces)


@given(st.lists(items, max_size=6, unique_by=lambda item: item.name))
def test_clones_come_before_what_they_are_clones_of(found: list[ConversionItem]) -> None:
    parents = {item.name: item.parent.partition("/")[2] for item in found}
    groups = disable_plan.children_first(found, "one")
    assert sorted(item.name for group in groups for item in group) == sorted(parents)
    place = {item.name: number for number, group in enumerate(groups) for item in group}
    for name, parent in parents.items():
        chain = [name]
        while parents.get(chain[-1]) in parents and parents[chain[-1]] not in chain:
            chain.append(parents[chain[-1]])
        if parents.get(chain[-1]) in chain:
            continue  # a ring, which Ceph does not have
        if parent in parents:
            assert place[name] < place[parent]


@pytest.mark.parametrize(
    "facts, said",
    [
        (replace(GOOD, datastore=replace(PLAIN, type="1")), "not an image datastore"),
        (
            replace(GOOD, datastore=replace(PLAIN, ds_mad="fs", tm_mad="shared")),
            "DS_MAD=fs and TM_MAD=shared",
        ),
        (
            replace(
                GOOD, datastore=replace(PLAIN, attributes=(*STOCK_ATTRIBUTES[:2], ("DISK_TYPE", "FILE")))
            ),
            "DISK_TYPE=FILE",
        ),
        (replace(GOOD, requested=(("DR_MODE", "BAD"), ("DR_RPO", "BAD"))), "DR_RPO"),
        (replace(GOOD, pool_problem="pool one has no peer"), "Pool one has no peer."),
        (
            replace(GOOD, unknown_to_oned=("TM_MAD/ARGUMENTS",)),
            "oned does not know ceph_dr in TM_MAD/ARGUMENTS",
        ),
        (replace(GOOD, systems=("lvm",)), "no VM could use it"),
        (replace(GOOD, shortage="it needs 9 MiB"), "it needs 9 MiB"),
        (
            replace(GOOD, items=(ConversionItem("one-1", "image 1", "a", mode=Mode.SNAPSHOT),)),
            "another mode than JOURNAL",
        ),
        (
            replace(GOOD, items=(ConversionItem("one-1", "image 1", "a"),), there=frozenset({"one-1"})),
            "same names: one-1.",
        ),
        (replace(GOOD, there=frozenset({"one-7", "one-7-1-0"})), "site index 0 (one-7)"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(facts: EnableFacts, said: str) -> None:
    assert said in " ".join(enable_plan.enable_plan(facts).refusals)


def test_split_images_are_named_and_no_copy_is_advised_to_be_removed() -> None:
    item = ConversionItem("one-1", "image 1", "image 1", mode=Mode.JOURNAL)
    facts = replace(GOOD, items=(item,), there=frozenset({"one-1"}), split=frozenset({"one-1"}))
    refusals = enable_plan.enable_plan(facts).refusals
    assert len(refusals) == 1 and "Primary at both sites" in refusals[0] and "onedr reprotect" in refusals[0]


def test_all_reasons_are_given_at_once() -> None:
    facts = replace(GOOD, pool_problem="no peer", systems=(), shortage="Not enough space")
    assert len(enable_plan.enable_plan(facts).refusals) == 3


@pytest.mark.parametrize(
    "facts, said",
    [
        (replace(GOOD, there=None), "cannot be read"),
        (replace(GOOD, one_way=True), "failback will not be possible"),
        (replace(GOOD, vms=(Vm(4, "web", STOCK_DRIVER), Vm(5, "new", DRIVER))), "recreated: web (4)."),
        (
            replace(
                GOOD, requested=(("DR_SITE_INDEX", "1"),), items=(ConversionItem("one-3", "image 3", "c"),)
            ),
            "keep their names (one-3)",
        ),
        (
            replace(GOOD, items=(ConversionItem("golden", "image 3", "image 3 (golden)"),)),
            "not OpenNebula's: image 3 (golden)",
        ),
        (
            replace(GOOD, items=(ConversionItem("one-3", "image 3", "c", size=9 << 20),), free_there=8 << 20),
            "8 MiB free for up to 9 MiB",
        ),
    ],
)
def test_what_is_to_know_is_said(facts: EnableFacts, said: str) -> None:
    plan = enable_plan.enable_plan(facts)
    assert not plan.refusals
    assert said in " ".join(plan.warnings)


def test_what_images_of_the_peer_take_of_the_index_is_not_held_against_it() -> None:
    """After a failover there and a return here, the peer is primary of what was ours."""
    mine = ConversionItem("one-1", "image 1", "a", mode=Mode.JOURNAL, primary=False)
    assert not enable_plan.enable_plan(replace(GOOD, items=(mine,), there=frozenset({"one-1"}))).refusals


@pytest.mark.parametrize(
    "mode, clones, needed",
    [
        ("JOURNAL", "PARENT", 2 * enable_plan.JOURNAL_BYTES),
        ("JOURNAL", "FLATTEN", 2 * enable_plan.JOURNAL_BYTES + 7),
        ("SNAPSHOT", "PARENT", 7),
    ],
)
def test_room_is_needed_for_journals_and_for_flattened_clones(mode: str, clones: str, needed: int) -> None:
    settings = enable_plan.settings_of(PLAIN, (("DR_MODE", mode), ("DR_CLONES", clones)))
    found = [
        ConversionItem("one-1", "image 1", "a"),
        ConversionItem("one-1-2-0", "VM 2", "b", parent="one/one-1", parent_bytes=7),
        ConversionItem("one-4", "image 4", "c", wanted=False, parent_bytes=100),
    ]
    assert enable_plan.bytes_needed(found, settings) == needed


MIRRORED = ConversionItem("one-1", "image 1", "image 1 (a)", mode=Mode.JOURNAL, copied=True)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"confirm": "wrong"}, "--confirm prod"),
        ({"interrupted": "failover"}, "onedr failover"),
        ({"items": (replace(MIRRORED, primary=False),)}, "only receives image 1 (a)"),
        ({"items": (replace(MIRRORED, split=True),)}, "Primary at both sites: image 1"),
        ({"items": (replace(MIRRORED, from_peer=True, copied=False),)}, "no complete copy of them: image 1 (a)"),
        (
            {"items": (replace(MIRRORED, unreadable=True, blocker="it cannot be read: x"),)},
            "cannot be read: image 1",
        ),
        (
            {"items": (
                ConversionItem("one-1", "image 1", "a", mode=Mode.JOURNAL, locked_until="20270131T000000Z"),
                ConversionItem("one-2", "image 2", "b", mode=Mode.JOURNAL, locked_until="20260131T000000Z"),
            )},
            "locked, until 20270131T000000Z the last: a, b.",
        ),
    ],
)
def test_disabling_is_refused_where_data_or_the_way_back_would_be_lost(
    change: dict[str, object], said: str
) -> None:
    good = DisableFacts(replace(PLAIN, ds_mad=DRIVER, tm_mad=DRIVER), "prod", False)
    assert not disable_plan.disable_plan(good).refusals
    facts = replace(good, **change)  # type: ignore[arg-type]
    assert said in " ".join(disable_plan.disable_plan(facts).refusals)


def test_vms_that_keep_the_driver_are_named() -> None:
    facts = DisableFacts(PLAIN, "prod", False, vms=(Vm(4, "web", STOCK_DRIVER), Vm(5, "new", DRIVER)))
    assert "keep the driver ceph_dr: new (5)." in " ".join(disable_plan.disable_plan(facts).warnings)
