"""The datastore actions as oned calls them, on two real clusters: data, names, answers, copies and records.
"""
from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import driver_calls as calls
import pytest
import rbd
from driver_calls import (
    MIB,
    Drivers,
    arrives,
    contents,
    datastore,
    digest,
    facts,
    image,
    metadata,
    refused,
    succeeded,
)

from onedr.ceph import connection, images, pending_images
from onedr.model.types import CephAccess
from onedr.replication import records
from sandbox.bed import Bed
from sandbox.ceph.cluster import command, connect
from sandbox.layout import Site
from sandbox.waiting import until

URL = "http://127.0.0.1:8099"
SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "8099"]
MODES = {"JOURNAL": rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL, "SNAPSHOT": rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT}
ODD_NAME = "a 'b' \"c\" $(touch onedr-hit) ; é 漢 <x>&amp;"


@pytest.fixture(scope="module")
def here(ceph_bed: Bed) -> Iterator[Drivers]:
    """Drivers at site-a with a canned front-end; pools `one-data` for data and `plain` without mirroring."""
    with calls.no_keeper(*ceph_bed.sites.values()):
        with connect(ceph_bed.sites["site-a"]) as cluster:
            for pool in ("one-data", "plain"):
                command(cluster, prefix="osd pool create", pool=pool, pg_num=4)
                command(cluster, prefix="osd pool application enable", pool=pool, app="rbd")
        with calls.front_end(ceph_bed) as api:
            yield Drivers(ceph_bed, "site-a", api)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, here: Drivers) -> Iterator[Path]:
    """A folder with image files, also served by http on loopback inside site-a."""
    folder = tmp_path_factory.mktemp("files")
    calls.random_file(folder / "odd", 5 * MIB + 13, seed=1)
    calls.random_file(folder / "raw", 6 * MIB, seed=2)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", folder / "raw", folder / "qcow2"], check=True)
    (folder / ODD_NAME).write_bytes((folder / "raw").read_bytes())
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = here.bed.popen("site-a", [*SERVER, "-d", str(folder)], **quiet)
    knock = [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 8099), 1)"]
    until("the http server", lambda: here.bed.run("site-a", knock, capture_output=True).returncode == 0, 20)
    yield folder
    server.terminate()
    server.wait(20)


