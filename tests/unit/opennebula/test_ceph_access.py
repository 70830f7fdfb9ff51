"""Defaults files of OpenNebula, read without a shell."""
from __future__ import annotations

from pathlib import Path

import pytest

from onedr.model.errors import InputError
from onedr.opennebula import ceph_access


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    folder = tmp_path / "var" / "remotes" / "etc" / "datastore"
    (folder / "ceph").mkdir(parents=True)
    return folder


def test_without_files_the_stock_values_hold(etc: Path) -> None:
    assert ceph_access.defaults() == {}
    assert ceph_access.file_systems() == {"ext2": [], "ext3": [], "ext4": [], "xfs": []}
    assert ceph_access.ceph_access(()).pool == "one"


def test_the_operators_file_systems_and_options_are_taken(etc: Path) -> None:
    (etc / "datastore.conf").write_text(
        '# comment\nSUPPORTED_FS="ext4, xfs"\nFS_OPTS_ext4="-m 0 -L \'my disk\'"\n'
    )
    assert ceph_access.file_systems() == {"ext4": ["-m", "0", "-L", "my disk"], "xfs": []}


def test_nothing_in_a_defaults_file_is_run(etc: Path, tmp_path: Path) -> None:
    (etc / "ceph" / "ceph.conf").write_text(f"POOL_NAME=$(touch {tmp_path}/ran)\n")
    with pytest.raises(InputError):
        ceph_access.ceph_access(())
    assert not (tmp_path / "ran").exists()


def test_the_datastores_own_attributes_win(etc: Path) -> None:
    (etc / "ceph" / "ceph.conf").write_text("POOL_NAME=stock\nCEPH_TRASH=yes\n")
    assert ceph_access.ceph_access((("POOL_NAME", "gold"),)).pool == "gold"
    assert ceph_access.moves_to_trash(()) and not ceph_access.moves_to_trash((("CEPH_TRASH", "no"),))


def test_an_rbd_namespace_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="POOL_NAME one/tenant names an RBD namespace.*docs/limits.md"):
        ceph_access.ceph_access((("POOL_NAME", "one/tenant"),))
    with pytest.raises(InputError, match="not a valid name of a Ceph pool"):
        ceph_access.ceph_access((("POOL_NAME", "one/../x"),))
