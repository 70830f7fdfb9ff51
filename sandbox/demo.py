"""`make demo`: a VM is protected by itself, its site dies, one attribute at the peer brings it back.

Everything below OpenNebula is real: two Ceph clusters, rbd-mirror, QEMU guests. Ends with a table, and with
exit code 1 when a guest lost more than its recovery point said or any byte differs.
"""
from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import rados
import rbd
from rich.console import Console
from rich.table import Table

from sandbox.bed import Bed
from sandbox.cloud import DATASTORE, NETWORK, Cloud, of_site
from sandbox.guest import ledger
from sandbox.waiting import SandboxError, until

IMAGE_MIB = 64
_HALF = IMAGE_MIB // 2 << 20
_OUT = Console(highlight=False, soft_wrap=True)


@dataclass
class Guest:
    """A VM of the story: `disks` are its RBD images at site A, in order."""

    name: str
    vm_id: int
    created: float
    disks: list[str] = field(default_factory=list)
    copied_s: float = 0.0
    printed: list[ledger.Record] = field(default_factory=list)
    vm_there: int = -1
    rto_s: float = 0.0
    kept: int = 0
    lost: int = 0
    lost_s: float = 0.0
    promised_s: float = 0.0
    expected: list[str] = field(default_factory=list)  # SHA-256 of each disk behind the ledger's half
    found: list[str] = field(default_factory=list)
    kept_records: list[int] = field(default_factory=list)


def say(text: str) -> None:
    """One line of progress, with the seconds since the start."""
    _OUT.print(f"[dim]{time.monotonic() - _BEGAN:6.1f} s[/dim]  {text}")


_BEGAN = time.monotonic()


def main() -> None:
    """Run the story on a bed of its own, which is gone afterwards whatever happens."""
    base = Path(os.environ.get("SANDBOX_BASE") or tempfile.mkdtemp(prefix="onedr-"))
    bed = Bed(base)
    try:
        guests = story(bed)
    except SandboxError as error:
        _OUT.print(f"[bold red]The demo failed:[/bold red] {error}", markup=True)
        sys.exit(1)
    finally:
        bed.down()
    sys.exit(0 if report(guests) else 1)


def story(bed: Bed) -> list[Guest]:
    """The whole story; returns what became of the guests."""
    say("Two sites come up: each a Ceph cluster, rbd-mirror and a front-end with OneDR installed")
    bed.up()
    a, b = (of_site(site) for site in bed.sites.values())
    for site in (a, b):
        site.furnish()
    say("An operator creates two VMs at site A with the ordinary commands; nothing is said about protection")
    guests = [persistent(a), with_clone_and_data(a)]
    for guest in guests:
        a.wait_vm(guest.vm_id)
        guest.disks = disks_of(a, guest.vm_id)
        say(f"{guest.name} runs on {' and '.join(guest.disks)}")
    wait_copies(a, guests)
    wait_records(bed, guests)
    before = b.onedr("status", DATASTORE)
    say(f"Site B says {before['state']}: {before['message']}")
    printed = {guest.name: console(bed, "site-a", guest.vm_id) for guest in guests}
    say("Site A dies: every daemon, its front-end and the guests get SIGKILL")
    bed.kill("site-a")
    for guest in guests:
        guest.printed = printed_records(printed[guest.name])
    take_over(bed, b, guests)
    for guest in guests:
        weigh(bed, b, guest)
    return guests


def persistent(a: Cloud) -> Guest:
    """A VM on one persistent image."""
    began = time.monotonic()
    with random_file() as (path, digest):
        image = create_image(a, f"NAME=db-disk\nTYPE=OS\nPERSISTENT=YES\nPATH={path}\nDEV_PREFIX=vd\n")
    template = f'NAME=db\nCPU=0.2\nMEMORY=128\nDISK=[IMAGE_ID={image}]\nNIC=[NETWORK="{NETWORK}"]\n'
    return Guest("db", a.create("onevm", template), began, expected=[digest])


