"""The plan of `onedr setup` and `onedr teardown`: whatever is there, it ends as wished, changes nothing
twice, and goes back.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.pairing import ceph_caps, teardown_plan
from onedr.pairing import plan as pairing_plan
from onedr.pairing.facts import (
    Change,
    ChangeKind,
    DesiredState,
    JoinOffer,
    MirrorDaemons,
    PairingFacts,
    PeerSite,
    Recorded,
)

THERE = JoinOffer("site-b", "one", "fsid-b", frozenset({"10.0.0.2"}), "aaaa", 1)
WISH = DesiredState("one", "site-a", "libvirt", site_index=0)
EMPTY = PairingFacts(
    "fsid-a", keyrings={"client.libvirt": ("/etc/ceph/k", False)}, record_key_file="/etc/one/onedr/record.key"
)
PEER = PeerSite("u1", "site-b", True, frozenset({"10.0.0.2"}))

words = st.sampled_from(
    [
        "allow *",
        "profile rbd",
        "profile rbd pool=one",
        "allow profile rbd",
        "profile rbd pool=two",
        "allow r",
        'allow command "config-key get" with "key" prefix "rbd/mirror/peer/"',
    ]
)
texts = st.lists(words, max_size=3).map(", ".join)
users = st.none() | st.dictionaries(st.sampled_from(["mon", "osd", "mgr", "mds"]), texts)
numbers = st.sampled_from(["0.5", "0.500000", "5", "30", "86400", "junk"])


@st.composite
def facts(draw: st.DrawFn) -> PairingFacts:
    names = [setting.name for setting in pairing_plan.settings(WISH)]
    running = draw(st.sampled_from([(), ("rbd-mirror.x",), ("admin",)]))
    daemon = f"client.{running[0]}" if running else "client.rbd-mirror.site-a"
    entities = ["client.libvirt", daemon, ceph_caps.PEER]
    return PairingFacts(
        "fsid-a",
        True,
        draw(st.sampled_from(["", "rbd"])),
        draw(st.sampled_from(["disabled", "image"])),
        draw(st.sampled_from([None, "site-a", "old"])),
        draw(st.sampled_from([(), (PEER,)])),
        {entity: draw(users) for entity in entities},
        {entity: (f"/etc/ceph/{entity}", draw(st.booleans())) for entity in entities},
        {(pairing_plan.section(daemon), name): draw(numbers) for name in names if draw(st.booleans())},
        {},
        {},
        draw(st.sampled_from([None, "5m", "1h"])),
        draw(st.sampled_from([None, "aaaa"])),
        "/etc/one/onedr/record.key",
        MirrorDaemons(running, draw(st.sampled_from(["", "u.service"])), draw(st.booleans())),
        draw(st.sampled_from([None, "/f", "/g"])),
        draw(st.sampled_from([(), ("two",)])),
        frozenset(draw(st.sets(st.sampled_from(entities)))),
        draw(st.sampled_from([None, THERE, replace(THERE, used=True)])),
    )


wishes = st.builds(
    DesiredState,
    st.just("one"),
    st.just("site-a"),
    st.sampled_from(["", "libvirt"]),
    st.sampled_from(["", "ec"]),
    st.sampled_from(["", "/key"]),
    st.sampled_from(["", "5m"]),
    offer=st.sampled_from(["", "/f"]),
    site_index=st.just(0),
)


Effect = Callable[[PairingFacts, Change], dict[str, Any]]


def applied(found: PairingFacts, changes: tuple[Change, ...]) -> PairingFacts:
    """The facts after the changes were made as `onedr setup` makes them."""
    for change in changes:
        effects: dict[ChangeKind, Effect] = {
            ChangeKind.POOL: lambda found, change: {"application": "rbd"},
            ChangeKind.MIRRORING: lambda found, change: {"mirroring": change.after},
            ChangeKind.SITE: lambda found, change: {"site": change.after},
            ChangeKind.USER: lambda found, change: {
                "users": {**found.users, change.key: ceph_caps.unpacked(str(change.after))}
            },
            ChangeKind.KEYRING: lambda found, change: {
                "keyrings": {**found.keyrings, change.key.split()[0]: ("/k", True)}
            },
            ChangeKind.SETTING: lambda found, change: {
                "settings": {**found.settings, tuple(change.key.split()): f"{float(str(change.after)):.6f}"}
            },
            ChangeKind.SCHEDULE: lambda found, change: {"schedule": change.after},
            ChangeKind.KEY: lambda found, change: {"record_key": "aaaa"},
            ChangeKind.PEER: lambda found, change: {
                "peers": (PEER,),
                "join_offer": found.join_offer and replace(found.join_offer, used=True),
            },
            ChangeKind.OFFER: lambda found, change: {"offered": change.after},
            ChangeKind.DAEMON: lambda found, change: {"daemons": replace(found.daemons, active=True)},
        }
        found = replace(found, **effects[change.kind](found, change))
    return found


@given(facts(), wishes)
def test_whatever_is_there_a_second_plan_is_empty(found: PairingFacts, desired: DesiredState) -> None:
    plan = pairing_plan.plan_setup(found, desired)
    if plan.refusals:
        assert not plan.changes
        return
    assert pairing_plan.plan_setup(applied(found, plan.changes), desired).changes == ()


@given(facts(), wishes, st.integers(0, 20))
def test_a_run_that_died_anywhere_is_gone_on_with(found: PairingFacts, desired: DesiredState, done: int) -> None:
    plan = pairing_plan.plan_setup(found, desired)
    half = applied(found, plan.changes[:done])
    rest = pairing_plan.plan_setup(half, desired)
    assert not rest.refusals or plan.refusals
    assert {(each.kind, each.key) for each in rest.changes} <= {
        (each.kind, each.key) for each in plan.changes
    }
    assert pairing_plan.plan_setup(applied(half, rest.changes), desired).changes == ()


@given(facts(), wishes)
def test_every_change_says_what_it_costs_and_changes_something(
    found: PairingFacts, desired: DesiredState
) -> None:
    for change in pairing_plan.plan_setup(found, desired).changes:
        assert change.cost and change.text
        assert change.before != change.after or change.kind is ChangeKind.DAEMON
        assert change.now and change.then


@given(users, st.lists(st.sampled_from(["one", "two", "ec"]), min_size=1, max_size=3))
def test_no_right_is_ever_taken_away_and_none_is_missing_after(
    have: dict[str, str] | None, pools: list[str]
) -> None:
    for grants in (ceph_caps.datastore_user(pools), ceph_caps.daemon(pools), ceph_caps.peer(pools)):
        after = ceph_caps.merged(have or {}, grants)
        assert ceph_caps.merged(after, grants) == after, "nothing is missing any more"
        for service, text in (have or {}).items():
            assert after[service].startswith(text.strip(" ,")), "what was there stays, in its place"


def test_rights_that_say_the_same_are_not_given_twice() -> None:
    by_hand = {
        "mon": 'profile rbd, allow command "config-key get" with "key" prefix "rbd/mirror/peer/"',
        "osd": "profile rbd",
        "mgr": "allow profile rbd",
    }
    assert ceph_caps.merged(by_hand, ceph_caps.datastore_user(["one", "ec"])) == by_hand
    other = {**by_hand, "osd": "profile rbd pool=two"}
    assert ceph_caps.merged(other, ceph_caps.datastore_user(["one"])) != other
    peer = {"mon": "profile rbd-mirror-peer"}
    assert ceph_caps.merged(peer, ceph_caps.daemon(["one"])) != peer


@given(facts(), wishes)
def test_taking_back_leads_to_what_was_there(found: PairingFacts, desired: DesiredState) -> None:
    """Made, then undone: every value is as before, but for the pool's being an RBD pool."""
    plan = pairing_plan.plan_setup(found, desired)
    recorded = [Recorded(each.kind, each.key, each.before, each.after, each.scope) for each in plan.changes]
    now = {(each.kind, each.key): each.after for each in plan.changes}
    back = teardown_plan.plan_teardown(recorded, now, "one", "host", ())
    assert not back.notes
    for change in back.changes:
        now[change.kind, change.key] = change.after
    assert all(
        now[each.kind, each.key] == each.before
        for each in recorded
        if each.kind not in teardown_plan.UNTOUCHED
    )
    assert teardown_plan.plan_teardown(recorded, now, "one", "host", ()).changes == ()
    assert teardown_plan.remaining_records(recorded, "one", "host") == []
    assert [change.kind for change in back.changes] == [
        each.kind
        for each in reversed(recorded)
        if each.before != each.after and each.kind not in teardown_plan.UNTOUCHED
    ]


