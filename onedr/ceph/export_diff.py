"""Archives of incremental backups: a gzip tar of `disk.N.rbd2` (`rbd export --export-format 2`) and
`disk.N.M.rbdiff` (`rbd export-diff`), applied to a local raw file. Formats: doc/dev/rbd-export.rst and rbd-
diff.rst of Ceph; python-rbd has no call for them, and a file can be checked before any byte of the image is
changed.
"""
from __future__ import annotations

import gzip
import os
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from onedr.model.errors import InputError

_BASE = re.compile(r"(?:.*/)?disk\.\d+\.rbd2")
_INCREMENT = re.compile(r"(?:.*/)?disk\.\d+\.(\d+)\.rbdiff")
_IMAGE, _DIFF_1, _DIFF_2 = b"rbd image v2\n", b"rbd diff v1\n", b"rbd diff v2\n"
_DIFFS = (b"rbd image diffs v1\n", b"rbd image diffs v2\n")
_CHUNK = 4 * 1024 * 1024
_HEADERS = 1024 * 1024  # of a whole archive: about a thousand members
_LONGEST_FIELD = 1024 * 1024  # a snapshot's name, an image's metadata


class _DamagedError(Exception):
    """The archive is not in its format."""


class _Disk:
    """The disk that the records describe: its size and, when there is a file, its bytes."""

    def __init__(self, file: IO[bytes] | None, limit: int):
        self.size = 0
        self.snapshots: set[str] = set()
        self.named = 0  # letters of their names
        self._file, self._left = file, limit

    def resize(self, size: int) -> None:
        self.size = size
        if self._file is not None:
            self._file.truncate(size)

    def data(self, stream: IO[bytes], offset: int, length: int) -> None:
        self._check(offset, length)
        if self._file is not None:
            self._left -= length
            if self._left < 0:
                raise InputError(
                    "it needs more space than the staging folder has; set STAGING_DIR to a larger file "
                    "system."
                )
            self._file.seek(offset)
        while length:
            chunk = _exactly(stream, min(length, _CHUNK))
            if self._file is not None:
                self._file.write(chunk)
            length -= len(chunk)

    def zeros(self, offset: int, length: int) -> None:
        """Holes remain holes: only data that was written before is overwritten."""
        self._check(offset, length)
        if self._file is None:
            return
        self._file.flush()
        for start, end in _written(self._file.fileno(), offset, offset + length):
            self._file.seek(start)
            while start < end:
                start += self._file.write(bytes(min(end - start, _CHUNK)))

    def _check(self, offset: int, length: int) -> None:
        if offset + length > self.size:
            raise _DamagedError(f"a record extends to byte {offset + length} of a disk of {self.size} bytes")


def size(archive: Path, source: str) -> int:
    """Size in bytes of the disk in the archive, after its last increment.

    Raises InputError that names `source`.
    """
    return _read(archive, source, _Disk(None, 0))


def unpack(archive: Path, source: str, to: Path, limit: int) -> None:
    """Write the disk in the archive to a raw file, at most `limit` bytes of data.

    Raises InputError that names `source`.
    """
    with to.open("wb") as file:
        _read(archive, source, _Disk(file, limit))


def _read(path: Path, source: str, disk: _Disk) -> int:
    with _named(source), gzip.GzipFile(path) as plain:
        bounded = _Headers(plain)
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as archive:
            members = _in_order(archive)
            bounded.left = None
            _apply(archive, members, disk)
    return disk.size


class _Headers:
    """A tar's stream of which at most `left` bytes are read while the members are listed.

    tarfile skips data by seeking, and reads long names, pax headers, sparse maps and its list of members
    into memory, whatever size they claim.
    """

    def __init__(self, stream: gzip.GzipFile):
        self._stream = stream
        self.left: int | None = _HEADERS

    def read(self, count: int) -> bytes:
        if self.left is not None:
            self.left -= count
            if self.left < 0:
                raise _DamagedError(f"its headers exceed {_HEADERS} bytes")
        return self._stream.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _apply(archive: tarfile.TarFile, members: list[tarfile.TarInfo], disk: _Disk) -> None:
    for member in members:
        stream = archive.extractfile(member)
        if stream is None:
            raise _DamagedError(f"{member.name} is not a file")
        with stream:
            (_base if member.name.endswith(".rbd2") else _diff)(stream, disk)


