"""The peer's key: as Ceph stores it, or from the files that rbd-mirror reads for a peer that was added by hand."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rbd

from onedr.ceph import peer_access
from onedr.ceph.connection import Pool
from onedr.ceph.peer_access import PeerAccess

KEY = "AQDdW2FlAAAAABAAoN0aQ6yU7e2r2k1q0V9nQg=="


def pool(attributes: dict[str, str] | None, **peer: Any) -> Pool:
    """A pool with one peer; `attributes` None: our user may not read them."""
    def of(_io: object, _uuid: str) -> dict[str, str]:
        if attributes is None:
            raise rbd.PermissionError("no")
        return attributes

    known = {"uuid": "u", "site_name": "site-b", "client_name": "client.mirror", **peer}
    return cast(Pool, SimpleNamespace(io=None, rbd=SimpleNamespace(
        mirror_peer_list=lambda _: iter([known]), mirror_peer_get_attributes=of
    )))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(peer_access, "CONF_FOLDER", tmp_path)
    (tmp_path / "site-b.conf").write_text("[global]\nmon_host = 192.0.2.7:6789\n")
    (tmp_path / "site-b.client.mirror.keyring").write_text(f"[client.mirror]\n\tkey = {KEY}\n")
    return tmp_path


def test_what_ceph_stores_comes_first(files: Path) -> None:
    found = peer_access.peer_access(pool({"mon_host": "192.0.2.9", "key": "stored"}))
    assert found == PeerAccess("192.0.2.9", "stored", "client.mirror")


@pytest.mark.parametrize("attributes", [None, {}, {"mon_host": "192.0.2.9"}])
def test_a_peer_added_by_hand_is_found_by_its_site_and_user(files: Path, attributes: dict[str, str] | None) -> None:
    assert peer_access.peer_access(pool(attributes)) == PeerAccess("192.0.2.7:6789", KEY, "client.mirror")


@pytest.mark.parametrize("peer", [{"site_name": "site-c"}, {"client_name": "client.other"}, {"site_name": "../site-b"}])
def test_files_of_another_site_or_user_are_none(files: Path, peer: dict[str, str]) -> None:
    assert peer_access.peer_access(pool(None, **peer)) is None


def test_a_keyring_without_that_user_is_none(files: Path) -> None:
    (files / "site-b.client.mirror.keyring").write_text(f"[client.admin]\n\tkey = {KEY}\n")
    assert peer_access.peer_access(pool(None)) is None