def create_image(a: Cloud, template: str) -> int:
    """`oneimage create`, waited for."""
    image = a.create("oneimage", template, "-d", str(a.datastore_id))
    a.wait_image(image)
    return image


def with_clone_and_data(a: Cloud) -> Guest:
    """A VM on a clone of a non-persistent image, with a second, persistent disk."""
    began = time.monotonic()
    with random_file() as (path, digest):
        base = create_image(a, f"NAME=base\nTYPE=OS\nPATH={path}\nDEV_PREFIX=vd\n")
    data = create_image(a, f"NAME=data\nTYPE=DATABLOCK\nSIZE={IMAGE_MIB}\nPERSISTENT=YES\nDEV_PREFIX=vd\n")
    template = (
        f'NAME=web\nCPU=0.2\nMEMORY=128\nDISK=[IMAGE_ID={base}]\nDISK=[IMAGE_ID={data}]\nNIC=[NETWORK="{NETWORK}"]\n'
        f'LABELS="prod,web"\nDR_PRIORITY=2\n'
    )
    empty = hashlib.sha256(bytes(_HALF)).hexdigest()
    return Guest("web", a.create("onevm", template), began, expected=[digest, empty])


@contextmanager
def random_file() -> Iterator[tuple[Path, str]]:
    """Write a disk file whose second half is random; the SHA-256 of that half."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="onedr-demo-") as folder:
        path = Path(folder) / "disk.raw"
        data = os.urandom(_HALF)
        with path.open("wb") as file:
            file.seek(_HALF)
            file.write(data)
        yield path, hashlib.sha256(data).hexdigest()


def disks_of(site: Cloud, vm_id: int) -> list[str]:
    """RBD names of a VM's disks, in order."""
    found = site.api.vm.info(vm_id).TEMPLATE["DISK"]
    names = []
    for disk in found if isinstance(found, list) else [found]:
        name = disk["SOURCE"].partition("/")[2]
        names.append(f"{name}-{vm_id}-{disk['DISK_ID']}" if disk["CLONE"] == "YES" else name)
    return names


def wait_copies(a: Cloud, guests: list[Guest]) -> None:
    """Wait until each disk has a complete copy at site B, and note when."""

    def look() -> bool:
        complete = {disk["name"] for disk in a.onedr("status", DATASTORE)["disks"] if disk["complete"]}
        for guest in guests:
            if not guest.copied_s and complete >= set(guest.disks):
                guest.copied_s = time.monotonic() - guest.created
                say(f"{guest.name} has a complete copy at site B after {guest.copied_s:.1f} s")
        return all(guest.copied_s for guest in guests)

    until("complete copies at site B", look, 120)


def _acknowledged(log: Path) -> list[ledger.Record]:
    return ledger.read_console(log).get("vda", [])


def wait_records(bed: Bed, guests: list[Guest]) -> None:
    """Let the guests write for a moment, then wait until site B has a recovery point newer than that."""
    logs = [console(bed, "site-a", guest.vm_id) for guest in guests]
    until("guests to write", lambda: all(len(_acknowledged(log)) >= 40 for log in logs), 60)
    now = time.time()
    b = of_site(bed.sites["site-b"])

    def look() -> bool:
        vms = {vm["name"]: vm for vm in b.onedr("status", DATASTORE)["vms"]}
        return all((vms.get(guest.name, {}).get("recovery_point") or 0) > now for guest in guests)

    until("recovery points at site B", look, 60)


def console(bed: Bed, site: str, vm_id: int) -> Path:
    """Console log of a guest."""
    return bed.sites[site].console(vm_id)


def printed_records(log: Path) -> list[ledger.Record]:
    """What a guest said that it had fsynced, on its first disk."""
    return ledger.read_console(log)["vda"]


