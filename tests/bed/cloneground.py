"""A front-end with a protected datastore whose VMs are clones, and the real keeper that its drivers wake."""
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any

import driver_calls as calls
import rbd
from driver_calls import MIB, SYSTEM_ID, Drivers, datastore, image, succeeded

from sandbox import processes
from sandbox.bed import Bed
from sandbox.layout import Site
from sandbox.waiting import TimedOut, until

LIMIT_S = 180  # of every wait; reached only when something is broken
_KEEPER = b"onedr.driver.keeper_process"


@dataclass
class Ground:
    """Site a with its drivers, site b."""

    here: Drivers
    bed: Bed
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        return self.here.site

    @property
    def there(self) -> Site:
        return self.bed.sites["site-b"]

    def settings(self, **attributes: str) -> None:
        """The datastore's DR_ attributes from now on."""
        self.attributes = {"DR_PROTECT": "YES", **attributes}
        for number in (calls.DATASTORE_ID, SYSTEM_ID):
            found = datastore(self.site, **(self.attributes if number == calls.DATASTORE_ID else {}))
            kind = {"ID": number, "NAME": "images" if number == calls.DATASTORE_ID else "system", "DS_MAD": "ceph_dr"}
            self.here.api.datastores[number] = {**found, **kind, "TYPE": 0 if number == calls.DATASTORE_ID else 1}

    def base(self, number: int, folder: Path, mib: int = 16) -> str:
        """A mirrored image whose copy is there; returns its name."""
        digest = calls.random_file(folder / "base", mib * MIB, seed=number)
        made = self.here.ds("cp", image(number, str(folder / "base"), mib), self.here.api.datastores[calls.DATASTORE_ID])
        succeeded(made, f"one/one-{number} raw\n")
        self.here.api.images.append(image(number, SOURCE=f"one/one-{number}", SIZE=mib, STATE=2))
        calls.arrives(self.there, f"one-{number}", digest, LIMIT_S)
        return f"one-{number}"

    def slow_base(self, number: int, folder: Path) -> str:
        """One of 1024 small objects, which `slowly` copies one at a time: its clones take some seconds to flatten."""
        calls.random_file(folder / "base", 16 * MIB, seed=number)
        self.here.rbd("import", "--no-progress", "--object-size", "16K", str(folder / "base"), f"one/one-{number}")
        self.here.api.images.append(image(number, SOURCE=f"one/one-{number}", SIZE=16, STATE=2))
        return f"one-{number}"

    @contextmanager
    def slowly(self) -> Iterator[None]:
        """Clients that connect meanwhile copy one object at a time."""
        option = ["client", "rbd_concurrent_management_ops"]
        self.bed.run("site-a", ["ceph", "config", "set", *option, "1"], check=True)
        try:
            yield
        finally:
            self.bed.run("site-a", ["ceph", "config", "rm", *option], check=True)

    def wake(self) -> None:
        """As oned's monitoring does."""
        data = calls.stdin_of(None, self.here.api.datastores[calls.DATASTORE_ID])
        assert self.here.call("datastore", "monitor", calls.DATASTORE_ID, stdin=data).returncode == 0

    def vm(self, vm_id: int, name: str) -> str:
        """A VM with one disk, a clone of the image, not made yet; returns the disk's name."""
        usual = {"CEPH_USER": "oneadmin", "CEPH_CONF": str(self.site.ceph_conf), "POOL_NAME": "one", "DISK_TYPE": "RBD"}
        disk = {
            "DISK_ID": 0, "SOURCE": f"one/{name}", "CLONE": "YES", "IMAGE_ID": name.removeprefix("one-"), "SIZE": 16,
            "ORIGINAL_SIZE": 16, "DATASTORE_ID": calls.DATASTORE_ID, "DATASTORE": "images", "TYPE": "RBD", **usual,
        }
        self.here.api.vms[vm_id] = {
            "ID": vm_id, "NAME": f"vm {vm_id}", "UNAME": "oneadmin", "GNAME": "oneadmin", "PERMISSIONS": calls.RIGHTS,
            "STATE": 3, "LCM_STATE": 3, "TEMPLATE": {"DISK": [disk]}, "USER_TEMPLATE": {},
        }
        return f"{name}-{vm_id}-0"

    def place(self, vm_id: int) -> str:
        return f"localhost:/var/lib/one/datastores/{SYSTEM_ID}/{vm_id}/disk.0"

    def start(self, action: str, vm_id: int, name: str) -> Popen[Any]:
        """`clone` or `delete` of a VM's disk, begun."""
        first = [f"front:one/{name}"] if action == "clone" else []
        process = self.here.popen("tm", action, *first, self.place(vm_id), vm_id, calls.DATASTORE_ID)
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        return process

    def clone(self, vm_id: int, name: str) -> str:
        """A VM whose disk was just made; returns the disk's name."""
        disk = self.vm(vm_id, name)
        ended([self.start("clone", vm_id, name)])
        return disk

    def delete(self, vm_id: int, name: str) -> None:
        """The VM goes, its disk is removed."""
        ended([self.start("delete", vm_id, name)])
        del self.here.api.vms[vm_id]

    def protected(self, *names: str) -> None:
        """Wait until the disks are mirrored and their bytes are at the peer."""
        for name in names:
            try:
                until(f"{name} to be mirrored", lambda name=name: calls.mode_of(self.site, name) is not None, LIMIT_S)
            except TimedOut as error:
                raise AssertionError(f"{error}; keepers {self.keepers()}, log: {self.keeper_log()}") from error
            self.publish(name)
            calls.arrives(self.there, name, str(calls.digest(self.site, name)), LIMIT_S)

    def publish(self, name: str) -> None:
        """In snapshot mode what was written travels with the next mirror snapshot."""
        if calls.mode_of(self.site, name) == rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT:
            calls.publish(self.site, name)

    def keeper_log(self) -> str:
        """The end of what site a's keepers said."""
        log = self.site.one_location / f"var/onedr/keeper-{calls.DATASTORE_ID}.log"
        return log.read_text()[-2000:] if log.exists() else "none"

    def keepers(self) -> list[int]:
        """Processes that keep site a's datastore."""
        return [pid for pid in processes.of_site(self.site) if _KEEPER in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def told(self, words: str) -> bool:
        """Did the keeper write these words into an attribute of the datastore?"""
        return any(what == "datastore" and re.search(words, text) for what, _, text in self.here.api.updates)


def ended(started: Sequence[Popen[Any]]) -> list[str]:
    """Wait for driver actions; each succeeded. Returns what they said on standard error."""
    said = []
    for process in started:
        with process:
            try:
                out, err = process.communicate(timeout=100)
            except TimeoutExpired:
                for each in started:
                    each.kill()
                raise
        assert (process.returncode, out) == (0, b""), err
        said.append(err.decode())
    return said


@contextmanager
def ground(bed: Bed) -> Iterator[Ground]:
    """Drivers of site a, a front-end that answers the keeper too."""
    with calls.front_end(bed) as api:
        answers = {
            "one.vmpool.infoextended": lambda *_: [True, calls.text("VM_POOL", {"VM": list(api.vms.values())}), 0],
            "one.datastorepool.info": lambda *_: [
                True, calls.text("DATASTORE_POOL", {"DATASTORE": list(api.datastores.values())}), 0],
            "one.datastore.update": lambda _, number, new, *more: api._update("datastore", number, new),
        }
        for method, function in answers.items():
            api._server.register_function(function, method)
        made = Ground(Drivers(bed, "site-a", api), bed)
        made.settings()
        yield made


def thin(site: Site, name: str) -> int:
    """Bytes an image holds itself, its parent's apart."""
    found = 0

    def count(_: int, length: int, exists: bool) -> None:
        nonlocal found
        found += length if exists else 0

    with calls.opened(site) as io, rbd.Image(io, name, read_only=True) as opened:
        opened.diff_iterate(0, opened.size(), None, count, include_parent=False, whole_object=True)
    return found
