"""BRIDGE_LIST: the same actions on another host through a real ssh; the front-end itself does not reach Ceph."""
from __future__ import annotations

import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import driver_calls as calls
import pytest
from bridge_host import Bridges, bridges
from driver_calls import MIB, Drivers, Tree, arrives, contents, digest, image, mode_of, refused, succeeded

from sandbox.bed import Bed
from sandbox.layout import Site
from sandbox.waiting import until

ODD_NAME = "a 'b' \"c\" $(touch onedr-hit) ; é 漢 <x>&amp;\n`touch onedr-hit`"


@pytest.fixture(scope="module")
def line(ceph_bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridges]:
    """Two bridge hosts beside site-a."""
    with bridges(tmp_path_factory.mktemp("bridge"), ceph_bed.sites["site-a"]) as made:
        yield made


class FromOutside(Drivers):
    """Drivers of a front-end without a Ceph configuration of its own."""

    line: Bridges

    def popen(self, kind: str, action: str, *argv: object, **more: Any) -> Any:
        env = {"PATH": self.line.path, "ONE_LOCATION": str(self.line.location), **more.pop("env", {})}
        return super().popen(kind, action, *argv, **{**env, **more})


@pytest.fixture(scope="module")
def here(ceph_bed: Bed, line: Bridges) -> Iterator[FromOutside]:
    state = line.location / "var/onedr"
    state.mkdir(parents=True)
    lock = (state / f"keeper-{calls.DATASTORE_ID}.lock").open("w")
    with lock, calls.front_end(ceph_bed) as api:
        fcntl.flock(lock, fcntl.LOCK_EX)  # keepers are not what is tested here
        made = FromOutside(ceph_bed, "site-a", api)
        made.line = line
        yield made


def datastore(here: FromOutside, bridge_list: str = "bridge-1 bridge-2", **attributes: str) -> Tree:
    """The image datastore, told to the canned front-end too."""
    own = {"CEPH_CONF": str(here.line.ceph_conf), "BRIDGE_LIST": bridge_list, "DR_PROTECT": "YES", **attributes}
    made = calls.datastore(here.site, **own)
    here.api.datastores[calls.DATASTORE_ID] = made
    here.api.datastores[calls.SYSTEM_ID] = {**made, "ID": calls.SYSTEM_ID, "NAME": "system"}
    return made


def vm(here: FromOutside, vm_id: int, name: str, **more: str) -> None:
    """A VM with one disk on the image."""
    disk = {
        "DISK_ID": "0", "CEPH_USER": "oneadmin", "CEPH_CONF": str(here.line.ceph_conf), "POOL_NAME": "one",
        "SOURCE": f"one/{name}", "CLONE": "YES", "SIZE": "8", "ORIGINAL_SIZE": "8", "TYPE": "RBD", **more,
    }
    here.api.vms[vm_id] = {"ID": vm_id, "NAME": f"vm {vm_id}", "TEMPLATE": {"DISK": [disk]}, "USER_TEMPLATE": {}}


def place(vm_id: int) -> str:
    return f"localhost:/var/lib/one/datastores/{calls.SYSTEM_ID}/{vm_id}/disk.0"


def test_the_front_end_itself_does_not_reach_ceph(here: FromOutside) -> None:
    refused(here.ds("mkfs", image(1), datastore(here, "127.0.0.1")), "Cannot reach Ceph")


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_cp_takes_a_file_of_the_front_end_to_the_bridge(
    here: FromOutside, site: Site, there: Site, tmp_path: Path, kind: str
) -> None:
    number = 10 + len(kind)
    path = tmp_path / ODD_NAME
    sha = calls.random_file(tmp_path / "data", 9 * MIB, number)
    if kind == "raw":
        (tmp_path / "data").rename(path)
    else:
        here.bed.run("site-a", ["qemu-img", "convert", "-O", "qcow2", str(tmp_path / "data"), str(path)], check=True)
    wanted = image(number, str(path))
    succeeded(here.ds("cp", wanted, datastore(here, STAGING_DIR=str(tmp_path))), f"one/one-{number} raw\n")
    assert digest(site, f"one-{number}") == sha
    arrives(there, f"one-{number}", sha)
    assert not list(Path.cwd().glob("onedr-hit"))
    succeeded(here.ds("rm", {**wanted, "SOURCE": f"one/one-{number}"}, datastore(here)))
    assert f"one-{number}" not in contents(site)[0]


def test_a_path_only_the_front_end_may_read_stays_forbidden(here: FromOutside) -> None:
    secret = here.line.location / "etc/oned.conf"
    refused(here.ds("cp", image(20, str(secret)), datastore(here)), "Not allowed")


