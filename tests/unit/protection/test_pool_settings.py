"""What the pool knows of a datastore reads back as written; what is damaged is an error that says what to do."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_omap import one_omap

from onedr.model.errors import StorageError
from onedr.protection import pool_settings
from onedr.protection.settle_rules import Known

TEXT = st.text(max_size=20)
KNOWN = st.builds(
    Known, TEXT, st.dictionaries(TEXT, TEXT, max_size=4), st.integers(0, 1 << 40), st.lists(TEXT, max_size=3).map(tuple),
    st.booleans(), TEXT, st.floats(0, 2e9),
)


@pytest.fixture(autouse=True)
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    return one_omap(monkeypatch)


POOL: Any = None


@given(KNOWN)
def test_what_is_written_reads_back(known: Known) -> None:
    pool_settings.write_known(POOL, 100, known)
    assert pool_settings.read_known(POOL, 100) == known
    assert pool_settings.read_known(POOL, 101) is None


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", b'{"name": "x", "settings": 5}'])
def test_a_damaged_entry_is_an_error_and_dr_message_says_it(text: bytes, values: dict[str, bytes]) -> None:
    values["100"] = text
    with pytest.raises(StorageError, match="rados rmomapkey onedr.datastores 100"):
        pool_settings.read_known(POOL, 100)
    assert "damaged" in pool_settings.notice(POOL, 100, 0.0)


@pytest.mark.parametrize(("now", "shown"), [(1000.0, True), (4599.0, True), (4601.0, False), (10.0, False)])
def test_what_was_put_right_is_said_for_an_hour(now: float, shown: bool) -> None:
    pool_settings.write_known(POOL, 100, Known(notice="put back", noticed=1000.0))
    assert pool_settings.notice(POOL, 100, now) == ("put back" if shown else "")


def test_a_datastore_whose_protection_was_ended_is_not_protected() -> None:
    for known, expected in ((Known(settings={"DR_PROTECT": "YES"}), True), (Known(settings={"DR_PROTECT": "NO"}), False),
                            (Known(settings={"DR_PROTECT": "YES"}, ended=True), False)):
        pool_settings.write_known(POOL, 100, known)
        assert pool_settings.is_protected(POOL, 100) == expected
    assert not pool_settings.is_protected(POOL, 101)
