"""Who holds an image is found and named before anything of it goes, here or at the peer."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rbd

from onedr.ceph import image_use, images, pending_images
from onedr.ceph.connection import Pool
from onedr.host import process
from onedr.model.errors import StorageError

GUEST, MIRROR, OTHER = "192.0.2.7:0/11", "192.0.2.8:0/22", "192.0.2.9:0/33"
MANUAL = {"tag": "", "exclusive": True, "lockers": [("client.4", "host1", GUEST)]}
AUTOMATIC = {"tag": "internal", "exclusive": True, "lockers": [("client.4", "auto 94", GUEST)]}
LISTED = f"watcher={MIRROR} client.4151 cookie=139\nwatcher=[2001:db8::1]:0/5 client.4152 cookie=1\n"


class HeldImage:
    """A mirrored primary image that `lockers` and `watchers` hold; what is done to it is noted."""

    def __init__(self, lockers: dict[str, Any], watchers: tuple[str, ...], member_of: str = ""):
        self.lockers, self.watchers, self.member_of = lockers, watchers, member_of
        self.done: list[str] = []

    def list_lockers(self) -> dict[str, Any]:
        return self.lockers

    def watchers_list(self) -> Iterator[dict[str, Any]]:
        return iter([{"addr": address, "id": 4, "cookie": 1} for address in self.watchers])

    def group(self) -> dict[str, Any]:
        return {"pool": 2 if self.member_of else -1, "name": self.member_of}

    def get_name(self) -> str:
        return "one-7"

    def list_children2(self) -> list[dict[str, Any]]:
        return []

    def list_snaps(self) -> list[dict[str, Any]]:
        return []

    def parent_info(self) -> None:
        raise rbd.ImageNotFound("no parent")

    def mirror_image_get_info(self) -> dict[str, Any]:
        return {"global_id": "g", "state": rbd.RBD_MIRROR_IMAGE_ENABLED, "primary": True}

    def mirror_image_get_mode(self) -> int:
        return int(rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL)

    def mirror_image_disable(self, force: bool) -> None:
        self.done.append("mirroring disabled")


def pool_with(image: HeldImage) -> Pool:
    @contextmanager
    def opened(name: str, read_only: bool = False) -> Iterator[HeldImage]:
        yield image

    noted = SimpleNamespace(
        remove=lambda io, name: image.done.append("removed"),
        trash_move=lambda io, name, delay: image.done.append("moved to the trash"),
    )
    access = SimpleNamespace(pool="one", user="oneadmin", conf="", keyfile="")
    return cast(Pool, SimpleNamespace(image=opened, io=None, rbd=noted, access=access))


@pytest.fixture(autouse=True)
def mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run_program", lambda argv, limit_s: LISTED)
    monkeypatch.setattr(pending_images, "clear_pending", lambda pool, name: None)


@pytest.mark.parametrize("way", [images.remove_image, images.move_to_trash])
@pytest.mark.parametrize(
    ("lockers", "watchers", "words"),
    [
        (MANUAL, (), "locked by host1 .client.4, 192.0.2.7:0/11.*rbd lock rm"),
        (MANUAL, (GUEST,), "locked by host1"),
        (AUTOMATIC, (GUEST, MIRROR), f"locked by client.4 .{GUEST}"),
        ({}, (MIRROR, OTHER), f"watched by {OTHER}"),
    ],
)
def test_a_held_image_is_refused_with_the_name_before_mirroring_ends(
    way: Any, lockers: dict[str, Any], watchers: tuple[str, ...], words: str
) -> None:
    image = HeldImage(lockers, watchers)
    with pytest.raises(StorageError, match=words) as raised:
        way(pool_with(image), "one-7", 0.3)
    assert MIRROR not in str(raised.value)
    assert image.done == []


@pytest.mark.parametrize(
    ("lockers", "watchers"), [({}, ()), ({}, (MIRROR,)), (AUTOMATIC, ()), (AUTOMATIC, (MIRROR,))]
)
def test_rbd_mirror_and_a_dead_writer_hold_nothing_up(
    lockers: dict[str, Any], watchers: tuple[str, ...]
) -> None:
    image = HeldImage(lockers, watchers)
    images.remove_image(pool_with(image), "one-7", 0.3)
    assert image.done == ["mirroring disabled", "removed"]


@pytest.mark.parametrize("way", [images.remove_image, images.move_to_trash])
def test_a_member_of_a_group_of_others_is_refused_with_what_to_type(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[tuple[str, str]] = []
    monkeypatch.setattr(rbd, "Group", lambda _, group: SimpleNamespace(
        remove_image=lambda _, name: left.append((group, name))
    ))
    image = HeldImage({}, (), "nightly backups")
    with pytest.raises(StorageError, match="rbd group image rm 'one/nightly backups' one/one-7"):
        way(pool_with(image), "one-7", 0.3)
    assert image.done == []
    way(pool_with(own := HeldImage({}, (), "onedr-point-7")), "one-7", 0.3)
    assert own.done and left == [("onedr-point-7", "one-7")], "it left our group first"


def test_a_lock_set_by_hand_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_use, "retry_while_busy", lambda *_: pytest.fail("it waits"))
    with pytest.raises(StorageError, match="host1"):
        image_use.wait_until_no_writer(pool_with(HeldImage(MANUAL, ())), "one-7")


def test_watchers_are_read_from_what_rados_prints() -> None:
    assert image_use.mirror_watchers(LISTED) == {MIRROR, "[2001:db8::1]:0/5"}
    assert image_use.mirror_watchers("") == set()
