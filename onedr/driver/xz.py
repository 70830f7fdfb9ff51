"""Reading .xz files that users bring: no stream and no block of one takes more memory than the limit.

lzma.LZMAFile has no limit. One that is checked at the start of the file only is not enough: a file may hold
several streams, and each block names its own window.
"""
from __future__ import annotations

import io
import lzma
from pathlib import Path

MEMORY = 256 * 1024 * 1024  # the largest window of `xz -9e` needs 65 MiB
_PIECE = 64 * 1024


class XzFile(io.RawIOBase):
    """The decompressed content. Raises lzma.LZMAError for a damaged file and for one that asks for more
    memory, EOFError for one that is cut off.
    """

    def __init__(self, path: Path):
        self._file = path.open("rb")
        self._decoder = _decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            given = b""
            if self._decoder.eof:
                given = self._next_stream()
                if not given:
                    return 0
                self._decoder = _decoder()
            elif self._decoder.needs_input:
                given = self._file.read(_PIECE)
                if not given:
                    raise EOFError("it ends before its last stream does")
            made = self._decoder.decompress(given, len(buffer))
            if made:
                buffer[: len(made)] = made
                return len(made)

    def _next_stream(self) -> bytes:
        """Its first bytes, behind padding; empty at the end of the file."""
        given = self._decoder.unused_data.lstrip(b"\0")
        while not given:
            piece = self._file.read(_PIECE)
            if not piece:
                return b""
            given = piece.lstrip(b"\0")
        return given

    def close(self) -> None:
        self._file.close()
        super().close()


def _decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
