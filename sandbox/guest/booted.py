"""A guest that has booted and has no disk, saved once; guests start from it, their disks are plugged in.

Without KVM a boot takes two seconds of a processor, and reading the saved machine a tenth of one.
"""
from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.guest.image import BootFiles, boot_files
from sandbox.guest.qmp import Qmp
from sandbox.waiting import SandboxError, until

QEMU = "qemu-system-x86_64"
MEMORY_MB = 128
# The last two save a fifth of the boot.
KERNEL_OPTIONS = "console=ttyS0 quiet nokaslr cryptomgr.notests"
# QEMU sets its clock chip to the whole second in which it starts, so the chip is late by the rest. It
# does so about this long after its launch, once the disks are open. A guest that starts from the saved
# machine has the lag of that one.
CHIP_SET_AFTER_MS = 120
LATEST_LAUNCH_MS = 600
BOOT_LIMIT_S = 120


@dataclass(frozen=True)
class Booted:
    """The saved machine, what it was booted from, and how late its clock chip is (ms)."""

    boot: BootFiles
    state: Path
    rtc_lag_ms: int


def booted() -> Booted:
    """The saved machine, made on the first call. SandboxError when it cannot be made."""
    boot = boot_files()
    qemu = Path(shutil.which(QEMU) or f"/usr/bin/{QEMU}").stat()
    made_from = repr((boot.initramfs.name, qemu.st_size, qemu.st_mtime_ns, machine_argv(boot, Path(), 0)))
    cached = boot.kernel.with_name(f"booted-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}")
    with boot.kernel.with_name("booted.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cached.exists():
            with tempfile.TemporaryDirectory(dir=boot.kernel.parent) as scratch:
                _boot_and_save(boot, Path(scratch))
                (Path(scratch) / "made").rename(cached)
    return Booted(boot, cached / "state", int((cached / "rtc_lag_ms").read_text()))


def machine_argv(boot: BootFiles, folder: Path, rtc_lag_ms: int) -> list[str]:
    """QEMU's argv of a guest without disks, with its files in `folder`; it returns once it listens."""
    return [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "pc,accel=tcg", "-smp", "1", "-m", str(MEMORY_MB), "-rtc", "base=utc,clock=host",
        "-kernel", str(boot.kernel), "-initrd", str(boot.initramfs),
        "-append", f"{KERNEL_OPTIONS} rtc_lag={rtc_lag_ms}",
        "-chardev", f"file,id=console,path={folder / 'console.log'},append=on", "-serial", "chardev:console",
        "-qmp", f"unix:{folder / 'qmp'},server=on,wait=off",
        "-pidfile", str(folder / "pid"), "-daemonize",
    ]


def _boot_and_save(boot: BootFiles, scratch: Path) -> None:
    made = scratch / "made"
    made.mkdir()
    lag_ms = _chip_lag_ms()
    (made / "rtc_lag_ms").write_text(str(lag_ms))
    done = subprocess.run(machine_argv(boot, scratch, lag_ms), capture_output=True, text=True, timeout=90)
    if done.returncode:
        raise SandboxError(f"{QEMU}: {done.stderr.strip()[-500:]}")
    try:
        console = scratch / "console.log"
        until("a guest without disks to boot", lambda: "IDLE" in console.read_text(), BOOT_LIMIT_S)
        with Qmp(scratch / "qmp") as qmp:
            qmp.call("stop")
            qmp.save(made / "state", BOOT_LIMIT_S)
    finally:
        _end(int((scratch / "pid").read_text()))


def _end(pid: int) -> None:
    try:
        os.kill(pid, 15)
        until("the guest that was saved to end", lambda: not Path(f"/proc/{pid}").exists(), 10)
    except ProcessLookupError:
        return


def _chip_lag_ms() -> int:
    """How late the guest's clock chip will be; waits for the next second when this one is nearly over."""
    late = time.time() * 1000 % 1000
    if late > LATEST_LAUNCH_MS:
        time.sleep((1000 - late) / 1000)
        late = 0
    return int(late) + CHIP_SET_AFTER_MS
