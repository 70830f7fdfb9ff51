"""`onedr reconcile`: enable mirroring and write records where hooks missed it."""
from __future__ import annotations

import click

from onedr.cli import completion, output, run_action
from onedr.model.errors import OneDRError, PartialError
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.runs.answer_events import ReconcileEvent
from onedr.runs.request import Request


@click.command(short_help="Repair missing mirroring and records.")
@click.argument("datastore", required=False, shell_complete=completion.datastores)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per datastore.")
def reconcile(datastore: str | None, as_json: bool) -> None:
    """Enable mirroring and write records wherever they are missing. Safe at any time.

    Default: all protected datastores.
    """
    if datastore:
        _one(datastore, as_json)
        return
    failed = []
    for number, found in datastores.all_of(FrontEnd()).items():
        if not as_json:
            output.line(f"{found.name}:")
        try:
            _one(str(number), as_json)
        except OneDRError as error:
            failed.append(found.name)
            output.line(f"{found.name}: {error}", err=True)
    if failed:
        raise PartialError(f"Not reconciled: {', '.join(failed)}; the reasons are above.")


def _one(datastore: str, as_json: bool) -> None:
    output.present(run_action.events(datastore, Request("reconcile")), {ReconcileEvent: _print}, as_json)


def _print(event: ReconcileEvent) -> None:
    counts = (len(event.mirrored), len(event.recorded), len(event.protected))
    output.line("{} mirrored, {} record(s) written, {} begun".format(*counts))
    for name in event.flattened:
        output.line(f"  {name}: flattened")
    for name, reason in {**event.waiting, **event.failed}.items():
        output.line(f"  {name}: {reason}")