def sha(path: Path, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()


def record(where: Site, name: str) -> Any:
    """The image record that lies on the image there."""
    found = records.decode(records.IMAGE_KEY, metadata(where, name))
    return found and found.body


@pytest.mark.parametrize("place", ["file", "http"])
@pytest.mark.parametrize("name, data", [("odd", "odd"), ("raw", "raw"), ("qcow2", "raw")])
def test_cp_brings_every_byte_of_a_file(
    here: Drivers, site: Site, files: Path, tmp_path: Path, place: str, name: str, data: str
) -> None:
    number = 10 + 2 * ["odd", "raw", "qcow2"].index(name) + ["file", "http"].index(place)
    path = str(files / name) if place == "file" else f"{URL}/{name}"
    done = here.ds("cp", image(number, path), datastore(site, STAGING_DIR=str(tmp_path)))
    succeeded(done, f"one/one-{number} raw\n")
    assert digest(site, f"one-{number}") == sha(files / data)
    assert list(tmp_path.iterdir()) == []


def test_cp_makes_what_the_stock_script_makes(here: Drivers, site: Site, files: Path) -> None:
    for number, extra in ((20, {}), (21, {"EC_POOL_NAME": "one-data"})):
        succeeded(
            here.ds("cp", image(number, str(files / "odd")), datastore(site, **extra)),
            f"one/one-{number} raw\n",
        )
        pool = ["--data-pool", extra["EC_POOL_NAME"]] if extra else []
        here.rbd(*pool, "import", "--image-format", "2", str(files / "odd"), f"one/stock-{number}")
        assert facts(site, f"one-{number}") == facts(site, f"stock-{number}")
        assert digest(site, f"one-{number}") == digest(site, f"stock-{number}")
    assert facts(site, "one-20")["data pool"] == "one"
    assert facts(site, "one-21")["data pool"] == "one-data"


def test_cp_accepts_good_checksums_and_refuses_bad_ones(here: Drivers, site: Site, files: Path) -> None:
    good = {"MD5": sha(files / "qcow2", "md5"), "SHA1": sha(files / "qcow2", "sha1").upper()}
    succeeded(here.ds("cp", image(25, f"{URL}/qcow2", attributes=good), datastore(site)), "one/one-25 raw\n")
    before = contents(site)
    for key in good:
        bad = {**good, key: "0" * len(good[key])}
        refused(
            here.ds("cp", image(26, str(files / "qcow2"), attributes=bad), datastore(site)),
            key,
            "expected 000",
        )
    assert contents(site) == before


def test_cp_takes_nothing_from_restricted_folders(
    here: Drivers, site: Site, files: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(files / "raw")
    forbidden = datastore(site, RESTRICTED_DIRS=f"/nowhere {files}")
    before = contents(site)
    for path in (files / "raw", link, tmp_path / ".." / tmp_path.name / "link"):
        refused(here.ds("cp", image(27, str(path)), forbidden), "Not allowed to copy", "restricted")
        refused(here.ds("stat", {"PATH": str(path), "SIZE": ""}, forbidden), "Not allowed to copy")
    refused(
        here.ds("cp", image(27, str(site.one_location / "etc" / "oned.conf")), datastore(site)), "Not allowed"
    )
    data = calls.stdin_of(image(27, str(files / "raw")), datastore(site))
    refused(here.call("datastore", "cp", 27, stdin=data, HOME=str(files)), "Not allowed to copy")
    assert contents(site) == before
    safe = datastore(site, RESTRICTED_DIRS="/", SAFE_DIRS=f"/opt {files}")
    succeeded(here.ds("cp", image(27, str(link)), safe), "one/one-27 raw\n")


def test_names_and_paths_are_never_read_by_a_shell(here: Drivers, site: Site, files: Path) -> None:
    protected = datastore(site, DR_PROTECT="YES", DR_SITE=ODD_NAME)
    for number, path in ((28, str(files / ODD_NAME)), (29, f"{URL}/{ODD_NAME}")):
        odd = image(number, path, NAME=ODD_NAME, attributes={"DESCRIPTION": ODD_NAME})
        succeeded(here.ds("cp", odd, protected), f"one/one-{number} raw\n")
        assert digest(site, f"one-{number}") == sha(files / "raw")
        assert (record(site, f"one-{number}").name, record(site, f"one-{number}").template) == (
            ODD_NAME, (("DESCRIPTION", ODD_NAME),)
        )
    assert not Path("/onedr-hit").exists()


def test_key_file_and_configuration_of_the_datastore_are_used(
    here: Drivers, site: Site, files: Path, tmp_path: Path
) -> None:
    keys = (site.folder / "keyring").read_text()
    (tmp_path / "key").write_text(keys.split("[client.oneadmin]")[1].split("key = ")[1].split("\n")[0])
    lines = [line for line in site.ceph_conf.read_text().splitlines() if not line.startswith("keyring")]
    (tmp_path / "ceph.conf").write_text("\n".join([*lines[:1], "keyring = /nowhere", *lines[1:], ""]))
    bare = datastore(site, CEPH_CONF=str(tmp_path / "ceph.conf"))
    refused(here.ds("cp", image(30, str(files / "raw")), bare), "CEPH_KEY")
    keyed = datastore(site, CEPH_CONF=str(tmp_path / "ceph.conf"), CEPH_KEY=str(tmp_path / "key"))
    succeeded(here.ds("cp", image(30, str(files / "raw")), keyed), "one/one-30 raw\n")
    lost = datastore(site, CEPH_CONF=str(tmp_path / "ceph.conf"), CEPH_KEY=str(tmp_path / "none"))
    refused(here.ds("cp", image(31, str(files / "raw")), lost), "CEPH_KEY")
    # librados' own default: the environment, as for `rbd`
    unsaid = datastore(site, CEPH_CONF=None, CEPH_USER=None)
    succeeded(here.ds("cp", image(31, str(files / "raw")), unsaid), "one/one-31 raw\n")


def test_an_image_that_has_the_name_already_is_left_alone(here: Drivers, site: Site, files: Path) -> None:
    here.rbd("import", str(files / "odd"), "one/one-35")
    succeeded(here.ds("mkfs", image(36), datastore(site)), "one/one-36\n")
    before, state = (
        contents(site),
        (facts(site, "one-35"), metadata(site, "one-35"), metadata(site, "one-36")),
    )
    for number, owner in ((35, "an owner unknown to OneDR"), (36, "image 36")):
        for action, path in (("cp", str(files / "raw")), ("mkfs", ""), ("clone", "one/one-36")):
            done = here.ds(action, image(number, path), datastore(site))
            refused(done, f"one/one-{number} already exists", owner, "untouched")
    assert contents(site) == before
    assert (facts(site, "one-35"), metadata(site, "one-35"), metadata(site, "one-36")) == state
    assert digest(site, "one-35") == sha(files / "odd")


def test_the_second_site_names_its_images_apart(here: Drivers, site: Site) -> None:
    shifted = datastore(site, DR_SITE_INDEX="1")
    succeeded(here.ds("mkfs", image(37), shifted), "one/one-1000000037\n")
    assert "one-1000000037" in contents(site)[0]


def test_a_name_without_an_image_from_a_create_that_was_killed_inside_ceph_is_no_obstacle(
    here: Drivers, site: Site
) -> None:
    assert here.ds("mkfs", image(139), datastore(site)).returncode == 0
    with connection.connect(CephAccess("one", "admin", str(site.ceph_conf))) as pool:
        maker = images.creator(pool, "one-139")
        with pool.image("one-139") as found:
            header = f"rbd_header.{found.id()}"
        pool.io.remove_object(header)
        refused(here.ds("mkfs", image(139), datastore(site)), "already exists and belongs to an owner unknown to OneDR")
        pending_images.note_pending(pool, "one-139", maker)
        assert here.ds("mkfs", image(139), datastore(site)).returncode == 0
        assert images.creator(pool, "one-139") == maker and pool.names().count("one-139") == 1


def test_cp_killed_in_the_middle_begins_anew_when_it_is_run_again(
    here: Drivers, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(MIB) * 128)
    # it leaves a folder
    wanted, staged = image(38, str(tmp_path / "big")), datastore(site, STAGING_DIR=str(tmp_path))
    with here.popen("datastore", "cp", 38) as process:
        assert process.stdin is not None
        process.stdin.write(calls.stdin_of(wanted, staged))
        process.stdin.close()
        with calls.opened(site) as io:
            until("the image to be begun", lambda: "one-38" in rbd.RBD().list(io), 30, 0.01)
        process.kill()
    assert process.returncode == -9
    again = here.ds("cp", wanted, datastore(site))
    assert again.returncode == 0, again.stderr
    succeeded(again, "one/one-38 raw\n")
    assert digest(site, "one-38") == sha(tmp_path / "big")


def test_cp_of_a_large_file_needs_little_memory(here: Drivers, site: Site, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(256 * MIB)
        file.seek(100 * MIB + 17)
        file.write(os.urandom(9 * MIB))
    # A small parent in between: a child's peak counts from what its parent had at the fork.
    measure = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); " \
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    wanted = calls.stdin_of(image(39, str(sparse)), datastore(site))
    done = here.call("datastore", "cp", 39, stdin=wanted, prefix=[sys.executable, "-c", measure])
    assert done.stderr == "one/one-39 raw\n"
    assert int(done.stdout) < 100 * 1024  # KiB
    assert digest(site, "one-39") == sha(sparse)


def test_mkfs_makes_empty_images_as_the_stock_script_does(here: Drivers, site: Site) -> None:
    for number, extra in ((40, {}), (41, {"EC_POOL_NAME": "one-data"})):
        succeeded(here.ds("mkfs", image(number, size=16), datastore(site, **extra)), f"one/one-{number}\n")
        pool = ["--data-pool", "one-data"] if extra else []
        here.rbd(*pool, "create", "--image-format", "2", f"one/stock-{number}", "--size", "16")
        assert facts(site, f"one-{number}") == facts(site, f"stock-{number}")
        assert digest(site, f"one-{number}") == calls.sha256(bytes(16 * MIB))


@pytest.mark.parametrize(
    "number, kind, size, check",
    [
        (42, "ext4", 24, ["e2fsck", "-fn"]),
        (43, "ext2", 8, ["e2fsck", "-fn"]),
        (44, "xfs", 320, ["xfs_repair", "-nf"]),
    ],
)
def test_mkfs_makes_a_sound_file_system(
    here: Drivers, site: Site, tmp_path: Path, number: int, kind: str, size: int, check: list[str]
) -> None:
    succeeded(
        here.ds("mkfs", image(number, size=size, FS=kind, FORMAT="raw"), datastore(site)),
        f"one/one-{number}\n",
    )
    disk = tmp_path / "disk"
    here.rbd("export", f"one/one-{number}", str(disk))
    assert disk.stat().st_size == size * MIB
    done = subprocess.run(
        [*check, disk], capture_output=True, text=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    probed = subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "TYPE", disk], capture_output=True, text=True
    )
    assert probed.stdout.strip() == kind


def test_mkfs_for_a_saved_disk_makes_nothing(here: Drivers, site: Site) -> None:
    before = contents(site)
    succeeded(here.ds("mkfs", image(45, FORMAT="save_as"), datastore(site)), "one/one-45\n")
    assert contents(site) == before


def test_clone_is_a_full_copy_as_of_the_stock_script(here: Drivers, site: Site, files: Path) -> None:
    protected = datastore(site, DR_PROTECT="YES")
    succeeded(here.ds("cp", image(50, str(files / "odd")), protected), "one/one-50 raw\n")
    for number, extra in ((51, {}), (52, {"EC_POOL_NAME": "one-data"})):
        made = here.ds("clone", image(number, "one/one-50"), datastore(site, **extra))
        succeeded(made, f"one/one-{number} raw\n")
        here.rbd(*(["--data-pool", "one-data"] if extra else []), "copy", "one/one-50", f"one/stock-{number}")
        assert facts(site, f"one-{number}") == facts(site, f"stock-{number}")
        assert facts(site, f"one-{number}")["parent"] is None
        assert digest(site, f"one-{number}") == sha(files / "odd")
        assert set(metadata(site, f"one-{number}")) == {"onedr.made"}


def test_stat_answers_mebibytes_rounded_up(here: Drivers, site: Site, files: Path) -> None:
    for name, size in (("odd", 6), ("raw", 6), ("qcow2", 6)):
        for path in (str(files / name), f"{URL}/{name}"):
            succeeded(here.ds("stat", {"PATH": path, "SIZE": ""}, datastore(site)), f"{size}\n")


def test_monitor_counts_as_the_stock_script_and_what_a_quota_leaves(here: Drivers, site: Site) -> None:
    def stock() -> str:
        with connect(site) as cluster:
            pools = command(cluster, prefix="df", detail="detail")["pools"]
        found = next(entry["stats"] for entry in pools if entry["name"] == "one")
        used, free = found["stored"] or found["bytes_used"], found["max_avail"]
        free = max(0, min(free, found["quota_bytes"] - used)) if found["quota_bytes"] else free
        return f"USED_MB={used // MIB}\nTOTAL_MB={(used + free) // MIB}\nFREE_MB={free // MIB}\n"

    def asked(**attributes: str) -> str:
        data = calls.stdin_of(None, datastore(site, **attributes))
        done = here.call("datastore", "monitor", calls.DATASTORE_ID, stdin=data)
        assert done.returncode == 0
        return done.stdout

    until("the same numbers", lambda: asked() == stock(), 20)
    until("the same numbers in spite of a slip", lambda: asked(DR_MODE="JURNAL") == stock(), 20)
    with connect(site) as cluster:
        command(cluster, prefix="osd pool set-quota", pool="one", field="max_bytes", val=str(4096 * MIB))
        until("the quota as free space", lambda: asked() == stock() and "TOTAL_MB=4096" in asked(), 30)
        command(cluster, prefix="osd pool set-quota", pool="one", field="max_bytes", val="0")


@pytest.mark.parametrize("mode", MODES)
def test_what_is_made_in_a_protected_datastore_has_a_copy_and_its_record(
    here: Drivers, site: Site, files: Path, mode: str
) -> None:
    there = here.bed.sites["site-b"]
    protected = datastore(site, DR_PROTECT="YES", DR_MODE=mode)
    base = 60 + 5 * list(MODES).index(mode)
    succeeded(here.ds("cp", image(base, f"{URL}/qcow2"), protected), f"one/one-{base} raw\n")
    succeeded(here.ds("mkfs", image(base + 1, size=24, FS="ext4"), protected), f"one/one-{base + 1}\n")
    succeeded(here.ds("clone", image(base + 2, f"one/one-{base}"), protected), f"one/one-{base + 2} raw\n")
    kept = image(base + 3, str(files / "raw"), attributes={"DR_PROTECT": "NO"})
    succeeded(here.ds("cp", kept, protected), f"one/one-{base + 3} raw\n")
    for number in range(base, base + 3):
        name = f"one-{number}"
        wanted = digest(site, name)
        assert wanted is not None and calls.mode_of(site, name) == MODES[mode]
        arrives(there, name, wanted)
        for where in (site, there):
            assert (record(where, name).image_id, record(where, name).name) == (number, f"image {number}")
            assert (record(where, name).owner, record(where, name).permissions) == ("oneadmin", "111000000")
    assert calls.mode_of(site, f"one-{base + 3}") is None
    assert f"one-{base + 3}" not in contents(there)[0]
    if mode == "SNAPSHOT":
        assert "every 5m" in here.rbd(
            "mirror", "snapshot", "schedule", "ls", "-p", "one", "--image", f"one-{base}"
        )


def test_an_image_that_cannot_be_mirrored_is_made_and_marked(here: Drivers, site: Site, files: Path) -> None:
    done = here.ds("cp", image(70, str(files / "raw")), datastore(site, DR_PROTECT="YES", POOL_NAME="plain"))
    assert (done.returncode, done.stdout) == (0, "plain/one-70 raw\n")
    assert done.stderr.startswith("WARN: one-70 is not protected yet: pool plain does not mirror per image")
    with calls.opened(site, "plain") as io, rbd.Image(io, "one-70", read_only=True) as found:
        assert "pool plain does not mirror" in found.metadata_get(".rbd_onedr.problem")


ENTITY = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
RAW_INPUT = {
    "not base64": b"%%% garbage &&&",
    "not even text": b"\xff\xfe\x00\x80",
    "nothing": b"",
    "cut base64": calls.encoded("<DS_DRIVER_ACTION_DATA/>")[:-7],
    "base64 of no XML": calls.encoded("hello"),
    "another document": calls.encoded("<VM><ID>1</ID></VM>"),
    "no datastore": calls.stdin_of(image(80, "/etc/hostname"), None),
    "an external entity": calls.encoded(
        f"{ENTITY}<DS_DRIVER_ACTION_DATA><IMAGE><PATH>&e;</PATH></IMAGE><DATASTORE/></DS_DRIVER_ACTION_DATA>"
    ),
    "a bomb of entities": calls.encoded(
        f"{BOMB}<DS_DRIVER_ACTION_DATA><DATASTORE>&b;</DATASTORE></DS_DRIVER_ACTION_DATA>"
    ),
}


@pytest.mark.parametrize("what", RAW_INPUT)
def test_unreadable_driver_data_is_refused_and_changes_nothing(here: Drivers, site: Site, what: str) -> None:
    before = contents(site)
    for action in ("cp", "rm") if what == "no datastore" else ("cp",):
        refused(here.call("datastore", action, 80, stdin=RAW_INPUT[what]), "driver data")
    assert contents(site) == before


def bad_files(folder: Path) -> dict[str, str]:
    """Files that cp must not take, made in `folder`; what the refusal says."""
    (folder / "secret").write_bytes(b"s" * 512)
    backed = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(folder / "secret")]
    subprocess.run([*backed, str(folder / "backed")], check=True)
    dataful = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={folder / 'data'}"]
    subprocess.run([*dataful, str(folder / "dataful"), "1M"], check=True)
    (folder / "flat").write_text(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
        f"RW 1 FLAT \"{folder / 'secret'}\" 0\nddb.adapterType = \"ide\"\n"
    )
    (folder / "archive").write_bytes(b"\x1f\x8b\x08" + bytes(600))
    return {
        "backed": "refers to other files",
        "dataful": "refers to other files",
        "flat": "refers to other files",
        "archive": "damaged gzip file",
    }


