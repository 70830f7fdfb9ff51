"""`onedr reprotect`: make a site that came back the standby again; show what is kept and what moves, ask,
go.
"""
from __future__ import annotations

import sys
from typing import Any

import click

from onedr.cli import output, run_action
from onedr.runs.request import Request


@click.command()
@click.argument("datastore")
@click.option(
    "--confirm",
    default="",
    metavar="NAME",
    help="The datastore's name, typed: gives up what this site holds where "
    "both are primary and nothing says who is right.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what is kept, what it holds and what moves; change nothing."
)
@click.option("--yes", is_flag=True, help="Skip the question (never the checks).")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def reprotect(datastore: str, confirm: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Make this site the standby of DATASTORE after the peer took over: keep what only it holds, copy the
    rest anew.

    Run it at the site that came back. Its copy of an image is deleted and comes back over the line, whole.
    """
    if not dry_run and not yes and not confirm and sys.stdin.isatty():
        run_action.present(datastore, Request("reprotect", dry_run=True), _VIEWS)
        click.confirm("The images named above are replaced by the peer's. Go on?", abort=True)
    run_action.present(datastore, Request("reprotect", confirm=confirm, dry_run=dry_run), _VIEWS, as_json)


def _progress(event: dict[str, Any]) -> None:
    left = f", {output.seconds(event['left_s'])} left" if event["left_s"] is not None else ""
    output.console().print(
        f"  {event['percent']:3} %  {_mib(event['bytes'])} of {_mib(event['total'])} MiB{left}"
    )


def _plan(event: dict[str, Any]) -> None:
    out = output.console()
    out.print(f"Peer: {event['peer']['detail']}")
    if output.refused(event):
        return
    out.print(
        output.table(
            "Images",
            ("image", "VM", "kept here", "holds at most", "MiB to move"),
            [
                (
                    image["image"],
                    image["vm"],
                    "yes"
                    if image["kept"]
                    else "no, a copy"
                    if image["again"]
                    else "no, it follows by itself",
                    (output.seconds(image["loss_s"]) or "unknown") if image["kept"] else "",
                    _mib(image["bytes"]),
                )
                for image in event["images"]
            ],
        )
    )
    output.steps(event)
    for name in event["only_here"]:
        out.print(f"Only here, stays as it is: {name}", markup=False)
    output.left_out(event["left_out"])


def _mib(count: int | None) -> str:
    return "unknown" if count is None else str(count >> 20)


_VIEWS = {"plan": _plan, "step": output.step, "progress": _progress, "verdict": output.verdict}
