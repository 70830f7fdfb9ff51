"""SCHED_REQUIREMENTS as oned's scheduler reads them."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.opennebula import requirements

HOST = {"NAME": ("kvm1",), "CLUSTER_ID": ("100",), "ARCH": ("x86_64",), "TAGS": ("a", "b"), "CORES": ("16",)}


@pytest.mark.parametrize(("text", "expected"), [
    ("", True), ('NAME = "kvm*"', True), ('NAME = "kvm?"', True), ('NAME != "kvm*"', False), ("NAME = kvm2", False),
    ("CLUSTER_ID = 100 | CLUSTER_ID = 101", True), ("CLUSTER_ID = 101 | CLUSTER_ID = 102", False),
    ('(CLUSTER_ID = "100") & !(NAME = "kvm2")', True), ("CORES > 8 & CORES < 17", True), ("CORES > 16", False),
    ("TAGS @> b", True), ("TAGS = b", False), ('"TAGS" @> "c"', False),
    ("NAME = x & NAME = y | NAME = kvm1", True), ("NAME = kvm1 | NAME = x & NAME = y", False),
    ("! NAME = kvm1 & NAME = x", False), ("GPU = yes", None), ("GPU = yes & NAME = x", False),
    ("GPU = yes | NAME = kvm1", True), ("!(GPU = yes)", None),
    ("NAME =", None), ("NAME = kvm1)", None), ("(NAME = kvm1", None), ("CORES > many", None), ('NAME = "kvm1', None),
])
def test_matches(text: str, expected: bool | None) -> None:
    assert requirements.matches(text, HOST) is expected


@given(st.text('ANME=!@>&|()" 1x*', max_size=40))
def test_whatever_is_written_it_ends_in_a_word(text: str) -> None:
    assert requirements.matches(text, HOST) in (True, False, None)
