"""Where a document is and who may read it: whatever others write, it is this datastore's, and names no one's VMs to
those who may not act on the datastore.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from doubles import Oned
from hypothesis import given
from hypothesis import strategies as st
from one_omap import one_omap

from onedr.document import place
from onedr.document.place import Document
from onedr.model.errors import FrontEndError
from onedr.opennebula import documents

ONEDR = Path(__file__).parents[3] / "onedr"
PARTS = {"STATUS": '{"a": "<b>&"}'}


class NoLock:
    def __init__(self, *_: Any): pass

    def acquire(self) -> bool: return True

    def release(self) -> None: pass


@pytest.fixture
def omap(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    monkeypatch.setattr(place, "ExclusiveLock", NoLock)
    return one_omap(monkeypatch)


def document(oned: Any) -> Document:
    pool: Any = None
    return Document(pool, 100, oned)


def test_the_first_part_creates_it_and_the_datastore_names_it(omap: dict[str, bytes]) -> None:
    oned = Oned()
    document(oned).put(PARTS)
    found = oned.shown()
    assert (found["type"], found["name"], found["parts"]) == (1042, "onedr-100", PARTS)
    assert omap["100"].decode() == oned.attributes["DR_DOCUMENT"]
    assert omap["100.status"] == b"", "the keeper writes STATUS with its next pass"


def test_parts_are_written_one_by_one_into_the_same(omap: dict[str, bytes]) -> None:
    oned = Oned()
    document(oned).put(PARTS)
    document(oned).put({"RUN": "null"})  # another process
    assert oned.shown()["parts"] == {**PARTS, "RUN": "null"}
    assert len(oned.documents) == 1


@given(st.sampled_from("01"), st.sampled_from("01"), st.integers(0, 9), st.integers(0, 9))
def test_only_who_may_act_reads_it_and_no_one_writes_it(group_m: str, other_u: str, uid: int, gid: int) -> None:
    oned: Any = Oned(uid, gid, group_m, other_u)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "ExclusiveLock", NoLock)
        one_omap(patch)
        document(oned).put(PARTS)
    assert oned.shown()["owner"] == (uid, gid)
    assert oned.shown()["bits"] == (1, 0, 0, int(group_m), 0, 0, 0, 0, 0)


def test_it_follows_its_datastore_to_another_group(omap: dict[str, bytes]) -> None:
    oned = Oned(group_m="1")
    kept = document(oned)
    kept.put(PARTS)
    oned.gid, oned.group_m = 106, "0"
    kept.put(PARTS)
    assert oned.shown()["owner"] == (3, 106)
    assert oned.shown()["bits"] == (1, 0, 0, 0, 0, 0, 0, 0, 0)


def test_another_document_in_dr_document_is_not_touched(omap: dict[str, bytes]) -> None:
    """Whoever manages the datastore may write there what he likes."""
    oned = Oned()
    document(oned).put(PARTS)
    service = oned.call("document.allocate", "<TEMPLATE><NAME>a service of ann's</NAME></TEMPLATE>", 100)
    before = dict(oned.documents[service])
    oned.attributes["DR_DOCUMENT"] = str(service)
    document(oned).put({"RUN": "null"})
    assert oned.documents[service] == before
    assert oned.shown()["parts"] == {**PARTS, "RUN": "null"}


@pytest.mark.parametrize("note", [b"1", b"-1", b"x", b"", b"9" * 40, b"4711"])
def test_a_note_of_another_document_or_none_makes_a_new_one(omap: dict[str, bytes], note: bytes) -> None:
    """Ids restart where a front-end was set up again: 1 is someone else's by now."""
    oned = Oned()
    oned.call("document.allocate", "<TEMPLATE><NAME>onedr-7</NAME></TEMPLATE>", documents.TYPE)
    before = dict(oned.documents[1])
    omap["100"] = note
    document(oned).put(PARTS)
    assert oned.documents[1] == before
    assert oned.shown()["parts"] == PARTS


def test_one_that_was_deleted_comes_back(omap: dict[str, bytes]) -> None:
    oned = Oned()
    kept = document(oned)
    kept.put(PARTS)
    oned.documents.clear()
    with pytest.raises(FrontEndError):
        kept.put(PARTS)
    kept.put(PARTS)
    assert oned.shown()["parts"] == PARTS


def test_what_a_page_took_off_the_datastore_is_shown_again(omap: dict[str, bytes]) -> None:
    oned = Oned()
    kept = document(oned)
    kept.put(PARTS)
    oned.attributes.clear()
    kept.put(PARTS)
    assert oned.shown()["parts"] == PARTS


def test_removed_is_removed_once(omap: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onedr.ceph.omap.drop_keys", lambda _, __, key: omap.pop(key, None))
    monkeypatch.setattr("onedr.ceph.omap.list_keys", lambda *_: list(omap) or ["another datastore's"])
    oned: Any = Oned()
    document(oned).put(PARTS)
    pool: Any = None
    place.note_run(pool, 100, 5.0)
    place.remove(pool, 100, oned)
    place.remove(pool, 100, oned)
    assert not oned.documents
    assert not omap


def test_a_dead_run_is_noted_until_it_is_forgotten(omap: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onedr.ceph.omap.drop_keys", lambda _, __, key: omap.pop(key, None))
    pool: Any = None
    place.note_run(pool, 100, 50.0)
    assert [place.run_noted(pool, 100, before) for before in (49.0, 51.0)] == [False, True]
    place.forget_run(pool, 100)
    assert not place.run_noted(pool, 100, 51.0)


def test_nothing_in_onedr_reads_what_a_document_holds() -> None:
    """It is a display: `document.info` is asked for its type and name only, at one place."""
    asking = [path for path in ONEDR.rglob("*.py") if "document.info" in path.read_text()]
    assert [path.name for path in asking] == ["documents.py"]
