"""`onedr reprotect`: make a site that returned the standby again."""
from __future__ import annotations

import sys

import click

from onedr.cli import completion, output, run_action, run_view
from onedr.cli.run_view import RunView
from onedr.runs.plan_events import ReprotectImage, ReprotectPlanEvent
from onedr.runs.request import Request


@click.command(short_help="Make a returned site the standby again.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option(
    "--confirm",
    default="",
    metavar="NAME",
    help="The datastore's name, typed. Gives up this site's data where both sites are primary and neither "
    "is known to be newer.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what is preserved and what is transferred. Change nothing."
)
@click.option("--yes", is_flag=True, help="Do not ask. The checks are still made.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def reprotect(datastore: str, confirm: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Make this site the standby of DATASTORE after the peer took over.

    Run it at the site that returned. Writes that only this site has are preserved (onedr kept). Each stale
    image is deleted here and fully resynchronised from the peer.
    """
    if not dry_run and not yes and not confirm and sys.stdin.isatty():
        run_action.present(datastore, Request("reprotect", dry_run=True), views())
        click.confirm("Replace the images named above by the peer's?", abort=True)
    run_action.present(datastore, Request("reprotect", confirm=confirm, dry_run=dry_run), views(), as_json)


def _plan(event: ReprotectPlanEvent) -> None:
    out = output.console()
    out.print(f"Peer: {event.peer.detail}")
    if event.refusal:
        return
    out.print(
        output.table(
            "Images",
            ("image", "VM", "preserved", "only here at most", "MiB to transfer"),
            [
                (
                    image.image,
                    image.vm,
                    _preserved(image),
                    (output.seconds(image.loss_s) or "unknown") if image.kept else "",
                    _mib(image.bytes),
                )
                for image in event.images
            ],
        )
    )
    output.steps(event.steps)
    if event.note:
        out.print(event.note)
    for name in event.only_here:
        out.print(f"Only here, left as it is: {name}")
    output.left_out(event.left_out)


def _preserved(image: ReprotectImage) -> str:
    if image.kept:
        return "yes"
    return "no, a replica" if image.again else "no, replication continues"


def _mib(count: int | None) -> str:
    return "unknown" if count is None else str(count >> 20)


def views() -> output.Views:
    """How the events of a reprotect look to people."""
    run = RunView()

    def plan(event: ReprotectPlanEvent) -> None:
        run.plan(event)
        _plan(event)

    return {ReprotectPlanEvent: plan, **run_view.views(run)}
