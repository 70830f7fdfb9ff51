"""Run a datastore action's executable and hand its events on. The action outlives this client."""
from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

from onedr.cli import output
from onedr.model.errors import FrontEndError, OneDRError, PartialError, RefusedError
from onedr.opennebula.api import FrontEnd
from onedr.runs import request as runs_request
from onedr.runs.request import Request

_TAIL = 400
_KINDS = {"RefusedError": RefusedError, "PartialError": PartialError}


def events(datastore: str, request: Request) -> Iterator[dict[str, Any]]:
    """Events of the action, as they come. Raises the error that ended it."""
    element = FrontEnd().find_datastore(datastore)
    request = replace(request, by=runs_request.caller(), trigger="onedr", at=time.time())
    argv = [runs_request.command(request.verb), str(element.findtext("ID"))]
    with tempfile.TemporaryFile() as complaints:  # not a pipe: nobody reads it when this client is gone
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
        )
        yield from _read(child, runs_request.driver_data(element, request), complaints)


def present(datastore: str, request: Request, views: output.Views, as_json: bool = False) -> None:
    """Run the action and show its events."""
    output.present(events(datastore, request), views, as_json)


def _read(child: subprocess.Popen[bytes], data: bytes, complaints: IO[bytes]) -> Iterator[dict[str, Any]]:
    assert child.stdin is not None and child.stdout is not None
    with child.stdin as stdin:
        stdin.write(data)
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
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip()[-_TAIL:]
        raise OneDRError(f"the action ended with code {code}: {said or 'it said nothing'}")


def datastore_name(datastore: str) -> str:
    """NAME of a datastore given by id or name."""
    name = FrontEnd().find_datastore(datastore).findtext("NAME")
    if not name:
        raise FrontEndError(f"Datastore {datastore} has no name.")
    return name
