"""Mirroring modes of a pool, also those that only newer releases know."""
from __future__ import annotations

from typing import Any

import pytest

from onedr.ceph import pool_mirroring
from onedr.model.errors import StorageError


class Answers:
    """librbd, which knows one mode."""

    def __init__(self, mode: int) -> None:
        self.mode = mode

    def mirror_mode_get(self, _: object) -> int:
        return self.mode


class Cluster:
    def pool(self, name: str) -> str:
        return name


@pytest.mark.parametrize(("number", "name"), [(0, "disabled"), (1, "image"), (2, "pool"), (3, "init-only")])
def test_every_mode_of_ceph_has_its_name(monkeypatch: pytest.MonkeyPatch, number: int, name: str) -> None:
    monkeypatch.setattr(pool_mirroring, "_RBD", Answers(number))
    cluster: Any = Cluster()
    assert pool_mirroring.pool_mode(cluster, "one") == name


def test_a_mode_of_a_later_release_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_mirroring, "_RBD", Answers(9))
    cluster: Any = Cluster()
    with pytest.raises(StorageError, match="pool one has mirroring mode 9"):
        pool_mirroring.pool_mode(cluster, "one")
