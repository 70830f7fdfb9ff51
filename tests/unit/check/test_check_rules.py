"""Checks: facts in, findings out.

Nothing is ok that nobody knows; each single fault gives its own finding.
"""
from __future__ import annotations

import re
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HERE, THERE, disk, envelope, image, image_record, vm_record

from onedr.check import rules_line
from onedr.check import run as check_run
from onedr.check import table as check_table
from onedr.check.facts import (
    CheckFacts,
    ClusterFacts,
    Finding,
    Level,
    MapFacts,
    Mirrors,
    NewestSnapshots,
    Peering,
    PoolSpace,
    Rehearsals,
    Replicas,
    SiteFacts,
    TargetFacts,
    Unknown,
)
from onedr.failover.host_choice import Host
from onedr.failover.placement import Placement
from onedr.model.address_rules import AddressRule, read_rule
from onedr.model.records import ImageFacts, ProbeResult, SiteInfo, VmRecord
from onedr.model.recovery_plan import Chosen, Group, RecoveryPlan
from onedr.model.rehearsed import Rehearsed, Result
from onedr.model.site_map import Entry, SiteMap
from onedr.model.text import Sentence
from onedr.model.types import MIB, Mode, PeerState, Role, Settings, State
from onedr.opennebula.acls import Rule
from onedr.opennebula.nics import Counterparts, Network, Range
from onedr.opennebula.quotas import Key, Quotas, Usage
from onedr.opennebula.vms import PeerVm
from onedr.replication import copy_rules
from onedr.runs.state import StateVerdict
from onedr.sunstone.whole_rules import Wholeness

PAGE = Path(__file__).parents[3] / "docs" / "checks.md"
OPTIONS = {
    "rbd_mirror_journal_poll_age": "0.5",
    "rbd_mirror_image_state_check_interval": "5",
    "rbd_mirroring_delete_delay": "86400",
}
PROOF = ProbeResult(Mode.JOURNAL, 900.0, HERE, THERE, ("16.2.15",), 18.0, True, True, True, True)
LAN = Network(3, "lan", (Range("192.0.2.10", "", 50),))
NIC = ("NIC", (("NETWORK", "lan"), ("IP", "192.0.2.11")))
THEIRS = vm_record(disks=(disk(0, "one/one-1"),), template=(("CPU", "1"), ("MEMORY", "512"), NIC))
OURS = vm_record(
    vm_id=7, name="ours", disks=(disk(0, "one/one-5"),), template=(("CPU", "1"), ("MEMORY", "512"), NIC)
)
COPY = image("one-1", vm=envelope(THEIRS), image=envelope(image_record()))
CAME = Rehearsed(f"{THERE}:42", "web", 42, "north", 4000.0, Result.ACCEPTED)
PRIMARY = image("one-5", primary=True, complete=False, vm=envelope(OURS, fsid=HERE))


def cluster(index: int, **changes: Any) -> ClusterFacts:
    fsid = THERE if index else HERE
    values: dict[str, Any] = {
        "fsid": fsid,
        "peering": Peering(True, ("rx-tx",)),
        "mirrors": Mirrors(1, 2, 2),
        "releases": ("16.2.15",),
        "replicas": Replicas(3, 2),
        "space": PoolSpace(100 * MIB, 9000 * MIB),
        "pools": frozenset({"one", "one-data"}),
        "namespaces": (),
        "line_mode": "secure",
        "ciphers": ("aes",),
        "settings": OPTIONS,
        "site_info": SiteInfo(fsid, f"site-{index}", index, "ceph", "JOURNAL", key="same"),
    }
    return ClusterFacts(**{**values, **changes})


def target(fsid: str, **changes: Any) -> TargetFacts:
    placement = Placement(Counterparts({"lan": LAN}), {}, (Host("host", 800, 16000),))
    values: dict[str, Any] = {
        "placement": placement, "users": frozenset({"alice"}), "groups": frozenset({"users"}), "fsid": fsid,
        "models": frozenset({"Nehalem"}), "machines": frozenset({"q35"}),
        "names": {
            "users": {"alice": 2}, "groups": {"users": 1}, "networks": {"lan": 3},
            "files": {"vmlinuz": 4, "prepare.sh": 5},
        },
    }
    return TargetFacts(**{**values, **changes})


def healthy(**changes: Any) -> CheckFacts:
    values: dict[str, Any] = {
        "settings": Settings(protect=True, site="site-0"),
        "here": cluster(0),
        "there": cluster(1),
        "peer": (PeerState.ANSWERS, "it greets"),
        "readable": True,
        "verdict": StateVerdict(State.PROTECTED, "SAFE", Role.PRIMARY, 2, 2, Sentence("All is well.")),
        "unprotected": {},
        "images": (COPY, PRIMARY),
        "clashes": (),
        "groups": {},
        "locks": {},
        "schedules": frozenset(),
        "newest_snapshots": NewestSnapshots(),
        "snapshots_kept": 5,
        "clock_s": (-0.5, 0.6),
        "probe_results": {Mode.JOURNAL: PROOF},
        "networks": {"lan": True, "7": True, "mallorys": False},
        "disk_drivers": ("kvm",),
        "unknown_to_oned": (),
        "key": "same",
        "guarded": True,
        "rehearsals": Rehearsals(5000.0, {CAME.origin: CAME}),
        "recovery": Chosen("tiers", 1, RecoveryPlan((Group("web", ("web",)),))),
        "start_here": target(HERE),
        "start_there": target(THERE),
        "mapping": MapFacts(),
    }
    return CheckFacts("ceph", **{**values, **changes})


