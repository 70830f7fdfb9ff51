"""A drill's report in the datastore's document, for those who may read that (docs/document.md)."""
from __future__ import annotations

import time

import rados

from onedr.ceph.connection import Pool
from onedr.document import fit_rules, place
from onedr.document.form import DatastoreShown, ReportPart
from onedr.document.report_part import report_part
from onedr.drill.report import SavedReport
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore

_LIMIT_S = 30


def show_report(pool: Pool, target: Datastore, saved: SavedReport) -> None:
    """Write REPORT. A failure is a warning: the files are the report."""
    site = target.settings.site or pool.fsid()[:8]
    shown = DatastoreShown(target.datastore_id, target.name, site)
    part = report_part(shown, saved.html.name, saved.page, time.time())
    document = place.Document(pool, target.datastore_id, FrontEnd(limit_s=_LIMIT_S))
    try:
        document.put({ReportPart.name: fit_rules.text_of(part)})
    except (OneDRError, rados.Error) as error:
        log.warning(f"the document does not show the report {saved.html}: {error}")
