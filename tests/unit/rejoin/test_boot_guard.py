"""What the guard knows before oned runs: a file without secrets, which an admin's slip does not empty."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from onedr.model.errors import InputError
from onedr.rejoin import boot_guard

DATASTORE = """<DATASTORE><ID>101</ID><NAME>ceph</NAME><TYPE>0</TYPE><DS_MAD>ceph_dr</DS_MAD><TEMPLATE><DR_PROTECT>{}</DR_PROTECT>
<POOL_NAME>one</POOL_NAME><CEPH_SECRET>s</CEPH_SECRET><DR_RPO>{}</DR_RPO><DR_STATE>PROTECTED</DR_STATE></TEMPLATE></DATASTORE>"""


class FrontEnd:
    """As much of a front-end as the file is made from."""

    def __init__(self, protect: str = "YES", rpo: str = "5m") -> None:
        self.text = DATASTORE.format(protect, rpo)

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
    remember(protect="NO", rpo="soon")
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
