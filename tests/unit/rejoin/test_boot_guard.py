"""What the guard knows before oned runs: a file without secrets, which an admin's slip does not empty."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from onedr.model.errors import InputError
from onedr.rejoin import boot_guard
from onedr.rejoin.guard import Guarded
from onedr.replication.split_brain import Claim

DATASTORE = """<DATASTORE><ID>101</ID><NAME>ceph</NAME><TYPE>0</TYPE><DS_MAD>ceph_dr</DS_MAD><TEMPLATE><DR_PROTECT>{}</DR_PROTECT>
<POOL_NAME>one</POOL_NAME><CEPH_SECRET>s</CEPH_SECRET><DR_RPO>{}</DR_RPO><DR_STATE>PROTECTED</DR_STATE></TEMPLATE></DATASTORE>"""


class FrontEnd:
    """As much of a front-end as the file is made from."""

    def __init__(self, protect: str = "YES", rpo: str = "5m", driver: str = "ceph_dr") -> None:
        self.text = DATASTORE.format(protect, rpo).replace("ceph_dr", driver)

    def datastores(self) -> list[Any]:
        return [etree.fromstring(self.text)]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    return tmp_path / "var/onedr/guard.json"


def remember(**changes: str) -> None:
    boot_guard.remember(FrontEnd(**changes))  # type: ignore[arg-type]


def test_it_has_what_reaches_ceph_and_no_secret_and_nothing_that_changes(place: Path) -> None:
    remember()
    assert "CEPH_SECRET" not in place.read_text() and "DR_STATE" not in place.read_text()
    (found,) = boot_guard.datastores()
    assert (found.datastore_id, found.name, found.access.pool, found.settings.rpo_s) == (
        101,
        "ceph",
        "one",
        300,
    )


def test_a_datastore_with_spoilt_attributes_is_guarded_as_it_was(place: Path) -> None:
    remember()
    remember(rpo="soon")
    assert [found.settings.rpo_s for found in boot_guard.datastores()] == [300]
    remember(protect="NO", rpo="soon")  # what is mirrored stays so
    remember(protect="NO")
    assert [found.name for found in boot_guard.datastores()] == ["ceph"]
    remember(driver="ceph")
    assert boot_guard.datastores() == []


def test_a_damaged_file_is_an_error_until_it_is_written_anew(place: Path) -> None:
    remember()
    place.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        boot_guard.datastores()
    remember()
    assert len(boot_guard.datastores()) == 1


def test_nobody_can_accept_what_is_not_there() -> None:
    remember()
    with pytest.raises(InputError, match="there are: ceph"):
        boot_guard.accept("other")
    boot_guard.accept("ceph")


def found(**verdicts: Claim) -> Guarded:
    return Guarded(verdicts=dict(verdicts))


def test_what_the_peer_is_known_to_have_taken_over_is_never_accepted() -> None:
    """Also beside another guard that is just demoting it."""
    remember()
    boot_guard.accept("ceph")
    busy = found(one=Claim.STALE)
    busy.busy = "Another run is in progress: guard"
    for stale in (found(one=Claim.STALE), busy):
        answer = boot_guard.judge("ceph", stale)
        assert not answer.free and "--accept" not in answer.message and "onedr guard again" in answer.message
    assert "Another run is in progress" in boot_guard.judge("ceph", busy).message


def test_only_what_is_not_known_or_split_is_left_to_the_operator() -> None:
    remember()
    dark = Guarded(unknown="silence", verdicts={"one": Claim.UNKNOWN})
    split = found(one=Claim.SPLIT)
    for each in (dark, split):
        assert not boot_guard.judge("ceph", each).free
        assert "onedr guard --accept ceph" in boot_guard.judge("ceph", each).message
    boot_guard.accept("ceph")
    for each in (dark, split):
        assert boot_guard.judge("ceph", each).free


@pytest.mark.parametrize("word", [
    {"boot": "another boot", "until": 1e12}, {"until": 1e12}, {"boot": None, "until": 1e12}, 1e12, "x", None, [1],
])
def test_a_word_of_another_boot_is_forgotten_whatever_the_clock_says(place: Path, word: object) -> None:
    """A machine that comes back with a dead battery believes that it is years ago."""
    remember()
    (place.parent / "guard-accepted.json").write_text(json.dumps({"ceph": word}))
    assert not boot_guard.judge("ceph", Guarded(unknown="silence")).free
    boot_guard.accept("ceph")
    assert boot_guard.judge("ceph", Guarded(unknown="silence")).free


def test_a_word_ends_though_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    remember()
    boot_guard.accept("ceph")
    monkeypatch.setattr("time.time", lambda: 0.0)
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr("time.clock_gettime", lambda _: up + boot_guard.ACCEPTED_S + 1)
    assert not boot_guard.judge("ceph", Guarded(unknown="silence")).free


def test_what_was_demoted_frees_oned_and_names_what_comes_next() -> None:
    done = found(one=Claim.STALE)
    done.demoted.append("one")
    answer = boot_guard.judge("ceph", done)
    assert answer.free and "onedr reprotect ceph" in answer.message