def take_over(bed: Bed, b: Cloud, guests: list[Guest]) -> None:
    """The operator's part: look, then one attribute."""
    plan = b.onedr("failover", DATASTORE, "--dry-run")
    for vm in plan["vms"]:
        say(f"Before the button: {vm['name']} would come back, losing at most {vm['expected_loss_s']:.1f} s")
    points = {vm["name"]: vm["recovery_point"] for vm in plan["vms"]}
    datastore_id = b.datastore_id
    say(f'The operator at site B: onedatastore update {DATASTORE} with DR_ACTION="FAILOVER"'
        f' DR_CONFIRM="{DATASTORE}"')
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f'DR_ACTION="FAILOVER"\nDR_CONFIRM="{DATASTORE}"\n')
        file.flush()
        b.run("onedatastore", "update", str(datastore_id), file.name, "--append")
    for guest in guests:
        until(f"{guest.name} at site B", partial(find_vm, b, guest), 90)
    waiting = list(guests)
    while waiting:
        guest = waiting.pop(0)
        log = console(bed, "site-b", guest.vm_there)
        if log.exists() and len(ledger.read_console(log).get("vda", [])):
            guest.rto_s = time.monotonic() - began
            say(f"{guest.name} writes again, {guest.rto_s:.1f} s after the command")
        elif time.monotonic() - began > 120:
            raise SandboxError(f"{guest.name} did not write within 120 s at site B, see {log}")
        else:
            waiting.append(guest)
            time.sleep(0.05)
    ended = b.wait_datastore(datastore_id, lambda now: now.get("DR_STATE") == "ACTIVE_UNPROTECTED", 60)
    say(ended["DR_MESSAGE"])
    for guest in guests:
        guest.promised_s = guest.printed[-1].time_ms / 1000 - points[guest.name]


def find_vm(b: Cloud, guest: Guest) -> bool:
    """Has the VM come back? Notes its id here."""
    for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM:
        if guest.name == vm.NAME:
            guest.vm_there = vm.ID
            return True
    return False


def weigh(bed: Bed, b: Cloud, guest: Guest) -> None:
    """Stop the guest at site B; compare its disks with its acknowledged writes and its original content."""
    first_new = ledger.read_console(console(bed, "site-b", guest.vm_there))["vda"][0].number
    b.run("onevm", "poweroff", "--hard", str(guest.vm_there))
    b.wait_vm(guest.vm_there, "POWEROFF")
    guest.kept = first_new - 1
    lost = [record for record in guest.printed if record.number >= first_new]
    guest.lost = len(lost)
    if lost and guest.kept:
        guest.lost_s = (guest.printed[-1].time_ms - guest.printed[guest.kept - 1].time_ms) / 1000
    site = bed.sites["site-b"]
    connection = rados.Rados(conffile=str(site.ceph_conf), name="client.oneadmin")
    with connection as cluster, cluster.open_ioctx("one") as io:
        for disk in guest.disks:
            with rbd.Image(io, disk, read_only=True) as image:
                # Raises for a hole or a damaged record.
                guest.kept_records.append(len(ledger.read_image(image)))
                guest.found.append(hashlib.sha256(image.read(_HALF, _HALF)).hexdigest())


def report(guests: list[Guest]) -> bool:
    """The table; False when a promise was broken."""
    table = Table(title="What became of the guests", title_justify="left")
    columns = ("guest", "create → copy", "RTO", "fsynced / kept", "lost (RPO)", "promised at most", "disks")
    for column in columns:
        table.add_column(column)
    good = True
    for guest in guests:
        kept_promise = guest.lost_s <= guest.promised_s and guest.kept > 0
        equal = guest.found == guest.expected
        good &= kept_promise and equal
        disks = [f"{n} records, sha256 {digest[:8]}" for n, digest in zip(guest.kept_records, guest.found)]
        table.add_row(
            guest.name, f"{guest.copied_s:.1f} s", f"{guest.rto_s:.1f} s",
            f"{len(guest.printed)} / {guest.kept}",
            f"{guest.lost} records, {guest.lost_s:.2f} s",
            f"{guest.promised_s:.2f} s{'' if kept_promise else ' BROKEN'}",
            "; ".join(disks) + (" equal" if equal else " DIFFERENT"),
        )
    _OUT.print(table)
    say("Every promise was kept, every byte is there." if good
        else "[bold red]A promise was broken.[/bold red]")
    return good


if __name__ == "__main__":
    main()