def test_what_somebody_else_changed_or_needs_stays() -> None:
    setting = Recorded(ChangeKind.SETTING, "client.rbd-mirror x", None, "0.5")
    user = Recorded(ChangeKind.USER, "client.libvirt", None, "{}")
    file = Recorded(ChangeKind.KEYRING, "client.libvirt /k", None, "its key", host="other")
    own_users = {(ChangeKind.SETTING, setting.key): "0.500000", (ChangeKind.USER, user.key): "{}"}
    plan = teardown_plan.plan_teardown([setting, user, file], own_users, "one", "host", {"client.libvirt"})
    assert [change.kind for change in plan.changes] == [ChangeKind.SETTING]
    assert "client.libvirt is kept" in " ".join(plan.notes) and "machine other" in " ".join(plan.notes)
    assert teardown_plan.remaining_records([setting, user, file], "one", "host") == [file]
    theirs = teardown_plan.plan_teardown([setting], {(ChangeKind.SETTING, setting.key): "3"}, "one", "host", ())
    assert not theirs.changes and "it was changed" in theirs.notes[0]
    assert not teardown_plan.plan_teardown(
        [setting], {(ChangeKind.SETTING, setting.key): None}, "one", "host", ()
    ).changes


def test_what_another_pool_needs_stays() -> None:
    recorded = [
        Recorded(ChangeKind.USER, "client.x", None, "{}"),
        Recorded(ChangeKind.MIRRORING, "one", "disabled", "image", "one"),
        Recorded(ChangeKind.MIRRORING, "two", "disabled", "image", "two"),
    ]
    now = {(each.kind, each.key): each.after for each in recorded}
    plan = teardown_plan.plan_teardown(recorded, now, "one", "host", ())
    assert [change.key for change in plan.changes] == ["one"] and "two" in plan.notes[0]
    assert [each.key for each in teardown_plan.remaining_records(recorded, "one", "host")] == ["client.x", "two"]


