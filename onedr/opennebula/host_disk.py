"""VM disks that are files on their host.

They are transferred through `tar`, whose sparse form does not store holes.
"""
from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from onedr.host import process
from onedr.model.errors import OneDRError, StorageError
from onedr.model.parsing import count

_CHUNK = 4 * 1024 * 1024
_GRAIN = 256 * 1024
_BLOCK = 512
_SHORT_LIMIT_S = 60
_COPY_LIMIT_S = 12 * 3600
Area = tuple[int, int]  # offset and length, in bytes


@dataclass(frozen=True)
class HostFile:
    """`path` on `host`: …/datastores/<ds>/<vm>/disk.N."""

    host: str
    path: str

    @property
    def folder(self) -> str:
        """The VM's folder."""
        return os.path.dirname(self.path)


@dataclass(frozen=True)
class Content:
    """Content of `size` bytes.

    `blocks` are (offset, bytes) in order, at most 4 MiB each, with zeros between them.
    """

    size: int
    blocks: Iterator[tuple[int, bytes]]


def write_file(file: HostFile, size: int, areas: list[Area], data: Iterable[bytes], monitor: str) -> None:
    """Create the file and its folder: `size` bytes, in `areas` the bytes of `data`, holes elsewhere.

    `monitor` goes into the datastore's `.monitor` file, which tells OpenNebula's probes to measure the folder
    (stock does so). Raises ProcessError, and StorageError when the file is not what was sent; nothing half-
    made stays.
    """
    above = os.path.dirname(file.folder)
    process.on_host(file.host, ["mkdir", "-p", "--", file.folder], _SHORT_LIMIT_S)
    command = ["tar", "-C", above, "--no-same-owner", "-xf", "-"]
    try:
        with process.stream(process.host_command(file.host, command), _COPY_LIMIT_S, into=True) as pipe:
            _send(pipe, os.path.relpath(file.path, above), size, areas, data, monitor)
        found = file_length(file)
        if found != size:
            raise StorageError(
                f"{file.path} on {file.host} has {found} bytes, not {size}: check whether that host's disk "
                "is full"
            )
    except BaseException:
        with suppress(OneDRError):
            remove_file(file)
        raise


def _send(
    pipe: IO[bytes], name: str, size: int, areas: list[Area], data: Iterable[bytes], monitor: str
) -> None:
    text = f"{monitor}\n".encode()
    info = tarfile.TarInfo(".monitor")
    info.size, info.mode = len(text), 0o644
    pipe.write(info.tobuf(tarfile.GNU_FORMAT) + _padded(text))
    listed = [*areas, (size, 0)]  # the last entry says where the last hole ends
    plan = _padded(
        "".join(f"{number}\n" for number in (len(listed), *(n for area in listed for n in area))).encode()
    )
    info = tarfile.TarInfo(f"GNUSparseFile.0/{os.path.basename(name)}")
    total = sum(taken for _, taken in areas)
    info.size, info.mode = len(plan) + total, 0o644
    info.pax_headers = {  # GNU tar's manual, "PAX Format, Version 1.0"
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": str(size),
    }
    pipe.write(info.tobuf(tarfile.PAX_FORMAT) + plan)
    sent = 0
    for chunk in data:
        pipe.write(chunk)
        sent += len(chunk)
    if sent != total:
        raise StorageError(f"{sent} bytes were read instead of the announced {total}; repeat the operation.")
    pipe.write(bytes(-sent % _BLOCK) + bytes(2 * _BLOCK))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


@contextmanager
def read_file(file: HostFile) -> Iterator[Content]:
    """The file's bytes.

    Raises ProcessError (no such file or host), StorageError when the connection broke.
    """
    file_length(file)  # raises a clear error when there is no such file
    command = [
        "tar",
        "-C",
        file.folder,
        "--sparse",
        "--format=pax",
        "-cf",
        "-",
        "--",
        os.path.basename(file.path),
    ]
    with process.stream(process.host_command(file.host, command), _COPY_LIMIT_S) as pipe:
        try:
            with tarfile.open(fileobj=pipe, mode="r|", bufsize=_GRAIN) as archive:
                member = archive.next()
                inside = member and archive.extractfile(member)
                if not member or not inside:
                    raise StorageError(f"{file.path} on {file.host} is not a file.")
                yield Content(member.size, _blocks(inside, member.size))
            while pipe.read(_CHUNK):
                pass
        except tarfile.TarError as error:
            raise StorageError(f"{file.path} on {file.host} could not be read completely: {error}") from error


def _blocks(inside: IO[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    zeros = bytes(_CHUNK)
    for offset in range(0, size, _CHUNK):
        wanted = min(_CHUNK, size - offset)
        block = inside.read(wanted)
        if len(block) != wanted:
            raise tarfile.ReadError("it ends early")
        if block != zeros[:wanted]:
            yield offset, block


def file_length(file: HostFile) -> int:
    """Bytes of the file. Raises ProcessError."""
    return count(
        process.on_host(file.host, ["stat", "-c", "%s", "--", file.path], _SHORT_LIMIT_S),
        f"size of {file.path}",
    )


def remove_file(file: HostFile) -> None:
    """Remove the file if it exists. Raises ProcessError."""
    process.on_host(file.host, ["rm", "-f", "--", file.path], _SHORT_LIMIT_S)
