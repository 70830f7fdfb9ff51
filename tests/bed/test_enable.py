"""A stock Ceph datastore with a running VM moves into protection and out again; nothing is moved, nothing stops."""
from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import stock as s
import workload as w

from onedr.model import names
from onedr.model.types import Mode
from onedr.opennebula import documents, image_template
from onedr.opennebula.vm_template import REHEARSAL
from onedr.replication import rehearsals
from onedr.runs import journal
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites


@pytest.fixture(scope="module")
def stock(sites: Sites) -> Iterator[s.Stock]:
    made = s.make(sites.a)
    yield made


@pytest.fixture(scope="module")
def before(stock: s.Stock) -> dict[str, Any]:
    """The datastore and its images while they are stock."""
    with w.open_pool(stock.cloud) as here:
        return {"template": stock.template(), "images": s.all_outside(stock, here)}


def now(stock: s.Stock) -> dict[str, Any]:
    with w.open_pool(stock.cloud) as here:
        return {"template": stock.template(), "images": s.all_outside(stock, here)}


def results(events: list[dict[str, Any]], stock: s.Stock) -> dict[str, str]:
    """Result of each item, by what it is."""
    names = {name: what for what, name in stock.rbd_names().items()}
    return {names.get(event["name"], event["name"]): event["result"] for event in events if event["event"] == "item"}


def test_a_dry_run_tells_what_would_be_done_and_changes_nothing(stock: s.Stock, before: dict[str, Any]) -> None:
    plan = stock.onedr("enable", "--dry-run")[0]
    assert {item["name"]: item["what"] for item in plan["items"]} == dict.fromkeys(stock.rbd_names().values(), "act")
    assert plan["changes"]["DS_MAD"] == plan["changes"]["TM_MAD"] == "ceph_dr"
    assert any(f"worker ({stock.vm})" in warning for warning in plan["warnings"])
    assert now(stock) == before


@pytest.mark.parametrize("options, said", [
    (("--mode", "FAST", "--rpo", "soon", "--site-index", "7"), ("DR_MODE", "DR_RPO", "DR_SITE_INDEX")),
    (("--site-index", "1"), ("site index 1", "one-1000000000")),
])
def test_what_cannot_be_is_refused_before_anything_changes(
    stock: s.Stock, before: dict[str, Any], sites: Sites, options: tuple[str, ...], said: tuple[str, ...]
) -> None:
    if not sites.b.api.imagepool.info(-2, -1, -1).IMAGE:
        w.create_image(sites.b, "theirs")  # with index 1
    refusals = stock.refusals("enable", *options)
    assert all(word in refusals for word in said), refusals
    assert now(stock) == before


def test_a_name_that_the_peer_uses_itself_is_refused_with_its_name(stock: s.Stock, before: dict[str, Any], sites: Sites) -> None:
    name = stock.rbd_names()["spare"]
    with w.open_pool(sites.b) as there:
        there.rbd.create(there.io, name, 1 << 20)
        try:
            refusals = stock.refusals("enable", "--site-index", "2")
        finally:
            there.rbd.remove(there.io, name)
    assert f"same names: {name}." in refusals
    assert now(stock) == before


@pytest.mark.parametrize("name, said", [(s.SYSTEM, "not an image datastore"), ("plain-files", "only ceph can be protected")])
def test_another_kind_of_datastore_is_refused(stock: s.Stock, name: str, said: str) -> None:
    if name == "plain-files":
        stock.cloud.create("onedatastore", "NAME=plain-files\nTYPE=IMAGE_DS\nDS_MAD=fs\nTM_MAD=shared\n")
    for verb in ("enable", "disable"):
        done = stock.cloud.run("onedr", verb, name, check=False)
        assert done.returncode == 2
        assert said in done.stderr


