"""`onedr setup` from two empty clusters to mirroring both ways and back, as a new user goes: one file carried once."""
from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rbd
from beds import furnish

from onedr.pairing import join_file
from sandbox import processes
from sandbox.bed import Bed
from sandbox.ceph.cluster import command, connect
from sandbox.ceph.peers import mirror_registered
from sandbox.cloud import Cloud, of_site
from sandbox.temporary import temporary
from sandbox.waiting import until

POOL = "one"
USER = "oneadmin"


@dataclass
class Ground:
    """Two sites with nothing of mirroring; `file`: what is carried between them."""

    bed: Bed
    a: Cloud
    b: Cloud
    file: Path

    def onedr(self, cloud: Cloud, *argv: str, conf: str = "") -> subprocess.CompletedProcess[str]:
        """`onedr <verb> --pool one …` at a site, inside its network, confirmed beforehand."""
        given = ["--pool", POOL, "--ceph-conf", conf or str(cloud.ceph_conf), "--yes"]
        words = ["onedr", argv[0], *given, *argv[1:]]
        return self.bed.run(cloud.name, words, env=cloud.process_environment(), capture_output=True, text=True, timeout=280)

    @property
    def user(self) -> str:
        """An admin of site A's front-end."""
        return self.a.one_auth.read_text().strip().partition(":")[0]

    @property
    def password(self) -> str:
        """That admin's."""
        return self.a.one_auth.read_text().strip().partition(":")[2]

    def done(self, cloud: Cloud, *argv: str) -> list[dict[str, Any]]:
        """The same, which must succeed: its events."""
        done = self.onedr(cloud, *argv, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refused(self, cloud: Cloud, code: int, *argv: str, conf: str = "") -> str:
        """The same, which must end with this code and one plain sentence, and change nothing at that site: that sentence."""
        before = state(self.bed, cloud)
        done = self.onedr(cloud, *argv, conf=conf)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr, done.stderr
        assert state(self.bed, cloud) == before
        return done.stderr


def state(bed: Bed, cloud: Cloud) -> dict[str, Any]:
    """Everything of a site that setting up may change."""
    site = bed.sites[cloud.name]
    with connect(site) as cluster, cluster.open_ioctx(POOL) as io:
        keys = [key for key in command(cluster, prefix="config-key ls") if not key.startswith("config-history/")]
        record_key = cloud.one_location / "etc/onedr/record.key"
        return {
            "users": {user["entity"]: user["caps"] for user in command(cluster, prefix="auth ls")["auth_dump"]},
            "settings": command(cluster, prefix="config dump"), "keys": keys,
            "mode": rbd.RBD().mirror_mode_get(io), "peers": [peer["uuid"] for peer in rbd.RBD().mirror_peer_list(io)],
            "keyring": (site.folder / "keyring").read_text(), "record key": record_key.exists(),
            "conf": (cloud.one_location / "etc/onedr/onedr.conf").read_text(),
            "password": (cloud.one_location / "etc/onedr/peer_auth").exists(),
            "schedules": schedules(cluster),
            "objects": sorted(item.key for item in io.list_objects() if item.key.startswith("onedr")),
        }


def schedules(cluster: Any) -> Any:
    """What the manager has of mirror snapshot schedules of the pool."""
    words = {"prefix": "rbd mirror snapshot schedule list", "level_spec": f"{POOL}/", "format": "json"}
    code, out, text = cluster.mgr_command(json.dumps(words), b"")
    if "is not an RBD pool" in text:
        return {}
    assert not code, text
    return {entry["name"]: entry["schedule"] for entry in json.loads(out or "{}").values()}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with temporary(frontends=True, bare=True) as bed:
        a, b = (of_site(site) for site in bed.sites.values())
        yield Ground(bed, a, b, tmp_path_factory.mktemp("carried") / "join")


@pytest.fixture(scope="module")
def empty(ground: Ground) -> dict[str, dict[str, Any]]:
    """How both sites were before anything."""
    return {cloud.name: state(ground.bed, cloud) for cloud in (ground.a, ground.b)}


@pytest.fixture(scope="module")
def offered(ground: Ground, empty: dict[str, Any]) -> Path:
    """Site A is set up and wrote the file."""
    wanted = ("--site", "site-a", "--ceph-user", USER, "--schedule", "1h")
    events = ground.done(ground.a, "setup", *wanted, "--offer", str(ground.file))
    assert events[-1]["changed"] == len(events[0]["steps"]) > 9
    return ground.file


@pytest.fixture(scope="module")
def joined(ground: Ground, offered: Path) -> Ground:
    """Site B used it, and rbd-mirror runs at both."""
    ground.done(ground.b, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(offered))
    for cloud in (ground.a, ground.b):
        start_mirror(ground.bed, cloud)
    return ground


def start_mirror(bed: Bed, cloud: Cloud, wait: bool = True) -> None:
    """As the note of `onedr setup` says; `wait`: until it reports."""
    site, entity = bed.sites[cloud.name], f"client.rbd-mirror.{cloud.name}"
    with connect(site) as cluster:
        key = command(cluster, prefix="auth get", entity=entity)[0]["key"]
    keyring = site.folder / "mirror.keyring"
    keyring.write_text(f"[{entity}]\n\tkey = {key}\n")
    began = time.time() - 1
    processes.start(site, "mirror", ["rbd-mirror", "-f", "-n", entity, "--keyring", str(keyring)])
    if not wait:
        return
    with connect(site) as cluster:
        until(f"rbd-mirror of {site.name}", lambda: mirror_registered(cluster, began), 60)


def test_without_a_configuration_a_key_or_rights_nothing_begins(ground: Ground, empty: dict[str, Any]) -> None:
    a = ground.a
    wanted = ("setup", "--site", "site-a", "--offer", str(ground.file))
    assert "no usable Ceph configuration" in ground.refused(a, 1, *wanted, conf="/nowhere/ceph.conf")
    assert "refuses access to client.nobody" in ground.refused(a, 2, *wanted, "--admin-user", "nobody")
    site = ground.bed.sites[a.name]
    with connect(site) as cluster:
        command(cluster, prefix="auth add", entity="client.reader", caps=["mon", "allow rx", "osd", "allow *"])
        key = command(cluster, prefix="auth get", entity="client.reader")[0]["key"]
        keyring = site.folder / "reader.keyring"
        keyring.write_text(f"[client.reader]\n\tkey = {key}\n")
        try:
            reader = ("--admin-user", "reader", "--admin-keyring", str(keyring))
            assert "needs an administrator" in ground.refused(a, 2, *wanted, *reader)
        finally:
            command(cluster, prefix="auth rm", entity="client.reader")
    assert "no pool two" in ground.refused(a, 2, "setup", "--pool", "two", "--site", "site-a")
    assert "--site" in ground.refused(a, 2, "setup", "--offer", str(ground.file))
    assert "no peer yet" in ground.refused(a, 2, "setup", "--site", "site-a")
    assert not ground.file.exists()


def test_a_dry_run_shows_every_change_and_makes_none(ground: Ground, empty: dict[str, Any]) -> None:
    events = ground.done(ground.a, "setup", "--site", "site-a", "--ceph-user", USER, "--offer", str(ground.file), "--dry-run")
    assert [event["event"] for event in events] == ["plan"]
    for step in events[0]["steps"]:
        assert step["now"] != step["then"] and step["cost"], step
    assert state(ground.bed, ground.a) == empty["site-a"]
    assert not ground.file.exists()


def test_the_first_site_writes_a_file_once_and_no_secret_is_told(ground: Ground, offered: Path) -> None:
    assert offered.stat().st_mode & 0o777 == 0o600
    text = offered.read_bytes()
    again = ground.done(ground.a, "setup", "--site", "site-a", "--ceph-user", USER, "--offer", str(offered))
    assert again[0]["steps"] == [] and offered.read_bytes() == text
    key = (ground.a.one_location / "etc/onedr/record.key").read_text().strip()
    assert key.encode() not in text, "the file opens what holds the key, and does not hold it"
    log = (ground.bed.sites["site-a"].folder / "cluster.log").read_text()
    assert "auth add" in log, "the monitors' audit log is looked at"
    file = join_file.read_join_file(offered)
    for secret in (key, file.secret, file.key):
        assert secret not in log and secret not in json.dumps(again)


def test_a_file_that_is_not_as_it_was_joins_nobody(ground: Ground, offered: Path, tmp_path: Path) -> None:
    b, file = ground.b, join_file.read_join_file(offered)

    def attempt(code: int, content: join_file.JoinFile | str, mode: int = 0o600) -> str:
        copy = tmp_path / "copy"
        if isinstance(content, str):
            copy.write_text(content)
        else:
            join_file.write_join_file(copy, content)
        copy.chmod(mode)
        return ground.refused(b, code, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(copy))

    def changed(**fields: Any) -> join_file.JoinFile:
        return join_file.JoinFile(**{**vars(file), **fields})

    assert "cannot be read" in ground.refused(b, 1, "setup", "--site", "site-b", "--join", str(tmp_path / "none"))
    assert "not a file of onedr setup" in attempt(1, "hello")
    assert "chmod 600" in attempt(1, offered.read_text(), 0o644)
    assert "changed or damaged" in attempt(1, offered.read_text().replace("site-a", "site-c"))
    assert "was changed" in attempt(2, changed(pool="two"))
    assert "refuses access" in attempt(2, changed(key="AQDdW2FlAAAAABAAoN0aQ6yU7e2r2k1q0V9nQg=="))
    assert "was changed" in attempt(2, changed(secret=join_file.new_secret()))
    assert "was valid until" in attempt(2, changed(expires=1.0))
    assert "cannot be reached" in attempt(3, changed(mon_host="[v2:198.18.0.250:3300]"))
    assert "created at this site" in ground.refused(ground.a, 2, "setup", "--join", str(offered))
    assert "Both sites would have the name site-a" in ground.refused(b, 2, "setup", "--site", "site-a", "--join", str(offered))


def test_a_line_that_is_cut_leaves_nothing_half_made(ground: Ground, offered: Path) -> None:
    ground.bed.cut()
    try:
        said = ground.refused(ground.b, 3, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(offered))
    finally:
        ground.bed.heal()
    assert "site-a cannot be reached" in said.lower()


def test_a_peer_that_refuses_at_the_last_moment_leaves_nothing(ground: Ground, offered: Path) -> None:
    """Site A has another peer, and Ceph takes one: what was made at site B before that is taken back."""
    with connect(ground.bed.sites["site-a"]) as cluster, cluster.open_ioctx(POOL) as io:
        other = rbd.RBD().mirror_peer_add(io, "elsewhere", "client.rbd-mirror-peer")
        try:
            said = ground.refused(ground.b, 3, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(offered))
        finally:
            rbd.RBD().mirror_peer_remove(io, other)
    assert "could not add the peer of pool one" in said


def test_a_person_at_a_terminal_is_asked_for_what_is_missing(ground: Ground, offered: Path) -> None:
    before = state(ground.bed, ground.b)
    words = ["onedr", "setup", "--pool", POOL, "--ceph-conf", str(ground.b.ceph_conf), "--ceph-user", USER]
    master, slave = pty.openpty()
    with ground.bed.popen("site-b", words, env=ground.b.process_environment(), stdin=slave, stdout=slave, stderr=slave) as child:
        os.close(slave)
        said = answer(master, {
            "Name of this site": "site-b", "file of the other site": str(offered), "Its address": ground.a.endpoint,
            "Is that network yours": "y", "A user of group": ground.user, "The password": ground.password,
            "Make these changes?": "n",
        })
        assert child.wait(30) == 1
    assert ground.password not in said and "other site's front-end, which answered" in said, said
    assert "become peers" in said and "rbd_mirror_journal_poll_age" in said, said
    assert state(ground.bed, ground.b) == before, "the answer was no"


def answer(terminal: int, answers: dict[str, str]) -> str:
    """Answer each question when it comes; all that was said."""
    said, left = "", dict(answers)
    while True:
        try:
            found = os.read(terminal, 4096)
        except OSError:  # the program ended
            return said
        said += found.decode(errors="replace")
        for question, text in list(left.items()):
            if question in said:
                os.write(terminal, f"{text}\n".encode())
                del left[question]


@pytest.mark.parametrize("after", [2, 8, 11])
def test_a_run_that_died_is_gone_on_with(ground: Ground, offered: Path, after: int) -> None:
    words = ["onedr", "setup", "--pool", POOL, "--ceph-conf", str(ground.b.ceph_conf), "--site", "site-b", "--ceph-user", USER,
             "--join", str(offered), "--json", "--no-probe", "--yes"]
    with ground.bed.popen("site-b", words, env=ground.b.process_environment(), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        steps = 0
        for line in child.stdout:
            steps += json.loads(line)["event"] == "step"
            if steps == after:
                os.kill(child.pid, signal.SIGKILL)
                break
    events = ground.done(ground.b, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(offered), "--dry-run")
    left = len(events[0]["steps"])
    assert left <= 12 - after
    if after == 11:
        assert [step["kind"] for step in events[0]["steps"]] in (["peer"], [])


def test_both_sites_mirror_each_other(joined: Ground) -> None:
    for first, second, name in ((joined.a, joined.b, "there"), (joined.b, joined.a, "back")):
        with connect(joined.bed.sites[first.name]) as cluster, cluster.open_ioctx(POOL) as io:
            rbd.RBD().create(io, name, 8 << 20)
            with rbd.Image(io, name) as image:
                image.write(name.encode() * 1000, 0)
                image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL)
            with connect(joined.bed.sites[second.name]) as other, other.open_ioctx(POOL) as copies:
                until(f"the copy of {name}", lambda copies=copies, name=name: holds(copies, name), 90)
            with rbd.Image(io, name) as image:
                image.mirror_image_disable(False)
            rbd.RBD().remove(io, name)


def holds(io: Any, name: str) -> bool:
    try:
        with rbd.Image(io, name, read_only=True) as image:
            return bool(image.read(0, 100) == (name.encode() * 100)[:100])
    except rbd.ImageNotFound:
        return False


def test_what_was_deleted_there_lies_in_the_trash_here(joined: Ground) -> None:
    """The delete delay counts, so rbd-mirror heeds what the monitors say."""
    with connect(joined.bed.sites["site-b"]) as cluster, cluster.open_ioctx(POOL) as io:
        trash = [entry for entry in rbd.RBD().trash_list(io) if entry["name"] == "there"]
        assert trash and (trash[0]["deferment_end_time"] - trash[0]["deletion_time"]).total_seconds() == 86400


def test_a_second_run_changes_nothing(joined: Ground) -> None:
    for cloud in (joined.a, joined.b):
        before = state(joined.bed, cloud)
        events = joined.done(cloud, "setup", "--ceph-user", USER, "--no-probe")
        assert events[0]["steps"] == [] and events[-1]["changed"] == 0
        assert state(joined.bed, cloud) == before


def test_the_way_to_the_peers_front_end_is_tested_and_then_written(joined: Ground, tmp_path: Path) -> None:
    b, auth = joined.b, tmp_path / "auth"

    def given(password: str) -> tuple[str, ...]:
        auth.write_text(f"{joined.user}:{password}\n")
        auth.chmod(0o600)
        address = ("--peer-endpoint", joined.a.endpoint, "--peer-insecure", "--peer-auth", str(auth))
        return ("setup", "--ceph-user", USER, "--no-probe", *address)

    assert "authenticated" in joined.refused(b, 4, *given("wrong"))
    events = joined.done(b, *given(joined.password))
    assert [step["kind"] for step in events[0]["steps"]] == ["peer's front-end"]
    assert joined.done(b, *given(joined.password))[0]["steps"] == []
    words = ["onedr", "check", "--json"]
    seen = joined.bed.run(b.name, words, env=b.process_environment(), capture_output=True, text=True, timeout=60)
    found = [each for each in json.loads(seen.stdout)["findings"] if each["code"] == "PEER_FRONT_END"]
    assert [each["level"] for each in found] == ["ok"], found


def test_a_pool_gets_its_schedule_at_each_site(joined: Ground) -> None:
    for cloud in (joined.a, joined.b):
        assert "what a Ceph schedule takes" in joined.refused(cloud, 1, "setup", "--schedule", "30s")
        for wanted in ("1h", "5m", "5m"):
            events = joined.done(cloud, "setup", "--ceph-user", USER, "--schedule", wanted, "--no-probe")
        assert events[0]["steps"] == []
        found = state(joined.bed, cloud)["schedules"]
        assert [span["interval"] for span in found[f"{POOL}/"]] == ["5m"]


def test_the_file_works_once(joined: Ground) -> None:
    """Its user is gone at the site that made it, so Ceph itself refuses whoever has it."""
    again = joined.done(joined.b, "setup", "--ceph-user", USER, "--join", str(joined.file), "--no-probe")
    assert again[0]["steps"] == [] and "already used" in " ".join(again[0]["notes"])
    users = state(joined.bed, joined.a)["users"]
    assert not [user for user in users if "onedr-join" in user]
    assert "onedr/setup" in state(joined.bed, joined.a)["keys"]
    assert not [key for key in state(joined.bed, joined.a)["keys"] if key.startswith("onedr/join")]


def test_a_site_that_was_taken_back_alone_joins_again(joined: Ground) -> None:
    """The first site still has its peer, asks it, and writes another file because it does not know it any more."""
    bed, file = joined.bed, joined.file.with_name("again")
    processes.stop(bed.sites["site-b"], "mirror")
    joined.done(joined.b, "teardown")
    assert not state(bed, joined.b)["peers"] and state(bed, joined.a)["peers"]
    events = joined.done(joined.a, "setup", "--ceph-user", USER, "--offer", str(file), "--no-probe")
    assert [step["kind"] for step in events[0]["steps"]] == ["join file"]
    joined.done(joined.b, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(file), "--no-probe")
    start_mirror(bed, joined.b)
    assert len(state(bed, joined.a)["peers"]) == len(state(bed, joined.b)["peers"]) == 1
    again = joined.done(joined.a, "setup", "--ceph-user", USER, "--offer", str(file), "--no-probe")
    assert again[0]["steps"] == [] and "no join file is needed" in " ".join(again[0]["notes"])


def test_a_protected_datastore_holds_its_set_up(joined: Ground) -> None:
    furnish(joined.a, joined.b)
    kept = {"onedr.clock", "onedr.passes", "onedr.peer", "onedr.site"}  # by its keeper
    until("its objects", lambda: kept <= set(state(joined.bed, joined.b)["objects"]), 60)
    said = joined.refused(joined.b, 2, "teardown")
    assert "ceph-dr is protected" in said and "onedr disable ceph-dr" in said
    by_name = joined.b.run("onedr", "teardown", "ceph-dr", check=False)
    assert by_name.returncode == 2 and by_name.stderr == said


def test_an_image_made_in_opennebula_is_protected_with_these_rights(joined: Ground) -> None:
    a = joined.a
    a.wait_image(a.create("oneimage", "NAME=disk\nTYPE=DATABLOCK\nSIZE=16\nPERSISTENT=YES\n", "-d", str(a.datastore_id)))
    until("its copy", lambda: a.onedr("status", "ceph-dr")["state"] == "PROTECTED", 90, 0.5)
    assert a.onedr("status", "ceph-dr")["peer"]["proven"], "the datastore's user may read the peer's copies"


def test_teardown_leaves_both_sites_as_they_were(joined: Ground, empty: dict[str, dict[str, Any]]) -> None:
    a, b = joined.a, joined.b
    for image in a.api.imagepool.info(-2, -1, -1).IMAGE:
        a.run("oneimage", "delete", str(image.ID))
    until("no image", lambda: not a.api.imagepool.info(-2, -1, -1).IMAGE, 60)
    until("no copy", lambda: mirrored(joined, b) == 0, 60)
    for cloud in (a, b):
        cloud.api.datastore.update(cloud.datastore_id, "DR_PROTECT=NO", 1)
    kept = joined.done(b, "teardown", "--dry-run")
    assert any(f"User client.{USER} is kept" in note for note in kept[0]["notes"]), "VMs of a datastore come as that user"
    for cloud in (a, b):
        for found in [found.ID for found in cloud.api.datastorepool.info().DATASTORE if found.NAME.startswith("ceph-dr")]:
            cloud.run("onedatastore", "delete", str(found))
        until("no datastore", lambda cloud=cloud: "ceph-dr" not in cloud.run("onedatastore", "list").stdout, 30)
    with connect(joined.bed.sites["site-b"]) as cluster:
        command(cluster, prefix="config set", who="client.rbd-mirror", name="rbd_mirroring_delete_delay", value="7")
    events = joined.done(b, "teardown")
    assert any("it was changed since" in note for note in events[0]["notes"])
    with connect(joined.bed.sites["site-b"]) as cluster:
        command(cluster, prefix="config rm", who="client.rbd-mirror", name="rbd_mirroring_delete_delay")
    joined.done(a, "teardown")
    for cloud in (a, b):
        after = {**state(joined.bed, cloud), "objects": []}
        assert after == {**empty[cloud.name], "objects": []}
    assert "changed nothing" in joined.refused(a, 1, "teardown")


def mirrored(ground: Ground, cloud: Cloud) -> int:
    with connect(ground.bed.sites[cloud.name]) as cluster, cluster.open_ioctx(POOL) as io:
        return len(list(rbd.RBD().mirror_image_info_list(io)))


def test_a_used_file_joins_nobody_after_all_was_taken_back(joined: Ground) -> None:
    said = joined.refused(joined.b, 2, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(joined.file))
    assert "already used, withdrawn" in said
