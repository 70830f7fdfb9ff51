"""One file maps networks, addresses, a security group, an owner and a group; it serves a drill, a move, and the way
home. A broken file changes nothing, and what a quota would refuse is named before. A recovery plan that was set at
one site has the drill and the move at the other start the VMs in its order.

One story, in order: each fixture stands on the one before.
"""
from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyone
import pytest
import workload as w

from onedr.ceph import omap
from onedr.replication import map_store
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

POWEROFF, ACTIVE = 8, 3
MAP = """\
# web tier and its people
version: 1
sites: [site-a, site-b]
networks:
  - site-a: prod-net
    site-b: dr-net
    drill: {site-b: drill-net}
    addresses:
      - {site-a: 10.10.1.0/27, site-b: 10.20.1.0/27}
      - {site-a: 10.10.1.20, site-b: 10.20.1.25}
  - site-a: prod-web
    site-b: dr-web
    drill: {site-b: drill-web}
security_groups:
  - {site-a: web-sg, site-b: web-sg-dr}
users:
  - {site-a: alice, site-b: alice-dr}
groups:
  - {site-a: team, site-b: team-dr}
hosts:
  - {site-a: localhost, site-b: localhost}
clusters:
  - {site-a: default, site-b: default}
"""
PLAN = """\
version: 1
groups:
  - name: first
    vms: [greedy]
    owners: [bob]
    gate: {running: yes, within: 2m, then: stop}
  - name: second
    vms: [web]
"""


@dataclass
class Story:
    """Ids at site A, and what the commands said."""

    sites: Sites
    folder: Path
    vms: dict[str, int] = field(default_factory=dict)
    rehearsed: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    draft: str = ""
    broken: list[str] = field(default_factory=list)
    after_broken: list[int] = field(default_factory=list)
    set: str = ""
    refused: dict[str, Any] = field(default_factory=dict)
    planned: str = ""  # what was said of the recovery plan
    held: str = ""  # what a run by a plan that is not there said
    limit: str = ""  # what oned says where a quota is used up
    named: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # findings by site
    drilled: dict[str, Any] = field(default_factory=dict)
    there: dict[str, Any] = field(default_factory=dict)
    move: dict[str, Any] = field(default_factory=dict)  # its journal
    stopped: dict[str, Any] = field(default_factory=dict)  # the way home, at a closed gate
    home: dict[str, Any] = field(default_factory=dict)


def network(cloud: Cloud, name: str, first: str, bridge: str = "br1") -> int:
    return int(cloud.api.vn.allocate(f'NAME={name}\nVN_MAD=dummy\nBRIDGE={bridge}\nAR=[TYPE=IP4,IP="{first}",SIZE=20]\n', -1))


def group(cloud: Cloud, name: str) -> int:
    return int(cloud.api.secgroup.allocate(f"NAME={name}\nRULE=[PROTOCOL=TCP,RULE_TYPE=inbound,RANGE=443]\n"))


def user(cloud: Cloud, name: str) -> int:
    return int(cloud.api.user.allocate(name, f"password-of-{name}", "core", []))


def vectors(template: Any, key: str) -> list[Any]:
    found = template.get(key, [])
    return found if isinstance(found, list) else [found]


def nics(vm: Any) -> list[tuple[str, str, str]]:
    return [(nic["NETWORK"], nic["IP"], nic["SECURITY_GROUPS"]) for nic in vectors(vm.TEMPLATE, "NIC")]


def shape(vm: Any) -> tuple[str, str, list[tuple[str, str, str]], str]:
    return vm.UNAME, vm.GNAME, nics(vm), str(vm.USER_TEMPLATE.get("SCHED_REQUIREMENTS"))


def by_name(cloud: Cloud) -> dict[str, Any]:
    return {vm.NAME: cloud.api.vm.info(vm.ID) for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM}


def findings(cloud: Cloud) -> list[dict[str, Any]]:
    done = cloud.run("onedr", "map", str(cloud.datastore_id), "--check", "--json", check=False)
    return list(json.loads(done.stdout)["findings"])


def of(found: list[dict[str, Any]], code: str, level: str) -> list[str]:
    return [one["text"] for one in found if one["code"] == code and one["level"] == level]


