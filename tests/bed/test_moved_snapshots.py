"""Snapshots of disks are data: a tree of them at the other site and at home again, with the same ids, names and bytes.

One story: three snapshots in a tree and a deleted one, a move, a snapshot and a revert there, home, a revert here;
on a persistent disk and on a clone, and an image that no VM uses.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from snapshot_trees import AT_A, HEAD, MIB, Sums, Tree, act, grow_tree, read, scribble, sums

from sandbox.cloud import Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

LIMIT_S = 180
AT_B = Tree({0: ("first", -1), 2: ("renamed there", 0), 4: ("there", 0), 5: ("twig", 2)}, 2, 6)


@dataclass
class Seen:
    """Of one site at one moment: trees and digests by RBD name, what the command said."""

    trees: dict[str, Tree] = field(default_factory=dict)
    of_images: dict[str, Tree] = field(default_factory=dict)
    sums: dict[str, Sums] = field(default_factory=dict)
    vms: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Story:
    """Ids at A; what was seen."""

    sites: Sites
    vm: int = 0
    data: str = ""
    clone: str = ""
    lone: str = ""
    left: Seen = field(default_factory=Seen)
    arrived: Seen = field(default_factory=Seen)
    changed: Seen = field(default_factory=Seen)
    home: Seen = field(default_factory=Seen)
    reverted: dict[str, Sums] = field(default_factory=dict)  # at A, by disk: digests after going back to @4

    @property
    def disks(self) -> tuple[str, str]:
        return self.data, self.clone


def look(story: Story, cloud: Cloud, vm: int) -> Seen:
    seen, element = Seen(), cloud.api.vm.info(vm)
    disks = element.TEMPLATE["DISK"]
    names = {}
    for disk in disks if isinstance(disks, list) else [disks]:
        clone = disk["CLONE"] == "YES"
        name = disk["SOURCE"].partition("/")[2] + (f"-{vm}-{disk['DISK_ID']}" if clone else "")
        names[int(disk["DISK_ID"])] = name
    trees = element.SNAPSHOTS if isinstance(element.SNAPSHOTS, list) else [element.SNAPSHOTS]
    seen.trees = {names[int(tree.DISK_ID)]: read(tree) for tree in trees if tree is not None}
    for image in cloud.api.imagepool.info(-2, -1, -1).IMAGE:
        full = cloud.api.image.info(image.ID)
        if full.SNAPSHOTS is not None and full.SNAPSHOTS.SNAPSHOT:
            seen.of_images[full.SOURCE.partition("/")[2]] = read(full.SNAPSHOTS)
    seen.sums = {name: sums(cloud, name) for name in (*story.disks, story.lone)}
    seen.vms = {each.NAME for each in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    return seen


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    a, b = sites.a, sites.b
    w.introduce(a, b)
    w.introduce(b, a)
    told = Story(sites)
    images = {name: w.create_image(a, name, persistent=name != "base", wait=False) for name in ("data", "base", "lone")}
    for image in images.values():
        a.wait_image(image)
    told.vm = w.create_vm(a, "db", [images["data"], images["base"]])
    a.api.vm.action("poweroff-hard", told.vm)
    a.wait_vm(told.vm, "POWEROFF")
    told.data, told.clone = w.vm_disks(a, told.vm)
    told.lone = w.rbd_name(a, images["lone"])
    a.api.vm.attach(told.vm, f"DISK=[IMAGE_ID={images['lone']}]")
    a.wait_vm(told.vm, "POWEROFF")
    grow_tree(a, told.vm, (0, told.data), (1, told.clone), (2, told.lone))
    a.api.vm.detach(told.vm, 2)
    a.wait_vm(told.vm, "POWEROFF")
    with w.open_pool(b) as there:
        w.wait_recorded(a, told.vm, there)
        until("the lone image's record", lambda: bool((found := w.image_record(there, told.lone)) and found.snapshots),
              LIMIT_S)
    w.wait_complete(a, [told.data, told.clone, told.lone])
    told.left = look(told, a, told.vm)
    away = go(b, "move", told.arrived)
    merge(told.arrived, look(told, b, away))
    work_there(told, b, away)
    with w.open_pool(a) as here:
        w.wait_recorded(b, away, here)
    w.wait_complete(b, [told.data, told.clone, told.lone])
    told.changed = look(told, b, away)
    go(a, "failback", told.home)
    merge(told.home, look(told, a, told.vm))
    for disk, name in enumerate(told.disks):
        act(a, "revert", told.vm, disk, 4)
        told.reverted[name] = sums(a, name)
    yield told


def merge(seen: Seen, found: Seen) -> None:
    found.warnings = seen.warnings
    seen.__dict__.update(found.__dict__)


def go(cloud: Cloud, verb: str, seen: Seen) -> int:
    """Move here. Returns the VM's id."""
    done = cloud.run("onedr", verb, str(cloud.datastore_id), "--yes", "--json", check=False, limit_s=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    last = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")][-1]
    print(f"\n{verb}: {last['seconds']} s, {last['warnings']}")
    seen.warnings = [text for texts in last["warnings"].values() for text in texts]
    return next(int(vm.ID) for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.NAME == "db")


def work_there(told: Story, b: Cloud, away: int) -> None:
    """AT_B on both disks."""
    b.api.vm.action("release", away)
    b.wait_vm(away)
    b.api.vm.action("poweroff-hard", away)
    b.wait_vm(away, "POWEROFF")
    for disk, name in enumerate(told.disks):
        act(b, "create", away, disk, "there")
        scribble(b, name)
        act(b, "revert", away, disk, 2)
        assert sums(b, name)[HEAD] == told.left.sums[name]["2"], "a revert there gives what was recorded here"
        scribble(b, name)
        act(b, "create", away, disk, "twig")
        act(b, "delete", away, disk, 3)
        b.api.vm.disksnapshotrename(away, disk, 2, "renamed there")


def test_the_tree_is_there_with_its_ids_names_and_next_id(story: Story) -> None:
    assert story.left.trees == {name: AT_A for name in story.disks}
    assert story.arrived.trees == {name: AT_A for name in story.disks}
    assert {name: story.arrived.of_images[name] for name in (*story.disks, story.lone)} == {
        name: AT_A for name in (*story.disks, story.lone)
    }


def test_every_snapshot_has_the_same_bytes_there(story: Story) -> None:
    assert story.arrived.sums == story.left.sums
    for found in story.left.sums.values():
        assert set(found) == {HEAD, "0", "2", "3"} and len(set(found.values())) == 4


def test_a_snapshot_made_there_overwrites_none(story: Story) -> None:
    for name in story.disks:
        before, after = story.left.sums[name], story.changed.sums[name]
        assert {key: after[key] for key in ("0", "2")} == {key: before[key] for key in ("0", "2")}
        assert set(after) == {HEAD, "0", "2", "4", "5"}


def test_at_home_the_list_says_what_was_done_there(story: Story) -> None:
    assert story.changed.trees == {name: AT_B for name in story.disks}
    assert story.home.trees == {name: AT_B for name in story.disks}
    assert story.home.of_images[story.lone] == AT_A
    assert not [text for text in (*story.arrived.warnings, *story.home.warnings) if "snapshot" in text]


def test_at_home_every_snapshot_has_the_bytes_it_had_there(story: Story) -> None:
    assert story.home.sums == story.changed.sums


def test_a_revert_at_home_gives_what_was_snapshot_there(story: Story) -> None:
    for name in story.disks:
        assert story.reverted[name] == {**story.changed.sums[name], HEAD: story.changed.sums[name]["4"]}


def test_a_snapshot_that_is_not_listed_is_shown_and_can_be_listed(story: Story) -> None:
    a = story.sites.a
    with w.open_pool(a) as pool, pool.image(story.lone) as image:
        image.create_snap("6")
    for name in story.disks:
        of_disk = {each["number"]: each["called"] for each in shown(a) if each["disk"] == name}
        assert of_disk == {number: called for number, (called, _) in AT_B.snapshots.items()}
    found = [each for each in shown(a) if each["disk"] == story.lone]
    assert [(each["number"], each["called"]) for each in found] == [(0, "first"), (2, "left"), (3, "right"), (6, None)]
    assert found[-1]["revert"] == f"rbd snap rollback one/{story.lone}@6" and found[-1]["size"] == w.IMAGE_MIB * MIB
    before = sums(a, story.lone)
    assert [each["called"] for each in shown(a, "--list") if each["disk"] == story.lone][-1] == "snapshot-6"
    image_id = next(each.ID for each in a.api.imagepool.info(-2, -1, -1).IMAGE if each.NAME == "lone")
    a.wait_image(image_id)
    assert read(a.api.image.info(image_id).SNAPSHOTS) == Tree({**AT_A.snapshots, 6: ("snapshot-6", 0)}, 0, 7)
    assert sums(a, story.lone) == before


def shown(cloud: Cloud, *options: str) -> list[dict[str, Any]]:
    text = cloud.run("onedr", "snapshots", str(cloud.datastore_id), "--json", *options, limit_s=300).stdout
    found: list[dict[str, Any]] = json.loads(text)["snapshots"]
    return found


def test_no_call_of_oned_takes_a_list(story: Story) -> None:
    """Why the list is made by actions (docs/opennebula-facts.md O34)."""
    a = story.sites.a
    tree = "<SNAPSHOTS><DISK_ID>0</DISK_ID><NEXT_SNAPSHOT>4</NEXT_SNAPSHOT><SNAPSHOT><ID>0</ID><NAME>x</NAME></SNAPSHOT></SNAPSHOTS>"
    described = "<NAME>probe</NAME><SIZE>8</SIZE><FORMAT>raw</FORMAT><SOURCE>one/no-such-image</SOURCE><PERSISTENT>YES</PERSISTENT>"
    image = a.api.image.allocate(f"<TEMPLATE>{described}{tree}</TEMPLATE>", a.datastore_id)
    disk = f"<NAME>probe</NAME><CPU>0.1</CPU><MEMORY>64</MEMORY><DISK><IMAGE_ID>{image}</IMAGE_ID></DISK>"
    vm = a.api.vm.allocate(f"<TEMPLATE>{disk}{tree}</TEMPLATE>", True)
    listed = [a.api.image.info(image).SNAPSHOTS, *(of_vm if isinstance(of_vm := a.api.vm.info(vm).SNAPSHOTS, list) else [of_vm])]
    a.api.vm.action("terminate-hard", vm)
    assert not [each for each in listed if each is not None and each.SNAPSHOT]


def test_nothing_that_was_needed_for_it_is_left(story: Story) -> None:
    assert story.arrived.vms == story.home.vms == {"db"}
    for cloud in (story.sites.a, story.sites.b):
        with w.open_pool(cloud) as pool:
            assert not [each.key for each in pool.io.list_objects() if each.key.startswith("onedr.listing")]
