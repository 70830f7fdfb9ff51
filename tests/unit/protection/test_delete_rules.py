"""A removal that would lose the only good copy is refused, with what to do instead."""
from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from onedr.protection.delete_rules import RemovalFacts, refusal
from onedr.replication import point_locks


def facts(**changes: Any) -> RemovalFacts:
    values: dict[str, Any] = {
        "mirrored": True,
        "primary": True,
        "peer_copy": True,
        "from_peer": False,
        "children": (),
        "same_source": (),
        "unprotected_by_user": False,
    }
    return RemovalFacts(**{**values, **changes})


@pytest.mark.parametrize("changes", [
    {}, {"mirrored": False}, {"peer_copy": False}, {"from_peer": True}, {"mirrored": False, "primary": False},
    {"from_peer": True, "peer_copy": False, "unprotected_by_user": True},
])
def test_it_may_go(changes: dict[str, Any]) -> None:
    assert refusal(facts(**changes)) is None


@pytest.mark.parametrize(("changes", "words"), [
    ({"same_source": ("12", "13")}, "image 12, 13 has the same SOURCE"),
    ({"children": ("one-1-5-0",)}, "base of one-1-5-0"),
    ({"locked": point_locks.refusal(1796058900.0)}, "locked until 20261130T171500Z"),
    ({"primary": False}, "copy of the peer's data"),
    ({"from_peer": True, "peer_copy": False}, "only good copy"),
    ({"from_peer": True, "peer_copy": False, "mirrored": False}, "DR_PROTECT=NO"),
])
def test_it_stays_and_the_reason_is_given(changes: dict[str, Any], words: str) -> None:
    assert words in str(refusal(facts(**changes)))


@pytest.mark.parametrize(
    "changes", [{"locked": point_locks.refusal(1.0)}, {"same_source": ("12",)}, {"children": ("one-1-5-0",)}, {"primary": False}]
)
def test_dr_protect_no_does_not_open_the_other_refusals(changes: dict[str, Any]) -> None:
    assert refusal(facts(**changes, unprotected_by_user=True))


def test_the_peers_copy_is_never_removed_from_here_whatever_else_holds() -> None:
    for peer_copy, from_peer, unprotected in product((True, False), repeat=3):
        assert refusal(
            facts(primary=False, peer_copy=peer_copy, from_peer=from_peer, unprotected_by_user=unprotected)
        )
