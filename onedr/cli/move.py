"""`onedr move`: a planned change of sites without loss; show the steps, ask, go."""
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from onedr.cli import every_datastore, run_action, takeover
from onedr.cli.takeover import TakeoverOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

_QUESTION = "The VMs named above stop at the peer and start here."
CONFIRM = click.option(
    "--confirm", default="", metavar="NAME[:DIGEST]",
    help="The datastore's name; with the digest a dry run showed, good for that plan only. "
    "ALL with --all.",
)


@click.command(short_help="Move a datastore here without loss")
@takeover.options
@CONFIRM
def move(datastore: str | None, confirm: str, **given: Unpack[TakeoverOptions]) -> None:
    """Move here what the peer runs in DATASTORE: its VMs stop there, everything arrives, they start here.

    Both sites must be alive. Nothing is lost, or nothing is changed. Run it at the site that receives.
    """
    run("move", datastore, confirm, given)


def run(verb: str, datastore: str | None, confirm: str, given: TakeoverOptions) -> None:
    """Show the plan and ask, where a person is at the terminal; then do it."""
    asked = takeover.request(verb, given, confirm=confirm)
    if given["every"]:
        every_datastore.run(datastore, given, asked, _QUESTION, typed=False)
        return
    datastore = takeover.named(datastore)
    if not given["dry_run"] and not given["yes"] and not confirm and sys.stdin.isatty():
        asked = takeover.ask(datastore, asked, f"{_QUESTION} Go on?", typed=False)
    run_action.present(datastore, asked, takeover.views(), given["as_json"])
