"""Reads Ceph's binary encoding: little-endian numbers, texts with their length, structs with a version.

Ceph: src/include/encoding.h, ENCODE_START. A newer Ceph may append fields to a struct; one that older readers
must not read says so by its second byte, and is not read here either.
"""
from __future__ import annotations

from struct import Struct

_U8, _U32, _U64, _I64 = (Struct(form) for form in ("<B", "<I", "<Q", "<q"))
_START = Struct("<BBI")


class UnknownFormatError(ValueError):
    """What Ceph stores has a form that this release does not know. librbd must be asked instead."""


class Decoder:
    """Reads one value after another from `data`.
    Every method raises UnknownFormatError where it ends too early.
    """

    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def u8(self) -> int:
        """A byte."""
        return self._number(_U8)

    def u32(self) -> int:
        """An unsigned number of 32 bits."""
        return self._number(_U32)

    def u64(self) -> int:
        """An unsigned number of 64 bits."""
        return self._number(_U64)

    def i64(self) -> int:
        """A signed number of 64 bits."""
        return self._number(_I64)

    def text(self) -> str:
        """A text in UTF-8 with its length before it."""
        try:
            return self._bytes(self.u32()).decode()
        except UnicodeDecodeError as error:
            raise UnknownFormatError("a text in Ceph's data is not UTF-8") from error

    def struct(self, least: int, known: int) -> Decoder:
        """The fields of a struct of version `least` or newer that readers of version `known` may read."""
        if len(self._data) - self._at < _START.size:
            raise UnknownFormatError("a struct in Ceph's data is cut off")
        version, compatible, length = _START.unpack_from(self._data, self._at)
        self._at += _START.size
        if version < least or compatible > known:
            raise UnknownFormatError(f"a struct in Ceph's data has version {version}, for {compatible}")
        return Decoder(self._bytes(length))

    def _number(self, form: Struct) -> int:
        return int(form.unpack(self._bytes(form.size))[0])

    def _bytes(self, length: int) -> bytes:
        found = self._data[self._at:self._at + length]
        if len(found) != length:
            raise UnknownFormatError("a value in Ceph's data is cut off")
        self._at += length
        return found
