"""What a run says of itself is made from roles read at both sites."""
from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.ceph.mirroring import MirrorRole
from onedr.failover import final_roles
from onedr.model.errors import StorageError

NAMES = ("one-1", "one-2", "one-3")
roles = st.dictionaries(st.sampled_from(NAMES), st.booleans())


def of(found: dict[str, bool], other: str = "") -> dict[str, MirrorRole]:
    """At the other site the images may have other names; their global ids are the same."""
    return {f"{name}{other}": MirrorRole(f"id of {name}", primary) for name, primary in found.items()}


@given(roles, roles, st.sets(st.sampled_from(NAMES)))
def test_split_and_lost_are_seen_whatever_the_names_there(
    here: dict[str, bool], there: dict[str, bool], promoted: set[str]
) -> None:
    sites: Any = {"here": of(here), "there": of(there, "-renamed")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirroring, "roles", sites.__getitem__)
        here_pool, there_pool = cast(Pool, "here"), cast(Pool, "there")
        found = final_roles.read_roles(here_pool, there_pool, "", promoted, NAMES)
    assert set(found.split) == {name for name in NAMES if here.get(name) and there.get(name)}
    assert set(found.lost) == {name for name in promoted if not here.get(name)}
    assert found.failures().keys() == {*found.split, *found.lost} and not found.unread
    if found.split:
        assert found.split[0] in found.warning() and "both sites" in found.warning()


def test_a_peer_that_cannot_be_read_is_said_and_nothing_is_made_up() -> None:
    def read(pool: str) -> dict[str, MirrorRole]:
        if pool == "there":
            raise StorageError("it does not answer")
        return of({"one-1": True})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirroring, "roles", read)
        here_pool, there_pool = cast(Pool, "here"), cast(Pool, "there")
        found = final_roles.read_roles(here_pool, there_pool, "", ["one-1"], NAMES)
        assert (found.lost, found.split) == ((), ()) and "does not answer" in found.unread
        alone = final_roles.read_roles(here_pool, None, "it was dark", ["one-2"], NAMES)
    assert alone.lost == ("one-2",) and alone.unread == "it was dark"