def test_files_that_point_at_other_files_are_refused(
    here: Drivers, site: Site, files: Path, tmp_path: Path
) -> None:
    before = contents(site)
    for name, words in bad_files(tmp_path).items():
        for action in ("cp", "stat"):
            refused(
                here.ds(action, image(81, str(tmp_path / name)), datastore(site)), words, str(tmp_path / name)
            )
    (tmp_path / "flat").rename(files / "flat")
    refused(here.ds("cp", image(81, f"{URL}/flat"), datastore(site)), "refers to other files", f"{URL}/flat")
    assert contents(site) == before


@pytest.mark.parametrize(
    "path, words",
    [
        ("", "no PATH"),
        ("relative/path", "neither a local file"),
        ("file:///etc/hostname", "neither a local file"),
        ("ftp://127.0.0.1/x", "neither a local file"),
        ("/nowhere/at/all", "no such file"),
        ("/var", "no such file"),
        ("/" + "x" * 5000, "cannot access"),
        ("/etc/host\nname", "no such file"),
        ("--help", "neither a local file"),
        (f"{URL}/absent", "404"),
        ("http://127.0.0.1:9/x", "Cannot fetch"),
        ("http://[::1/x", "Cannot fetch"),
        ("http://127.0.0.1:none/x", "Cannot fetch"),
        ("http://", "Cannot fetch"),
        ("/dev/zero", "no such file"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(
    here: Drivers, site: Site, files: Path, path: str, words: str
) -> None:
    before = contents(site)
    refused(here.ds("cp", image(82, path), datastore(site)), words)
    refused(here.ds("stat", {"PATH": path, "SIZE": ""}, datastore(site)), words)
    assert contents(site) == before


@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"POOL_NAME": "nosuch"}, "no pool 'nosuch'"),
        ({"POOL_NAME": "one; rm -rf /"}, "not a valid name"),
        ({"POOL_NAME": "--help"}, "not a valid name"),
        ({"CEPH_CONF": "/nowhere.conf"}, "CEPH_CONF"),
        ({"CEPH_USER": "nobody"}, "CEPH_USER"),
        ({"EC_POOL_NAME": "nosuch"}, "EC_POOL_NAME"),
        ({"STAGING_DIR": "/nowhere"}, "STAGING_DIR"),
        ({"DR_MODE": "x", "DR_SITE_INDEX": "7"}, "DR_SITE_INDEX"),
    ],
)
def test_a_datastore_that_cannot_be_used_is_refused(
    here: Drivers, site: Site, files: Path, attributes: Any, words: str
) -> None:
    before = contents(site)
    refused(here.ds("cp", image(83, str(files / "raw")), datastore(site, **attributes)), words)
    assert contents(site) == before


