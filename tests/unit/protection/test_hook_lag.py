"""How long hooks take: the newest, and the worst of an hour, whichever order they come in."""
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import omap
from onedr.model.seen import HookSeen
from onedr.protection import hook_lag
from onedr.protection.hook_lag import WORST_S

POOL: Any = None


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(omap, "read_keys", lambda _, __, keys: {key: kept[key] for key in keys if key in kept})
    monkeypatch.setattr(omap, "write_keys", lambda _, __, new: kept.update(new))
    return kept


def test_what_is_noted_is_read_again_by_datastore(values: dict[str, bytes]) -> None:
    assert hook_lag.last(POOL, 100) is None
    hook_lag.note(POOL, 100, 1000.0, 992.0)
    hook_lag.note(POOL, 100, 1010.0, 1009.0)
    hook_lag.note(POOL, 101, 1010.0, 1011.0)  # oned's whole second is ahead
    assert hook_lag.last(POOL, 100) == HookSeen(1010.0, 1.0, 8.0, 1000.0)
    assert hook_lag.last(POOL, 101) == HookSeen(1010.0, 0.0, 0.0, 1010.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"at": "x"}), "null"])
def test_what_is_damaged_counts_as_none_and_is_replaced(values: dict[str, bytes], text: str) -> None:
    values["100"] = text.encode()
    assert hook_lag.last(POOL, 100) is None
    hook_lag.note(POOL, 100, 1000.0, 999.0)
    assert hook_lag.last(POOL, 100) == HookSeen(1000.0, 1.0, 1.0, 1000.0)


@given(st.lists(st.tuples(st.integers(0, 2 * WORST_S), st.integers(0, 100)), min_size=1, max_size=30))
def test_the_worst_is_one_of_the_last_hour_and_none_there_is_worse(hooks: list[tuple[int, int]]) -> None:
    now, seen = 1e9, None
    noted: list[tuple[float, int]] = []
    for later, waited in hooks:
        now += later
        noted.append((now, waited))
        seen = hook_lag.after(seen, now, waited)
        assert (seen.at, seen.waited_s) == (now, waited)
        assert (seen.worst_at, seen.worst_s) in noted and now - seen.worst_at < WORST_S
        since = [each for at, each in noted if at >= seen.worst_at]
        assert max(since) == seen.worst_s


def test_a_worst_of_the_future_is_forgotten() -> None:
    assert hook_lag.after(HookSeen(2e9, 9.0, 9.0, 2e9), 1e9, 1.0) == HookSeen(1e9, 1.0, 1.0, 1e9)