@contextmanager
def _named(source: str) -> Iterator[None]:
    try:
        yield
    except (_DamagedError, tarfile.TarError, EOFError, OSError, zlib.error, UnicodeError) as error:
        raise InputError(f"{source} is not an archive of a disk and its increments: {error}") from error
    except InputError as error:
        raise InputError(f"{source} cannot be unpacked: {error}") from error


def _in_order(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    base, increments = [], []
    for member in archive:
        if _BASE.fullmatch(member.name):
            base.append(member)
        elif found := _INCREMENT.fullmatch(member.name):
            increments.append((int(found[1]), member))
    if len(base) != 1:
        raise _DamagedError(f"it holds {len(base)} files disk.N.rbd2 instead of one")
    return [*base, *(member for _, member in sorted(increments, key=lambda pair: pair[0]))]


def _base(stream: IO[bytes], disk: _Disk) -> None:
    if _exactly(stream, len(_IMAGE)) != _IMAGE:
        raise _DamagedError("its base is not an RBD export of format 2")
    while _exactly(stream, 1) != b"E":
        _exactly(stream, _field(stream, "<Q"))  # order, features, stripes, metadata: of the original image
    if _exactly(stream, len(_DIFFS[0])) not in _DIFFS:
        raise _DamagedError("its base contains no data")
    for _ in range(_number(stream, "<Q")):
        _diff(stream, disk)


def _diff(stream: IO[bytes], disk: _Disk) -> None:
    """One difference: from a snapshot (or nothing) to the next."""
    head = _exactly(stream, len(_DIFF_1))
    if head not in (_DIFF_1, _DIFF_2):
        raise _DamagedError("a difference has the wrong header")
    while (tag := _exactly(stream, 1)) != b"e":
        # of the record; the record itself repeats it
        length = _number(stream, "<Q") if head == _DIFF_2 else None
        if tag in (b"w", b"z"):
            offset, count = _number(stream, "<Q"), _number(stream, "<Q")
            if tag == b"z":
                disk.zeros(offset, count)
            else:
                disk.data(stream, offset, count)
        elif tag == b"s":
            disk.resize(_number(stream, "<Q"))
        else:
            _about_snapshots(stream, tag, length, disk)


def _about_snapshots(stream: IO[bytes], tag: bytes, length: int | None, disk: _Disk) -> None:
    if tag == b"f":
        name = _name(stream)
        if name not in disk.snapshots:
            raise _DamagedError(f"an increment is based on {name!r}, which the archive does not contain")
    elif tag == b"t":
        name = _name(stream)
        disk.snapshots.add(name)
        disk.named += len(name)
        if disk.named > _HEADERS:
            raise _DamagedError(f"the names of its snapshots exceed {_HEADERS} bytes")
    elif tag == b"p":
        # whether the snapshot is protected; documented as 8 bytes, but Ceph 16.2.15 writes one
        _exactly(stream, 1)
    elif length is not None and length <= _LONGEST_FIELD:
        _exactly(stream, length)  # of a later release
    else:
        raise _DamagedError(f"unknown record {tag!r}")


def _name(stream: IO[bytes]) -> str:
    return _exactly(stream, _field(stream, "<I")).decode()


def _field(stream: IO[bytes], form: str) -> int:
    length = _number(stream, form)
    if length > _LONGEST_FIELD:
        raise _DamagedError(f"a field of {length} bytes")
    return length


def _number(stream: IO[bytes], form: str) -> int:
    return int(struct.unpack(form, _exactly(stream, struct.calcsize(form)))[0])


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise _DamagedError("it ends early")
    return data


def _written(file: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a file between `start` and `end` that are not holes."""
    while start < end:
        try:
            start = os.lseek(file, start, os.SEEK_DATA)
        except OSError:  # ENXIO: a hole up to the end
            return
        if start >= end:
            return
        stop = min(end, os.lseek(file, start, os.SEEK_HOLE))
        yield start, stop
        start = stop
