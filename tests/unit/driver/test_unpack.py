"""What a fetched file may hold: compressed streams, archives of increments; and the folders they are
unpacked in.
"""
from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import signal
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lxml import etree

from onedr.driver import staging, unpack
from onedr.host import temp_dirs
from onedr.model import template
from onedr.model.errors import InputError, OneDRError
from onedr.model.template import Pairs
from sandbox.waiting import until

MIB = 1 << 20
DISK = bytes(range(256)) * 4096 + bytes(5 * MIB) + b"end" + bytes(509)  # not a whole MiB
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one/var/remotes/datastore", "one/etc", "home", "staging", "data"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path / "one"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def image(path: object) -> etree._Element:
    return template.parse_xml(
        template.to_xml((("PATH", str(path)), ("TEMPLATE", (("X", "1"),))), root="IMAGE")
    )


def attributes(here: Path, **more: str) -> Pairs:
    return (("STAGING_DIR", str(here / "staging")), *more.items())


def taken(here: Path, path: object, **more: str) -> bytes:
    """The disk that `cp` would make; nothing stays in the staging folder."""
    with staging.raw_file(image(path), attributes(here, **more)) as found:
        data = found.read_bytes()
    assert not list((here / "staging").iterdir())
    return data


def size(here: Path, path: object, **more: str) -> int:
    found = staging.virtual_size(image(path), attributes(here, **more))
    assert not list((here / "staging").iterdir())
    return found


@pytest.mark.parametrize("kind", PACK)
def test_a_compressed_raw_disk_is_the_disk_within(here: Path, kind: str) -> None:
    path = here / "data/disk"
    path.write_bytes(PACK[kind](DISK))
    assert size(here, path) == len(DISK)
    assert taken(here, path) == DISK


@pytest.mark.parametrize("kind", PACK)
def test_a_compressed_qcow2_tells_its_virtual_size(here: Path, kind: str) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", here / "plain", "3M"], check=True)
    path = here / "data/disk"
    path.write_bytes(PACK[kind]((here / "plain").read_bytes()))
    assert size(here, path) == 3 * MIB
    assert taken(here, path) == bytes(3 * MIB)


def test_streams_behind_one_another_are_one_disk(here: Path) -> None:
    path = here / "data/disk"
    path.write_bytes(gzip.compress(DISK[:512]) + gzip.compress(DISK[512:]))
    assert taken(here, path) == DISK and size(here, path) == len(DISK)


