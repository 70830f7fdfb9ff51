"""What a record must not say in plain, what is left out by choice, and records in snapshot mode
(docs/records.md).
"""
from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import oracle
import pytest
import rbd
import workload as w

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.model.records import Proof
from onedr.model.types import Mode, Settings
from onedr.replication import encryption, image_facts, records, secrets
from sandbox import processes
from sandbox.cloud import Cloud
from sandbox.layout import Site
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

WORD = "correct-horse-battery"
SECRETS = f'CONTEXT=[ROOT_PASSWORD="{WORD}-1",API_TOKEN="{WORD}-2",SHOWN="yes"]\nADMIN_PASSWORD="{WORD}-3"\n'


@pytest.fixture(scope="module")
def a(sites: Sites) -> Cloud:
    """Site A without guests: records alone are looked at."""
    return w.guestless(sites.a)


@pytest.fixture(scope="module")
def pools(sites: Sites) -> Iterator[tuple[Pool, Pool]]:
    with w.open_pool(sites.a) as here, w.open_pool(sites.b) as there:
        yield here, there



def wait_there(pool: Pool, name: str, vm: int) -> None:
    until(f"a VM's record on {name} at the peer", lambda: _names(pool, name, vm), w.ARRIVES_S)


def _names(pool: Pool, name: str, vm: int) -> bool:
    found = w.vm_record(pool, name)
    return found is not None and found.vm_id == vm


def nowhere_in_plain(pools: tuple[Pool, Pool], *names: str) -> bool:
    """No metadata of any image says the word, not within a record's compressed body either."""
    for pool in pools:
        assert all(WORD not in str(w.values_of(pool, name)) for name in pool.names())
        assert all(WORD not in repr(w.vm_record(pool, name)) for name in names)
    return True


def test_without_a_key_secrets_stay_at_home_and_are_named(a: Cloud, pools: tuple[Pool, Pool]) -> None:
    disk = w.create_image(a, "keyless")
    vm = w.create_vm(a, "keyless", [disk], SECRETS)
    wait_there(pools[1], w.rbd_name(a, disk), vm)
    assert nowhere_in_plain(pools, w.rbd_name(a, disk))
    found = w.vm_record(pools[1], w.rbd_name(a, disk))
    assert found is not None
    withheld = str(
        [value for key, value in (*found.template, *found.user_template) if key == "ONEDR_WITHHELD"]
    )
    assert all(name in withheld for name in ("ROOT_PASSWORD", "API_TOKEN", "ADMIN_PASSWORD"))
    a.api.vm.action("terminate-hard", vm)


def test_with_the_same_key_at_both_sites_secrets_are_sealed_and_open_at_the_peer(
    a: Cloud, sites: Sites, pools: tuple[Pool, Pool],
) -> None:
    key = share_a_key(sites)
    disk = w.create_image(a, "sealed")
    name = w.rbd_name(a, disk)
    vm = w.create_vm(a, "sealed", [disk], SECRETS)
    wait_there(pools[1], name, vm)
    assert nowhere_in_plain(pools, name)
    found, wanted = w.vm_record(pools[1], name), oracle.vm(a, vm)
    assert found is not None
    origin = f"{pools[0].fsid()}:{vm}"
    for part in ("template", "user_template"):
        pairs = getattr(found, part)
        sealed = next(value for at, value in pairs if at == "ONEDR_SEALED")
        rest = tuple(pair for pair in pairs if pair[0] != "ONEDR_SEALED")
        opened = secrets.restore_secrets(rest, encryption.decrypt(key, sealed, origin, part))
        assert sorted(oracle.leaves(opened)) == sorted(getattr(wanted, part))
    a.api.vm.action("terminate-hard", vm)


def share_a_key(sites: Sites) -> bytes:
    """The same new record key at both sites."""
    key = os.urandom(encryption.KEY_BYTES)
    for cloud in (sites.a, sites.b):
        path = cloud.one_location / "etc" / "onedr" / "record.key"
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(base64.b64encode(key))
    return key


@contextmanager
def without_keeper(sites: Sites, cloud: Cloud) -> Iterator[None]:
    """The keeper's place is taken: the one at work is killed, and none begins."""
    with (cloud.one_location / f"var/onedr/keeper-{cloud.datastore_id}.lock").open("w") as lock:
        until("the keeper's lock", lambda: _taken(sites.bed.sites[cloud.name], lock), 30, 0.2)
        yield


