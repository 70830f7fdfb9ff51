"""`onedr status`: state, VMs, disks, and what is not protected and why."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import cast

import click

from onedr.cli import completion, run_action, status_view
from onedr.model.errors import InputError, OneDRError, ProblemsFoundError
from onedr.model.json_form import Json
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.runs.answer_events import StatusEvent
from onedr.runs.events import ErrorEvent
from onedr.runs.request import Request
from onedr.runs.state import NEEDS_A_PERSON

_EVERY_S = 5.0
Found = Mapping[str, "StatusEvent | OneDRError"]  # by name of the datastore


@click.command(short_help="Show how datastores are protected.")
@click.argument("datastore", required=False, shell_complete=completion.datastores)
@click.option(
    "--vm", metavar="VM", shell_complete=completion.vms, help="Show only this VM (name or id) and its disks."
)
@click.option("--watch", is_flag=True, help=f"Look again every {_EVERY_S:.0f} s, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, also for an error.")
def status(datastore: str | None, vm: str | None, watch: bool, as_json: bool) -> None:
    """Show how DATASTORE (name or id) is protected, by default each protected one in a line, worst first.

    Read-only; works while the peer is unreachable. Exit code 6: one is degraded or worse.
    """
    while True:
        bad = _look(datastore, vm, watch, as_json)
        if not watch:
            break
        time.sleep(_EVERY_S)
    if bad:
        sys.exit(ProblemsFoundError.exit_code)


def _look(datastore: str | None, vm: str | None, watch: bool, as_json: bool) -> bool:
    """Look once and show it. Returns whether something is degraded or worse."""
    try:
        found = _one(datastore) if datastore is not None else _all()
        if vm is not None:
            found = _with_vm(found, vm)
    except OneDRError as error:
        if not as_json:
            raise
        click.echo(json.dumps(_error(error).to_json(), indent=2))
        sys.exit(error.exit_code)
    if as_json:
        whole = found[next(iter(found))] if datastore is not None else None
        told = whole.to_json() if isinstance(whole, StatusEvent) else _overview(found)
        click.echo(json.dumps(told, indent=2))
    else:
        if watch:
            click.clear()
        _print(found, vm, datastore is not None)
    return any(isinstance(each, OneDRError) or _is_bad(each) for each in found.values())


def _print(found: Found, vm: str | None, alone: bool) -> None:
    if vm is not None:
        for each in found.values():
            status_view.print_vm(cast(StatusEvent, each), vm)
    elif alone:
        for each in found.values():
            status_view.print_datastore(cast(StatusEvent, each))
    else:
        status_view.print_all(found)


def _is_bad(event: StatusEvent) -> bool:
    return event.state in {state.value for state in NEEDS_A_PERSON}


def _status(datastore: str) -> StatusEvent:
    for event in run_action.events(datastore, Request("status")):
        return cast(StatusEvent, event)
    raise OneDRError(f"the action status of datastore {datastore} answered nothing")


def _one(datastore: str) -> Found:
    event = _status(datastore)
    return {event.datastore: event}


def _all() -> Found:
    """Every protected datastore, in parallel; one that cannot be read hides no other."""
    from concurrent.futures import ThreadPoolExecutor  # it loads logging

    wanted = datastores.protected(FrontEnd())
    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        asked = {
            name: pool.submit(_try, number) for name, number in wanted.items() if isinstance(number, str)
        }
        return {
            name: number if isinstance(number, OneDRError) else asked[name].result()
            for name, number in wanted.items()
        }


def _try(datastore: str) -> StatusEvent | OneDRError:
    try:
        return _status(datastore)
    except OneDRError as error:
        return error


def _with_vm(found: Found, vm: str) -> Found:
    """Those that have a disk of the VM. Raises InputError when none has, or the error that may hide it."""
    having = {
        name: each for name, each in found.items()
        if isinstance(each, StatusEvent) and any(status_view.is_vm(one, vm) for one in each.vms)
    }
    if having:
        return having
    unread = next((each for each in found.values() if isinstance(each, OneDRError)), None)
    raise unread or InputError(f"No protected datastore has a record of VM {vm!r}; onedr status lists them.")


def _error(error: OneDRError) -> ErrorEvent:
    return ErrorEvent(type(error).__name__, str(error), error.word)


def _overview(found: Found) -> Json:
    shown = []
    for name, each in status_view.worst_first(found):
        event = _error(each) if isinstance(each, OneDRError) else each
        shown.append({**event.to_json(), "datastore": name})
    return {"event": "overview", "datastores": shown}