def test_no_decompress_takes_the_bytes_as_they_are(here: Path) -> None:
    path = here / "data/disk"
    path.write_bytes(gzip.compress(DISK))
    assert taken(here, path, NO_DECOMPRESS="YES") == path.read_bytes()
    assert size(here, path, NO_DECOMPRESS="yes") == -(-path.stat().st_size // 512) * 512


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize(
    "damage", [lambda d: d[:-9], lambda d: d[:9000] + bytes(99) + d[9099:]], ids=["cut", "broken"]
)
def test_a_damaged_stream_is_refused(here: Path, kind: str, damage: Callable[[bytes], bytes]) -> None:
    path = here / "data/disk"
    path.write_bytes(damage(PACK[kind](os.urandom(100_000))))
    for use in (size, taken):
        with pytest.raises(InputError, match=f"{path} is a damaged {kind} file"):
            use(here, path)


def test_a_bomb_stops_at_the_room_there_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here / "data/bomb"
    path.write_bytes(gzip.compress(bytes(64 * MIB)))
    monkeypatch.setattr(unpack, "room", lambda folder: 32 * MIB)
    for use in (size, taken):
        with pytest.raises(InputError, match="STAGING_DIR"):
            use(here, path)


def test_a_compressed_image_that_points_elsewhere_is_refused(here: Path) -> None:
    secret = here / "one/etc/secret"
    secret.write_bytes(bytes(MIB))
    plain = here / "plain"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", plain], check=True)
    path = here / "data/disk"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    for use in (size, taken):
        with pytest.raises(InputError, match="refers to other files"):
            use(here, path)


# -- archives of increments
# ------------------------------------------------------------------------------------------


def record(tag: bytes, *numbers: int, data: bytes = b"", second: bool = False) -> bytes:
    body = struct.pack(f"<{len(numbers)}Q", *numbers)
    return tag + (struct.pack("<Q", len(body)) if second else b"") + body + data


def named(tag: bytes, name: str, second: bool = False) -> bytes:
    body = struct.pack("<I", len(name)) + name.encode()
    return tag + (struct.pack("<Q", len(body)) if second else b"") + body


def base(disk_size: int, data: bytes) -> bytes:
    header = (
        b"rbd image v2\n"
        + b"O"
        + struct.pack("<QQ", 8, 22)
        + b"E"
        + b"rbd image diffs v2\n"
        + struct.pack("<Q", 1)
    )
    return (
        header
        + b"rbd diff v2\n"
        + named(b"t", "one_backup_0", True)
        + b"p"
        + struct.pack("<QB", 8, 1)
        + b"".join(
            (
                record(b"s", disk_size, second=True),
                record(b"w", 0, len(data), data=data, second=True),
                b"e",
            )
        )
    )


def increment(after: str, name: str, *records: bytes) -> bytes:
    return b"rbd diff v1\n" + named(b"f", after) + named(b"t", name) + b"".join(records) + b"e"


def archive(path: Path, **files: bytes) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(f"disk.0.{name}")
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path


def test_increments_are_applied_in_the_order_of_their_numbers(here: Path) -> None:
    files = {
        "10.rbdiff": increment(
            "one_backup_9", "x", record(b"s", 3 * MIB), record(b"w", 2 * MIB, 4, data=b"last")
        ),
        "9.rbdiff": increment(
            "one_backup_0", "one_backup_9", record(b"z", 4, 8), record(b"w", 2 * MIB, 4, data=b"9999")
        ),
        "rbd2": base(3 * MIB, b"A" * 16),
    }
    path = archive(here / "data/backup", **files)
    wanted = bytearray(3 * MIB)
    wanted[:16] = b"AAAA" + bytes(8) + b"AAAA"
    wanted[2 * MIB: 2 * MIB + 4] = b"last"
    assert taken(here, path) == bytes(wanted)
    assert size(here, path) == 3 * MIB


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"1.rbdiff": increment("a", "b")}, "0 files"),
        (
            {"rbd2": base(MIB, b"x"), "1.rbdiff": increment("another", "b", record(b"s", MIB))},
            "is based on 'another'",
        ),
        ({"rbd2": base(MIB, b"x" * 100)[:-50]}, "ends early"),
        ({"rbd2": base(8, b"x" * 100)}, "extends to byte 100 of a disk of 8"),
        ({"rbd2": b"rbd image v1\n" + bytes(100)}, "format 2"),
        ({"rbd2": base(MIB, b"x"), "1.rbdiff": b"rbd diff v1\nf" + struct.pack("<I", 1 << 31)}, "field of"),
        ({"rbd2": base(MIB, b"x"), "1.rbdiff": b"rbd diff v1\n?"}, "unknown record"),
    ],
)
def test_a_broken_archive_is_refused(here: Path, files: dict[str, bytes], words: str) -> None:
    path = archive(here / "data/backup", **files)
    for use in (size, taken):
        with pytest.raises(InputError, match=words):
            use(here, path)


def test_an_archive_with_more_data_than_room_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "room", lambda folder: 50)
    with pytest.raises(InputError, match="STAGING_DIR"):
        taken(here, archive(here / "data/backup", rbd2=base(MIB, b"x" * 100)))


def long_headers(kind: str) -> bytes:
    """A tar whose headers claim, or are, more than any archive of increments has."""
    claim = tarfile.TarInfo("disk.0.rbd2")
    if kind == "many members":
        return claim.tobuf(tarfile.GNU_FORMAT) * 5000
    claim.type = {"long name": tarfile.GNUTYPE_LONGNAME, "pax": tarfile.XHDTYPE}[kind]
    claim.size = 3 << 30
    return claim.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", ["long name", "pax", "many members"])
def test_an_archive_whose_headers_would_fill_the_memory_is_refused(here: Path, kind: str) -> None:
    path = here / "data/backup"
    path.write_bytes(gzip.compress(long_headers(kind) + bytes(8 * MIB)))
    for use in (size, taken):
        with pytest.raises(InputError, match="its headers exceed 1048576 bytes"):
            use(here, path)


def test_an_archive_whose_snapshots_would_fill_the_memory_is_refused(here: Path) -> None:
    def names() -> Iterator[bytes]:
        for number in range(5):
            name = f"{number}".encode() * 500_000
            yield b"t" + struct.pack("<I", len(name)) + name

    path = archive(here / "data/backup", rbd2=base(MIB, b"x"), **{"1.rbdiff": b"rbd diff v1\n" + b"".join(names()) + b"e"})
    for use in (size, taken):
        with pytest.raises(InputError, match="the names of its snapshots exceed 1048576 bytes"):
            use(here, path)


def test_a_name_of_some_length_is_read(here: Path) -> None:
    with tarfile.open(here / "data/backup", "w:gz", format=tarfile.GNU_FORMAT) as packed:
        info = tarfile.TarInfo("x" * 200 + "/disk.0.rbd2")
        info.size = len(base(MIB, b"x"))
        packed.addfile(info, io.BytesIO(base(MIB, b"x")))
    assert size(here, here / "data/backup") == MIB


