"""VMs that were never deployed: they have no disk yet, or an unused one, or only read a CDROM, and are in the plan at
site B all the same. One whose image could not be copied (CLONING_FAILURE) is named at site A, with the reason.

One story, on hosts without guests: shown, rehearsed, moved, home again, deployed; then site A dies.
"""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import rbd
import workload as w

from onedr.replication import records
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

VMS = ("held", "mixed", "reader", "waiting")
HOLD, PENDING, ACTIVE = 2, 1, 3
CLONING_FAILURE = 11
NOWHERE = 'SCHED_REQUIREMENTS="NO_SUCH_ATTRIBUTE=1"\n'
GROWN = w.IMAGE_MIB * 2


@dataclass
class Seen:
    """A site's VMs at one moment: by name the state, the lock, the first disk's settings."""

    states: dict[str, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    disks: dict[str, list[Any]] = field(default_factory=dict)


def look(cloud: Cloud) -> Seen:
    seen = Seen()
    for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM:
        full = cloud.api.vm.info(vm.ID)
        disks = full.TEMPLATE["DISK"]
        seen.states[vm.NAME], seen.ids[vm.NAME] = int(full.STATE), int(vm.ID)
        seen.disks[vm.NAME] = disks if isinstance(disks, list) else [disks]
        seen.locked |= {vm.NAME} if full.LOCK is not None else set()
    return seen


def readers(cloud: Cloud, name: str) -> set[int]:
    """Ids of the VMs that an image at a site has a record of as its readers."""
    with w.open_pool(cloud) as pool:
        return {reader.vm_id for reader in records.readers(w.values_of(pool, name))}


def recorded(cloud: Cloud) -> dict[str, str]:
    """States of the other site's VMs, by name, as far as a site knows a recovery point of them."""
    found = [vm for vm in w.status(cloud)["vms"] if not vm["here"]]
    return {vm["name"]: vm["state"] for vm in found if vm["recovery_point"]}


@dataclass
class Story:
    sites: Sites
    a: Cloud
    b: Cloud
    base: str = ""
    base_id: int = 0
    vms: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    uncopied: tuple[int, list[Any]] = (0, [])
    seen: set[int] = field(default_factory=set)
    status: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    rehearsed: dict[str, dict[str, Any]] = field(default_factory=dict)
    moved: dict[str, Any] = field(default_factory=dict)
    left: Seen = field(default_factory=Seen)
    there: Seen = field(default_factory=Seen)
    run: dict[str, Any] = field(default_factory=dict)
    home: Seen = field(default_factory=Seen)


def cdrom(cloud: Cloud) -> int:
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        file.write(bytes(1 << 20))
        file.flush()
        text = f"NAME=install\nTYPE=CDROM\nPATH={file.name}\n"
        image_id = int(cloud.api.image.allocate(text, cloud.datastore_id))
        cloud.wait_image(image_id)
    return image_id


def a_vm_whose_copy_fails(told: Story, of: int) -> None:
    """A VM on a copy of an image, whose name is taken in the pool: the driver refuses to write there."""
    a, copy = told.a, of + 1
    with w.open_pool(a) as pool:
        rbd.RBD().create(pool.io, f"one-{copy}", 1 << 20)
    assert a.api.image.clone(of, "copy", a.datastore_id) == copy
    vm = int(a.api.vm.allocate(f"NAME=copying\n{w.SMALL}DISK=[IMAGE_ID={copy}]\n", True))
    until("its copy to fail", lambda: a.api.vm.info(vm).STATE == CLONING_FAILURE, w.ARRIVES_S)
    told.uncopied = vm, w.status(a)["unprotected"]
    a.api.vm.action("terminate-hard", vm)
    a.api.image.delete(copy)
    until("the copy to go", lambda: copy not in {each.ID for each in a.api.imagepool.info(-2, -1, -1).IMAGE}, w.ARRIVES_S)
    with w.open_pool(a) as pool:
        if pool.exists(f"one-{copy}"):
            rbd.RBD().remove(pool.io, f"one-{copy}")


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    a, b = w.guestless(sites.a), w.guestless(sites.b)
    w.introduce(a, b)
    w.introduce(b, a)
    told = Story(sites, a, b)
    base, data = w.create_image(a, "base", persistent=False), w.create_image(a, "data")
    told.base, told.base_id = w.rbd_name(a, base), base
    disc = cdrom(a)
    w.wait_complete(a, [w.rbd_name(a, data)])
    a_vm_whose_copy_fails(told, disc)
    disk = f"DISK=[IMAGE_ID={base}]\n"

    def on_hold(name: str, disks: str) -> int:
        return int(a.api.vm.allocate(f"NAME={name}\n{w.SMALL}{disks}", True))

    told.gone = on_hold("gone", disk)
    until("the record of a VM on hold", lambda: readers(a, told.base) == {told.gone}, w.ARRIVES_S)
    a.api.vm.action("terminate-hard", told.gone)
    told.vms = {
        "held": on_hold("held", disk),
        "mixed": on_hold("mixed", f"DISK=[IMAGE_ID={data}]\nDISK=[IMAGE_ID={base},SIZE={GROWN}]\n"),
        "reader": on_hold("reader", f"DISK=[IMAGE_ID={disc}]\n"),
        "waiting": int(a.api.vm.allocate(f"NAME=waiting\n{w.SMALL}{disk}{NOWHERE}")),
    }
    wanted = {told.vms["held"], told.vms["waiting"]}
    until("their records at the peer", lambda: readers(b, told.base) == wanted, w.ARRIVES_S)
    told.seen = readers(a, told.base)
    w.wait_complete(a, [told.base, w.rbd_name(a, data), w.rbd_name(a, disc)])
    until("the VMs at the peer", lambda: {vm["name"] for vm in w.status(b)["vms"]} == set(VMS), w.ARRIVES_S, 0.5)
    told.status = w.status(a)
    told.plan = b.onedr("move", str(b.datastore_id), "--dry-run")
    b.run("onedr", "check", str(b.datastore_id), "--rehearse", check=False)
    told.rehearsed = {vm["name"]: vm["rehearsal"] for vm in w.status(b)["vms"]}
    told.moved = b.onedr("move", str(b.datastore_id), "--yes", check=False)
    told.left, told.there = look(a), look(b)
    until("the records back", lambda: {vm["name"] for vm in w.status(a)["vms"] if not vm["here"]} == set(VMS), 120, 0.5)
    w.wait_complete(b, [disk["name"] for disk in w.status(b)["disks"]])
    told.run = a.onedr("failback", str(a.datastore_id), "--yes", check=False)
    told.home = look(a)
    yield told


def test_a_vm_on_hold_is_recorded_on_its_base_until_it_is_gone(story: Story) -> None:
    assert story.gone not in story.seen
    assert story.seen == {story.vms["held"], story.vms["waiting"]}, "the third has a disk of its own"


def test_status_at_site_a_names_them_and_calls_nothing_unprotected(story: Story) -> None:
    assert {vm["name"]: vm["state"] for vm in story.status["vms"]} == {
        "held": "HOLD", "mixed": "HOLD", "reader": "HOLD", "waiting": "PENDING",
    }
    assert story.status["unprotected"] == [] and story.status["state"] == "PROTECTED", story.status["message"]


def test_all_are_in_the_plan_at_site_b(story: Story) -> None:
    shown = {vm["name"]: vm for vm in story.plan["vms"]}
    assert set(shown) == set(VMS) and story.plan["left_out"] == {} and story.plan["refusal"] == ""
    assert {name for name, vm in shown.items() if vm["starts"]} == {"waiting"}


def test_a_vm_whose_image_could_not_be_copied_is_named_by_status_at_its_site(story: Story) -> None:
    vm, unprotected = story.uncopied
    assert f"VM {vm}: its image is still being copied" in str(unprotected), unprotected


def test_each_was_rehearsed_and_is_as_it_was(story: Story) -> None:
    assert {name: (came["result"], came["differences"]) for name, came in story.rehearsed.items()} == dict.fromkeys(
        VMS, ("accepted", [])
    )


def test_they_are_at_site_b_as_they_were_and_locked_at_site_a(story: Story) -> None:
    assert not story.moved["failed"], story.moved
    assert story.there.states == {"held": HOLD, "mixed": HOLD, "reader": HOLD, "waiting": PENDING}
    assert story.left.locked == set(VMS) and set(story.left.states.values()) == {HOLD}
    assert {name: disks[-1]["CLONE"] for name, disks in story.there.disks.items()} == {
        "held": "YES", "mixed": "YES", "reader": "NO", "waiting": "YES",
    }
    assert story.there.disks["reader"][0]["TYPE"] == "RBD_CDROM"
    assert [disk["CLONE"] for disk in story.there.disks["mixed"]] == ["NO", "YES"]
    assert story.there.disks["mixed"][1]["SIZE"] == str(GROWN), "it grows when it is cloned"


def test_they_come_home_to_their_own_objects(story: Story) -> None:
    assert not story.run["failed"], story.run
    assert {name: story.home.ids[name] for name in VMS} == story.vms and set(story.home.ids) == set(VMS)
    assert story.home.states == story.there.states and not story.home.locked


def test_a_vm_that_only_waits_for_a_host_has_no_recovery_time(story: Story) -> None:
    assert {vm["name"]: vm["rto_s"] for vm in w.last_run(story.a)["vms"]} == dict.fromkeys(VMS)


def test_once_deployed_its_disk_has_the_record_and_its_base_no_more(story: Story) -> None:
    a, vm = story.a, story.vms["held"]
    a.api.vm.action("release", vm)
    a.wait_vm(vm)
    until("its record to leave the base", lambda: vm not in readers(a, story.base), w.ARRIVES_S)
    with w.open_pool(a) as pool:
        w.wait_recorded(a, vm, pool)


def test_a_disaster_brings_those_that_wait_as_they_were_and_leaves_none_out(story: Story) -> None:
    """The last one: site A dies. One VM is new, one has been at site B before and was locked there."""
    a, b = story.a, story.b
    late = int(a.api.vm.allocate(f"NAME=late\n{w.SMALL}DISK=[IMAGE_ID={story.base_id}]\n", True))
    until("the record of the new VM at the peer", lambda: late in readers(b, story.base), w.ARRIVES_S)
    now = {"held": "ACTIVE", "mixed": "HOLD", "reader": "HOLD", "waiting": "PENDING", "late": "HOLD"}
    until("what they are now at the peer", lambda: recorded(b) == now, w.ARRIVES_S, 0.5)
    w.wait_complete(a, w.vm_disks(a, story.vms["held"]))
    story.sites.kill_a()
    run = b.onedr("failover", DATASTORE, "--confirm", DATASTORE, check=False)
    assert run["event"] == "verdict" and not run["failed"] and not run["left_out"], run
    seen = look(b)
    assert set(seen.states) == {*VMS, "late"}
    assert (seen.states["late"], seen.states["mixed"], seen.states["waiting"]) == (HOLD, HOLD, PENDING)
    assert seen.disks["late"][0]["CLONE"] == "YES"
    held = [vm.STATE for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.NAME == "held"]
    assert ACTIVE in held, "it was deployed at site A, and runs here"
    assert seen.locked <= {"held"}, "but for its old object here, which has no disk of its own (docs/limits.md)"
