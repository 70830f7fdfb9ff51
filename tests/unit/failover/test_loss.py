"""What a failover may lose: since the other site was last seen, and at most."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, disk, envelope, image, vm_record
from worlds import copy_of

from onedr.failover import loss
from onedr.model.records import ImageFacts
from onedr.model.types import PeerState
from onedr.replication import inventory
from onedr.replication.inventory import VmItem

NOW = 2000.0
AT = st.none() | st.floats(0, NOW + 100)


def item(point: float | None, state: str = "ACTIVE", written_at: float = 500.0) -> VmItem:
    body = vm_record(state=state, disks=(disk(0, "one/one-1"),))
    found = replace(copy_of("one-1", body), vm=envelope(body, written_at=written_at), recovery_point=point)
    (made,) = inventory.vms((found,), HERE)
    return made


def test_a_site_that_stopped_lost_what_it_wrote_after_the_point_until_it_was_last_seen() -> None:
    assert loss.loss(item(900.0), 906.0, NOW) == loss.Loss(6.0, 1100.0)


def test_a_site_that_answers_is_seen_now() -> None:
    assert loss.last_seen((image("one-1"),), PeerState.ANSWERS, NOW) == NOW


def test_the_newest_sign_of_life_counts_and_one_of_the_future_does_not() -> None:
    images = (
        image("one-1", recovery_point=900.0), image("one-2", recovery_point=930.0),
        image("one-3", recovery_point=NOW + 60), image("one-4", recovery_point=990.0, primary=True),
    )
    assert loss.last_seen(images, PeerState.GONE, NOW) == 930.0
    record = envelope(vm_record(), written_at=940.0)
    assert loss.last_seen((*images, image("one-5", vm=record)), PeerState.GONE, NOW) == 940.0
    forged = replace(record, doubt="it is not signed")
    assert loss.last_seen((*images, image("one-5", vm=forged)), PeerState.GONE, NOW) == 930.0


@pytest.mark.parametrize(("written_at", "lost"), [(880.0, 0.0), (901.0, 6.0)])
def test_a_vm_that_was_off_at_its_point_had_nothing_to_lose(written_at: float, lost: float) -> None:
    assert loss.loss(item(900.0, "POWEROFF", written_at), 906.0, NOW).if_seen_s == lost


def test_bytes_are_those_of_all_its_disks_and_unknown_where_one_is_unknown() -> None:
    two = replace(item(900.0), images=(image("one-1", recovery_point=900.0), image("one-2", recovery_point=950.0)))
    assert loss.loss(two, 906.0, NOW, {"one-1": 4096, "one-2": 16384, "one-3": 7}).if_seen_bytes == 20480
    assert loss.loss(two, 906.0, NOW, {"one-1": 0}).if_seen_bytes is None
    assert loss.loss(two, 906.0, NOW).if_seen_bytes is None
    assert loss.loss(item(900.0, "POWEROFF"), 906.0, NOW).if_seen_bytes == 0, "it was off"


@given(st.lists(AT, min_size=1, max_size=4), st.sampled_from(PeerState), st.sampled_from(["ACTIVE", "POWEROFF"]))
def test_what_is_lost_since_it_was_seen_is_never_more_than_at_most(
    points: list[float | None], peer: PeerState, state: str
) -> None:
    images: tuple[ImageFacts, ...] = tuple(
        image(f"one-{number}", recovery_point=point) for number, point in enumerate(points)
    )
    found = loss.loss(item(points[0], state), loss.last_seen(images, peer, NOW), NOW)
    if found.at_most_s is None:
        assert found.if_seen_s is None
    if found.if_seen_s is not None and found.at_most_s is not None:
        assert 0 <= found.if_seen_s <= found.at_most_s + 5
