"""Many images read at once: which are read so, and which are left to librbd."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from test_image_header import copied, framed, header, parent, snapshot, text
from test_image_journal import COPY, key, tag

from onedr.ceph import disk_snapshots, image_scan, mirroring, omap
from onedr.ceph.connection import Pool
from onedr.ceph.encoding import UnknownFormatError
from onedr.ceph.image_scan import Listed, read_listed
from onedr.ceph.mirroring import MirrorRole
from onedr.model.types import Mode

ENABLED, CREATING = 1, 3
JOURNAL, SNAPSHOT = 0, 1


def listed(global_id: str, mode: int = JOURNAL, state: int = ENABLED) -> bytes:
    return framed(text(global_id) + bytes([state, mode]), 2, 1)


class Ceph:
    """A pool's objects; `opened` counts what librbd is asked."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, bytes]] = {"rbd_mirroring": {}}
        self.ids: dict[str, str] = {}
        self.rbd, self.io, self.asked = self, self, 0

    def list2(self, _: object) -> list[dict[str, str]]:
        return [{"name": name, "id": image_id} for name, image_id in self.ids.items()]

    def get_pool_id(self) -> int:
        return 2

    def mirror_image_info_list(self, _: object) -> list[tuple[str, dict[str, Any]]]:
        self.asked += 1
        return [("id1", {"global_id": "g", "primary": True, "state": ENABLED})]

    def add(self, name: str, entry: bytes | None = None, tags: dict[str, bytes] | None = None, **more: bytes) -> None:
        image_id = self.ids[name] = f"id{len(self.ids) + 1}"
        self.objects[f"rbd_header.{image_id}"] = header(**more)
        if entry is not None:
            self.objects["rbd_mirroring"][f"image_{image_id}"] = entry
        if tags is not None:
            self.objects[f"journal.{image_id}"] = tags


@pytest.fixture
def ceph(monkeypatch: pytest.MonkeyPatch) -> Ceph:
    found = Ceph()

    def read_many(_: Pool, names: Iterable[str], prefix: str = "", limit_s: float = 0) -> dict[str, dict[str, bytes]]:
        return {name: omap.read_all(cast(Pool, found), name, prefix) for name in names}

    monkeypatch.setattr(omap, "read_many", read_many)
    monkeypatch.setattr(omap, "read_all", lambda _, name, prefix="": {
        each: value for each, value in found.objects.get(name, {}).items() if each.startswith(prefix)
    })
    return found


def scan(ceph: Ceph) -> dict[str, tuple[Mode | None, bool, str, str | None]]:
    found = image_scan.scan(cast(Pool, ceph), [*ceph.ids, "one-gone"], 1)
    return {name: (each.mode, each.primary, each.global_id, each.parent) for name, each in found.items()}


def test_roles_modes_ids_and_parents_of_all(ceph: Ceph) -> None:
    ceph.add("one-1", listed("g1"), {key(0): tag(b"")})
    ceph.add("one-2", listed("g2"), {key(0): COPY[0]})
    ceph.add("one-3", listed("g3", SNAPSHOT), snapshot_1=snapshot(".mirror", 3, bytes([0, 1])))
    ceph.add("one-4", listed("g4", SNAPSHOT), snapshot_1=snapshot(".mirror", 3, copied(False)))
    ceph.add("one-5", parent=parent("id1"))
    ceph.add("one-6", listed("g6", state=CREATING))
    assert scan(ceph) == {
        "one-1": (Mode.JOURNAL, True, "g1", None), "one-2": (Mode.JOURNAL, False, "g2", None),
        "one-3": (Mode.SNAPSHOT, True, "g3", None), "one-4": (Mode.SNAPSHOT, False, "g4", None),
        "one-5": (None, True, "", "one-1"), "one-6": (None, True, "g6", None),
    }


def test_what_is_in_doubt_is_left_to_librbd_and_hides_nothing_else(ceph: Ceph) -> None:
    ceph.add("one-1", listed("g1"), {key(0): tag(b"", oldest=2)})  # the journal of a newer Ceph
    ceph.add("one-2", listed("g2", SNAPSHOT))  # no mirror snapshot yet
    ceph.add("one-3", parent=parent("trashed"))
    ceph.add("one-4", parent=parent("id1", pool=7))
    ceph.add("one-5", features=b"\0")
    ceph.add("one-6", listed("g6"), {key(0): tag(b"")})
    assert set(scan(ceph)) == {"one-6"}


@pytest.mark.parametrize("entry", [
    listed("g", mode=2), listed("g", state=4), framed(text("g"), 1, 1), framed(text("g") + bytes(2), 3, 3), b"",
])
def test_a_list_of_mirrored_images_that_is_not_known_is_not_believed_at_all(ceph: Ceph, entry: bytes) -> None:
    ceph.add("one-1", entry, {key(0): tag(b"")})
    ceph.add("one-2")
    assert scan(ceph) == {}
    with pytest.raises(UnknownFormatError):
        read_listed({"image_id1": entry})


def test_one_that_is_being_enabled_has_no_mode() -> None:
    assert read_listed({"image_x": listed("g", SNAPSHOT, state=CREATING)}) == {"x": Listed("g", None)}


def test_roles_come_without_librbd_unless_one_is_in_doubt(ceph: Ceph) -> None:
    ceph.add("one-1", listed("g1"), {key(0): tag(b"")})
    ceph.add("one-2", listed("g2", SNAPSHOT), snapshot_1=snapshot(".mirror", 3, copied()))
    ceph.add("one-3", listed("g3", state=CREATING))
    ceph.add("one-4")
    found = mirroring.roles(cast(Pool, ceph))
    assert found == {"one-1": MirrorRole("g1", True), "one-2": MirrorRole("g2", False)} and ceph.asked == 0
    ceph.objects["journal.id1"] = {}
    assert mirroring.roles(cast(Pool, ceph)) == {"one-1": MirrorRole("g", True)} and ceph.asked == 1


def test_only_what_is_sure_to_have_no_numbered_snapshot_is_not_opened_for_them(ceph: Ceph) -> None:
    """One that is not known, has a group's snapshot of such a name, or a volume of the stock driver is opened."""
    ceph.add("one-1")
    ceph.add("one-2", snapshot_0=snapshot("0"))
    ceph.add("one-3", snapshot_0=snapshot("of a user"))
    ceph.add("one-4")
    ceph.add("one-4-0:1")
    ceph.add("one-5", snapshot_0=b"of a form that is not known")
    found = disk_snapshots.without_numbered(cast(Pool, ceph), [*ceph.ids, "one-6"])
    assert found == {"one-1", "one-3", "one-4-0:1"}
