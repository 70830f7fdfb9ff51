"""The content of a fetched file as raw bytes:
compressed streams, archives of increments, and every format that qemu-img supports.
"""
from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from onedr.driver.xz import XzFile
from onedr.host import process
from onedr.model.errors import InputError
from onedr.model.types import MIB

CHUNK = 4 * 1024 * 1024
HEAD = 1024 * 1024  # enough for qemu-img to detect a format and its virtual size
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_PROBE_LIMIT_S = 60
_MEASURE_LIMIT_S = 600  # it reads the map of the whole image
_CONVERT_LIMIT_S = 4 * 3600
_QEMU_IMG_MEMORY = 2 * 1024**3  # of address space; Nova and Cinder give it 1 GiB
_VMDK_MAGIC, _VMDK_SECTORS_AT, _SECTOR = b"KDMV", 12, 512


def raw(local: Path, source: str, folder: Path, inflate: bool = True, told: int | None = None) -> Path:
    """A raw file with the disk that `local`, come from `source`, holds; made in `folder` unless it is raw
    already.

    `inflate` False (NO_DECOMPRESS): compressed bytes are the disk. `told`: MiB that oned counted for it.
    Raises InputError.
    """
    kind = _compression(local)
    if kind == "gzip" and _is_tar(local, kind):
        from onedr.ceph import export_diff  # rarely needed, and tarfile takes 3 ms to load

        export_diff.unpack(local, source, folder / "raw", room(folder))
        check_told((folder / "raw").stat().st_size, told, source)
        return folder / "raw"
    if kind and inflate:
        with (folder / "plain").open("wb") as file:
            _inflate(local, kind, source, room(folder), file)
        local = folder / "plain"
    format_, size = probe_format(local, source)
    if format_ in ("raw", "luks"):
        check_told(local.stat().st_size, told, source)
        return local
    check_told(size, told, source)
    _check_room(local, format_, source, folder)
    _qemu_img(["convert", "-f", format_, "-O", "raw", str(local), str(folder / "raw")], _CONVERT_LIMIT_S)
    return folder / "raw"


def check_told(size: int, told: int | None, source: str) -> None:
    """Raise InputError when `size` bytes exceed what oned counted, `told` MiB (None: it counted nothing).

    Marketplaces round down: less than a MiB more passes.
    """
    if told is not None and size // MIB > told:
        raise InputError(
            f"{source} holds a disk of {-(-size // MIB)} MiB, and OpenNebula was told {told} MiB (it changed "
            "since, or SIZE was given too small). Create the image again."
        )


def _check_room(local: Path, format_: str, source: str, folder: Path) -> None:
    """Before a conversion: what the disk holds must fit; holes take no room."""
    argv = ["measure", "-f", format_, "-O", "qcow2", "--output", "json", str(local)]
    answer = _qemu_img(argv, _MEASURE_LIMIT_S)
    need, free = int(json.loads(answer)["required"]), room(folder)
    if need > free:
        raise InputError(
            f"{source} needs {need // MIB} MiB when it is converted, and the staging folder has "
            f"{free // MIB} MiB; point STAGING_DIR to a larger place, or give a raw image."
        )


def _qemu_img(argv: list[str], limit_s: float) -> str:
    return process.run_program(["qemu-img", *argv], limit_s, memory=_QEMU_IMG_MEMORY)


def virtual_size(
    local: Path, source: str, folder: Path, inflate: bool = True, whole: bool = True
) -> int | None:
    """The size in bytes of the disk in `local`; None when the start of the file (`whole` False) does not
    contain it.

    Raises InputError.
    """
    kind = _compression(local)
    if kind == "gzip" and _is_tar(local, kind):
        from onedr.ceph import export_diff

        return export_diff.size(local, source) if whole else None
    if not (kind and inflate):
        return _size_in_head(local, source, whole)
    head = folder / "plain-head"
    with _opened(local, kind) as stream:
        head.write_bytes(_begin(stream, HEAD))
    told = _size_in_head(head, source, whole=False)
    if told is None and whole:
        return _inflate(local, kind, source, room(folder), None)
    return told


