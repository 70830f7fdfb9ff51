"""Whatever a user's .xz file asks for, reading it takes no more memory than there is for it."""
from __future__ import annotations

import io
import lzma
import random
import struct
import zlib
from pathlib import Path

import pytest

from onedr.driver.xz import XzFile

_BLOCK = 12  # where a stream's first block header is
_WINDOW_2_GIB = 38  # LZMA2's property


def read(folder: Path, content: bytes, piece: int = 4096) -> bytes:
    (folder / "disk.xz").write_bytes(content)
    with io.BufferedReader(XzFile(folder / "disk.xz"), piece) as stream:
        return stream.read()


def greedy(data: bytes) -> bytes:
    """A good stream that asks for a window of 2 GiB."""
    made = bytearray(lzma.compress(data, preset=1))
    end = _BLOCK + (made[_BLOCK] + 1) * 4
    assert made[_BLOCK + 2 : _BLOCK + 4] == b"\x21\x01", "its one filter is LZMA2"
    made[_BLOCK + 4] = _WINDOW_2_GIB
    made[end - 4 : end] = struct.pack("<I", zlib.crc32(bytes(made[_BLOCK : end - 4])))
    assert lzma.decompress(bytes(made)) == data
    return bytes(made)


@pytest.mark.parametrize("before", [b"", lzma.compress(b"y" * 512), lzma.compress(b"") + bytes(4)])
def test_a_window_beyond_the_limit_is_refused_in_every_stream(tmp_path: Path, before: bytes) -> None:
    with pytest.raises(lzma.LZMAError, match="Memory usage limit"):
        read(tmp_path, before + greedy(b"x" * 1000))


@pytest.mark.parametrize("size", [0, 1, 5000, 200_000])
@pytest.mark.parametrize("padding", [0, 4, 200_000])
def test_streams_and_padding_are_read_as_xz_does(tmp_path: Path, size: int, padding: int) -> None:
    data = random.Random(size).randbytes(size)  # more than is read at once
    content = lzma.compress(data) + bytes(padding) + lzma.compress(data[::-1]) + bytes(padding)
    assert read(tmp_path, content) == data + data[::-1]


@pytest.mark.parametrize("content", [b"", lzma.compress(b"x" * 9000)[:-20], lzma.compress(b"x")[:-1]])
def test_one_that_is_cut_off_is_no_disk(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(EOFError):
        read(tmp_path, content)


def test_what_is_no_stream_behind_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(lzma.LZMAError):
        read(tmp_path, lzma.compress(b"x") + b"this is no stream of xz")