def test_it_is_enabled_under_a_running_vm_even_when_killed_on_the_way(stock: s.Stock, sites: Sites) -> None:
    stock.kill_after("enable", 2, attributes=(("DR_SITE", "here"),))
    events = stock.onedr("enable", "--rpo", "20m")
    assert set(results(events, stock).values()) <= {"done", "waiting"}, events
    template = stock.template()
    assert template["object"] == ("ceph_dr", "ceph_dr")
    assert (template["DR_SITE"], template["DR_RPO"], template["DR_PROTECT"]) == ("here", "20m", "YES")
    assert template["NOTE"] == 'a <b> & "c"'
    w.wait_complete(stock.cloud, list(stock.rbd_names().values()), datastore=stock.datastore_id)
    for target in ("vda", "vdb", "vdc"):
        w.wait_writing(stock.cloud, stock.vm, target=target)
    with w.open_pool(stock.cloud) as here, w.open_pool(sites.b) as there:
        assert {found["mode"] for found in s.all_outside(stock, here).values()} == {Mode.JOURNAL}
        s.wait_at_peer(stock, there)
        record = w.vm_record(there, stock.rbd_names()["clone"])
        assert record is not None and record.vm_id == stock.vm
        assert ".rbd_onedr.features" not in w.values_of(there, stock.rbd_names()["old"])


def test_its_vm_shows_that_it_is_protected_beside_what_its_user_wrote_and_the_update_is_no_news(stock: s.Stock) -> None:
    stock.cloud.api.vm.update(stock.vm, 'NOTE="a <b>"', 1)
    shown: dict[str, str] = {}

    def protected() -> bool:
        shown.update(stock.cloud.api.vm.info(stock.vm).USER_TEMPLATE)
        return shown.get("DR_STATE") == "PROTECTED" and bool(shown.get("DR_RECOVERY_POINT"))

    until("the VM to show that it is protected", protected, 120, 0.3)
    assert time.strptime(shown["DR_RECOVERY_POINT"], "%Y-%m-%dT%H:%M:%SZ") and shown["NOTE"] == "a <b>"
    keys: set[str] = set()

    def recorded() -> bool:
        with w.open_pool(stock.cloud) as here:
            record = w.vm_record(here, stock.rbd_names()["clone"])
        keys.update(() if record is None else (key for key, _ in record.user_template))
        return "NOTE" in keys

    until("what the user wrote to be recorded", recorded, 60, 0.3)
    assert not [key for key in keys if key.startswith("DR_")]
    shows = f"VM {stock.vm}: only what OneDR shows on it changed"
    until("the hook to take our own update for what it is", lambda: shows in said_by(stock.cloud, "onedr-vm-update"), 30, 0.3)


def said_by(cloud: Cloud, hook: str) -> str:
    """What a hook's executions wrote for its log."""
    front = w.frontend(cloud)
    number = next(int(str(each.findtext("ID"))) for each in front.hooks() if each.findtext("NAME") == hook)
    logged = front._object("hook.info", number, False).iterfind("HOOKLOG/HOOK_EXECUTION_RECORD/EXECUTION_RESULT/STDOUT")
    return "".join(base64.b64decode(each.text or "").decode() for each in logged)


def test_enabled_already_it_says_so_and_repairs(stock: s.Stock, sites: Sites) -> None:
    with w.open_pool(stock.cloud) as here, here.image(stock.rbd_names()["spare"]) as image:
        image.mirror_image_disable(False)
    plan, *events = stock.onedr("enable")
    assert plan["changes"] == {}
    assert results(events, stock) == dict.fromkeys(stock.rbd_names(), "done")


def test_a_mode_is_not_changed_under_mirrored_images(stock: s.Stock) -> None:
    assert "another mode than SNAPSHOT" in stock.refusals("enable", "--mode", "SNAPSHOT")
    assert stock.template()["DR_MODE"] == "JOURNAL"


@pytest.mark.timeout(600)  # a real oned looks at datastores each 300 s
def test_new_vms_live_on_the_stock_system_datastore(stock: s.Stock, sites: Sites) -> None:
    cloud = stock.cloud
    stock.wait_space()
    more = stock.create_image("more")
    vm = stock.create_vm("new", [stock.images["base"], more])
    w.wait_writing(cloud, vm, target="vda")
    assert [(disk["TM_MAD"], disk["TM_MAD_SYSTEM"]) for disk in stock.disks(vm)] == [("ceph_dr", "ceph")] * 2
    cloud.api.vm.attach(vm, f"DISK=[IMAGE_ID={stock.images['spare']}]")
    cloud.wait_vm(vm)
    clone = f"{w.rbd_name(cloud, stock.images['base'])}-{vm}-0"
    with w.open_pool(cloud) as here, w.open_pool(sites.b) as there:
        until("the new clone's copy", lambda: there.exists(clone), 60, 0.2)
        assert w.vm_record(here, w.rbd_name(cloud, more)) is not None
        cloud.api.vm.detach(vm, int(stock.disks(vm)[-1]["DISK_ID"]))
        cloud.wait_image(stock.images["spare"])
        cloud.wait_vm(vm)
        cloud.api.vm.action("terminate-hard", vm)
        cloud.wait_vm(vm, "DONE")
        until("the new clone to go", lambda: not here.exists(clone) and not there.exists(clone), 60, 0.2)
    cloud.api.image.delete(more, False)
    until("the end of the image", lambda: more not in {image.ID for image in cloud.api.imagepool.info(-2, -1, -1).IMAGE}, 30)


