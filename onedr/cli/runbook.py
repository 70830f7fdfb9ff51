"""`onedr runbook`: the commands that recover a datastore here without OneDR."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import click

from onedr.cli import completion, output, run_action
from onedr.host.atomic_file import write_atomically
from onedr.model.errors import InputError
from onedr.model.text import printable
from onedr.runbook import page_html
from onedr.runs.answer_events import RunBookEvent
from onedr.runs.request import Request

_MODE = 0o600  # it names VMs, owners and addresses


@click.command(short_help="Print how to recover without OneDR.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option(
    "--output", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write it to FILE, readable by its owner only.",
)
@click.option("--html", "as_html", is_flag=True, help="Write an HTML page that needs nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def runbook(datastore: str, file: Path | None, as_html: bool, as_json: bool) -> None:
    """Print, as Markdown, the exact rbd and one* commands that would recover DATASTORE at this site today
    without OneDR. Read-only. Keep it away from both sites, and print it again when VMs change.

    Run it at the standby. Exit code 2: there is nothing to recover here.
    """
    for event in run_action.events(datastore, Request("runbook")):
        book = cast(RunBookEvent, event)
        if as_json:
            click.echo(json.dumps(book.to_json(), indent=2))
        elif book.refusal:
            continue  # said once, as the error that ends this
        elif file is not None:
            _write(file, page_html.page(book.lines) if as_html else _markdown(book.lines), len(book.lines))
        elif as_html:
            click.echo(page_html.page(book.lines), nl=False)
        else:
            for line in book.lines:
                output.line(line)


def _markdown(lines: tuple[str, ...]) -> bytes:
    return "".join(f"{printable(line)}\n" for line in lines).encode()


def _write(file: Path, data: bytes, lines: int) -> None:
    """Raises InputError."""
    try:
        write_atomically(Path(os.path.abspath(file)), data, _MODE)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    output.line(f"{file}: {lines} lines.")
