"""Starts a datastore's rehearsal as oned's own actions are started: `python -m onedr.driver.rehearsal_process
ID`, by the keeper.
"""
from __future__ import annotations

import sys

from onedr.driver import start_action
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.opennebula.api import FrontEnd
from onedr.rehearsal.run import IF_DUE
from onedr.runs.request import Request


def main(datastore_id: int) -> None:
    """Start it. A failure is a line in the log: the keeper's next pass tries again."""
    log.catch_all()
    log.bind(verb="rehearse", datastore=str(datastore_id))
    request = Request("rehearse", attributes=((IF_DUE, "YES"),), by="the keeper", trigger="timer")
    try:
        start_action.start_detached(FrontEnd(limit_s=15).datastore(datastore_id), request)
    except (OneDRError, OSError) as error:
        log.warning(f"the rehearsal did not start: {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