def test_missing_and_wrong_values_of_an_image_are_refused(here: Drivers, site: Site, files: Path) -> None:
    before, usual = contents(site), datastore(site)
    for action, changed, words in (
        ("mkfs", {"SIZE": None}, "SIZE"),
        ("mkfs", {"SIZE": "-1"}, "SIZE"),
        ("mkfs", {"SIZE": "8; ls"}, "SIZE"),
        ("mkfs", {"FS": "ntfs"}, "Unsupported file system"),
        ("mkfs", {"FS": "ext4 -E x"}, "Unsupported file system"),
        ("mkfs", {"FS": "xfs", "SIZE": "1"}, "mkfs"),
        ("clone", {"PATH": "other/one-1"}, "another pool"),
        ("clone", {"PATH": "one/one-99999"}, "no such RBD image"),
        ("clone", {"PATH": "one one"}, "pool/image"),
        ("cp", {"ID": None, "PATH": str(files / "raw")}, "ID"),
        ("rm", {"SOURCE": "../x"}, "pool/image"),
    ):
        data = calls.stdin_of({**image(84), **changed}, usual)
        refused(here.call("datastore", action, 84, stdin=data), words)
    data = calls.stdin_of(image(84, str(files / "raw")), usual)
    for argv in ([], ["x"], ["-1"], ["84 ; ls"], [""]):
        refused(here.call("datastore", "cp", *argv, stdin=data), "IMAGE_ID")
    for action in ("cp", "mkfs", "clone", "rm", "stat"):
        refused(here.call("datastore", action, 84, stdin=calls.stdin_of(None, usual)), "no IMAGE")
    assert contents(site) == before
