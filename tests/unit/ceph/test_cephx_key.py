"""Which cephx keys librados here can read; librados is asked."""
from __future__ import annotations

import base64
import struct

import pytest

from onedr.ceph import cephx_key


@pytest.mark.parametrize(("kind", "length"), [(1, 16), (2, 32)])
def test_the_type_of_a_key_is_in_its_head(kind: int, length: int) -> None:
    key = base64.b64encode(struct.pack("<HIIH", kind, 7, 8, length) + bytes(length)).decode()
    assert cephx_key.key_type(key) == kind
    assert cephx_key.key_type(key[:-8]) is None


@pytest.mark.parametrize("text", ["", "no key", "AQ==", "\u00e4"])
def test_what_is_no_key_has_no_type(text: str) -> None:
    assert cephx_key.key_type(text) is None


def test_librados_reads_plain_keys_and_none_of_a_type_that_no_release_has() -> None:
    assert cephx_key.is_readable(1) and not cephx_key.is_readable(99)
