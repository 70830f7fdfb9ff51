"""`onedr guard`: may this site's VMs start, or has the peer taken over?

Run before OpenNebula, and by every reconcile.
"""
from __future__ import annotations

import json

import click

from onedr.cli import output
from onedr.model.errors import RefusedError
from onedr.rejoin import boot_guard


@click.command(short_help="Check whether the peer has taken over.")
@click.option(
    "--accept",
    "accepted",
    default="",
    metavar="DATASTORE",
    help="Let OpenNebula start although the peer cannot be asked. Only if you are certain it has not taken "
    "over.",
)
@click.option(
    "--wait",
    "wait_s",
    default=0,
    metavar="SECONDS",
    help="Keep retrying for this many seconds while the peer does not answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per datastore.")
def guard(accepted: str, wait_s: int, as_json: bool) -> None:
    """Ask the peer about every protected datastore. Images that it took over are demoted here, and VMs that
    use them are locked.

    Does not need oned. Exit code 2: the peer cannot be asked, or something failed; OpenNebula must not start
    then.
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
                        "locked": found.locked if found else [],
                        "failed": found.failed if found else {},
                    }
                )
            )
        else:
            output.line(f"{answer.datastore}: {answer.message}")
            for item, why in (found.failed if found else {}).items():
                output.line(f"  FAILED {item}: {why}")
        if not answer.free:
            bad.append(answer.message)
    if bad:
        raise RefusedError(" ".join(bad))