def rehearsed(*came: Rehearsed, left: int = 0) -> CheckFacts:
    return healthy(rehearsals=Rehearsals(5000.0, {one.origin: one for one in came}, left))


def not_ok(found: list[Finding]) -> dict[str, list[Finding]]:
    codes: dict[str, list[Finding]] = {}
    for finding in found:
        if finding.level is not Level.OK:
            codes.setdefault(finding.code, []).append(finding)
    return codes


def test_a_healthy_pair_is_ok_in_every_check() -> None:
    found = check_table.findings(healthy())
    assert not_ok(found) == {}
    assert {finding.code for finding in found} == set(check_table.DATASTORE)
    assert {finding.subject for finding in found} == {"ceph"}
    assert check_table.worst(found) is Level.OK


def snapshot_mode(**changes: Any) -> CheckFacts:
    images = (replace(PRIMARY, mode=Mode.SNAPSHOT),)
    values: dict[str, Any] = {
        "settings": Settings(protect=True, mode=Mode.SNAPSHOT, schedule="5m"), "images": images,
        "schedules": frozenset({"one-5"}),
        "probe_results": {Mode.SNAPSHOT: replace(PROOF, mode=Mode.SNAPSHOT, clones=False, discards=False)},
        "there": cluster(1, site_info=SiteInfo(THERE, "site-1", 1, "ceph", "SNAPSHOT", key="same")),
    }
    return healthy(**{**values, **changes})


def test_snapshot_mode_on_a_release_that_damages_clones_is_ok_for_they_are_flattened() -> None:
    found = check_table.findings(snapshot_mode())
    assert not_ok(found) == {}
    (trade,) = [finding.text for finding in found if finding.code == "TRADE"]
    assert (
        "flattened first" in trade
        and "copies of clones would be damaged" in trade
        and "discards are not replicated" in trade
    )


def asking(model: str) -> ImageFacts:
    wanted = replace(THEIRS, template=(*THEIRS.template, ("CPU_MODEL", (("MODEL", model),))))
    return replace(COPY, vm=envelope(wanted))


TPM = ("TPM", (("MODEL", "tpm-crb"),))
KERNEL = ("OS", (("KERNEL_DS", '$FILE[IMAGE="vmlinuz",IMAGE_UNAME="alice"]'),))
FILES = ("CONTEXT", (("FILES_DS", "/var/lib/one//datastores/2/0a1b2c:'prepare.sh'"),))


def lacking(record: VmRecord, attribute: Any, fsid: str = THERE) -> ImageFacts:
    """The image of a VM with one attribute more."""
    wanted = envelope(replace(record, template=(*record.template, attribute)), fsid=fsid)
    return replace(COPY if fsid == THERE else PRIMARY, vm=wanted)


def with_snapshots(*numbers: int, there: set[str], record: VmRecord = THEIRS) -> ImageFacts:
    """An image whose VM lists snapshots of these numbers; `there`: those that the copy here has."""
    listed = tuple(("SNAPSHOT", (("ID", str(n)), ("NAME", f"s{n}"), ("PARENT", "-1"))) for n in numbers)
    tree = (("SNAPSHOTS", (("DISK_ID", "0"), ("NEXT_SNAPSHOT", str(max(numbers) + 1)), *listed)),)
    if record is OURS:
        return replace(PRIMARY, vm=envelope(replace(OURS, snapshots=tree), fsid=HERE))
    return replace(COPY, vm=envelope(replace(record, snapshots=tree)), snapshots=frozenset(there))


def at_home(state: str) -> dict[str, PeerVm]:
    return {f"{THERE}:42": PeerVm(9, "web", state, "ACTIVE", frozenset({"one-1", "one-77"}), frozenset())}


OF_TWO = ("16.2.15", "17.2.7")
NO_CARD_KEY, SAME_INDEX = (
    SiteInfo(THERE, "site-1", index, "ceph", "JOURNAL", key=key) for index, key in ((1, ""), (0, "same"))
)
HIS_RULE = Rule("user", "alice", frozenset({"NET"}), "*", frozenset({"USE"}), "#2 NET/* USE *")
ROOM = (Host("host", 800, 16000),)


def limited(fsid: str) -> TargetFacts:
    """A site where alice may have no VM."""
    quotas = Quotas({("user", "alice"): {Key("VM", "", "VMS"): Usage(0.0, 0.0)}})
    return target(fsid, placement=Placement(Counterparts({"lan": LAN}), {}, ROOM, quotas))