def test_a_helper_program_gets_so_much_memory_and_no_more(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "bin").mkdir()
    (here / "bin/qemu-img").write_text(
        '#!/bin/sh\nulimit -v >> "$0.limits"\nexec /usr/bin/qemu-img "$@"\n'
    )
    (here / "bin/qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}/bin:{os.environ['PATH']}")
    subprocess.run(["/usr/bin/qemu-img", "create", "-q", "-f", "qcow2", here / "data/disk", "1M"], check=True)
    assert taken(here, here / "data/disk") == bytes(MIB)
    assert (here / "bin/qemu-img.limits").read_text().split() == ["2097152"] * 3  # info, measure, convert


# -- addresses for OpenNebula's downloader
# -----------------------------------------------------------------------------


def downloader(here: Path, script: str) -> None:
    path = here / "one/var/remotes/datastore/downloader.sh"
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


ADDRESSES = (
    "rsync://100//0:3ffce7,1:6ca565/var/lib/one/datastores/100/1/3ffce7/disk.0.0",
    "restic+rbd://1/2/0:a/b/disk.0.rbd2",
    "s3://bucket/object",
    "ssh://user@host:/var/x.img",
    "lxd://https://host//a.tar.xz?size=1&filesystem=ext4&format=raw",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_opennebulas_downloader_fetches_the_address_it_is_given(here: Path, url: str) -> None:
    downloader(
        here,
        f'printf "%s\\n" "$@" "${{DRV_ACTION:+secret}}" > {here}/asked; cp {here}/data/disk "${{@: -1}}"',
    )
    (here / "data/disk").write_bytes(gzip.compress(DISK))
    assert taken(here, url, LIMIT_TRANSFER_BW="10M") == DISK
    options, last = (here / "asked").read_text().split("\n")[:4], (here / "asked").read_text().split("\n")[5]
    assert options == ["--nodecomp", "--limit", "10M", url]
    assert (last == "secret") == url.startswith("s3://")
    with pytest.raises(InputError, match="unknown before it is fetched"):
        size(here, url)


def test_a_fetched_image_is_checked_like_any_other(here: Path) -> None:
    (here / "one/etc/secret").write_bytes(bytes(MIB))
    subprocess.run(
        [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-b",
            here / "one/etc/secret",
            "-F",
            "raw",
            here / "data/disk",
        ],
        check=True,
    )
    downloader(here, f'cp {here}/data/disk "${{@: -1}}"')
    with pytest.raises(InputError, match="refers to other files"):
        taken(here, ADDRESSES[0])
    wrong = image(ADDRESSES[0])
    wrong.find("TEMPLATE").append(etree.fromstring("<MD5>00</MD5>"))  # type: ignore[union-attr]
    with pytest.raises(InputError, match="MD5"), staging.raw_file(wrong, attributes(here)):
        pass


@pytest.mark.parametrize(
    ("script", "words"), [("echo no such host >&2; exit 1", "no such host"), ("exit 0", "no file")]
)
def test_a_downloader_that_fails_is_quoted(here: Path, script: str, words: str) -> None:
    downloader(here, script)
    with pytest.raises(OneDRError, match=words):
        taken(here, ADDRESSES[0])


def test_a_downloader_that_never_ends_is_ended_with_all_it_started(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloader(here, f"sleep 1000 & echo $! > {here}/pid; wait")
    monkeypatch.setattr(staging, "_FETCH_LIMIT_S", 1)
    with pytest.raises(OneDRError, match="failed"):
        taken(here, ADDRESSES[0])
    until("it to end", lambda: has_ended((here / "pid").read_text().strip()), 10)


def has_ended(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"  # nobody may bury it
    except FileNotFoundError:
        return True


def test_without_a_downloader_the_address_is_refused(here: Path) -> None:
    with pytest.raises(InputError, match="needs OpenNebula's downloader"):
        taken(here, ADDRESSES[0])


# -- folders of the moment
# ---------------------------------------------------------------------------------------------


def killed_in_a_folder(below: Path) -> Path:
    """The folder of a process that was killed while it used it."""
    code = (
        "import pathlib, sys, time; from onedr.host import temp_dirs\n"
        "with temp_dirs.temp_folder(pathlib.Path(sys.argv[1])) as made:\n"
        "    (made / 'disk').write_bytes(b'x'); print(made, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(below)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        made = Path(child.stdout.readline().strip())
        child.send_signal(signal.SIGKILL)
    assert (made / "disk").exists()
    return made


def test_a_killed_actions_folder_goes_with_the_next_action(here: Path) -> None:
    below = here / "staging"
    left = killed_in_a_folder(below)
    foreign = below / "onedr-file"
    foreign.write_text("not a folder")
    with temp_dirs.temp_folder(below) as first, temp_dirs.temp_folder(below) as second:
        assert not left.exists() and foreign.exists()
        assert first.is_dir() and second.is_dir() and first != second
    assert list(below.iterdir()) == [foreign]
