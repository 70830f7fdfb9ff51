"""Two operators at once, a front-end that falls silent, records that cannot be trusted, both sites primary: each ends in a
named state with a sentence, and what is not touched by the fault comes back.
"""
from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.replication import records
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = pytest.mark.long
VMS = ("first", "silent", "damaged", "newer", "last")


@dataclass
class Story:
    """Two sites, a VM for each fault; `content`: digest of each VM's disk at site A; `disks`: their RBD names."""

    sites: Sites
    content: dict[str, str] = field(default_factory=dict)
    disks: dict[str, str] = field(default_factory=dict)

    def here(self) -> dict[str, Any]:
        """VMs at site B, by name."""
        return {vm.NAME: vm for vm in self.sites.b.api.vmpool.info(-2, -1, -1, -2).VM}

    def is_back(self, name: str) -> None:
        """The VM runs at site B, once, on the bytes that it had."""
        assert [vm.NAME for vm in self.sites.b.api.vmpool.info(-2, -1, -1, -2).VM].count(name) == 1
        assert self.here()[name].LCM_STATE == 3
        assert w.digest(self.sites.b, self.disks[name]) == self.content[name]


@pytest.fixture(scope="module")
def story(sites: Sites) -> Story:
    if sites.real:
        pytest.skip("front-ends are stopped here, which is the bed's own doing")
    disks, content = w.written_vms(w.guestless(sites.a), w.guestless(sites.b), VMS, ("split",))
    return Story(sites, content, disks)


def roles(story: Story, name: str) -> tuple[bool, bool]:
    with w.open_pool(story.sites.a) as here, w.open_pool(story.sites.b) as there:
        return w.primaries(here)[story.disks[name]], w.primaries(there)[story.disks[name]]


def test_an_image_that_somebody_forced_to_be_primary_at_both_sites_is_named_and_nothing_is_demoted(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    with w.open_pool(b) as pool, pool.image(story.disks["split"]) as image:
        image.mirror_image_promote(True)
    try:
        for cloud in (a, b):
            seen = w.status(cloud)
            assert seen["state"] == "SPLIT_BRAIN" and story.disks["split"] in seen["message"], (cloud.name, seen["message"])
            cloud.run("onedr", "reconcile", DATASTORE)
            assert cloud.api.datastore.info(cloud.datastore_id).TEMPLATE["DR_STATE"] == "SPLIT_BRAIN"
        assert roles(story, "split") == (True, True)
        assert all(roles(story, name) == (True, False) for name in VMS), "the others are as before"
    finally:
        with w.open_pool(b) as pool:
            with pool.image(story.disks["split"]) as image:
                image.mirror_image_disable(True)
            pool.rbd.remove(pool.io, story.disks["split"])


def test_of_two_operators_one_is_refused_and_told_by_whom(story: Story) -> None:
    """Also the last look at site A alive: its front-end ends, two records are spoiled, then it dies."""
    spoil(story)
    story.sites.kill_a()
    b = story.sites.b
    child = w.start_action(b, Request("failover", confirm=DATASTORE, vms=("first",)))
    assert child.stdout is not None
    events = [json.loads(child.stdout.readline())]
    os.kill(child.pid, signal.SIGSTOP)  # it holds its lease and takes its time
    refused = b.run("onedr", "failover", DATASTORE, "--vm", "last", "--confirm", DATASTORE, check=False)
    aborted = b.run("onedr", "abort", DATASTORE, check=False)
    os.kill(child.pid, signal.SIGCONT)
    events += [json.loads(line) for line in child.stdout]
    assert child.wait(60) == 0 and events[-1]["failed"] == {}, events[-1]
    for done in (refused, aborted):
        assert done.returncode == 2 and "Another run is in progress" in done.stderr, done.stderr
    story.is_back("first")
    assert "last" not in story.here()


def spoil(story: Story) -> None:
    """One record with a wrong checksum, one of a schema of the future; nobody is left at site A to mend them."""
    for daemon in ("hooks", "frontend"):
        story.sites.bed.stop("site-a", daemon)
    spoiled = {}
    with w.open_pool(story.sites.a) as pool:
        for name, changes in (("damaged", {"sha256": "0" * 64}), ("newer", {"schema": 99})):
            with pool.image(story.disks[name]) as image:
                head = json.loads(records.metadata(image)[records.VM_KEY])
                spoiled[name] = json.dumps({**head, **changes})
                image.metadata_set(records.VM_KEY, spoiled[name])
    with w.open_pool(story.sites.b) as pool:
        for name, text in spoiled.items():
            disk = story.disks[name]
            until(f"{disk}'s record", lambda disk=disk, text=text: w.values_of(pool, disk)[records.VM_KEY] == text, 60)


def test_a_front_end_that_falls_silent_stops_no_promotion_and_the_rest_is_gone_on_with(story: Story) -> None:
    b = story.sites.b
    child = w.start_action(b, Request("failover", confirm=DATASTORE, vms=("silent",)))
    assert child.stdout is not None
    events = []
    for line in child.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "step" and events[-1]["kind"].startswith("cut"):
            story.sites.bed.stop("site-b", "frontend")
    code = child.wait(60)
    story.sites.bed.start("site-b", "frontend")
    verdict = events[-2]
    assert verdict["event"] == "verdict" and code == 5, events
    assert any("does not answer" in why for why in verdict["failed"].values()), verdict["failed"]
    run = w.last_run(b)
    assert run["result"] == "PARTIAL" and "rerun onedr failover" in run["message"]
    with w.open_pool(b) as pool:
        assert w.primaries(pool)[story.disks["silent"]]
    b.run("onedr", "failover", DATASTORE, "--vm", "silent", "--confirm", DATASTORE)
    story.is_back("silent")


def test_a_record_that_cannot_be_trusted_keeps_its_vm_out_and_no_other(story: Story) -> None:
    b = story.sites.b
    done = b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE, "--json", check=False)
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode in (0, 5), done.stdout[-2000:] + done.stderr
    story.is_back("last")
    assert not {"damaged", "newer"} & set(story.here())
    problems = {disk["name"]: " ".join(disk["problems"]) for disk in w.status(b)["disks"]}
    assert "checksum differs" in problems[story.disks["damaged"]], verdict
    assert "schema 99" in problems[story.disks["newer"]] and "upgrade" in problems[story.disks["newer"]]
    for name in ("damaged", "newer"):
        assert w.digest(b, story.disks[name]) == story.content[name]
        with w.open_pool(b) as pool:
            assert records.VM_KEY in w.values_of(pool, story.disks[name]), "what a later release can read is not replaced"