def versions(cloud: Cloud) -> list[int]:
    with w.open_pool(cloud) as pool:
        return [each.number for each in map_store.MAPPINGS.read(pool, DATASTORE).versions]


@pytest.fixture(scope="module")
def story(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """VM web of alice in two networks with a security group, and VM greedy of bob, whose quota at B admits nothing."""
    a, b = sites.a, sites.b
    w.introduce(a, b)
    w.introduce(b, a)
    told = Story(sites, tmp_path_factory.mktemp("maps"))
    key = base64.b64encode(os.urandom(64))
    for cloud in (a, b):
        path = cloud.one_location / "etc/onedr/record.key"
        path.write_bytes(key)
        path.chmod(0o600)
    network(a, "prod-net", "10.10.1.10")
    network(a, "prod-web", "10.11.1.10")
    network(b, "dr-net", "10.20.1.10")
    network(b, "dr-web", "10.11.1.10")
    network(b, "drill-net", "127.0.9.10", "br8")
    network(b, "drill-web", "127.0.10.10", "br9")
    web_sg, _ = group(a, "web-sg"), group(b, "web-sg-dr")
    alice, bob = user(a, "alice"), user(a, "bob")
    team = int(a.api.group.allocate("team"))
    user(b, "alice-dr")
    b.api.user.quota(user(b, "bob"), 'VM=[VMS="0",CPU="-1",MEMORY="-1"]')
    b.api.group.allocate("team-dr")
    images = {name: w.create_image(a, f"{name}-disk", wait=False) for name in ("web", "greedy")}
    for image in images.values():
        a.wait_image(image)
    told.vms["web"] = w.create_vm(a, "web", [images["web"]], (
        f'NIC=[NETWORK="prod-net",IP="10.10.1.15",SECURITY_GROUPS="{web_sg}"]\nNIC=[NETWORK="prod-net",IP="10.10.1.20"]\n'
        'NIC=[NETWORK="prod-web",IP="10.11.1.12"]\nSCHED_REQUIREMENTS="CLUSTER_ID = \\"0\\" & NAME = \\"local*\\""\n'
    ), wait=False)
    told.vms["greedy"] = w.create_vm(a, "greedy", [images["greedy"]], wait=False)
    for vm in told.vms.values():
        a.wait_vm(vm)
    a.api.vm.chown(told.vms["web"], alice, team)
    a.api.vm.chown(told.vms["greedy"], bob, -1)
    with w.open_pool(b) as there:
        for vm in told.vms.values():
            w.wait_recorded(a, vm, there)
    w.wait_complete(a, [name for vm in told.vms.values() for name in w.vm_disks(a, vm)])
    told.before = by_name(a)
    yield told


@pytest.fixture(scope="module")
def drafted(story: Story) -> Story:
    a = story.sites.a
    story.draft = a.run("onedr", "map", str(a.datastore_id), "--draft").stdout
    return story


@pytest.fixture(scope="module")
def broken(drafted: Story) -> Story:
    """Files that cannot be used, at site A."""
    a = drafted.sites.a
    for number, text in enumerate((
        MAP.replace("addresses:", "adresses:"), MAP.replace("site-b: dr-net", "site-b: dr-nett"),
        MAP + "  - {site-a: default, site-b: other}\n", MAP.replace("10.20.1.0/27", "10.20.1.0/26"),
    )):
        file = drafted.folder / f"broken-{number}.yaml"
        file.write_text(text)
        done = a.run("onedr", "map", str(a.datastore_id), "--set", str(file), check=False)
        assert done.returncode == 1, done.stdout + done.stderr
        drafted.broken.append(done.stderr)
    drafted.after_broken = [*versions(a), *versions(drafted.sites.b)]
    return drafted


@pytest.fixture(scope="module")
def mapped(broken: Story) -> Story:
    """The file is set at site A."""
    a = broken.sites.a
    file = broken.folder / "map.yaml"
    file.write_text(MAP)
    broken.set = a.run("onedr", "map", str(a.datastore_id), "--set", str(file)).stdout
    return broken


@pytest.fixture(scope="module")
def planned(mapped: Story) -> Story:
    """A recovery plan is set at site A, after one that cannot be used."""
    a, b = mapped.sites.a, mapped.sites.b
    edit = ("onedr", "recovery-plan", "edit", str(a.datastore_id), "tiers", "--file")
    file = mapped.folder / "plan.yaml"
    file.write_text(PLAN.replace("    owners: [bob]\n", ""))
    bad = a.run(*edit, str(file), check=False)
    assert bad.returncode == 1 and "line 3: group first may stop a run" in bad.stderr, bad.stderr
    file.write_text(PLAN)
    mapped.planned = a.run(*edit, str(file)).stdout
    done = b.run("onedr", "move", str(b.datastore_id), "--dry-run", "--plan", "gone", check=False)
    mapped.held = done.stderr
    assert done.returncode == 2, done.stdout + done.stderr
    return mapped


@pytest.fixture(scope="module")
def refused(planned: Story) -> Story:
    """What each site says before, and a dry run; then the quota is raised."""
    mapped = planned
    a, b = mapped.sites.a, mapped.sites.b
    mapped.named = {"a": findings(a), "b": findings(b)}
    mapped.refused = b.onedr("move", str(b.datastore_id), "--dry-run")
    bob = next(found.ID for found in b.api.userpool.info().USER if found.NAME == "bob")
    tried = int(b.api.vm.allocate(f"NAME=tried\n{w.SMALL}", True))
    with pytest.raises(pyone.OneAuthorizationException) as said:
        b.api.vm.chown(tried, bob, -1)
    mapped.limit = str(said.value)
    b.api.vm.action("terminate-hard", tried)
    b.api.user.quota(bob, 'VM=[VMS="3"]')
    b.run("onedr", "check", str(b.datastore_id), "--rehearse", check=False)
    mapped.rehearsed = {vm["name"]: vm["rehearsal"] for vm in w.status(b)["vms"]}
    return mapped


@pytest.fixture(scope="module")
def drilled(refused: Story) -> Story:
    """A drill at site B, in the drill network of each network. DR_DRILL_NETWORK is not set."""
    b = refused.sites.b
    done = b.run("onedr", "drill", "start", str(b.datastore_id), "--vm", "web", "--plan", "tiers", check=False)
    refused.drilled = {"said": done.stdout[-3000:] + done.stderr, "vms": by_name(b), "run": w.last_run(b)}
    b.run("onedr", "drill", "cleanup", str(b.datastore_id))
    return refused


@pytest.fixture(scope="module")
def moved(drilled: Story) -> Story:
    b = drilled.sites.b
    done = b.run("onedr", "move", str(b.datastore_id), "--yes", "--plan", "tiers", check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    drilled.there, drilled.move = by_name(b), w.last_run(b)
    return drilled


@pytest.fixture(scope="module")
def home(moved: Story) -> Story:
    """The way home, once site B's records are at site A; stopped at a gate that stays closed, then resumed without."""
    a, b = moved.sites.a, moved.sites.b
    with w.open_pool(a) as pool:
        for vm in moved.there.values():
            w.wait_recorded(b, vm.ID, pool)
    until("complete copies at A", lambda: all(disk["complete"] for disk in w.status(a)["disks"]), 120)
    file = moved.folder / "closed.yaml"
    file.write_text(PLAN.replace("{running: yes, within: 2m", "{port: 9, within: 1s"))
    b.run("onedr", "recovery-plan", "edit", str(b.datastore_id), "closed", "--file", str(file))
    done = a.run("onedr", "failback", str(a.datastore_id), "--yes", "--plan", "closed", check=False)
    moved.stopped = {"code": done.returncode, "said": done.stderr, "vms": by_name(a)}
    done = a.run("onedr", "resume", str(a.datastore_id), "--yes", "--plan", "none", check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    moved.home = by_name(a)
    return moved


def test_a_draft_names_what_each_site_has_and_what_lacks_a_counterpart(drafted: Story) -> None:
    assert "sites: [site-a, site-b]" in drafted.draft and "- site-a: lan" in drafted.draft
    assert "# - {site-a: prod-net, site-b: ?}  # not at site-b, used by web" in drafted.draft
    assert "# - {site-a: ?, site-b: dr-net}  # not at site-a" in drafted.draft
    assert "# - {site-a: alice, site-b: ?}  # not at site-b, used by web" in drafted.draft
    assert "- {site-a: default, site-b: default}" in drafted.draft


def test_a_draft_is_a_file_that_can_be_set(drafted: Story) -> None:
    from onedr.mapping import map_file

    assert map_file.read(drafted.draft, "site-b").sites == ("site-a", "site-b")


def test_a_broken_file_is_refused_by_line_and_nothing_is_made(broken: Story) -> None:
    typo, unknown, twice, sizes = broken.broken
    assert "line 8: an entry of networks has no key 'adresses'; do you mean addresses?" in typo
    assert "line 5: networks: there is no network dr-nett at site-b; do you mean dr-net" in unknown
    assert "default of site-a is in line 23 already" in twice
    assert "different sizes" in sizes
    assert broken.after_broken == []


def test_it_is_stored_whole_at_both_sites_with_who_and_what(mapped: Story) -> None:
    a, b = mapped.sites.a, mapped.sites.b
    assert "+  - {site-a: alice, site-b: alice-dr}" in mapped.set and "Version 1 of the mapping" in mapped.set
    assert versions(a) == versions(b) == [1]
    for cloud in (a, b):
        assert cloud.run("onedr", "map", str(cloud.datastore_id)).stdout == MAP
        told = cloud.onedr("map", str(cloud.datastore_id))
        assert told["versions"][0]["site"] == "site-a" and "@" in told["versions"][0]["by"]
    run = w.last_run(a)
    assert (run["verb"], run["result"]) == ("map", "DONE") and "+version: 1" in run["done"].values()


def test_a_recovery_plan_that_was_set_at_one_site_is_there_at_the_other(planned: Story) -> None:
    b = planned.sites.b
    assert "+    vms: [greedy]" in planned.planned and "Version 1 of the plan tiers" in planned.planned
    assert b.run("onedr", "recovery-plan", "show", str(b.datastore_id), "tiers").stdout == PLAN
    (version,) = json.loads(b.run("onedr", "recovery-plan", "history", str(b.datastore_id), "tiers", "--json").stdout)["versions"]
    assert version["site"] == "site-a" and "@" in version["by"] and "+version: 1" in version["changes"]
    checked = json.loads(b.run("onedr", "recovery-plan", "check", str(b.datastore_id), "tiers", "--json").stdout)
    assert [(each["called"], each["vms"]) for each in checked["groups"]] == [("group first", ["greedy"]), ("group second", ["web"])]
    assert not checked["problems"] and not checked["warnings"]


def test_a_plan_that_is_not_there_holds_the_run(planned: Story) -> None:
    assert "the plan gone is not there" in planned.held and "--plan none" in planned.held


def test_a_quota_that_does_not_admit_a_vm_is_named_before(refused: Story) -> None:
    words = "the quota of user 'bob' here does not admit it: VMS is limited to 0"
    assert any(words in text and "greedy" in text for text in of(refused.named["a"], "STARTS_THERE", "problem"))
    assert any(words in text and "greedy" in text for text in of(refused.named["b"], "STARTS_HERE", "problem"))
    assert any(words in why for why in refused.refused["left_out"].values())
    assert not any("web" in text for text in of(refused.named["b"], "STARTS_HERE", "problem"))


def test_oned_would_have_refused_it_indeed(refused: Story) -> None:
    assert "limit of 0 reached for VMS quota in VM" in refused.limit


def test_a_rehearsal_goes_by_the_mapping_too(refused: Story) -> None:
    assert {name: came["result"] for name, came in refused.rehearsed.items()} == {"web": "accepted", "greedy": "accepted"}
    assert not any("owner" in text or "NETWORK" in text for text in refused.rehearsed["web"]["differences"])


def test_the_check_finds_all_that_the_mapping_names_at_both_sites(refused: Story) -> None:
    for found in refused.named.values():
        assert of(found, "MAPPING", "ok") == ["version 1 of the mapping, 7 entries"], found
        assert not of(found, "MAPPING", "problem") and not of(found, "MAPPING", "warning")
        assert not of(found, "UNMAPPED_HERE", "warning") and not of(found, "UNMAPPED_THERE", "warning"), found


def test_a_drill_runs_in_the_drill_network_of_each_network(drilled: Story) -> None:
    vm = drilled.drilled["vms"].get("drill-web")
    assert vm is not None, drilled.drilled["said"]
    assert [name for name, _, _ in nics(vm)] == ["drill-net", "drill-net", "drill-web"]
    assert "drill-greedy" not in drilled.drilled["vms"]


def test_a_moved_vm_has_what_the_mapping_says(moved: Story) -> None:
    b = moved.sites.b
    groups = {found.NAME: str(found.ID) for found in b.api.secgrouppool.info(-2, -1, -1).SECURITY_GROUP}
    wanted = 'CLUSTER_ID = "0" & (NAME = "localhost")'
    assert shape(moved.there["web"]) == ("alice-dr", "team-dr", [
        ("dr-net", "10.20.1.15", f"0,{groups['web-sg-dr']}"), ("dr-net", "10.20.1.25", "0"), ("dr-web", "10.11.1.12", "0"),
    ], wanted)
    assert moved.there["greedy"].UNAME == "bob" and moved.there["web"].STATE == ACTIVE


def test_vms_start_in_the_order_of_the_plan_with_its_gate_between(moved: Story) -> None:
    origins = {each["name"]: each["origin"] for each in moved.move["vms"]}
    started = [(each["kind"], list(each["results"])) for each in moved.move["steps"] if each["kind"] in ("start", "gate")]
    assert started == [("start", [origins["greedy"]]), ("gate", ["group first"]), ("start", [origins["web"]])]
    stopped = [list(each["results"]) for each in moved.move["steps"] if each["kind"] == "stop"]
    assert stopped == [[str(moved.vms["web"])], [str(moved.vms["greedy"])]], "in reverse"
    assert moved.move["done"]["group first"] == "1 VM(s) run" and moved.move["plan"]["recovery_plan"] == "tiers, version 1"
    assert moved.drilled["run"]["plan"]["recovery_plan"] == "tiers, version 1"


def test_a_closed_gate_stops_the_run_before_the_next_group(home: Story) -> None:
    assert home.stopped["code"] == 7, home.stopped["said"]
    assert "group first: gate: not passed within 1 s: VM greedy" in home.stopped["said"] and "--plan none" in home.stopped["said"]
    assert home.stopped["vms"]["greedy"].STATE == ACTIVE and home.stopped["vms"]["web"].STATE == POWEROFF


def test_it_comes_home_exactly_as_it_was(home: Story) -> None:
    assert home.home.keys() == home.before.keys()
    for name, vm in home.before.items():
        assert home.home[name].ID == vm.ID and shape(home.home[name]) == shape(vm)
        assert home.home[name].STATE == ACTIVE


def test_a_version_that_someone_else_wrote_is_passed_over_and_said(home: Story) -> None:
    b = home.sites.b
    with w.open_pool(b) as pool:
        (stored,) = omap.read_all(pool, map_store.MAPPINGS.object, f"{DATASTORE}/0").values()
        forged = {**json.loads(stored), "version": 2, "text": "version: 1"}
        omap.write_keys(pool, map_store.MAPPINGS.object, {f"{DATASTORE}/00000002": json.dumps(forged).encode()})
    told = b.onedr("map", str(b.datastore_id))
    assert (told["version"], told["text"]) == (1, MAP) and "version 2 of the mapping" in told["warnings"][0]
    assert any("forged" in text for text in of(findings(b), "MAPPING", "warning"))
    again = b.run("onedr", "map", str(b.datastore_id), "--set", str(home.folder / "map.yaml"))
    assert "Version 3 of the mapping" in again.stdout and versions(b)[-1] == versions(home.sites.a)[-1] == 3


def test_a_version_that_was_set_alone_reaches_the_other_site(home: Story) -> None:
    """As when the peer's Ceph did not answer: only this site's pool has it."""
    a, b = home.sites.a, home.sites.b
    with w.open_pool(a) as pool:
        newest = f"{DATASTORE}/{versions(a)[-1]:08d}"
        omap.drop_keys(pool, map_store.MAPPINGS.object, newest)
    assert a.onedr("map", str(a.datastore_id))["version"] == versions(b)[-1], "read there"
    with w.open_pool(b) as pool:
        omap.drop_keys(pool, map_store.MAPPINGS.object, f"{DATASTORE}/handed")
    b.onedr("reconcile", str(b.datastore_id))
    assert versions(a)[-1] == versions(b)[-1]