def refusal(found: PairingFacts, desired: DesiredState = WISH) -> str:
    plan = pairing_plan.plan_setup(found, desired)
    assert not plan.changes
    return " ".join(plan.refusals)


def test_what_is_refused() -> None:
    joining = replace(EMPTY, join_offer=THERE)
    assert not pairing_plan.plan_setup(joining, replace(WISH, site_index=0)).refusals
    assert "no pool one" in refusal(replace(EMPTY, pool_there=False))
    assert "cephfs" in refusal(replace(joining, application="cephfs"))
    assert "mode pool" in refusal(replace(joining, mirroring="pool"))
    assert "--site" in refusal(joining, replace(WISH, site=""))
    assert "no peer yet" in refusal(EMPTY)
    assert "one direction only" in refusal(replace(joining, peers=(replace(PEER, both_ways=False),)))
    assert "created at this site" in refusal(replace(joining, fsid="fsid-b"))
    assert "is for pool two" in refusal(replace(EMPTY, join_offer=replace(THERE, pool="two")))
    assert "would have the name site-b" in refusal(joining, replace(WISH, site="site-b"))
    assert "another peer" in refusal(replace(joining, peers=(replace(PEER, hosts=frozenset({"10.9.9.9"})),)))
    assert "record keys differ" in refusal(replace(joining, record_key="bbbb"))
    assert "DR_SITE_INDEX=1" in refusal(joining, replace(WISH, site_index=1))
    both = refusal(replace(joining, application="cephfs", record_key="bbbb"))
    assert "cephfs" in both and "record keys differ" in both, "all at once"


