"""What the pool keeps of rehearsals: notes before and after, results that outlive anything written beside them."""
from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.cli import output
from onedr.model.rehearsed import Rehearsed, Result
from onedr.replication import rehearsals

CAME = Rehearsed("f:7", "db", 7, "a", 5.0, Result.ACCEPTED, "", ("another MAC",), 0.5)
POOL: Any = None


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """An omap in memory."""
    values: dict[str, bytes] = {}
    monkeypatch.setattr(rehearsals.omap, "read_all", lambda _, __, prefix="": {  # type: ignore[attr-defined]
        key: value for key, value in sorted(values.items()) if key.startswith(prefix)})
    monkeypatch.setattr(rehearsals.omap, "read_keys", lambda _, __, keys: {  # type: ignore[attr-defined]
        key: values[key] for key in keys if key in values})
    monkeypatch.setattr(rehearsals.omap, "write_keys", lambda _, __, new: values.update(new))  # type: ignore[attr-defined]
    monkeypatch.setattr(rehearsals.omap, "drop_keys", lambda _, __, key: values.pop(key, None))  # type: ignore[attr-defined]
    return values


def test_a_token_is_known_before_anything_is_made_and_until_nothing_is_left(kept: dict[str, bytes]) -> None:
    token = rehearsals.begin(POOL, 100, 9.0)
    assert rehearsals.made(POOL, 100).tokens == {token} and rehearsals.last_turn(POOL, 100) == 9.0
    rehearsals.note(POOL, 100, "vm", 3, token)
    rehearsals.note(POOL, 100, "image", 4, token)
    found = rehearsals.made(POOL, 100)
    assert found.vms == {3: token} and found.images == {4: token} and rehearsals.vms_of_all(POOL) == {3}
    rehearsals.clear(POOL, 100, found)
    assert not rehearsals.made(POOL, 100) and rehearsals.last_turn(POOL, 100) == 9.0


def test_datastores_of_a_pool_do_not_see_each_other(kept: dict[str, bytes]) -> None:
    token = rehearsals.begin(POOL, 10, 9.0)
    rehearsals.note(POOL, 10, "vm", 3, token)
    rehearsals.save(POOL, 10, [CAME])
    assert not rehearsals.made(POOL, 1) and not rehearsals.made(POOL, 100) and rehearsals.results(POOL, 1) == {}
    assert rehearsals.last_turn(POOL, 1) == 0.0


def test_a_result_comes_back_and_is_replaced_and_forgotten(kept: dict[str, bytes]) -> None:
    rehearsals.save(POOL, 100, [CAME])
    assert rehearsals.results(POOL, 100) == {"f:7": CAME}
    rehearsals.forget(POOL, 100, ["f:7", "f:8"])
    assert rehearsals.results(POOL, 100) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_cannot_be_read_counts_as_none(value: bytes) -> None:
    assert rehearsals._read(value) is None


@given(st.sampled_from(sorted(asdict(CAME))), JSON)
def test_a_damaged_result_is_none_or_as_good_as_another(key: str, value: Any) -> None:
    found = rehearsals._read(json.dumps({**asdict(CAME), key: value}).encode())
    if found is not None:
        assert output.moment(found.at) and all(isinstance(text, str) for text in (found.why, *found.differences))
        assert json.loads(json.dumps(asdict(found)))["result"] in list(Result)


def test_a_site_finds_what_came_of_its_vms_whatever_its_datastore_is_called_there(kept: dict[str, bytes]) -> None:
    rehearsals.save(POOL, 100, [CAME])
    kept["result.100.g:7"] = kept["result.100.f:7"]
    kept["result.100.f:8"], kept["result.5"] = b"{", b"x"
    assert rehearsals.results_of(POOL, "f") == {"f:7": CAME}