def mapped(
    networks: tuple[str, str] = ("lan", "lan"), addresses: tuple[AddressRule, ...] = (), version: int = 1,
    peer_version: int = 1, doubts: tuple[str, ...] = (), more: dict[str, Any] | None = None, **changes: Any,
) -> CheckFacts:
    """With a mapping of one network between both sites."""
    entry = Entry(((networks[0],), (networks[1],)), addresses=addresses, line=4)
    found = SiteMap(("site-0", "site-1"), {"networks": (entry,)})

    def towards(fsid: str, site: str) -> TargetFacts:
        here = Counterparts({"lan": LAN}, mapping=found.towards(site))
        return target(fsid, placement=Placement(here, {}, ROOM))

    return healthy(
        mapping=MapFacts(found, version, peer_version, doubts), start_here=towards(HERE, "site-0"),
        start_there=towards(THERE, "site-1"), **changes, **(more or {}),
    )


def with_schedule(text: str) -> ImageFacts:
    record = replace(image_record(), template=(("DR_SCHEDULE", text),))
    return replace(PRIMARY, mode=Mode.SNAPSHOT, image=envelope(record, fsid=HERE))


def test_an_images_own_schedule_says_when_its_snapshots_are_overdue() -> None:
    found = check_table.findings(
        snapshot_mode(images=(with_schedule("10m"),), newest_snapshots=NewestSnapshots({"one-5": 1800.0}))
    )
    assert "SNAPSHOTS_TAKEN" not in not_ok(found) and "SCHEDULES" not in not_ok(found)


