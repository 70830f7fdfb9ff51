"""Makes the report of the night of a datastore: `python -m onedr.cli.report_process ID`.

The keeper starts it (protection/report_timer.py).
"""
from __future__ import annotations

import sys
import time

from onedr.cli.report import read
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.opennebula.api import FrontEnd
from onedr.report import collect, kept
from onedr.report.page import page


def main(datastore_id: int) -> None:
    """Replace the page that is kept of it. A failure is a line in the log: the keeper tries again."""
    log.catch_all()
    log.bind(verb="report", datastore=str(datastore_id))
    try:
        name = str(FrontEnd(limit_s=15).datastore(datastore_id).findtext("NAME"))
        section = read(name, str(datastore_id), ((collect.KEPT, "YES"),))
        path = kept.keep_page(datastore_id, page([section], time.time(), "the keeper"))
        if section.report is not None:
            kept.keep(datastore_id, section.report)
        log.info(f"the report of the night is {path}")
    except (OneDRError, OSError) as error:
        log.warning(f"the report of the night was not made: {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
