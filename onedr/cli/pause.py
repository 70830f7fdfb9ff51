"""`onedr pause`, `onedr resume-protection`: the copies of a datastore stay as they are, or follow again."""
from __future__ import annotations

import click

from onedr.cli import completion, output, run_action
from onedr.runs.events import ProgressEvent
from onedr.runs.request import Request


@click.command(short_help="Pause replication; the copies stay.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def pause(datastore: str, as_json: bool) -> None:
    """Pause the replication of DATASTORE, at either site: the copies stay and grow older.

    Until onedr resume-protection a failover loses what is written from now on.
    """
    run_action.present(datastore, Request("pause"), {ProgressEvent: _said}, as_json)


@click.command("resume-protection", short_help="End a pause.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def resume_protection(datastore: str, as_json: bool) -> None:
    """Let the copies of DATASTORE follow again, at either site."""
    run_action.present(datastore, Request("resume_protection"), {ProgressEvent: _said}, as_json)


def _said(event: ProgressEvent) -> None:
    output.line(event.message)