def stretch(head: Path, length: int | None) -> None:
    """Make the start of a file as long as the whole one, `length` bytes, with a hole: qemu-img refuses a
    format whose header speaks of more than there is. None: the length is not known, nothing is done.
    """
    with suppress(OSError):  # longer than a file can be here
        if length is not None and length > head.stat().st_size:
            os.truncate(head, length)


def is_compressed(path: Path, inflate: bool = True) -> bool:
    """Must this file be decompressed to get the disk?"""
    kind = _compression(path)
    return bool(kind) and (inflate or _is_tar(path, kind))


def _size_in_head(path: Path, source: str, whole: bool) -> int | None:
    if not whole and (sectors := _vmdk_sectors(path)):
        return sectors * _SECTOR
    format_, size = probe_format(path, source)
    return size if whole or format_ not in ("raw", "luks") else None


def _vmdk_sectors(path: Path) -> int:
    """What the header of a sparse VMDK says; 0 for another file. qemu-img refuses one that is not whole.

    VMware's "Virtual Disk Format 5.0", SparseExtentHeader: `capacity`.
    """
    with path.open("rb") as file:
        head = file.read(_VMDK_SECTORS_AT + 8)
    return int.from_bytes(head[_VMDK_SECTORS_AT:], "little") if head.startswith(_VMDK_MAGIC) else 0


def probe_format(path: Path, source: str) -> tuple[str, int]:
    """(format, virtual size in bytes) of a file that came from `source`, from qemu-img.

    Raises InputError for an image that refers to other files (a backing file, data file or extent could
    include any file of the front-end), and for a file that qemu-img cannot read.
    """
    found = json.loads(_qemu_img(["info", "--output", "json", str(path)], _PROBE_LIMIT_S))
    extra = found.get("format-specific", {}).get("data", {})
    # extents of a VMDK, one of which is the file itself
    extents = {extent.get("filename") for extent in extra.get("extents", [])}
    if found.get("backing-filename") or extra.get("data-file") or extents - {str(path)}:
        raise InputError(
            f"{source} refers to other files (backing file, data file or extent); use a self-contained image."
        )
    return str(found["format"]), int(found["virtual-size"])


def _compression(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(max(map(len, _MAGIC)))
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


def _is_tar(path: Path, kind: str) -> bool:
    with _opened(path, kind) as stream:
        return _begin(stream, 512)[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC)


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[IO[bytes]]:
    if kind == "xz":
        opened: IO[bytes] = io.BufferedReader(XzFile(path), CHUNK)
    else:
        opened = {"gzip": gzip.GzipFile, "bzip2": bz2.BZ2File}[kind](path)
    with opened:
        yield opened


def _begin(stream: IO[bytes], count: int) -> bytes:
    """The first bytes; fewer when the file is damaged or truncated, like a fetched head."""
    head = b""
    with suppress(*_DAMAGED):
        while len(head) < count and (more := stream.read(512)):
            head += more
    return head


def _inflate(path: Path, kind: str, source: str, limit: int, to: IO[bytes] | None) -> int:
    """Decompress to a sparse file, or only count the bytes.

    Raises InputError for a damaged stream and for one larger than `limit` bytes.
    """
    size, zeros = 0, bytes(CHUNK)
    try:
        with _opened(path, kind) as stream:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                if size > limit:
                    raise InputError(
                        f"{source} grows beyond the {limit} bytes free in the staging folder when "
                        "decompressed; set STAGING_DIR to a larger file system, or use a qcow2 image."
                    )
                if to is not None:
                    to.seek(len(chunk), 1) if chunk == zeros[: len(chunk)] else to.write(chunk)
    except _DAMAGED as error:
        raise InputError(f"{source} is a damaged {kind} file: {error}") from error
    if to is not None:
        to.truncate(size)
    return size


def room(folder: Path) -> int:
    """Bytes free in a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
