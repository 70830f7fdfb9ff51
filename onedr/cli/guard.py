"""`onedr guard`: may this site's VMs start, or has the peer taken over?

Run before OpenNebula, and by every reconcile.
"""
from __future__ import annotations

import json

import click

from onedr.model.errors import RefusedError
from onedr.rejoin import boot_guard


@click.command()
@click.option(
    "--accept",
    "accepted",
    default="",
    metavar="DATASTORE",
    help="The peer surely did not take over: let it start.",
)
@click.option(
    "--wait",
    "wait_s",
    default=0,
    metavar="SECONDS",
    help="Ask again for so long while the peer does not answer.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per datastore.")
def guard(accepted: str, wait_s: int, as_json: bool) -> None:
    """Ask the peer about every protected datastore: what it took over is demoted here, and VMs on it are
    held.

    Needs no oned. Exit code 2: it is not known who is right, or it could not be done; OpenNebula must not
    start then.
    """
    if accepted:
        boot_guard.accept(accepted)
    bad = []
    for answer in boot_guard.guard_all(wait_s):
        found = answer.found
        if as_json:
            click.echo(
                json.dumps(
                    {
                        "datastore": answer.datastore,
                        "free": answer.free,
                        "message": answer.message,
                        "verdicts": {name: verdict.value for name, verdict in found.verdicts.items()}
                        if found
                        else {},
                        "demoted": found.demoted if found else [],
                        "held": found.held if found else [],
                        "failed": found.failed if found else {},
                    }
                )
            )
        else:
            click.echo(f"{answer.datastore}: {answer.message}")
            for item, why in (found.failed if found else {}).items():
                click.echo(f"  FAILED {item}: {why}")
        if not answer.free:
            bad.append(answer.message)
    if bad:
        raise RefusedError(" ".join(bad))
