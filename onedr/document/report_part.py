"""REPORT of a document, from the page of a drill's report. Pure."""
from __future__ import annotations

import base64
import gzip

from onedr.document.fit_rules import REPORT_BYTES, REPORT_PAGE_BYTES
from onedr.document.form import DatastoreShown, ReportPart


def report_part(datastore: DatastoreShown, file: str, page: bytes, now: float) -> ReportPart:
    """`page`: the HTML; `file`: its name. A page that is too long is left out, and its size is there."""
    packed = base64.b64encode(gzip.compress(page, mtime=0)).decode()
    fits = len(page) <= REPORT_PAGE_BYTES and len(packed) <= REPORT_BYTES
    return ReportPart(now, datastore, file, len(page), packed if fits else "")
