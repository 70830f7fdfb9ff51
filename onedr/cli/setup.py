"""`onedr setup` and `onedr teardown`: mirroring between two sites, made ready at each in turn, and taken back."""
from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from onedr.cli import show
from onedr.errors import InputError
from onedr.ops import setup as setting_up
from onedr.ops import setup_look
from onedr.ops import teardown as taking_back
from onedr.ops.setup import Asked
from onedr.ops.setup_look import Target
from onedr.policy.settings import duration
from onedr.policy.setup import Wish
from onedr.ports.cluster import Admin


def _span(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """A duration in seconds."""
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


_ADMIN = (
    click.option("--pool", metavar="NAME", help="The pool, where no datastore is there to name it."),
    click.option("--ceph-conf", metavar="FILE", default="", help="Ceph's configuration; else the datastore's, or Ceph's own."),
    click.option("--admin-user", metavar="NAME", default="admin", show_default=True, help="An administrator of Ceph."),
    click.option("--admin-keyring", metavar="FILE", default="", help="That user's key; else where Ceph looks for it."),
    click.option("--dry-run", is_flag=True, help="Show every change, now and then, and what it costs; change nothing."),
    click.option("--yes", is_flag=True, help="Skip the question."),
    click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON."),
)


def _administered(command: Any) -> Any:
    for option in reversed(_ADMIN):
        command = option(command)
    return command


@click.command()
@click.argument("datastore", required=False)
@click.option("--site", metavar="NAME", default="", help="What this site is called; else DR_SITE, or what Ceph has.")
@click.option("--offer", metavar="FILE", default="", help="First site: write the file to take to the other one.")
@click.option("--join", metavar="FILE", default="", help="Second site: use the file that the first one wrote.")
@click.option("--lasts", callback=_span, default="1d", show_default=True, help="How long the file is good.")
@click.option("--ceph-user", metavar="NAME", default="", help="CEPH_USER of the datastore to be, with --pool.")
@click.option("--schedule", metavar="5m", default="", help="Mirror snapshots of the pool; else as the datastore says.")
@click.option("--poll-age", type=click.FloatRange(0.1, 60), default=0.5, show_default=True, help="Seconds; lag in JOURNAL mode.")
@click.option("--retry", callback=_span, default="5s", show_default=True, help="After which rbd-mirror tries again what failed.")
@click.option("--delete-delay", callback=_span, default="1d", show_default=True, help="How long deleted copies stay in trash.")
@click.option("--no-probe", is_flag=True, help="Do not send small images there and back in the end.")
@_administered
def setup(datastore: str | None, pool: str | None, as_json: bool, yes: bool, **given: Any) -> None:
    """Make Ceph ready to mirror the pool of DATASTORE with the other site. Run it at one site, then at the other.

    Safe to run again: what is there stays, what is missing or half made is made. Needs an administrator of the Ceph cluster.
    """
    if given["offer"] and given["join"]:
        raise InputError("--offer is for the first site, --join for the second; give one.")
    target = _target(datastore, pool)
    wish = Wish(
        target.pool, given["site"] or target.site, given["ceph_user"] or target.user, target.data_pool, target.keyfile,
        given["schedule"] or target.schedule, given["poll_age"], given["retry"], given["delete_delay"], given["offer"],
        target.site_index,
    )
    asked = Asked(
        _admin(target, given), wish, given["join"], given["lasts"], given["dry_run"], not given["no_probe"], target.datastore
    )
    if sys.stdin.isatty() and not (as_json or yes):
        asked = _guided(asked)
        if not asked.dry_run:
            show.present(setting_up.run(replace(asked, dry_run=True)), _VIEWS)
            click.confirm("Make these changes?", abort=True)
    show.present(setting_up.run(asked), _VIEWS, as_json)


def _admin(target: Target, given: dict[str, Any]) -> Admin:
    return Admin(given["ceph_conf"] or target.conf, given["admin_user"], given["admin_keyring"])


def _target(datastore: str | None, pool: str | None) -> Target:
    if datastore and pool:
        raise InputError("Name a datastore or --pool, not both: the datastore says which pool is meant.")
    if not datastore and not pool:
        if not sys.stdin.isatty():
            raise InputError("Name the datastore, or the pool with --pool.")
        datastore = click.prompt("Datastore (name or id)")
    return setup_look.of_datastore(datastore) if datastore else Target(str(pool))


def _guided(asked: Asked) -> Asked:
    """Ask for what is needed and was not given."""
    missing = setting_up.needs(asked)
    wish, join = asked.wish, asked.join
    if "site" in missing:
        wish = replace(wish, site=click.prompt("What is this site called"))
    if "file" in missing:
        click.echo("Two sites are joined by one file: the first writes it, the second uses it.")
        join = click.prompt("The file of the other site (empty when this is the first one)", default="", show_default=False)
        if not join:
            default = f"onedr-join-{wish.pool}"
            wish = replace(wish, offer=click.prompt("Where to write the file for the other site", default=default))
    return replace(asked, wish=wish, join=join)


@click.command()
@click.argument("datastore", required=False)
@_administered
def teardown(datastore: str | None, pool: str | None, yes: bool, as_json: bool, **given: Any) -> None:
    """Take back what `onedr setup` changed at this site for the pool of DATASTORE; what somebody else changed stays.

    Refused while a datastore in that pool is protected.
    """
    target = _target(datastore, pool)
    admin, dry_run = _admin(target, given), given["dry_run"]
    if sys.stdin.isatty() and not (yes or dry_run or as_json):
        show.present(taking_back.run(admin, target.pool, True), _VIEWS)
        click.confirm("Take these back?", abort=True)
    show.present(taking_back.run(admin, target.pool, dry_run), _VIEWS, as_json)


def _plan(event: dict[str, Any]) -> None:
    out = show.console()
    if event["refusals"]:
        return  # the error says them
    if event["steps"]:
        out.print(show.table(f"Pool {event['pool']}", ("#", "what", "now", "then", "cost"), [
            (place, step["text"], step["now"], step["then"], step["cost"]) for place, step in enumerate(event["steps"], 1)
        ]))
    else:
        out.print(f"Pool {event['pool']}: nothing to change.", markup=False)
    for note in event["notes"]:
        out.print(f"Note: {note}", markup=False, soft_wrap=True)


def _step(event: dict[str, Any]) -> None:
    show.console().print(f"  ok     {event['text']}: {event['then']}", markup=False, soft_wrap=True)


def _note(event: dict[str, Any]) -> None:
    show.console().print(f"  {event['level']:8} {event['text']}", markup=False, soft_wrap=True)


def _verdict(event: dict[str, Any]) -> None:
    show.console().print(event["message"], markup=False, soft_wrap=True)


_VIEWS = {"plan": _plan, "step": _step, "note": _note, "verdict": _verdict}