def _taken(site: Site, lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        for pid in processes.of_site(site):
            with suppress(OSError):
                if b"onedr.driver.keeper_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    processes.send(pid, site, signal.SIGKILL)
        return False


def proof_at(pool: Pool, name: str, key: bytes) -> tuple[Proof | None, Proof | None]:
    """What the records of an image and of its VM are worth to a site with the key; None where there is none."""
    by = image_facts.Reader(key, "", time.time())
    found = image_facts.image_facts(pool, name, Settings(protect=True), by)
    if found is None:
        return None, None
    return found.vm.proof if found.vm else None, found.image.proof if found.image else None


def tamper(pool: Pool, signed: str, other: str) -> None:
    """Take the signature off the VM's record of `other`, and give it the image record of `signed`."""
    with pool.image(signed, read_only=True) as is_own, pool.image(other) as image:
        head = json.loads(image.metadata_get(records.VM_KEY))
        image.metadata_set(records.VM_KEY, json.dumps({name: head[name] for name in head if name != "mac"}))
        image.metadata_set(records.IMAGE_KEY, is_own.metadata_get(records.IMAGE_KEY))


def test_records_are_authentic_at_the_peer_and_what_was_tampered_with_is_held_there_until_reconcile(
    a: Cloud, sites: Sites, pools: tuple[Pool, Pool],
) -> None:
    key = share_a_key(sites)
    good = (Proof.AUTHENTIC, Proof.AUTHENTIC)
    disks = [w.create_image(a, "signed"), w.create_image(a, "unsigned")]
    names = [w.rbd_name(a, disk) for disk in disks]
    vms = [w.create_vm(a, f"of-{name}", [disk]) for name, disk in zip(("signed", "unsigned"), disks)]
    for name in names:
        until(
            f"signed records on {name} at the peer",
            lambda name=name: proof_at(pools[1], name, key) == good,
            w.ARRIVES_S,
        )
    bad = (Proof.UNSIGNED, Proof.FORGED)

    def held() -> bool:
        """A hook that comes late writes the true records once more: then again."""
        if proof_at(pools[0], names[1], key) != bad:
            tamper(pools[0], *names)
        obstacles = {found["name"]: found["obstacles"] for found in w.status(sites.b)["vms"]}
        return (
            proof_at(pools[1], names[1], key) == bad
            and obstacles["of-signed"] == [] and "--accept-unsigned" in str(obstacles["of-unsigned"])
        )

    with without_keeper(sites, a):  # its next turn would write the true records again
        until("what was tampered with to arrive and be held", held, w.ARRIVES_S, 0.5)
    a.onedr("reconcile", str(a.datastore_id))
    assert proof_at(pools[0], names[1], key) == good
    until("the true records at the peer", lambda: proof_at(pools[1], names[1], key) == good, w.ARRIVES_S)
    assert w.status(sites.b)["vms"] and all(not found["obstacles"] for found in w.status(sites.b)["vms"]
                                            if found["name"].startswith("of-"))
    for vm in vms:
        a.api.vm.action("terminate-hard", vm)


def test_an_image_that_says_no_is_not_mirrored_and_its_vm_names_it(
    a: Cloud, pools: tuple[Pool, Pool],
) -> None:
    yes, no = w.create_image(a, "yes", wait=False), w.create_image(a, "no", "DR_PROTECT=NO\n")
    a.wait_image(yes)
    vm = w.create_vm(a, "half", [yes, no])
    wait_there(pools[1], w.rbd_name(a, yes), vm)
    assert not mirrored(pools[0], w.rbd_name(a, no))
    assert w.vm_envelope(pools[0], w.rbd_name(a, no)) is None
    reasons = {item["name"]: item["reason"] for item in w.status(a)["unprotected"]}
    assert "DR_PROTECT=NO" in reasons[w.rbd_name(a, no)]
    a.api.vm.action("terminate-hard", vm)


def mirrored(pool: Pool, name: str) -> bool:
    with pool.image(name, read_only=True) as image:
        return mirroring.mirror_mode(image) is not None


def test_the_clone_of_a_vm_that_says_no_is_not_mirrored(
    a: Cloud, sites: Sites, pools: tuple[Pool, Pool],
) -> None:
    base = w.create_image(a, "base-of-no", persistent=False)
    vm = w.create_vm(a, "unprotected", [base], "DR_PROTECT=NO\n")
    clone = f"{w.rbd_name(a, base)}-{vm}-0"
    a.onedr("reconcile", str(a.datastore_id))
    assert not mirrored(pools[0], clone)
    assert "unprotected" not in {found["name"] for found in w.status(sites.b)["vms"]}
    a.api.vm.action("terminate-hard", vm)


def one_pass(cloud: Cloud) -> None:
    """A pass over everything. VMs that other tests ended here, where no host takes their disks off, may fail."""
    cloud.run("onedr", "reconcile", str(cloud.datastore_id), check=False)


def test_an_image_decides_about_its_owners_vms_only(a: Cloud, sites: Sites, pools: tuple[Pool, Pool]) -> None:
    """oned hands an image's DR_PROTECT=NO on to every disk made of it, whoever owns the VM."""
    users = {name: int(a.api.user.allocate(name, f"password-of-{name}", "core", [])) for name in ("mallory", "victor")}
    base = w.create_image(a, "left-out-base", "DR_PROTECT=NO\n", persistent=False)
    vms = {name: w.create_vm(a, f"of-{name}", [base]) for name in users}
    for name, user in users.items():
        a.api.vm.chown(vms[name], user, -1)
    clones = {name: f"{w.rbd_name(a, base)}-{vm}-0" for name, vm in vms.items()}
    one_pass(a)
    assert not any(mirrored(pools[0], name) for name in (w.rbd_name(a, base), *clones.values())), "an admin's word counts"
    a.api.image.chown(base, users["mallory"], -1)
    one_pass(a)
    # after the base's snapshot, which is on its way to the peer for the first time
    until("victor's disk mirrored", lambda: mirrored(pools[0], clones["victor"]), 2 * w.ARRIVES_S)
    assert mirrored(pools[0], w.rbd_name(a, base)) and not mirrored(pools[0], clones["mallory"])
    wait_there(pools[1], clones["victor"], vms["victor"])
    reasons = {item["name"]: item["reason"] for item in w.status(a)["unprotected"]}
    assert clones["victor"] not in reasons and "DR_PROTECT=NO" in reasons[clones["mallory"]]
    until("nothing in its way", lambda: [] in [
        found["obstacles"] for found in w.status(sites.b)["vms"] if found["name"] == "of-victor"], w.ARRIVES_S)
    for vm in vms.values():
        a.api.vm.action("terminate-hard", vm)


def test_a_mirrored_image_that_says_no_afterwards_brings_no_deleted_vm_back(a: Cloud, pools: tuple[Pool, Pool]) -> None:
    image = w.create_image(a, "no-later")
    name = w.rbd_name(a, image)
    vm = int(a.api.vm.allocate(f"NAME=of-no-later\n{w.SMALL}DISK=[IMAGE_ID={image}]\n", True))  # on hold
    wait_there(pools[1], name, vm)
    a.api.image.update(image, "DR_PROTECT=NO", 1)
    a.api.vm.action("terminate-hard", vm)
    a.wait_vm(vm, "DONE")
    a.wait_image(image)
    one_pass(a)
    assert mirrored(pools[0], name) and w.vm_envelope(pools[0], name) is None
    until("the record gone at the peer", lambda: w.vm_envelope(pools[1], name) is None, w.ARRIVES_S)


def test_all_bad_attributes_are_named_at_once(a: Cloud) -> None:
    datastore = a.datastore_id
    bad = 'DR_MODE="FAST"\nDR_RPO="soon"\nDR_CLONES="MAYBE"\nDR_NETWORK_MAP="lan"'
    a.api.datastore.update(datastore, bad, 1)
    wanted = ("DR_MODE", "DR_RPO", "DR_CLONES", "DR_NETWORK_MAP")
    a.wait_datastore(datastore, lambda now: all(key in now.get("DR_MESSAGE", "") for key in wanted), 30)
    a.api.datastore.update(
        datastore, 'DR_MODE="JOURNAL"\nDR_RPO="15m"\nDR_CLONES="PARENT"\nDR_NETWORK_MAP="lan=lan"', 1
    )


def test_in_snapshot_mode_a_clone_is_flattened_then_mirrored_and_its_record_reaches_the_peer(
    a: Cloud, sites: Sites, pools: tuple[Pool, Pool],
) -> None:
    """Comes last: the datastore stays in snapshot mode."""
    here, there = pools
    for cloud in (sites.a, sites.b):
        cloud.api.datastore.update(cloud.datastore_id, 'DR_MODE="SNAPSHOT"\nDR_SCHEDULE="5m"', 1)
    disk, base = w.create_image(a, "snap-disk", wait=False), w.create_image(a, "snap-base", persistent=False)
    a.wait_image(disk)
    vm = w.create_vm(a, "snapped", [disk, base])
    clone = w.vm_disks(a, vm)[1]
    until("the clone to be mirrored", lambda: mirrored(here, clone), 60, 0.2)
    with here.image(clone, read_only=True) as image:
        assert mirroring.mirror_mode(image) is Mode.SNAPSHOT
        with pytest.raises(rbd.ImageNotFound):
            image.parent_info()
    for name in w.vm_disks(a, vm):
        wait_there(there, name, vm)
    a.api.vm.rename(vm, "snapped-again")
    for name in w.vm_disks(a, vm):
        until(
            "the new name at the peer", lambda name=name: _name_is(there, name, "snapped-again"), w.ARRIVES_S
        )


def _name_is(pool: Pool, name: str, wanted: str) -> bool:
    found = w.vm_record(pool, name)
    return found is not None and found.name == wanted
