"""`onedr exporter`: metrics for Prometheus, of all datastores of this front-end."""
from __future__ import annotations

import signal
from importlib.metadata import version
from typing import cast

import click

from onedr.cli import output, run_action
from onedr.metrics import exporter as metrics_exporter
from onedr.model.errors import InputError, OneDRError
from onedr.runs.answer_events import ObservedEvent
from onedr.runs.request import Request


@click.command(short_help="Serve metrics for Prometheus.")
@click.option(
    "--listen", default="127.0.0.1:9925", show_default=True, metavar="HOST:PORT",
    help="Where to answer HTTP. It shows names of VMs and asks for no password.",
)
@click.option(
    "--textfile", type=click.Path(dir_okay=False), help="Write FILE once instead, for node_exporter.",
    metavar="FILE",
)
def exporter(listen: str, textfile: str | None) -> None:
    """Serve metrics of every datastore of this front-end (docs/metrics.md).

    Each scrape looks anew, read-only. Ends with SIGTERM or Ctrl-C.
    """
    made = metrics_exporter.Exporter(version("onedr"), bridged)
    if textfile is not None:
        metrics_exporter.write_file(made, textfile)
        return
    host, port = _address(listen)
    metrics_exporter.serve(made, host, port)
    output.line(f"metrics at http://{listen}/metrics")
    signal.pause()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 1 << 16:
        raise InputError(f"--listen {text!r} is not an address such as 127.0.0.1:9925.")
    return host.strip("[]"), int(port)


def bridged(datastore_id: int) -> ObservedEvent:
    """A datastore that only a bridge host reaches, by the driver, which goes there."""
    for event in run_action.events(str(datastore_id), Request("observe")):
        return cast(ObservedEvent, event)
    raise OneDRError(f"the action observe of datastore {datastore_id} answered nothing")