BY_NIGHT = Settings(protect=True, site="site-0", copy_window=(22 * 60, 6 * 60))
BROKEN: list[tuple[str, CheckFacts, Level, str]] = [
    ("PEER", healthy(peer=(PeerState.UNKNOWN, "silence")), Level.PROBLEM, "silence"),
    ("PEER_READ", healthy(readable=False), Level.WARNING, "cannot be read"),
    (
        "PEERING",
        healthy(here=cluster(0, peering=Peering(True, ("rx",)))),
        Level.PROBLEM,
        "here: the pool is mirrored in one direction",
    ),
    (
        "PEERING",
        healthy(there=cluster(1, peering=Peering(True, ("tx",)))),
        Level.PROBLEM,
        "at the peer: the pool takes nothing from its peer: replication to it is paused, or one-way",
    ),
    ("PEERING", healthy(here=cluster(0, peering=Peering(True, ()))), Level.PROBLEM, "no peer"),
    (
        "POINTS",
        snapshot_mode(settings=Settings(protect=True, mode=Mode.SNAPSHOT, schedule="5m", point_every_s=300)),
        Level.PROBLEM,
        "does not carry points",
    ),
    ("COPY_WINDOW", healthy(settings=replace(BY_NIGHT, copies_outside=0)), Level.WARNING, "unprotected for 16.0 h"),
    (
        "COPY_WINDOW", healthy(settings=BY_NIGHT, unprotected={"one-7": copy_rules.reason(BY_NIGHT)}), Level.WARNING,
        "1 wait and are not protected until then: one-7",
    ),
    (
        "PEERING",
        healthy(there=cluster(1, peering=Peering(False, ("rx-tx",)))),
        Level.PROBLEM,
        "not mirror per image",
    ),
    (
        "RBD_MIRROR",
        healthy(there=cluster(1, mirrors=Mirrors(0, 2, 0))),
        Level.PROBLEM,
        "at the peer: no rbd-mirror daemon",
    ),
    (
        "RBD_MIRROR",
        healthy(here=cluster(0, mirrors=Mirrors(1, 2, 0))),
        Level.WARNING,
        "here: rbd-mirror reports none of 2",
    ),
    ("RBD_MIRROR", healthy(here=cluster(0, mirrors=Mirrors(1, 2, 1))), Level.WARNING, "1 of 2"),
    (
        "RELEASES",
        healthy(
            there=cluster(1, releases=OF_TWO), probe_results={Mode.JOURNAL: replace(PROOF, releases=OF_TWO)}
        ),
        Level.WARNING,
        "different releases",
    ),
    (
        "POOL_SIZE",
        healthy(there=cluster(1, replicas=Replicas(2, 1))),
        Level.WARNING,
        "size 3 (min 2) here and 2 (min 1)",
    ),
    (
        "POOL_SIZE",
        healthy(here=cluster(0, replicas=Replicas(1, 1)), there=cluster(1, replicas=Replicas(1, 1))),
        Level.WARNING,
        "losing one disk",
    ),
    (
        "DATA_POOL",
        replace(healthy(there=cluster(1, pools=frozenset({"one"}))), data_pool="one-data"),
        Level.PROBLEM,
        "there is no pool one-data",
    ),
    ("NAMESPACES", healthy(here=cluster(0, namespaces=("tenant",))), Level.WARNING, "not mirrored by OneDR: tenant"),
    ("LINE", healthy(here=cluster(0, line_mode="")), Level.PROBLEM, "in common"),
    (
        "CIPHERS",
        healthy(
            here=cluster(0, ciphers=("aes256k",), releases=("20.2.4",)), there=cluster(1, releases=("18.2.7",)),
            probe_results={Mode.JOURNAL: replace(PROOF, releases=("18.2.7", "20.2.4"))},
        ),
        Level.PROBLEM,
        "here: only keys of type aes256k are allowed, and Ceph 18.2.7 at the peer reads aes only: such a pair",
    ),
    ("GROUPS", healthy(groups={"one-5": "by hand"}), Level.WARNING, "not make: one-5 (by hand)"),
    ("LOCKS", healthy(locks={"one-5": ("host 1", "client.4")}), Level.PROBLEM, "one-5 is locked by rbd lock add (host 1, client.4)"),
    (
        "ROOM",
        healthy(there=cluster(1, space=PoolSpace(0, 0))),
        Level.PROBLEM,
        "at the peer: the pool is full",
    ),
    (
        "ROOM",
        healthy(here=cluster(0, space=PoolSpace(9, 9000 * MIB, ("OSD_NEARFULL",)))),
        Level.PROBLEM,
        "OSD_NEARFULL",
    ),
    (
        "ROOM",
        healthy(
            here=cluster(0, space=PoolSpace(900 * MIB, 90 * MIB)),
            there=cluster(1, space=PoolSpace(900 * MIB, 900 * MIB)),
        ),
        Level.WARNING,
        "only 9 %",
    ),
    ("ROOM", healthy(here=cluster(0, space=PoolSpace(0, 20 * MIB))), Level.PROBLEM, "may take 64 MiB"),
    (
        "ROOM",
        healthy(
            here=cluster(0, space=PoolSpace(9000 * MIB, 9000 * MIB)),
            there=cluster(1, space=PoolSpace(0, 8000 * MIB)),
        ),
        Level.PROBLEM,
        "may take 9000 MiB",
    ),
    ("CLOCK", healthy(clock_s=(40.0, 41.0)), Level.PROBLEM, "40 s or more ahead"),
    ("CLOCK", healthy(clock_s=(-60.0, -31.0)), Level.PROBLEM, "31 s or more behind"),
    ("CLOCK", healthy(clock_s=(-20.0, 11.0)), Level.WARNING, "not known more exactly"),
    (
        "RPO",
        healthy(there=cluster(1, settings={**OPTIONS, "rbd_mirror_journal_poll_age": "5.000000"})),
        Level.WARNING,
        "lag up to 10 s",
    ),
    (
        "RPO",
        healthy(there=cluster(1, settings={**OPTIONS, "rbd_mirroring_delete_delay": "0"})),
        Level.WARNING,
        "removed here at once",
    ),
    ("RPO", healthy(here=cluster(0, settings={})), Level.WARNING, "cannot be read"),
    (
        "STATE",
        healthy(verdict=StateVerdict(State.SPLIT_BRAIN, "BOTH_PRIMARY", Role.PRIMARY, 0, 1, Sentence("Both."))),
        Level.PROBLEM,
        "SPLIT_BRAIN",
    ),
    (
        "STATE",
        healthy(verdict=StateVerdict(State.DEGRADED, "LATE", Role.PRIMARY, 0, 1, Sentence("Late."))),
        Level.PROBLEM,
        "Late.",
    ),
    (
        "STATE",
        healthy(verdict=StateVerdict(State.PROTECTING, "COPYING", Role.PRIMARY, 0, 1, Sentence("Wait."))),
        Level.WARNING,
        "Wait.",
    ),
    (
        "UNPROTECTED",
        healthy(unprotected={"one-9": "mirroring has not started"}),
        Level.PROBLEM,
        "one-9 is not protected: mirr",
    ),
    (
        "UNPROTECTED",
        healthy(images=(image("one-6", primary=True, problems=("is a clone mirrored in snapshot mode",)),)),
        Level.PROBLEM,
        "one-6: is a clone mirrored in snapshot mode",
    ),
    (
        "MODE",
        healthy(images=(COPY, replace(PRIMARY, mode=Mode.SNAPSHOT))),
        Level.WARNING,
        "mode than DR_MODE=JOURNAL: one-5",
    ),
    (
        "SCHEDULES",
        snapshot_mode(schedules=frozenset()),
        Level.PROBLEM,
        "no mirror snapshot schedule here for one-5",
    ),
    (
        "SNAPSHOTS_TAKEN",
        snapshot_mode(newest_snapshots=NewestSnapshots({"one-5": 1000.0})),
        Level.PROBLEM,
        "no mirror snapshot was taken for 16 minutes",
    ),
    (
        "SNAPSHOTS_TAKEN",
        snapshot_mode(newest_snapshots=NewestSnapshots({"one-5": None})),
        Level.PROBLEM,
        "of one-5",
    ),
    (
        "SNAPSHOTS_TAKEN",
        snapshot_mode(images=(with_schedule("10m"),), newest_snapshots=NewestSnapshots({"one-5": 1900.0})),
        Level.PROBLEM,
        "for 31 minutes",
    ),
    ("SCHEDULES", snapshot_mode(images=(with_schedule("1m"),)), Level.WARNING, "one-5: its DR_SCHEDULE 1m is beyond"),
    ("SCHEDULES", snapshot_mode(images=(with_schedule("soon"),)), Level.WARNING, "'soon' cannot be read; 5m counts"),
    ("SNAPSHOTS_KEPT", snapshot_mode(snapshots_kept=3), Level.WARNING, "keeps 3"),
    ("TRADE", healthy(probe_results={}), Level.WARNING, "never probed"),
    (
        "TRADE",
        healthy(probe_results={Mode.JOURNAL: replace(PROOF, releases=("15.2.1",))}),
        Level.WARNING,
        "not on 16.2.15",
    ),
    (
        "TRADE",
        healthy(probe_results={Mode.JOURNAL: replace(PROOF, clones=False)}),
        Level.PROBLEM,
        "damaged copies of clones",
    ),
    (
        "TRADE",
        healthy(probe_results={Mode.JOURNAL: replace(PROOF, arrives=False)}),
        Level.PROBLEM,
        "did not arrive there",
    ),
    (
        "TRADE",
        healthy(probe_results={Mode.JOURNAL: replace(PROOF, returns=False)}),
        Level.PROBLEM,
        "did not arrive back",
    ),
    ("DISK_DRIVER", healthy(disk_drivers=("firecracker", "kvm")), Level.WARNING, "firecracker"),
    ("SITE_INDEX", healthy(there=cluster(1, site_info=SAME_INDEX)), Level.PROBLEM, "both sites have"),
    ("NAMES", healthy(clashes=("one-3",)), Level.PROBLEM, "one-3"),
    ("RECORD_KEYS", healthy(key="other"), Level.PROBLEM, "different record keys"),
    ("RECORD_KEYS", healthy(key=""), Level.PROBLEM, "this site has no record key"),
    (
        "RECORD_KEYS",
        healthy(there=cluster(1, site_info=NO_CARD_KEY)),
        Level.PROBLEM,
        "the peer has no record key",
    ),
    (
        "NETWORK_MAP",
        healthy(settings=Settings(protect=True, network_map=(("x", "gone"),))),
        Level.PROBLEM,
        "x=gone",
    ),
    (
        "NETWORK_MAP",
        healthy(settings=Settings(protect=True, drill_network="gone")),
        Level.PROBLEM,
        "DR_DRILL_NETWORK=gone",
    ),
    (
        "NETWORK_MAP", healthy(settings=Settings(protect=True, drill_network="mallorys")), Level.PROBLEM,
        "is a user's and not named by its id",
    ),
    (
        "STATE", healthy(verdict=StateVerdict(State.DEGRADED, "UNSEEN", Role.PRIMARY, 0, 2, Sentence("Nothing is known."))),
        Level.WARNING, "Nothing is known.",
    ),
    ("MAPPING", mapped(version=2, peer_version=1), Level.WARNING, "the peer's pool has version 1"),
    ("MAPPING", mapped(networks=("lan", "gone"), images=()), Level.PROBLEM, "line 4 of the mapping: networks: there is no network gone"),
    ("MAPPING", mapped(addresses=(read_rule("192.0.2.0/24", "192.0.3.0/24"),), images=()), Level.PROBLEM, "192.0.3.0/24 is in no range"),
    ("MAPPING", mapped(doubts=("version 3 of the mapping is passed over: it is forged",)), Level.WARNING, "forged"),
    (
        "MAPPING", mapped(settings=Settings(protect=True, site="site-0", network_map=(("lan", "other"),)),
                          more={"networks": frozenset({"lan", "other"})}),
        Level.WARNING, "DR_NETWORK_MAP says lan=other",
    ),
    ("RECOVERY_PLAN", healthy(recovery=Chosen("tiers", doubt="version 3 is forged")), Level.PROBLEM, "DR_RECOVERY_PLAN=tiers: runs are held. version 3 is forged"),
    ("UNMAPPED_HERE", healthy(start_here=target(HERE, names={})), Level.WARNING, "network lan does not exist here"),
    ("UNMAPPED_THERE", healthy(start_there=target(THERE, names={})), Level.WARNING, "network lan does not exist at the peer"),
    ("RULES_HERE", healthy(start_there=target(THERE, rules=(HIS_RULE,))), Level.WARNING, "user alice has '#2 NET/* USE *' there"),
    ("RULES_THERE", healthy(start_here=target(HERE, rules=(HIS_RULE,))), Level.WARNING, "access rules at the peer"),
    ("STARTS_HERE", healthy(start_here=limited(HERE)), Level.PROBLEM, "the quota of user 'alice' here does not admit it: VMS"),
    ("STARTS_THERE", healthy(start_there=limited(THERE)), Level.PROBLEM, "the quota of user 'alice'"),
    ("DRIVERS", healthy(unknown_to_oned=("TM_MAD/ARGUMENTS",)), Level.PROBLEM, "TM_MAD/ARGUMENTS"),
    ("GUARD", healthy(guarded=False), Level.PROBLEM, "does not know this datastore"),
    (
        "STARTS_HERE",
        healthy(start_here=target(HERE, placement=Placement(Counterparts(), {}, (Host("h", 800, 16000),)))),
        Level.PROBLEM,
        "network 'lan' has no counterpart",
    ),
    (
        "STARTS_HERE",
        healthy(
            start_here=target(
                HERE,
                placement=Placement(
                    Counterparts({"lan": LAN}),
                    {(LAN.network_id, "192.0.2.11"): "VM 3"},
                    (Host("h", 800, 16000),),
                ),
            )
        ),
        Level.PROBLEM,
        "belongs to VM 3",
    ),
    (
        "STARTS_HERE",
        healthy(images=(replace(COPY, complete=False), PRIMARY)),
        Level.PROBLEM,
        "never completed",
    ),
    (
        "STARTS_HERE",
        healthy(start_here=target(HERE, local=at_home("ACTIVE"))),
        Level.PROBLEM,
        "power it off first",
    ),
    (
        "STARTS_THERE",
        healthy(start_there=target(THERE, placement=Placement(Counterparts(), {}, (Host("h", 800, 16000),)))),
        Level.PROBLEM,
        "VM ours (7",
    ),
    ("FIDELITY_HERE", healthy(images=(lacking(THEIRS, TPM), PRIMARY)), Level.WARNING, "TPM: its state is a file"),
    ("FIDELITY_HERE", healthy(images=(lacking(THEIRS, ("NEWER", "1")), PRIMARY)), Level.WARNING, "NEWER is left out"),
    ("FIDELITY_THERE", healthy(images=(COPY, lacking(OURS, TPM, HERE))), Level.WARNING, "VM ours (7"),
    ("SNAPSHOTS_HERE", healthy(images=(with_snapshots(0, 3, there={"0"}), PRIMARY)), Level.PROBLEM, "its snapshot 3 is not"),
    ("SNAPSHOTS_HERE", healthy(images=(with_snapshots(0, 900, there={"0", "900"}), PRIMARY)), Level.WARNING, "too far apart"),
    ("SNAPSHOTS_THERE", healthy(images=(COPY, with_snapshots(900, there=set(), record=OURS))), Level.WARNING, "ours"),
    ("STARTS_HERE", healthy(images=(lacking(THEIRS, KERNEL), PRIMARY)), Level.PROBLEM, "its OS/KERNEL_DS is a file image"),
    ("FILES_HERE", healthy(images=(lacking(THEIRS, FILES), PRIMARY)), Level.WARNING, "'prepare.sh' is left out"),
    ("FILES_THERE", healthy(images=(COPY, lacking(OURS, FILES, HERE))), Level.WARNING, "VM ours (7"),
    ("OWNERS_HERE", healthy(start_here=target(HERE, users=frozenset())), Level.WARNING, "no user alice here"),
    (
        "OWNERS_THERE",
        healthy(start_there=target(THERE, groups=frozenset())),
        Level.WARNING,
        "no group users at the peer",
    ),
    (
        "CAPACITY_HERE",
        healthy(start_here=target(HERE, placement=Placement(Counterparts({"lan": LAN}), {}, ()))),
        Level.WARNING,
        "1 of 1",
    ),
    (
        "CAPACITY_THERE",
        healthy(start_there=target(THERE, placement=Placement(Counterparts({"lan": LAN})))),
        Level.WARNING,
        "unknown",
    ),
    (
        "IMAGE_NAMES",
        healthy(start_here=target(HERE, image_names=frozenset({("alice", "web-os")}))),
        Level.WARNING,
        "web-os",
    ),
    (
        "MODE",
        healthy(there=cluster(1, site_info=replace(SAME_INDEX, site_index=1, mode="SNAPSHOT"))),
        Level.WARNING,
        "SNAPSHOT at the peer",
    ),
    (
        "PROCESSORS",
        healthy(images=(asking("Skylake"), PRIMARY)),
        Level.PROBLEM,
        "CPU model Skylake, which no host",
    ),
    ("REHEARSAL", rehearsed(replace(CAME, result=Result.REFUSED, why="no room")), Level.PROBLEM, "here: no room"),
    ("REHEARSAL", rehearsed(replace(CAME, at=5000.0 - 4 * 86400)), Level.PROBLEM, "for three days: VM web (42"),
    ("REHEARSAL", rehearsed(replace(CAME, at=6000.0)), Level.PROBLEM, "for three days"),
    ("REHEARSAL", rehearsed(replace(CAME, result=Result.NOT_TRIED, why="x")), Level.WARNING, "rehearsed: x"),
    ("REHEARSAL", rehearsed(), Level.WARNING, "not rehearsed yet: VM web (42"),
    ("REHEARSAL", rehearsed(CAME, left=2), Level.WARNING, "2 object(s)"),
    (
        "PROCESSORS",
        healthy(images=(asking("Skylake"), PRIMARY), start_here=target(HERE, models=None)),
        Level.WARNING,
        "do not report",
    ),
]