def test_disabling_asks_first_and_a_dry_run_changes_nothing(stock: s.Stock, sites: Sites) -> None:
    def lasting() -> Any:
        seen = now(stock)
        images = {what: (found["features"], found["mode"], found["snapshots"]) for what, found in seen["images"].items()}
        return {key: value for key, value in seen["template"].items() if not key.startswith("DR_")}, images

    there = lasting()
    plan = stock.onedr("disable", "--dry-run")[0]
    assert {item["name"] for item in plan["items"] if item["what"] == "act"} == set(stock.rbd_names().values())
    assert "deletes the peer's copies" in stock.refusals("disable")
    assert lasting() == there


def test_it_is_not_disabled_while_a_run_is_active_or_where_this_site_only_receives(stock: s.Stock, sites: Sites) -> None:
    spare = stock.rbd_names()["spare"]
    with w.open_pool(stock.cloud) as here:
        with journal.Run(here, "failover"):
            for option in ("--yes", "--dry-run"):
                done = stock.cloud.run("onedr", "disable", s.NAME, option, check=False)
                assert done.returncode == 2 and "Another run is in progress" in done.stderr
        with here.image(spare) as image:
            image.mirror_image_demote()
            try:
                assert f"only receives image {stock.images['spare']} (spare)" in stock.refusals("disable", "--yes")
            finally:
                image.mirror_image_promote(False)  # by force it would be a split-brain
            image.metadata_set("onedr.test", "on")  # the status may be of before: what arrives proves it
        with w.open_pool(sites.b) as there:
            until("the peer to follow the spare image again", lambda: "onedr.test" in w.values_of(there, spare), 120, 0.5)
    assert stock.template()["object"] == ("ceph_dr", "ceph_dr")


def documents_of(stock: s.Stock) -> list[str]:
    """Ids of the documents that oned has for the datastore."""
    found = stock.cloud.api.documentpool.info(-2, -1, -1, documents.TYPE).DOCUMENT
    return [str(each.ID) for each in found if documents.name_of(stock.datastore_id) == each.NAME]


def test_disabled_nothing_of_onedr_is_left_and_the_vm_never_stopped(stock: s.Stock, before: dict[str, Any], sites: Sites) -> None:
    until("its document", lambda: documents_of(stock) == [stock.template().get("DR_DOCUMENT")], 60, 0.3)
    stock.kill_after("disable", 2, confirm=s.NAME)
    assert stock.template()["object"] == ("ceph", "ceph")
    events = stock.onedr("disable", "--yes")
    assert events[-1]["failed"] == {} and events[-1]["waiting"] == {}, events[-1]
    assert now(stock) == before
    assert not documents_of(stock)
    own = stock.cloud.api.vm.info(stock.vm).USER_TEMPLATE
    assert own["NOTE"] == "a <b>" and not [key for key in own if key.startswith("DR_")]
    with w.open_pool(sites.b) as there:  # of what the killed run had stripped, nobody waited; rbd-mirror tries every 30 s
        until("the copies at the peer to go", lambda: not set(there.names()) & set(stock.rbd_names().values()), 150, 0.3)
    for target in ("vda", "vdb", "vdc"):
        w.wait_writing(stock.cloud, stock.vm, target=target)
    told = w.told(stock.cloud, stock.vm)
    assert [record.number for record in told] == list(range(1, len(told) + 1)), "the guest booted once"
    assert stock.onedr("disable", "--yes")[-1]["done"] == {}, "again is done already"


def left_by_a_rehearsal(stock: s.Stock) -> tuple[int, int]:
    """A VM on hold and the image that stands for its disk, as a turn leaves them that is killed before it notes their ids."""
    with w.open_pool(stock.cloud) as here:
        token = rehearsals.begin(here, stock.datastore_id, time.time())
    name = names.stand_in(token, "one-1")
    described = image_template.image_description(name, "DATABLOCK", True, f"one/{name}", 8, "")
    image = w.frontend(stock.cloud).allocate_image((*described, (REHEARSAL, token)), stock.datastore_id)
    vm = stock.cloud.api.vm.allocate(f"NAME=left\n{w.SMALL}DISK=[IMAGE_ID={image}]\n{REHEARSAL}={token}\n", True)
    return image, int(vm)