def test_the_settings_go_to_all_daemons_of_the_site_and_need_a_restart() -> None:
    running = replace(
        EMPTY,
        peers=(PEER,),
        daemons=MirrorDaemons(("rbd-mirror.node1.abc",)),
        users={"client.rbd-mirror.node1.abc": {}},
    )
    plan = pairing_plan.plan_setup(running, WISH)
    assert {change.key.split()[0] for change in plan.changes if change.kind is ChangeKind.SETTING} == {
        "client.rbd-mirror"
    }
    assert any("Restart rbd-mirror (rbd-mirror.node1.abc)" in note for note in plan.notes)
    by_unit = pairing_plan.plan_setup(
        replace(running, daemons=MirrorDaemons(("rbd-mirror.a",), "u.service", True)), WISH
    )
    assert by_unit.changes[-1].kind is ChangeKind.DAEMON and "restarted" in by_unit.changes[-1].text
    admin = pairing_plan.plan_setup(replace(running, daemons=MirrorDaemons(("admin",))), WISH)
    assert {change.key.split()[0] for change in admin.changes if change.kind is ChangeKind.SETTING} == {
        "client.admin"
    }
    in_file = pairing_plan.plan_setup(replace(running, files={"rbd_mirror_journal_poll_age": "3"}), WISH)
    assert any("overrides" in note for note in in_file.notes)


def test_a_peer_user_that_was_here_before_us_is_not_narrowed() -> None:
    wide = replace(EMPTY, users={ceph_caps.PEER: ceph_caps.PEER_BY_CEPH})
    offering = replace(WISH, offer="/f")
    assert ceph_caps.PEER not in {change.key for change in pairing_plan.plan_setup(wide, offering).changes}
    own_users = pairing_plan.plan_setup(replace(wide, own_users=frozenset({ceph_caps.PEER}), pools=("two",)), offering)
    narrowed = next(change for change in own_users.changes if change.key == ceph_caps.PEER)
    assert ceph_caps.unpacked(str(narrowed.after))["osd"] == "profile rbd pool=one, profile rbd pool=two"


def test_the_way_to_the_peers_front_end_is_written_once_and_its_password_with_it() -> None:
    way = "endpoint=https://b/RPC2 auth=/etc/one/onedr/peer_auth"
    asked = replace(WISH, front_end=way, password_file="/etc/one/onedr/peer_auth")
    facts = replace(EMPTY, peers=(PEER,), configuration_file="/etc/one/onedr/onedr.conf")
    kinds = [ChangeKind.PASSWORD, ChangeKind.FRONT_END]
    made = [change for change in pairing_plan.plan_setup(facts, asked).changes if change.kind in kinds]
    assert [(change.kind, change.before, change.after) for change in made] == [
        (ChangeKind.PASSWORD, None, "as given"), (ChangeKind.FRONT_END, None, way)
    ]
    there = replace(facts, front_end=way)
    again = pairing_plan.plan_setup(there, replace(asked, password_file=""))
    assert not [change for change in again.changes if change.kind in kinds]
    unasked = pairing_plan.plan_setup(there, WISH)
    assert not [change for change in unasked.changes if change.kind in kinds], "what is there stays"


def test_a_cluster_that_makes_new_keys_says_so_when_it_writes_the_join_file() -> None:
    new = replace(EMPTY, key_type="aes256k")
    offering = replace(WISH, offer="/f")
    assert any("auth_allowed_ciphers aes,aes256k" in note for note in pairing_plan.plan_setup(new, offering).notes)
    assert not any("ciphers" in note for note in pairing_plan.plan_setup(EMPTY, offering).notes)


@pytest.mark.parametrize(("kind", "reads", "refused"), [
    ("aes256k", False, True), ("aes256k", True, False), ("aes", False, False), ("aes", True, False),
])
def test_an_older_site_gets_no_key_that_it_cannot_read(kind: str, reads: bool, refused: bool) -> None:
    facts = replace(EMPTY, peer_key_type=kind, join_offer=replace(THERE, reads_new_keys=reads))
    refusals = pairing_plan.plan_setup(facts, WISH).refusals
    assert any("auth_preferred_cipher aes; then onedr setup --join" in text for text in refusals) is refused
    again = replace(facts, users={**facts.users, "client.rbd-mirror-peer": {"mon": "profile rbd-mirror-peer"}})
    told = pairing_plan.plan_setup(again, WISH).refusals
    assert any("rotate --key-type=aes client.rbd-mirror-peer" in text for text in told) is refused
