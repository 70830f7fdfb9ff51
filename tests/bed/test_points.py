"""A guest writes one numbered record to three disks in turn, each on the disk before the next is begun. At a point in
time no disk is ahead of another by more than the write under way: at site A, on the copies, on a drill's clones, and
after a failover to it.
"""
from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timezone
from typing import TYPE_CHECKING, Any

import pytest
import rbd
import workload as w
from drills import make_network

from onedr.ceph import group_snapshots, images
from onedr.ceph.connection import Pool
from onedr.replication import locked_copies
from onedr.replication.vm_points import moment_name
from sandbox.cloud import DATASTORE, Cloud
from sandbox.guest import ledger
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

POINTS = 'DR_POINT_EVERY="10s"\nDR_POINTS="60x10s"\n'


@dataclass
class Story:
    sites: Sites
    vms: dict[str, int] = field(default_factory=dict)
    disks: dict[str, list[str]] = field(default_factory=dict)
    began: float = 0.0  # epoch seconds: from then on the guest writes to each disk in its turn
    first: dict[str, Any] = field(default_factory=dict)  # `onedr points` of bank, when three were complete
    content: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)  # site, snapshot, disk: digest
    at_points: dict[str, list[list[ledger.Record]]] = field(default_factory=dict)  # by snapshot, at site B
    groups: list[str] = field(default_factory=list)
    listed: str = ""
    pinned: dict[str, Any] = field(default_factory=dict)
    later: dict[str, Any] = field(default_factory=dict)
    removed: dict[str, bool] = field(default_factory=dict)
    locked: dict[str, bool] = field(default_factory=dict)
    drilled: dict[str, list[ledger.Record]] = field(default_factory=dict)
    drill_point: str = ""
    dark: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    taken_back: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    kept: list[dict[str, Any]] = field(default_factory=list)
    undone: dict[str, str] = field(default_factory=dict)
    committed: list[dict[str, Any]] = field(default_factory=list)


