"""The guest's kernel and initramfs, made from Debian's cloud kernel and init.c; no boot loader.

Both are kept in a cache folder by version, because unpacking takes seconds and a bed is made often.
"""
from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sandbox.waiting import SandboxError

CACHE = Path(os.environ.get("SANDBOX_CACHE", Path.home() / ".cache" / "onedr-sandbox"))
KERNEL_PACKAGE = "linux-image-cloud-amd64"
INIT = Path(__file__).with_name("init.c")
COMPILE = ("gcc", "-std=gnu11", "-Os", "-static", "-Wall", "-Wextra", "-Werror")
# In the order of their dependencies. Disks; then the power button as an input device.
MODULES = (
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/input/evdev.ko",
    "drivers/acpi/button.ko",
)


@dataclass(frozen=True)
class BootFiles:
    kernel: Path
    initramfs: Path


def boot_files(cache: Path = CACHE) -> BootFiles:
    """The files that a guest boots from, made on the first call (needs Debian's archive then).

    Raises SandboxError when the kernel cannot be had or init.c cannot be compiled (gcc is missing).
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernel = _newest(cache) or _download(cache)
        return BootFiles(kernel / "vmlinuz", _initramfs(kernel))


def _newest(cache: Path) -> Path | None:
    kernels = sorted(cache.glob("linux-image-*/vmlinuz"), key=lambda p: p.stat().st_mtime)
    return kernels[-1].parent if kernels else None


def _download(cache: Path) -> Path:
    package = _kernel_package()
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        tree, made = Path(scratch) / "tree", Path(scratch) / "made"
        # apt-get checks the packages against the archive's signed list.
        _call(["apt-get", "download", package, *_parts(package)], Path(scratch))
        for deb in Path(scratch).glob("*.deb"):
            _call(["dpkg-deb", "-x", str(deb), str(tree)])
        (made / "modules").mkdir(parents=True)
        kernels = [*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")]
        roots = [*tree.glob("lib/modules/*/kernel"), *tree.glob("usr/lib/modules/*/kernel")]
        if not kernels or not roots:
            raise SandboxError(f"{package} has no kernel or no modules where they are looked for")
        shutil.copy(kernels[0], made / "vmlinuz")
        for module in MODULES:
            _unpack_module(roots[0] / module, made / "modules")
        target = cache / package
        made.rename(target)
    return target


def _parts(package: str) -> list[str]:
    """The packages into which Debian 14 splits its kernel."""
    found = _call(["apt-cache", "depends", package])
    return re.findall(r"Depends: (linux-(?:base|binary|modules)-\S+)", found)


def _unpack_module(source: Path, folder: Path) -> None:
    """Copy a module, which may be compressed; one that is built into the kernel is not there."""
    packed = source.with_name(source.name + ".xz")
    if packed.exists():
        (folder / source.name).write_bytes(lzma.decompress(packed.read_bytes()))
    elif source.exists():
        shutil.copy(source, folder)


def _kernel_package() -> str:
    pattern = re.compile(r"Depends: (linux-image-\S+-cloud-amd64)")
    found = pattern.search(_call(["apt-cache", "depends", KERNEL_PACKAGE], check=False))
    if found is None:
        _call(["apt-get", "update"])
        found = pattern.search(_call(["apt-cache", "depends", KERNEL_PACKAGE]))
    if found is None:
        raise SandboxError(f"apt knows no kernel package behind {KERNEL_PACKAGE}")
    return found[1]


def _initramfs(kernel: Path) -> Path:
    contents = INIT.read_bytes() + repr((COMPILE, MODULES)).encode()
    target = kernel / f"initramfs-{hashlib.sha256(contents).hexdigest()[:16]}.cpio"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=kernel) as scratch:
        root = Path(scratch) / "root"
        for folder in ("dev", "proc", "sys"):
            (root / folder).mkdir(parents=True)
        _call([*COMPILE, "-o", str(root / "init"), str(INIT)])
        shutil.copytree(kernel / "modules", root / "modules")
        order = [Path(module).name for module in MODULES if (kernel / "modules" / Path(module).name).exists()]
        (root / "modules" / "order").write_text("".join(f"{name}\n" for name in order))
        names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
        packed = Path(scratch) / "packed"
        _call(["cpio", "--quiet", "-o", "-H", "newc", "-F", str(packed)], root, names)
        packed.rename(target)
    return target


def _call(argv: list[str], cwd: Path | None = None, text: str = "", check: bool = True) -> str:
    try:
        done = subprocess.run(argv, cwd=cwd, input=text, capture_output=True, text=True, timeout=300)
    except (FileNotFoundError, subprocess.TimeoutExpired) as e:
        raise SandboxError(f"{' '.join(argv)}: {e}") from e
    if check and done.returncode:
        raise SandboxError(f"{' '.join(argv)}: {done.stderr.strip()[-500:]}")
    return done.stdout