def test_the_life_of_a_disk(here: FromOutside, site: Site, there: Site, tmp_path: Path) -> None:
    store = datastore(here)
    sha = calls.random_file(tmp_path / "base", 8 * MIB, 30)
    succeeded(here.ds("cp", image(30, str(tmp_path / "base")), store), "one/one-30 raw\n")
    vm(here, 7, "one-30")
    made = here.tm("clone", "front:one/one-30", place(7), 7, calls.DATASTORE_ID)
    assert made.returncode == 0, made.stderr
    assert digest(site, "one-30-7-0") == sha
    until("both to be mirrored", lambda: mode_of(site, "one-30") is not None, 20)
    succeeded(here.tm("delete", place(7), 7, calls.DATASTORE_ID))
    succeeded(here.ds("rm", {**image(30), "SOURCE": "one/one-30"}, store))
    assert contents(site) == ([], [])
    calls.vanishes(there, "one-30")


def test_monitor_and_mkfs_with_a_file_system(here: FromOutside, site: Site) -> None:
    done = here.call("datastore", "monitor", calls.DATASTORE_ID, stdin=calls.stdin_of(None, datastore(here)))
    assert done.returncode == 0 and done.stdout.startswith("USED_MB="), done.stderr
    wanted = image(31, size=32, FS="ext4")
    succeeded(here.ds("mkfs", wanted, datastore(here, STAGING_DIR="/var/tmp")), "one/one-31\n")
    succeeded(here.ds("rm", {**wanted, "SOURCE": "one/one-31"}, datastore(here)))


def test_bridges_take_turns_and_a_dead_one_is_passed_over(here: FromOutside, site: Site) -> None:
    for first, second in ((40, "bridge-1"), (41, "bridge-2")):
        before = here.line.logins(second)
        succeeded(here.ds("mkfs", image(first), datastore(here)), f"one/one-{first}\n")
        until(f"a log-in at {second}", lambda name=second, was=before: here.line.logins(name) == was + 1, 5)
    for number, others in ((42, here.line.dead), (43, here.line.bare), (44, f"{here.line.dead} {here.line.bare}")):
        succeeded(here.ds("mkfs", image(number), datastore(here, f"{others} bridge-2 {others}")), f"one/one-{number}\n")
    for number in range(40, 45):
        succeeded(here.ds("rm", {**image(number), "SOURCE": f"one/one-{number}"}, datastore(here)))


def test_without_a_living_bridge_it_says_which_and_why(here: FromOutside, site: Site) -> None:
    done = here.ds("mkfs", image(50), datastore(here, f"{here.line.dead} {here.line.bare}"))
    refused(done, here.line.dead, "refused", here.line.bare, "onehost sync", "front-end does not reach it either")
    assert contents(site) == ([], [])


def test_without_a_living_bridge_a_front_end_that_reaches_ceph_does_it(here: FromOutside, site: Site) -> None:
    store = datastore(here, here.line.dead, CEPH_CONF=str(site.ceph_conf))
    done = here.ds("mkfs", image(51), store)
    assert (done.returncode, done.stdout) == (0, "one/one-51\n")
    assert done.stderr.startswith("WARN: No host of BRIDGE_LIST")
    store = datastore(here, "localhost", CEPH_CONF=str(site.ceph_conf))
    succeeded(here.ds("rm", {**image(51), "SOURCE": "one/one-51"}, store))


def test_errors_come_back_as_they_are_at_home(here: FromOutside, site: Site) -> None:
    succeeded(here.ds("mkfs", image(60), datastore(here)), "one/one-60\n")
    refused(here.ds("mkfs", image(60), datastore(here)), "one/one-60", "already exists")
    refused(here.ds("mkfs", image(61), datastore(here, POOL_NAME="nowhere")), "no pool 'nowhere'")
    refused(here.ds("mkfs", image(61), datastore(here, "-oProxyCommand=touch bridge-1")), "BRIDGE_LIST", "not a host name")
    succeeded(here.ds("rm", {**image(60), "SOURCE": "one/one-60"}, datastore(here)))


def test_nothing_of_the_work_is_a_word_of_a_command(here: FromOutside) -> None:
    """Hundreds of calls with odd names were made by now: ssh was always told the same few words."""
    lines = here.line.commands()
    hosts = {*here.line.ports, here.line.dead, here.line.bare}
    words = {" ".join(word for word in line.split(" ") if word not in hosts) for line in lines}
    assert len(lines) > 10 and len(words) == 1
    assert words.pop().endswith("/onedr/bridge")


def test_a_killed_front_end_leaves_no_half_image(here: FromOutside, site: Site, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"7" * (300 * MIB))
    wanted, store = image(70, str(tmp_path / "big"), 300), datastore(here)
    process = here.popen("datastore", "cp", 70)
    process.stdin.write(calls.stdin_of(wanted, store))
    process.stdin.close()
    until("the image to be begun", lambda: "one-70" in contents(site)[0], 30, 0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    calls.vanishes(site, "one-70")


def test_the_bridge_keeps_nothing(here: FromOutside) -> None:
    left = [path for path in (here.line.folder / "synced").rglob("*") if path.suffix == ".pyc"]
    assert not left
