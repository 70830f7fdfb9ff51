"""A guest as a process: QEMU without KVM, its disks straight on RBD, its console in a log that outlives it.

Everything of VM <id> is in <site>/vm/<id>/: `pid`, `qmp` (socket), `console.log` (appended over boots),
`machine.json` (the disks it has now), `qemu.err`.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.guest.booted import booted, machine_argv
from sandbox.guest.domain import Disk
from sandbox.guest.qmp import Qmp
from sandbox.waiting import SandboxError, TimedOut, until

FIRST_SLOT = 8
SLOTS = range(FIRST_SLOT, 32)
LOAD_LIMIT_S = 60
PLUG_LIMIT_S = 90  # Ceph waits 30 s for the watch of a QEMU that was killed


@dataclass(frozen=True)
class Settings:
    """Where guests live and how they reach Ceph."""

    guests: Path
    ceph_conf: str
    ceph_user: str
    environment: dict[str, str]
    netns: str = ""


@dataclass(frozen=True)
class Slot:
    """A disk and the PCI slot it is plugged into, which must be the same after a restore."""

    disk: Disk
    slot: int


class Machine:
    """One VM of the site, running or not."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self.settings = settings
        self.folder = settings.guests / name.removeprefix("one-")
        self.console = self.folder / "console.log"

    def pid(self) -> int | None:
        """The pid of its QEMU, None when it does not run."""
        try:
            pid = int((self.folder / "pid").read_text())
            cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if str(self.folder).encode() in cmdline else None

    def start(self, disks: list[Disk]) -> None:
        """Start it with these disks, in this order. SandboxError when it runs already or QEMU refuses."""
        if len(disks) > len(SLOTS):
            raise SandboxError(f"{self.name}: {len(disks)} disks, at most {len(SLOTS)}")
        slots = [Slot(disk, SLOTS[n]) for n, disk in enumerate(disks)]
        self._launch(slots, booted().state, plugged=[])

    def restore(self, checkpoint: Path) -> None:
        """Go on from a checkpoint that `save` made, which is removed then."""
        slots = _read_slots(checkpoint.with_name(checkpoint.name + ".json"))
        self._launch(slots, checkpoint, plugged=slots)
        checkpoint.unlink()
        checkpoint.with_name(checkpoint.name + ".json").unlink()

    def save(self, checkpoint: Path, limit_s: float = 120) -> None:
        """Stop it and write its memory and devices to a file; it no longer runs then."""
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with self.qmp() as qmp:
            qmp.call("stop")
            try:
                qmp.save(checkpoint, limit_s)
            except SandboxError:
                qmp.call("cont")
                raise
            settings = (self.folder / "machine.json").read_text()
            checkpoint.with_name(checkpoint.name + ".json").write_text(settings)
            qmp.call("quit")
        self._wait_gone(10)

    def shutdown(self, limit_s: float) -> None:
        """Press the power button and wait; SandboxError when it still runs after `limit_s` seconds."""
        if self.pid() is None:
            return
        with self.qmp() as qmp:
            qmp.call("system_powerdown")
        self._wait_gone(limit_s)

    def kill(self) -> None:
        """End it as a pulled plug would; fine when it does not run."""
        pid = self.pid()
        # QEMU closes its images on SIGTERM without asking the guest, as libvirt's destroy lets it: a
        # SIGKILLed one would leave its lock and watch, and the next start waits 30 s for those.
        for number, limit_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            if pid is None:
                return
            os.kill(pid, number)
            try:
                self._wait_gone(limit_s)
            except TimedOut:
                pid = self.pid()
                continue
            return
        raise SandboxError(f"{self.name} cannot be ended")

    def state(self) -> str:
        """`running`, `paused` and other words of QEMU's; `gone` when no process is there."""
        if self.pid() is None:
            return "gone"
        with self.qmp() as qmp:
            return str(qmp.call("query-status")["status"])

    def attach(self, disk: Disk) -> None:
        """Plug a disk in while it runs."""
        slots = _read_slots(self.folder / "machine.json")
        if any(s.disk.target == disk.target for s in slots):
            raise SandboxError(f"{self.name} has a disk {disk.target} already")
        free = [n for n in SLOTS if n not in {s.slot for s in slots}]
        if not free:
            raise SandboxError(f"{self.name} has no free slot for {disk.target}")
        new = Slot(disk, free[0])
        with self.qmp() as qmp:
            qmp.call("blockdev-add", **_blockdev(new, self.settings))
            try:
                qmp.call("device_add", **_device(new))
            except SandboxError:
                qmp.call("blockdev-del", node_name=_node(new))
                raise
        self._write_slots([*slots, new])

    def detach(self, target: str, limit_s: float = 20) -> None:
        """Unplug a disk while it runs; fine when it has none of that name."""
        slots = _read_slots(self.folder / "machine.json")
        leaving = next((s for s in slots if s.disk.target == target), None)
        if leaving is None:
            return
        with self.qmp() as qmp:
            qmp.call("device_del", id=target)

            def released() -> bool:
                try:
                    qmp.call("blockdev-del", node_name=_node(leaving))
                except SandboxError:
                    return False  # in use until the guest let go
                return True

            until(f"{self.name} to let go of {target}", released, limit_s)
        self._write_slots([s for s in slots if s is not leaving])

    def resize(self, target: str, size_bytes: int) -> None:
        """Tell it that a disk has grown."""
        slot = next((s for s in _read_slots(self.folder / "machine.json") if s.disk.target == target), None)
        if slot is None:
            raise SandboxError(f"{self.name} has no disk {target}")
        with self.qmp() as qmp:
            qmp.call("block_resize", node_name=_node(slot), size=size_bytes)

    def reset(self) -> None:
        """Press the reset button."""
        with self.qmp() as qmp:
            qmp.call("system_reset")

    def qmp(self, limit_s: float = 20) -> Qmp:
        """A session with its QEMU; `limit_s` is for each answer."""
        if self.pid() is None:
            raise SandboxError(f"{self.name} does not run")
        return Qmp(self.folder / "qmp", limit_s)

    def _launch(self, slots: list[Slot], state: Path, plugged: list[Slot]) -> None:
        """Start QEMU with these disks from a saved machine that had `plugged` of them; plug in the others."""
        if self.pid() is not None:
            raise SandboxError(f"{self.name} runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "qmp").unlink(missing_ok=True)
        self._write_slots(slots)
        self._start_qemu([*self._argv(slots, plugged), "-incoming", f"exec:cat '{state}'"])
        try:
            loading = ("inmigrate", "prelaunch")
            until(f"{self.name} to read {state}", lambda: self.state() not in loading, LOAD_LIMIT_S)
            with self.qmp(PLUG_LIMIT_S) as qmp:
                for slot in slots:
                    if slot not in plugged:
                        qmp.call("device_add", **_device(slot))
                qmp.call("cont")  # it was saved stopped
        except SandboxError:
            self.kill()
            raise

    def _start_qemu(self, argv: list[str]) -> None:
        if self.settings.netns:
            argv = ["nsenter", f"--net={self.settings.netns}", "--", *argv]
        # Daemonised, QEMU returns once disks are open and the sockets are there, or with the reason why not.
        with (self.folder / "qemu.err").open("w+") as err:
            try:
                done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
                                      env={**os.environ, **self.settings.environment}, timeout=90)
            except subprocess.TimeoutExpired as e:
                raise TimedOut(f"{self.name}: QEMU did not start within 90 s; does Ceph answer?") from e
            err.seek(0)
            if done.returncode:
                raise SandboxError(f"{self.name}: {err.read().strip()[-500:]}")

    def _argv(self, slots: list[Slot], plugged: list[Slot]) -> list[str]:
        made = booted()
        argv = [*machine_argv(made.boot, self.folder, made.rtc_lag_ms), "-name", self.name]
        for slot in slots:
            argv += ["-blockdev", json.dumps(_blockdev(slot, self.settings))]
        for slot in plugged:
            argv += ["-device", json.dumps(_device(slot))]
        return argv

    def _write_slots(self, slots: list[Slot]) -> None:
        text = json.dumps([{"slot": s.slot, "disk": s.disk.as_json()} for s in slots], indent=1)
        (self.folder / "machine.json").write_text(text + "\n")

    def _wait_gone(self, limit_s: float) -> None:
        until(f"{self.name} to end", lambda: self.pid() is None, limit_s)
        (self.folder / "pid").unlink(missing_ok=True)


def _read_slots(file: Path) -> list[Slot]:
    try:
        return [Slot(Disk(**entry["disk"]), entry["slot"]) for entry in json.loads(file.read_text())]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise SandboxError(f"{file}: {e}") from e


def _node(slot: Slot) -> str:
    return f"disk-{slot.disk.target}"


def _device(slot: Slot) -> dict[str, Any]:
    target = slot.disk.target
    return {"driver": "virtio-blk-pci", "id": target, "serial": target, "drive": _node(slot),
            "bus": "pci.0", "addr": f"{slot.slot:x}"}


def _blockdev(slot: Slot, settings: Settings) -> dict[str, Any]:
    disk = slot.disk
    if disk.kind == "rbd":
        pool, _, image = disk.source.partition("/")
        file = {"driver": "rbd", "pool": pool, "image": image, "conf": settings.ceph_conf,
                "user": disk.user or settings.ceph_user}
    else:
        file = {"driver": "file", "filename": disk.source}
    # cache=none of libvirt: nothing is held back here, a flush of the guest goes through to Ceph.
    return {"driver": "raw", "node-name": _node(slot), "file": file, "discard": "unmap",
            "cache": {"direct": disk.kind == "rbd", "no-flush": False}}
