"""`onedr failover`: show what may be lost, ask, take over, show what came of it."""
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from onedr.cli import every_datastore, run_action, takeover
from onedr.runs.request import Request

if TYPE_CHECKING:
    from typing_extensions import Unpack

_QUESTION = "This site takes over."


@click.command(short_help="Take over from a lost peer")
@takeover.options
@click.option(
    "--confirm", default="", metavar="NAME[:DIGEST]",
    help="The datastore's name, typed; with the digest a dry run showed, good for that plan only. "
    "ALL with --all.",
)
@click.option(
    "--skip-fence-command", is_flag=True, help="Do not run the fence command of onedr.conf: it cannot work."
)
@click.option(
    "--point", default="", metavar="WHEN",
    help="Take each VM back to its newest point in time that is not after WHEN, or `newest`.",
)
@click.option("--commit", "end", flag_value="COMMIT", help="After --point: give the newer state up.")
@click.option("--undo", "end", flag_value="UNDO", help="After --point: go back to the newer state; VMs off.")
def failover(
    datastore: str | None, confirm: str, skip_fence_command: bool, point: str, end: str | None,
    **given: Unpack[takeover.TakeoverOptions],
) -> None:
    """Take over what the peer had in DATASTORE. Run it at the surviving site.

    Writes that have not arrived here are lost. Always confirmed; while the peer is alive, use onedr move.
    """
    if end is not None:
        _end_point(takeover.named(datastore), end, given["yes"], given["as_json"])
        return
    attributes = {"FENCE_COMMAND": "NO"} if skip_fence_command else {}
    attributes |= {"POINT": point} if point else {}
    asked = takeover.request("failover", given, confirm=confirm, attributes=tuple(attributes.items()))
    if given["every"]:
        every_datastore.run(datastore, given, asked, _QUESTION, typed=True)
        return
    datastore = takeover.named(datastore)
    if not given["dry_run"] and not given["yes"] and not confirm and sys.stdin.isatty():
        asked = takeover.ask(datastore, asked, _QUESTION, typed=True)
    run_action.present(datastore, asked, takeover.views(), given["as_json"])


def _end_point(datastore: str, end: str, yes: bool, as_json: bool) -> None:
    lost = "What was kept of the disks' newer state is removed."
    if end == "UNDO":
        lost = "The disks get their newer state again; what was written since the failover is lost."
    if not yes:
        click.confirm(f"{lost} Continue?", abort=True)
    run_action.present(datastore, Request("points", attributes=(("END", end),)), takeover.views(), as_json)
