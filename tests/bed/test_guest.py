"""Real guests: they boot, count on over kills and suspends, and what they told is on the disk."""
from __future__ import annotations

import base64
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rbd

from sandbox import frontends
from sandbox.bed import Bed
from sandbox.ceph.cluster import connect
from sandbox.guest import ledger
from sandbox.guest.ledger import Record
from sandbox.layout import POOL, REPO
from sandbox.waiting import until

VMM = REPO / "sandbox" / "guest" / "vmm"
JOURNALED = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_JOURNALING
VM = 7
DISKS = ("vda", "vdb")
ATTACH = """<VMM_DRIVER_ACTION_DATA><VM><ID>7</ID><TEMPLATE>
<DISK><DISK_ID>0</DISK_ID><TARGET>vda</TARGET><TYPE>RBD</TYPE><SOURCE>one/g</SOURCE><CLONE>NO</CLONE></DISK>
<DISK><ATTACH>YES</ATTACH><DISK_ID>3</DISK_ID><TARGET>vdc</TARGET><TYPE>RBD</TYPE><SOURCE>one/g</SOURCE>
<CLONE>YES</CLONE></DISK></TEMPLATE></VM></VMM_DRIVER_ACTION_DATA>"""


class Guest:
    """A guest of site-a with disks one/g-vda and one/g-vdb, driven by the VMM's executables as oned drives them."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed, self.site = bed, bed.sites["site-a"]
        self.checkpoint = folder / "checkpoint"
        self.deployment = folder / "deployment.0"
        disks = "".join(
            f"<disk type='network' device='disk'><source protocol='rbd' name='one/g-{target}'/>"
            f"<auth username='oneadmin'/><target dev='{target}'/></disk>" for target in DISKS
        )
        self.deployment.write_text(
            f"<domain type='kvm'><name>one-{VM}</name><devices>{disks}<disk type='file' device='cdrom'>"
            "<source file='/nowhere/disk.2'/><target dev='sda'/></disk></devices></domain>"
        )

    def call(self, action: str, *argv: object) -> subprocess.CompletedProcess[str]:
        return self.bed.run("site-a", [str(VMM / action), *map(str, argv)], capture_output=True, text=True)

    def do(self, action: str, *argv: object) -> str:
        done = self.call(action, *argv)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def deploy(self) -> str:
        return self.do("deploy", self.deployment, "host", VM, "host")

    def end(self, action: str) -> str:
        return self.do(action, f"one-{VM}", "host", VM, "host")

    def told(self, disk: str = "vda") -> list[Record]:
        return ledger.read_console(self.site.console(VM)).get(disk, [])

    def more(self, disk: str = "vda", records: int = 1, limit_s: float = 120) -> list[Record]:
        """Wait until so many more records were told; returns all."""
        have = len(self.told(disk))
        until(f"{records} records of {disk}", lambda: len(self.told(disk)) >= have + records, limit_s)
        return self.told(disk)

    def on_disk(self, image: str) -> list[Record]:
        with (
            connect(self.site) as cluster, cluster.open_ioctx(POOL) as io,
            rbd.Image(io, image, read_only=True) as opened,
        ):
            return ledger.read_image(opened)


def create(bed: Bed, *names: str, size_mib: int = 16) -> None:
    with connect(bed.sites["site-a"]) as cluster, cluster.open_ioctx(POOL) as io:
        for name in names:
            rbd.RBD().create(io, name, size_mib << 20, old_format=False, features=JOURNALED)


@pytest.fixture(scope="module")
def images(ceph_bed: Bed) -> None:
    frontends.write_vmm_conf(ceph_bed.sites["site-a"])
    create(ceph_bed, *(f"g-{disk}" for disk in DISKS), "g-7-3")


@pytest.fixture
def guest(ceph_bed: Bed, images: None, tmp_path: Path) -> Iterator[Guest]:
    """A running guest that has told its first record."""
    made = Guest(ceph_bed, tmp_path)
    assert made.deploy() == f"one-{VM}"
    made.more()
    yield made
    made.end("cancel")


def numbers(records: list[Record]) -> list[int]:
    return [record.number for record in records]


def test_it_boots_in_time_and_counts(guest: Guest) -> None:
    guest.end("cancel")
    begun = time.monotonic()
    guest.deploy()
    records = guest.more()
    assert time.monotonic() - begun < 10
    last = guest.more(records=20)[-1]
    assert abs(last.time_ms / 1000 - time.time()) < 1
    assert last.number > records[-1].number
    assert guest.do("poll", f"one-{VM}", "host") == "STATE=a"
    assert guest.do("monitor") == f'VM = [ ID="{VM}", DEPLOY_ID="one-{VM}", STATE="RUNNING" ]'


def test_what_it_told_is_on_every_disk(guest: Guest) -> None:
    guest.more(records=5)
    log = guest.site.console(VM)
    told = ledger.read_console(log)
    for disk in DISKS:
        assert ledger.lost(told[disk], guest.on_disk(f"g-{disk}")) == []
    # A turn is on both disks, but for the first and the last of each life of the guest.
    ticks = [{r.tick for r in told[disk]} for disk in DISKS]
    assert len(ticks[0] ^ ticks[1]) <= 2 * log.read_text().count("LEDGER vda")


def test_it_runs_in_its_site(guest: Guest) -> None:
    pid = int((guest.site.guests / str(VM) / "pid").read_text())
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert f"SANDBOX_SITE={guest.site.folder}".encode() in environ
    inside = os.stat(f"/proc/{pid}/ns/net")
    assert os.path.samestat(inside, os.stat(f"/run/netns/{guest.site.netns}"))
    assert guest.bed.status()["site-a"]["guests"] == 1


@pytest.mark.long  # every failover test kills a site too
@pytest.mark.parametrize("loss", ["guest", "site"])
def test_it_goes_on_after_a_kill(guest: Guest, loss: str) -> None:
    pid = int((guest.site.guests / str(VM) / "pid").read_text())
    guest.more(records=3)
    if loss == "site":
        guest.bed.kill("site-a")
    else:
        os.kill(pid, signal.SIGKILL)
    until("the guest to die", lambda: guest.do("poll", f"one-{VM}", "host") == "STATE=d", 10)
    before = guest.told()[-1].number
    guest.bed.up(frontends=False)
    # Up to 30 s: Ceph waits for the watch of the dead client.
    guest.deploy()
    after = guest.more()
    assert after[-1].number in (before + 1, before + 2)
    assert ledger.lost(after, guest.on_disk("g-vda")) == []


def test_an_orderly_end(guest: Guest) -> None:
    guest.more(records=2)
    guest.end("shutdown")
    assert "OFF" in guest.site.console(VM).read_text().split()[-30:]
    assert numbers(guest.on_disk("g-vda"))[-1] == guest.told()[-1].number
    guest.end("shutdown")  # what is off is off
    last = guest.told()[-1].number
    guest.deploy()
    assert guest.more()[-1].number == last + 1


def test_suspend_and_resume(guest: Guest) -> None:
    guest.more(records=2)
    guest.do("save", f"one-{VM}", guest.checkpoint, "host", VM, "host")
    assert guest.do("poll", f"one-{VM}", "host") == "STATE=d"
    before = guest.told()
    boots = guest.site.console(VM).read_text().count("LEDGER")
    assert guest.do("restore", guest.checkpoint, "host", f"one-{VM}", VM, "host") == f"one-{VM}"
    after = guest.more(records=10)
    assert guest.site.console(VM).read_text().count("LEDGER") == boots
    assert numbers(after) == numbers(before) + list(range(before[-1].number + 1, after[-1].number + 1))
    assert abs(after[-1].time_ms / 1000 - time.time()) < 1
    assert not guest.checkpoint.exists()


def test_a_disk_comes_and_goes(guest: Guest) -> None:
    data = base64.b64encode(ATTACH.encode()).decode()
    guest.do("attach_disk", f"one-{VM}", "/nowhere/disk.3", "vdc", 2, data, VM, "host")
    assert numbers(guest.more("vdc", 3))[:3] == [1, 2, 3]
    # The suspended guest finds it again at its place.
    guest.do("save", f"one-{VM}", guest.checkpoint, "host", VM, "host")
    guest.do("restore", guest.checkpoint, "host", f"one-{VM}", VM, "host")
    guest.more("vdc")
    guest.do("detach_disk", f"one-{VM}", "/nowhere/disk.3", "vdc", 2, VM, "host")
    gone = guest.told("vdc")
    guest.more(records=4)
    assert guest.told("vdc") == gone
    # A record may be on the disk that was pulled before it could be told.
    assert numbers(guest.on_disk("g-7-3"))[:len(gone)] == numbers(gone)


def test_a_reset_loses_nothing(guest: Guest) -> None:
    boots = guest.site.console(VM).read_text().count("LEDGER vda")
    guest.end("reboot")
    until("the next boot", lambda: guest.site.console(VM).read_text().count("LEDGER vda") > boots, 120)
    guest.more()
    assert ledger.lost(guest.told(), guest.on_disk("g-vda")) == []


def test_refusals(guest: Guest) -> None:
    twice = guest.call("deploy", guest.deployment, "host", VM, "host")
    assert (twice.returncode, twice.stderr) == (1, f"deploy: one-{VM} runs already\n")
    snapshot = guest.call("snapshot_create", f"one-{VM}", "0", VM, "host")
    assert (snapshot.returncode, snapshot.stderr.count("\n")) == (1, 1)
    short = guest.call("save", f"one-{VM}")
    assert short.returncode == 1
    assert "too few arguments" in short.stderr
    nowhere = guest.call("poll", "one-99", "host")
    assert nowhere.stdout == "STATE=d\n"


def test_a_missing_image_is_an_error_that_names_it(ceph_bed: Bed, images: None, tmp_path: Path) -> None:
    made = Guest(ceph_bed, tmp_path)
    made.deployment.write_text(made.deployment.read_text().replace("one/g-vda", "one/nowhere"))
    done = made.call("deploy", made.deployment, "host", VM, "host")
    assert done.returncode == 1
    assert "nowhere" in done.stderr