def test_disks_made_under_protection_go_on_afterwards_until_they_are_made_anew(stock: s.Stock, before: dict[str, Any]) -> None:
    cloud, old = stock.cloud, stock.images["old"]

    def attached_anew(driver: str) -> None:
        """Detach and attach: the ordinary way to give a persistent disk the datastore's driver of now."""
        disk = next(disk for disk in stock.disks(stock.vm) if disk["IMAGE_ID"] == str(old))
        cloud.api.vm.detach(stock.vm, int(disk["DISK_ID"]))
        cloud.wait_image(old)
        cloud.wait_vm(stock.vm)
        cloud.api.vm.attach(stock.vm, f"DISK=[IMAGE_ID={old}]")
        cloud.wait_vm(stock.vm)
        assert stock.disks(stock.vm)[-1]["TM_MAD"] == driver

    stock.onedr("enable")
    attached_anew("ceph_dr")
    with w.open_pool(cloud) as here:
        rehearsing = rehearsals.lock(here, stock.datastore_id)
        until("the rehearsal's lock", rehearsing.acquire, 60)
        try:  # while it is taken the keeper leaves everything there
            image, vm = left_by_a_rehearsal(stock)
            plan = stock.onedr("disable", "--dry-run")[0]
        finally:
            rehearsing.release()
    kept = next(warning for warning in plan["warnings"] if "keep the driver ceph_dr" in warning)
    assert f"worker ({stock.vm})" in kept
    assert "what a rehearsal left" in plan["steps"][0]
    stock.onedr("disable", "--yes")
    assert image not in {each.ID for each in cloud.api.imagepool.info(-2, -1, -1).IMAGE}
    assert vm not in {each.ID for each in cloud.api.vmpool.info(-2, -1, -1, -1).VM}
    with w.open_pool(cloud) as here:
        assert not rehearsals.made(here, stock.datastore_id)
    cloud.api.vm.action("undeploy-hard", stock.vm)
    cloud.wait_vm(stock.vm, "UNDEPLOYED")
    cloud.api.vm.action("resume", stock.vm)
    cloud.wait_vm(stock.vm)
    w.wait_writing(cloud, stock.vm, target="vdc")
    attached_anew("ceph")
    stock.onedr("disable", "--yes")
    assert now(stock) == before


def test_snapshot_mode_leaves_no_schedule_and_an_attribute_can_ask_for_the_end(stock: s.Stock, before: dict[str, Any]) -> None:
    stock.onedr("enable", "--mode", "SNAPSHOT", "--schedule", "5m")
    spare = stock.rbd_names()["spare"]
    with w.open_pool(stock.cloud) as here:
        assert s.outside(here, spare)["mode"] is Mode.SNAPSHOT
        until("the schedule", lambda: spare in s.schedules(here), 30, 0.3)
        stock.cloud.api.datastore.update(stock.datastore_id, f"DR_ACTION=DISABLE\nDR_CONFIRM={s.NAME}\n", 1)
        until("the end of protection", lambda: stock.template() == before["template"], 90, 0.3)
        assert spare not in s.schedules(here)
    found = now(stock)["images"]
    for seen in (found, before["images"]):
        seen["clone"].pop("parent")  # in snapshot mode it is flattened, which cannot be taken back
    assert found == before["images"]


def test_a_keeper_that_comes_late_leaves_a_stock_datastore_alone(stock: s.Stock, before: dict[str, Any]) -> None:
    stock.cloud.run(sys.executable, "-m", "onedr.driver.keeper_process", str(stock.datastore_id))
    assert stock.template() == before["template"]


def test_what_oned_refuses_is_said_and_nothing_was_changed(sites: Sites) -> None:
    """Without BRIDGE_LIST, which a stock datastore must have."""
    b = sites.b
    done = b.run("onedr", "disable", DATASTORE, "--yes", check=False)
    assert done.returncode == 4
    assert "Nothing was changed" in done.stderr and "BRIDGE_LIST" in done.stderr
    assert b.api.datastore.info(b.datastore_id).TEMPLATE["DR_PROTECT"] == "YES"
