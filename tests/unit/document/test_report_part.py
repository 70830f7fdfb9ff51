"""REPORT: the page of a drill's report comes back as it was, or is left out where it is too long."""
from __future__ import annotations

import base64
import gzip
import json
import random

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from onedr.cli.document_schema import schema
from onedr.document import fit_rules
from onedr.document.form import DatastoreShown
from onedr.document.report_part import report_part

DATASTORE = DatastoreShown(100, "ceph-dr", "site-b")
FILE = "100-onedr-drill-1a2b3c4d-100-9.html"


@given(st.binary(max_size=4096))
def test_a_page_comes_back_byte_for_byte_and_fits_the_schema(page: bytes) -> None:
    made = report_part(DATASTORE, FILE, page, 1.0)
    assert gzip.decompress(base64.b64decode(made.page)) == page and made.size == len(page)
    jsonschema.validate({"REPORT": json.loads(fit_rules.text_of(made))}, schema())


def test_a_page_that_no_document_should_hold_is_left_out_and_its_size_is_told() -> None:
    noise = random.Random(9).randbytes(fit_rules.REPORT_BYTES)  # Base64 makes it longer than the limit
    blank = b" " * (fit_rules.REPORT_PAGE_BYTES + 1)  # short when packed, too long for a browser
    for page in (noise, blank):
        made = report_part(DATASTORE, FILE, page, 1.0)
        assert made.page == "" and made.size == len(page)
    assert report_part(DATASTORE, FILE, b" " * fit_rules.REPORT_PAGE_BYTES, 1.0).page


def test_a_part_is_never_longer_than_a_part_may_be() -> None:
    assert fit_rules.REPORT_BYTES < fit_rules.PART_BYTES
