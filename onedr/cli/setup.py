"""`onedr setup` and `onedr teardown`: mirroring between two sites, made ready at each in turn, and taken
back.
"""
from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from onedr.ceph.admin import Admin
from onedr.cli import output
from onedr.model.errors import InputError
from onedr.model.settings import duration
from onedr.pairing import collect as pairing_collect
from onedr.pairing import run as pairing_run
from onedr.pairing import teardown as pairing_teardown
from onedr.pairing.collect import PairingTarget
from onedr.pairing.plan import DesiredState
from onedr.pairing.run import SetupRequest


def _span(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """A duration in seconds."""
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


_ADMIN = (
    click.option("--pool", metavar="NAME", help="The pool, where no datastore is there to name it."),
    click.option(
        "--ceph-conf",
        metavar="FILE",
        default="",
        help="Ceph's configuration; else the datastore's, or Ceph's own.",
    ),
    click.option(
        "--admin-user", metavar="NAME", default="admin", show_default=True, help="An administrator of Ceph."
    ),
    click.option(
        "--admin-keyring", metavar="FILE", default="", help="That user's key; else where Ceph looks for it."
    ),
    click.option(
        "--dry-run", is_flag=True, help="Show every change, now and then, and what it costs; change nothing."
    ),
    click.option("--yes", is_flag=True, help="Skip the question."),
    click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON."),
)


def _administered(command: Any) -> Any:
    for option in reversed(_ADMIN):
        command = option(command)
    return command


@click.command()
@click.argument("datastore", required=False)
@click.option(
    "--site", metavar="NAME", default="", help="What this site is called; else DR_SITE, or what Ceph has."
)
@click.option(
    "--offer", metavar="FILE", default="", help="First site: write the file to take to the other one."
)
@click.option(
    "--join", metavar="FILE", default="", help="Second site: use the file that the first one wrote."
)
@click.option("--lasts", callback=_span, default="1d", show_default=True, help="How long the file is good.")
@click.option(
    "--ceph-user", metavar="NAME", default="", help="CEPH_USER of the datastore to be, with --pool."
)
@click.option(
    "--schedule", metavar="5m", default="", help="Mirror snapshots of the pool; else as the datastore says."
)
@click.option(
    "--poll-age",
    type=click.FloatRange(0.1, 60),
    default=0.5,
    show_default=True,
    help="Seconds; lag in JOURNAL mode.",
)
@click.option(
    "--retry",
    callback=_span,
    default="5s",
    show_default=True,
    help="After which rbd-mirror tries again what failed.",
)
@click.option(
    "--delete-delay",
    callback=_span,
    default="1d",
    show_default=True,
    help="How long deleted copies stay in trash.",
)
@click.option("--no-probe", is_flag=True, help="Do not send small images there and back in the end.")
@_administered
def setup(datastore: str | None, pool: str | None, as_json: bool, yes: bool, **given: Any) -> None:
    """Make Ceph ready to mirror the pool of DATASTORE with the other site. Run it at one site, then at the
    other.

    Safe to run again: what is there stays, what is missing or half made is made. Needs an administrator of
    the Ceph cluster.
    """
    if given["offer"] and given["join"]:
        raise InputError("--offer is for the first site, --join for the second; give one.")
    target = _target(datastore, pool)
    desired = DesiredState(
        target.pool,
        given["site"] or target.site,
        given["ceph_user"] or target.user,
        target.data_pool,
        target.keyfile,
        given["schedule"] or target.schedule,
        given["poll_age"],
        given["retry"],
        given["delete_delay"],
        given["offer"],
        target.site_index,
    )
    asked = SetupRequest(
        _admin(target, given),
        desired,
        given["join"],
        given["lasts"],
        given["dry_run"],
        not given["no_probe"],
        target.datastore,
    )
    if sys.stdin.isatty() and not (as_json or yes):
        asked = _guided(asked)
        if not asked.dry_run:
            output.present(pairing_run.run_setup(replace(asked, dry_run=True)), _VIEWS)
            click.confirm("Make these changes?", abort=True)
    output.present(pairing_run.run_setup(asked), _VIEWS, as_json)


def _admin(target: PairingTarget, given: dict[str, Any]) -> Admin:
    return Admin(given["ceph_conf"] or target.conf, given["admin_user"], given["admin_keyring"])


def _target(datastore: str | None, pool: str | None) -> PairingTarget:
    if datastore and pool:
        raise InputError("Name a datastore or --pool, not both: the datastore says which pool is meant.")
    if not datastore and not pool:
        if not sys.stdin.isatty():
            raise InputError("Name the datastore, or the pool with --pool.")
        datastore = click.prompt("Datastore (name or id)")
    return pairing_collect.of_datastore(datastore) if datastore else PairingTarget(str(pool))


def _guided(asked: SetupRequest) -> SetupRequest:
    """Ask for what is needed and was not given."""
    missing = pairing_run.missing_answers(asked)
    desired, join = asked.desired, asked.join
    if "site" in missing:
        desired = replace(desired, site=click.prompt("What is this site called"))
    if "file" in missing:
        click.echo("Two sites are joined by one file: the first writes it, the second uses it.")
        join = click.prompt(
            "The file of the other site (empty when this is the first one)", default="", show_default=False
        )
        if not join:
            default = f"onedr-join-{desired.pool}"
            desired = replace(
                desired, offer=click.prompt("Where to write the file for the other site", default=default)
            )
    return replace(asked, desired=desired, join=join)


@click.command()
@click.argument("datastore", required=False)
@_administered
def teardown(datastore: str | None, pool: str | None, yes: bool, as_json: bool, **given: Any) -> None:
    """Take back what `onedr setup` changed at this site for the pool of DATASTORE; what somebody else changed
    stays.

    Refused while a datastore in that pool is protected.
    """
    target = _target(datastore, pool)
    admin, dry_run = _admin(target, given), given["dry_run"]
    if sys.stdin.isatty() and not (yes or dry_run or as_json):
        output.present(pairing_teardown.run_teardown(admin, target.pool, True), _VIEWS)
        click.confirm("Take these back?", abort=True)
    output.present(pairing_teardown.run_teardown(admin, target.pool, dry_run), _VIEWS, as_json)


def _plan(event: dict[str, Any]) -> None:
    out = output.console()
    if event["refusals"]:
        return  # the error says them
    if event["steps"]:
        out.print(
            output.table(
                f"Pool {event['pool']}",
                ("#", "what", "now", "then", "cost"),
                [
                    (place, step["text"], step["now"], step["then"], step["cost"])
                    for place, step in enumerate(event["steps"], 1)
                ],
            )
        )
    else:
        out.print(f"Pool {event['pool']}: nothing to change.", markup=False)
    for note in event["notes"]:
        out.print(f"Note: {note}", markup=False, soft_wrap=True)


def _step(event: dict[str, Any]) -> None:
    output.console().print(f"  ok     {event['text']}: {event['then']}", markup=False, soft_wrap=True)


def _note(event: dict[str, Any]) -> None:
    output.console().print(f"  {event['level']:8} {event['text']}", markup=False, soft_wrap=True)


def _verdict(event: dict[str, Any]) -> None:
    output.console().print(event["message"], markup=False, soft_wrap=True)


_VIEWS = {"plan": _plan, "step": _step, "note": _note, "verdict": _verdict}