@pytest.mark.parametrize(
    "code, facts, level, text", BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_one_fault_gives_its_finding_and_no_other(
    code: str, facts: CheckFacts, level: Level, text: str
) -> None:
    found = not_ok(check_table.findings(facts))
    assert set(found) == {code}
    assert all(finding.level is level and finding.text.isprintable() for finding in found[code])
    assert any(text in finding.text for finding in found[code]), found


def test_without_the_timer_a_vm_that_was_never_rehearsed_is_no_problem() -> None:
    facts = replace(rehearsed(), settings=Settings(protect=True, site="site-0", rehearse=False))
    assert not_ok(check_table.findings(facts)) == {}


def test_differences_are_told_and_are_no_problem() -> None:
    (told,) = [
        found for found in check_table.findings(rehearsed(replace(CAME, differences=("another MAC",))))
        if found.code == "REHEARSAL"
    ]
    assert told.level is Level.OK and "1 with differences" in told.text


MIXED: dict[str, Any] = {
    "here": cluster(0, releases=("18.2.7",)), "there": cluster(1, releases=("20.2.4",), ciphers=("aes", "aes256k")),
}


def test_two_releases_that_were_probed_together_are_no_warning() -> None:
    (told,) = not_ok(check_table.findings(healthy(**MIXED)))["RELEASES"]
    assert told.level is Level.WARNING and "--probe" in told.todo
    proven = {Mode.JOURNAL: replace(PROOF, releases=("18.2.7", "20.2.4"))}
    assert not_ok(check_table.findings(healthy(**MIXED, probe_results=proven))) == {}
    half = {Mode.JOURNAL: replace(PROOF, releases=("18.2.7",))}
    assert set(not_ok(check_table.findings(healthy(**MIXED, probe_results=half)))) == {"RELEASES", "TRADE"}


def test_a_pair_that_still_needs_the_old_keys_is_told_to_keep_them() -> None:
    (told,) = [found for found in check_table.findings(healthy(**MIXED)) if found.code == "CIPHERS"]
    assert told.level is Level.OK and "Ceph 18.2.7 here reads aes only; keep aes allowed" in told.text


@pytest.mark.parametrize("release, new", [
    ("16.2.15", False), ("18.2.7", False), ("19.2.5", False), ("19.2.6", True), ("20.2.3", False),
    ("20.2.4", True), ("21.0.0", True), ("ceph version dev", False),
])
def test_which_release_reads_which_key(release: str, new: bool) -> None:
    assert rules_line.reads_new_keys(release) is new


@pytest.mark.parametrize("mode, text", [
    ("secure", "is encrypted on the line"), ("crc", "is not encrypted on the line (crc)"), ("msgr1", "(msgr1)"),
])
def test_the_line_is_told_of_and_is_no_fault(mode: str, text: str) -> None:
    found = check_table.findings(healthy(there=cluster(1, line_mode=mode)))
    assert not_ok(found) == {}
    assert text in " ".join(one.text for one in found if one.code == "LINE" and one.text.startswith("at the peer"))


def test_groups_of_our_own_and_images_of_others_are_no_fault() -> None:
    assert not_ok(check_table.findings(healthy(groups={"one-5": "onedr.points.7", "theirs": "backups"}))) == {}


def test_what_to_type_about_a_lock_or_group_survives_any_name() -> None:
    facts = healthy(groups={"one-5": "a b'$(id)"}, locks={"one-5": ("host 1; id", "client.4")})
    for code in ("GROUPS", "LOCKS"):
        (told,) = not_ok(check_table.findings(facts))[code]
        words = shlex.split(told.todo.partition("rbd ")[2].replace("<pool>", "one"))
        assert words in (["group", "image", "rm", "one/a b'$(id)", "one/one-5"], ["lock", "rm", "one/one-5", "host 1; id", "client.4"])


def test_every_check_has_a_fault_that_it_finds() -> None:
    """CEPH and FAILBACK say only whether something answers: what does not is unknown, which is tested below.
    """
    assert set(check_table.DATASTORE) == {code for code, *_ in BROKEN} | {"CEPH", "FAILBACK"}


def test_two_problems_are_both_told() -> None:
    found = not_ok(
        check_table.findings(healthy(clashes=("one-3",), guarded=False, peer=(PeerState.GONE, "it refuses")))
    )
    assert set(found) == {"NAMES", "GUARD", "PEER"}


UNKNOWN = Unknown("the moon is in the way")
SITE_OK = SiteFacts(
    "7.4.0", "/etc/one/onedr/onedr.conf", "abcdef123456", "http://b:2633/RPC2", 31, (), True, ("ceph",),
    ("/usr/local/sbin/fence", True), Wholeness(True),
)
PLAIN = [
    item.name for item in fields(CheckFacts) if item.name not in ("datastore", "settings", "here", "there")
]


def with_unknowns(facts: CheckFacts, names: frozenset[str]) -> CheckFacts:
    own = {name: UNKNOWN for name in names if "." not in name}
    for site in ("here", "there"):
        gone = {name.partition(".")[2]: UNKNOWN for name in names if name.startswith(f"{site}.")}
        own[site] = replace(getattr(facts, site), **gone)
    return replace(facts, **own)  # type: ignore[arg-type]


ALL = [*PLAIN, *(f"{site}.{item.name}" for site in ("here", "there") for item in fields(ClusterFacts))]


@settings(max_examples=400)
@given(
    st.frozensets(st.sampled_from(ALL)),
    st.sampled_from([healthy(), snapshot_mode(), *(facts for _, facts, _, _ in BROKEN)]),
)
def test_what_is_not_known_is_never_ok_and_nothing_raises(names: frozenset[str], facts: CheckFacts) -> None:
    found = check_table.findings(with_unknowns(facts, names))
    assert {finding.code for finding in found} == set(check_table.DATASTORE)
    for code, check in check_table.DATASTORE.items():
        if names & set(check.needs):
            own = [finding for finding in found if finding.code == code]
            assert any(
                finding.level is not Level.OK and UNKNOWN.reason in finding.text for finding in own
            ) or (check_table.worst(own) is not Level.OK), (code, own)


def test_what_to_do_has_no_placeholder_left() -> None:
    names = {"<pool>": "one", "<datastore>": "gold"}
    told = {
        check_run._pasted(finding.todo, names) for _, facts, _, _ in BROKEN for finding in check_table.findings(facts)
    } | {finding.todo for finding in check_table.site_findings(replace(SITE_OK, datastores=()))}
    assert not [todo for todo in told if re.search(r"<[a-z]|\bDATASTORE\b", todo)]


@given(st.frozensets(st.sampled_from([item.name for item in fields(SiteFacts)])))
def test_the_same_of_the_site(names: frozenset[str]) -> None:
    found = check_table.site_findings(replace(SITE_OK, **dict.fromkeys(names, UNKNOWN)))
    assert [finding.code for finding in found] == list(check_table.SITE)
    for code, check in check_table.SITE.items():
        (own,) = [finding for finding in found if finding.code == code]
        assert (own.level is Level.OK) == (not names & set(check.needs)), own


@pytest.mark.parametrize("change, code", [
    ({"key": ""}, "RECORD_KEY"), ({"peer_front_end": ""}, "PEER_FRONT_END"), ({"hooks": 0}, "HOOKS"),
    ({"guard_unit": False}, "GUARD_UNIT"), ({"datastores": ()}, "DATASTORES"),
    ({"unrestricted": ("VM_RESTRICTED_ATTR DR_ORIGIN",)}, "RESTRICTED"),
    ({"sunstone": Wholeness(True, lacking=("rules.js is missing",))}, "SUNSTONE"),
])
def test_what_the_site_lacks_is_a_warning(change: dict[str, Any], code: str) -> None:
    found = not_ok(check_table.site_findings(replace(SITE_OK, **change)))
    assert {name: [finding.level for finding in each] for name, each in found.items()} == {
        code: [Level.WARNING]
    }


def test_a_page_that_keeps_sunstone_from_starting_is_a_problem() -> None:
    facts = replace(SITE_OK, sunstone=Wholeness(True, "remoteEntry.js is missing"))
    found = not_ok(check_table.site_findings(facts))
    assert [finding.level for finding in found["SUNSTONE"]] == [Level.PROBLEM] and set(found) == {"SUNSTONE"}


@pytest.mark.parametrize("page", [None, Wholeness(False)])
def test_a_site_may_do_without_the_page(page: Wholeness | None) -> None:
    assert not not_ok(check_table.site_findings(replace(SITE_OK, sunstone=page)))


def test_plain_http_to_the_peer_is_said() -> None:
    found = check_table.site_findings(replace(SITE_OK, peer_front_end="http://b.example:2633/RPC2"))
    (own,) = [finding for finding in found if finding.code == "PEER_FRONT_END"]
    assert own.level is Level.OK and "insecure" in own.text and "readably" in own.text


def test_the_page_says_the_same_as_the_table() -> None:
    page = PAGE.read_text()
    for code, check in {**check_table.SITE, **check_table.DATASTORE}.items():
        assert f"| `{code}` | {check.what} | {check.unknown.value} |" in page
    assert f"| `ATTRIBUTES` | {check_table.ATTRIBUTES} |" in page
    assert page.count("\n| `") == len(check_table.SITE) + len(check_table.DATASTORE) + 1


def test_a_users_network_may_be_the_drill_network_by_its_id() -> None:
    assert not not_ok(check_table.findings(healthy(settings=Settings(protect=True, drill_network="7"))))
