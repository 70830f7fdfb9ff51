"""Run a datastore action's executable and hand its events on. The action outlives this client (P19)."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

from onedr.errors import FrontEndError, OneDRError, PartialError, RefusedError
from onedr.ops import action
from onedr.ops.action import Request
from onedr.ports.frontend import FrontEnd

_KINDS = {"RefusedError": RefusedError, "PartialError": PartialError}


def events(datastore: str, request: Request) -> Iterator[dict[str, Any]]:
    """Events of the action, as they come. Raises the error that ended it."""
    element = FrontEnd().find_datastore(datastore)
    child = subprocess.Popen(
        [action.command(request.verb), str(element.findtext("ID"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )
    assert child.stdin is not None and child.stdout is not None
    with child.stdin as stdin:
        stdin.write(action.driver_data(element, request))
    failure: OneDRError | None = None
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "error":
            failure = _KINDS.get(event["kind"], OneDRError)(event["message"])
            failure.exit_code = getattr(failure, "exit_code", 1)
        else:
            yield event
    code = child.wait()
    if failure is not None:
        failure.exit_code = code
        raise failure
    if code:
        raise OneDRError(f"The action {request.verb} ended with code {code}; its driver's log is in oned.log.")


def datastore_name(datastore: str) -> str:
    """NAME of a datastore given by id or name."""
    name = FrontEnd().find_datastore(datastore).findtext("NAME")
    if not name:
        raise FrontEndError(f"Datastore {datastore} has no name.")
    return name