def points(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    (vm,) = (each for each in cloud.onedr("points", DATASTORE)["vms"] if each["name"] == name)
    return list(vm["points"])


def complete(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    return [point for point in points(cloud, name) if point["complete"]]


def held(pool: Pool, name: str) -> dict[str, int]:
    """Group snapshots of an image, by name."""
    with pool.image(name, read_only=True) as image:
        return {each.name: each.number for each in group_snapshots.of_image(image)}


def read_at(pool: Pool, name: str, number: int | None, read: Callable[[rbd.Image], Any]) -> Any:
    with pool.image(name, read_only=True) as image:
        if number is not None:
            image.set_snap_by_id(number)
        return read(image)


def digest(image: rbd.Image) -> str:
    return hashlib.sha256(image.read(0, image.size())).hexdigest()


def is_one_instant(disks: list[list[ledger.Record]]) -> bool:
    last = [records[-1].tick if records else 0 for records in disks]
    return sorted(last, reverse=True) == last and last[0] - last[-1] <= 1


def prepare(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    made = {name: w.create_image(a, name, wait=False) for name in ("log", "data", "index", "lone", "gone", "safe")}
    for image in made.values():
        a.wait_image(image)
    for cloud in (a, b):
        cloud.api.datastore.update(cloud.datastore_id, POINTS, 1)
    make_network(b)
    wanted = {"bank": ["log", "data", "index"], "lone": ["lone"], "gone": ["gone"], "safe": ["safe"]}
    for name, disks in wanted.items():
        story.vms[name] = w.create_vm(a, name, [made[disk] for disk in disks], wait=False)
    for name, vm in story.vms.items():
        a.wait_vm(vm)
        story.disks[name] = [w.rbd_name(a, made[disk]) for disk in wanted[name]]
    for target in ("vda", "vdb", "vdc"):  # a guest on a busy machine finds its disks one by one
        w.wait_writing(a, story.vms["bank"], 2, target)
    story.began = time.time()


def look_at_points(story: Story) -> None:
    a, b = story.sites.a, story.sites.b

    def later() -> list[dict[str, Any]]:
        return [point for point in complete(a, "bank") if point["at"] >= story.began]

    until("three complete points", lambda: len(later()) >= 3, 120, 0.5)
    found = a.onedr("points", DATASTORE)
    story.first = next(vm for vm in found["vms"] if vm["name"] == "bank")
    story.groups = rbd_groups(a)
    story.listed = a.run("onedr", "snapshots", DATASTORE, "--json").stdout
    with w.open_pool(a) as here, w.open_pool(b) as there:
        common = set.intersection(*(set(held(pool, disk)) for pool in (here, there) for disk in story.disks["bank"]))
        common &= {name for name, at in read_notes(here, story.disks["bank"][0]).items() if at >= story.began}
        for site, pool in (("a", here), ("b", there)):
            story.content[site] = {
                name: {disk: read_at(pool, disk, held(pool, disk)[name], digest) for disk in story.disks["bank"]}
                for name in common
            }
        for name in common:
            story.at_points[name] = [
                read_at(there, disk, held(there, disk)[name], ledger.read_image) for disk in story.disks["bank"]
            ]


def rbd_groups(cloud: Cloud) -> list[str]:
    """When no point is being taken."""
    with w.open_pool(cloud) as pool:
        until("no group", lambda: not pool.rbd.group_list(pool.io), 30, 0.1)
        return list(pool.rbd.group_list(pool.io))


def pin_and_leave_behind(story: Story) -> None:
    """Pin the oldest point, and leave what a killed keeper leaves; then points go on, and the others expire."""
    a, b = story.sites.a, story.sites.b
    oldest = complete(a, "bank")[0]
    story.pinned = oldest
    a.api.datastore.update(a.datastore_id, 'DR_POINTS="3x10s"', 1)
    a.run("onedr", "point", "pin", DATASTORE, oldest["name"], "--why", "before the upgrade", "--vm", "bank")
    with w.open_pool(a) as pool:
        left = f"{group_snapshots.PREFIX}{a.datastore_id}-{story.vms['bank']}"
        until("no group", lambda: left not in pool.rbd.group_list(pool.io), 30, 0.05)
        pool.rbd.group_create(pool.io, left)
        group = rbd.Group(pool.io, left)
        for disk in story.disks["bank"]:
            group.add_image(pool.io, disk)
        group.create_snap("half")
        half = {max(held(pool, disk)) for disk in story.disks["bank"]}
        before = max(point["at"] for point in points(a, "bank"))
        until("a later point", lambda: max(point["at"] for point in points(a, "bank")) > before, 60, 0.5)
        story.removed["group"] = left not in rbd_groups(a)
    first = {point["name"] for point in story.first["points"]} - {oldest["name"]}
    until("the first ones' end", lambda: not first & {point["name"] for point in points(a, "bank")}, 120, 1)
    story.later = {point["name"]: point for point in points(a, "bank")}
    with w.open_pool(a) as here, w.open_pool(b) as there:
        def gone() -> bool:
            return all(len(held(there, disk)) <= len(held(here, disk)) + 1 for disk in story.disks["bank"])

        until("their end at site B", gone, 30, 0.5)
        story.removed["half"] = not half & {name for disk in story.disks["bank"] for name in held(here, disk)}


def lock_one(story: Story) -> None:
    """A point of a VM is locked. Then unpinning it, deleting its image and disabling protection are tried, and in the
    end somebody with Ceph's keys at site A removes the image there.
    """
    a, b = story.sites.a, story.sites.b
    (disk,) = story.disks["safe"]
    deletion_delay(story.sites, "3600")
    point = complete(a, "safe")[-1]
    tomorrow = moment_name(time.time() + 86400)
    lock = a.run("onedr", "point", "pin", DATASTORE, point["name"], "--vm", "safe", "--until", tomorrow, "--json")
    (vm,) = json.loads(lock.stdout)["vms"]
    story.locked["until"] = {each["name"]: each["locked"] for each in vm["points"]}[point["name"]] == tomorrow
    for what, command in {
        "unpin": ("point", "unpin", DATASTORE, point["name"], "--vm", "safe"),
        "disable": ("disable", DATASTORE, "--dry-run"),
    }.items():
        refused = a.run("onedr", *command, check=False)
        story.locked[what] = refused.returncode != 0 and tomorrow in refused.stdout + refused.stderr
    with w.open_pool(a) as here, w.open_pool(b) as there:
        image = int(a.api.vm.info(story.vms["safe"]).TEMPLATE["DISK"]["IMAGE_ID"])
        a.api.vm.action("terminate-hard", story.vms["safe"])
        a.wait_image(image)
        a.api.image.delete(image)
        a.wait_image(image, "ERROR")
        story.locked["image"] = here.exists(disk)
        story.locked["said"] = tomorrow in str(a.api.image.info(image).TEMPLATE.get("DR_MESSAGE"))
        number = held(there, disk)
        chosen = max(number, key=number.__getitem__)
        before = read_at(there, disk, number[chosen], digest)
        images.remove_image(here, disk)
        until("its copy to go to the trash", lambda: not there.exists(disk), 60, 0.1)
        (kept,) = until("its copy to be held", lambda: taken_over(b, there, disk), 60, 0.5)
        story.locked["source"] = kept["source"] == "USER"
        ends = kept["deferment_end_time"].replace(tzinfo=timezone.utc).timestamp()
        story.locked["deferred"] = ends >= time.time() + 86400 - 120
        with rbd.Image(there.io, image_id=kept["id"], read_only=True) as held_copy:
            held_copy.set_snap_by_id(number[chosen])
            story.locked["content"] = digest(held_copy) == before
        shown = b.onedr("points", DATASTORE)["warnings"]
        story.locked["shown"] = any(each.startswith(kept["name"]) and tomorrow in each for each in shown)
        b.run("onedr", "point", "recover", DATASTORE, kept["name"], moment_name(time.time()))
        (made,) = (each for each in there.names() if each.startswith(f"recovered-{disk}-"))
        with rbd.Image(there.io, image_id=kept["id"], read_only=True) as held_copy:
            held_copy.set_snap_by_id(group_snapshots.of_image(held_copy)[-1].number)
            story.locked["recovered"] = read_at(there, made, None, digest) == digest(held_copy)
    a.api.image.delete(image)
    deletion_delay(story.sites, "0")


def taken_over(cloud: Cloud, pool: Pool, disk: str) -> list[dict[str, Any]]:
    """What a pass of the reconcile holds in the trash of a disk; a copy that rbd-mirror has open needs another one."""
    cloud.run("onedr", "reconcile", DATASTORE)
    prefix = f"{locked_copies.PREFIX}{disk}-"
    return [each for each in pool.rbd.trash_list(pool.io) if each["name"].startswith(prefix)]


def deletion_delay(sites: Sites, seconds: str) -> None:
    """As `onedr setup` sets it: what rbd-mirror of site B removes stays in the trash for that long."""
    command = ["ceph", "config", "set", "client", "rbd_mirroring_delete_delay", seconds]
    sites.bed.run("site-b", command, check=True, capture_output=True)


def delete_one(story: Story) -> None:
    """A VM with points is terminated, and its image deleted."""
    a, b = story.sites.a, story.sites.b
    (disk,) = story.disks["gone"]
    with w.open_pool(a) as here, w.open_pool(b) as there:
        story.removed["had points"] = bool(held(here, disk))
        image = int(a.api.vm.info(story.vms["gone"]).TEMPLATE["DISK"]["IMAGE_ID"])
        a.api.vm.action("terminate-hard", story.vms["gone"])
        a.wait_image(image)
        a.api.image.delete(image)
        until("its end", lambda: not here.exists(disk) and not there.exists(disk), 60, 0.5)
        story.removed["image"] = True


def drill_at_a_point(story: Story) -> None:
    """The point is pinned, so that it does not expire while the drill's VM boots."""
    a, b = story.sites.a, story.sites.b
    chosen = complete(a, "bank")[-1]
    a.run("onedr", "point", "pin", DATASTORE, chosen["name"], "--vm", "bank")
    with w.open_pool(b) as there:
        notes = read_notes(there, story.disks["bank"][0])
        (snapshot,) = (name for name, at in notes.items() if at == chosen["at"])
        for disk in story.disks["bank"]:
            story.at_points[f"drill {disk}"] = [read_at(there, disk, held(there, disk)[snapshot], ledger.read_image)]
        b.onedr("drill", "start", DATASTORE, "--vm", "bank", "--point", chosen["name"], check=False)
        for disk in story.disks["bank"]:
            (clone,) = (name for name in there.names() if name.startswith("onedr-drill-") and name.endswith(disk))
            story.drilled[disk] = read_at(there, clone, None, ledger.read_image)
    b.onedr("drill", "cleanup", DATASTORE, check=False)


def read_notes(pool: Pool, name: str) -> dict[str, float]:
    from onedr.replication import points as noted

    return {key: note.at for key, note in noted.decode(w.values_of(pool, name)[noted.KEY], None).items()}


def fail_over(story: Story) -> None:
    b, disks = story.sites.b, story.disks["bank"]
    story.dark = next(vm for vm in b.onedr("points", DATASTORE)["vms"] if vm["name"] == "bank")
    story.plan = b.onedr("failover", DATASTORE, "--dry-run", "--point", "newest", "--vm", "bank")
    newest = max(point["at"] for point in story.dark["points"] if point["complete"])
    with w.open_pool(b) as pool:
        (snapshot,) = (name for name, at in read_notes(pool, disks[0]).items() if at == newest)
        story.heads = {disk: read_at(pool, disk, None, digest) for disk in disks}
        story.wanted = {disk: read_at(pool, disk, held(pool, disk)[snapshot], digest) for disk in disks}
        take_over(b, "bank", "--no-start")
        story.taken_back = {disk: read_at(pool, disk, None, digest) for disk in disks}
        story.kept = kept_copies(b)
        b.run("onedr", "failover", DATASTORE, "--undo", "--yes")
        story.undone = {disk: read_at(pool, disk, None, digest) for disk in disks}
        take_over(b, "lone")
        b.run("onedr", "failover", DATASTORE, "--commit", "--yes")
        story.committed = kept_copies(b)


def kept_copies(cloud: Cloud) -> list[dict[str, Any]]:
    return list(json.loads(cloud.run("onedr", "kept", DATASTORE, "--json").stdout))


def take_over(cloud: Cloud, vm: str, *options: str) -> None:
    cloud.run(
        "onedr", "failover", DATASTORE, "--point", "newest", "--vm", vm, "--confirm", DATASTORE, "--yes", *options
    )


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    told = Story(sites)
    prepare(told)
    look_at_points(told)
    pin_and_leave_behind(told)
    lock_one(told)
    delete_one(told)
    drill_at_a_point(told)
    sites.kill_a()
    fail_over(told)
    yield told


def test_points_are_of_one_instant_on_the_copies(story: Story) -> None:
    whole = {name: disks for name, disks in story.at_points.items() if len(disks) == 3}
    assert len(whole) >= 3
    for name, disks in whole.items():
        assert is_one_instant(disks), (name, [records[-1] for records in disks if records])
    assert story.content["a"] == story.content["b"]


def test_a_point_says_when_what_it_cost_and_what_it_holds(story: Story) -> None:
    for point in story.first["points"]:
        assert 0 < point["stall_s"] < 30 and point["pin"] == ""
        assert point["held"] is not None
    assert max(point["held"] for point in story.first["points"]) >= 3 << 22, "the ledger's object on each disk"


def test_no_group_stays_and_no_list_of_snapshots_shows_points(story: Story) -> None:
    assert story.groups == [] and '"snapshots": []' in story.listed


def test_a_pinned_point_stays_and_the_others_end_at_both_sites(story: Story) -> None:
    assert story.later[story.pinned["name"]]["pin"] == "before the upgrade"
    first = {point["name"] for point in story.first["points"]} - {story.pinned["name"]}
    assert first and not first & story.later.keys()


def test_what_a_killed_keeper_left_is_removed(story: Story) -> None:
    assert story.removed["group"] and story.removed["half"]


def test_a_locked_point_is_not_taken_away(story: Story) -> None:
    assert story.locked["until"] and story.locked["unpin"] and story.locked["disable"]
    assert story.locked["image"] and story.locked["said"], "its image is kept, and the user is told why"


def test_a_copy_with_a_locked_point_is_held_when_its_image_is_removed_with_cephs_keys(story: Story) -> None:
    assert story.locked["source"] and story.locked["deferred"], "neither rbd-mirror nor a purge takes it before"
    assert story.locked["content"] and story.locked["shown"]
    assert story.locked["recovered"], "its newest point, in an image of its own"


def test_an_image_with_points_can_be_deleted(story: Story) -> None:
    assert story.removed["had points"] and story.removed["image"]


def test_a_drill_is_as_of_its_point(story: Story) -> None:
    for disk in story.disks["bank"]:
        (at_point,) = story.at_points[f"drill {disk}"]
        assert at_point and story.drilled[disk][:len(at_point)] == at_point
    last = [story.at_points[f"drill {disk}"][0] for disk in story.disks["bank"]]
    assert is_one_instant(last)


def test_a_plan_offers_the_newest_point(story: Story) -> None:
    (vm,) = story.plan["vms"]
    newest = max(point["at"] for point in story.dark["points"] if point["complete"])
    assert vm["newest_point"] == newest == vm["recovery_point"]
    assert [step["target"] for step in story.plan["steps"] if step["kind"] == "take back"] == sorted(story.disks["bank"])


def test_after_a_failover_to_it_all_disks_are_as_of_the_point(story: Story) -> None:
    assert story.taken_back == story.wanted
    assert story.taken_back != story.heads, "nothing was written since"
    assert {kept["image"] for kept in story.kept} == set(story.disks["bank"])


def test_undo_brings_the_newer_state_and_commit_gives_it_up(story: Story) -> None:
    assert story.undone == story.heads
    assert story.committed == []
