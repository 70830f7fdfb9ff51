"""`onedr setup` and `onedr teardown`: pair two pools for mirroring, one site after the other, and undo it."""
from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

import click

from onedr.ceph.admin import Admin
from onedr.cli import completion, output
from onedr.model import parsing
from onedr.model.errors import InputError, RefusedError
from onedr.model.settings import duration
from onedr.pairing import collect as pairing_collect
from onedr.pairing import front_end as pairing_front_end
from onedr.pairing import run as pairing_run
from onedr.pairing import teardown as pairing_teardown
from onedr.pairing.collect import PairingTarget
from onedr.pairing.facts import DesiredState
from onedr.pairing.front_end import PeerFrontEnd
from onedr.pairing.run import SetupRequest
from onedr.runs.events import ChangeEvent, NoteEvent, VerdictEvent
from onedr.runs.plan_events import PairingPlanEvent

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AdminOptions(TypedDict):
    """What click passes for options of both commands."""

    ceph_conf: str
    admin_user: str
    admin_keyring: str
    dry_run: bool


class SetupOptions(AdminOptions):
    """And for those of `onedr setup`; spans in seconds."""

    site: str
    offer: str
    join: str
    lasts: int
    ceph_user: str
    schedule: str
    poll_age: float
    retry: int
    delete_delay: int
    peer_endpoint: str
    peer_auth: str
    peer_insecure: bool
    no_probe: bool


def _span(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """A duration in seconds."""
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


_ADMIN = (
    click.option("--pool", metavar="NAME", help="The pool, if no datastore uses it yet."),
    click.option(
        "--ceph-conf",
        metavar="FILE",
        default="",
        help="Ceph's configuration file. Default: the datastore's, or Ceph's own.",
    ),
    click.option(
        "--admin-user", metavar="NAME", default="admin", show_default=True, help="A Ceph administrator."
    ),
    click.option(
        "--admin-keyring", metavar="FILE", default="", help="That user's keyring. Default: Ceph's own place."
    ),
    click.option(
        "--dry-run", is_flag=True, help="Show each change (current value, new value, cost) without making it."
    ),
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON."),
)


def _administered(command: Any) -> Any:
    for option in reversed(_ADMIN):
        command = option(command)
    return command


@click.command(short_help="Pair this site's pool with the other site.")
@click.argument("datastore", required=False, shell_complete=completion.datastores)
@click.option(
    "--site", metavar="NAME", default="", help="Name of this site. Default: DR_SITE, or the name in Ceph."
)
@click.option(
    "--offer", metavar="FILE", default="", help="First site: write the join file for the other site."
)
@click.option(
    "--join", metavar="FILE", default="", help="Second site: use the join file that the first site wrote."
)
@click.option(
    "--valid-for", "--lasts", "lasts", callback=_span, default="1d", show_default=True,
    help="How long the join file is valid.",
)
@click.option(
    "--ceph-user", metavar="NAME", default="", help="CEPH_USER of the future datastore, with --pool."
)
@click.option(
    "--schedule", metavar="5m", default="", help="Interval of mirror snapshots. Default: the datastore's."
)
@click.option(
    "--poll-age",
    type=click.FloatRange(0.1, 60),
    default=0.5,
    show_default=True,
    help="Seconds between polls of rbd-mirror, which bound the lag in JOURNAL mode.",
)
@click.option(
    "--retry",
    callback=_span,
    default="5s",
    show_default=True,
    help="How long rbd-mirror waits before retrying a failed image.",
)
@click.option(
    "--delete-delay",
    callback=_span,
    default="1d",
    show_default=True,
    help="How long deleted copies stay in the trash.",
)
@click.option(
    "--peer-endpoint", metavar="ADDRESS", default="",
    help="The other site's front-end, such as https://front-end-b/RPC2; tested, then stored in onedr.conf.",
)
@click.option(
    "--peer-auth", metavar="FILE", default="",
    help="A file with user:password of an admin there. Default: peer_auth beside onedr.conf.",
)
@click.option(
    "--peer-insecure", is_flag=True, help="Accept plain http to it, which sends that password readably."
)
@click.option("--no-probe", is_flag=True, help="Do not replicate small test images afterwards.")
@_administered
def setup(
    datastore: str | None, pool: str | None, as_json: bool, yes: bool, **given: Unpack[SetupOptions]
) -> None:
    """Prepare Ceph to mirror the pool of DATASTORE with the other site. Run it at one site, then the other.

    Safe to run again: it creates only what is missing or incomplete. Needs a Ceph administrator.
    """
    if given["offer"] and given["join"]:
        raise InputError("Give --offer (first site) or --join (second site), not both.")
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
        _front_end(given),
    )
    at_terminal = sys.stdin.isatty() and not as_json
    if at_terminal and not yes:
        asked = _guided(asked)
    if not (yes or asked.dry_run):
        output.present(pairing_run.run_setup(replace(asked, dry_run=True)), _VIEWS, as_json)
        _confirm(at_terminal, "Make these changes?")
    output.present(pairing_run.run_setup(asked), _VIEWS, as_json)


def _front_end(given: SetupOptions) -> PeerFrontEnd | None:
    endpoint, auth, insecure = given["peer_endpoint"], given["peer_auth"], given["peer_insecure"]
    if not endpoint and (auth or insecure):
        raise InputError("--peer-auth and --peer-insecure belong to --peer-endpoint.")
    return pairing_front_end.wanted(endpoint, auth, insecure) if endpoint else None


def _confirm(at_terminal: bool, question: str) -> None:
    """Whoever cannot be asked has to say so before."""
    if not at_terminal:
        raise RefusedError("Nothing was changed: without a question at a terminal, changes need --yes.")
    click.confirm(question, abort=True)


def _admin(target: PairingTarget, given: AdminOptions) -> Admin:
    return Admin(given["ceph_conf"] or target.conf, given["admin_user"], given["admin_keyring"])


def _target(datastore: str | None, pool: str | None) -> PairingTarget:
    if datastore and pool:
        raise InputError("Give DATASTORE or --pool, not both.")
    if not datastore and not pool:
        if not sys.stdin.isatty():
            raise InputError("Give DATASTORE, or the pool with --pool.")
        datastore = click.prompt("Datastore (name or id)")
    return pairing_collect.of_datastore(datastore) if datastore else PairingTarget(str(pool))


def _guided(asked: SetupRequest) -> SetupRequest:
    """Ask for what is needed and was not given."""
    missing = pairing_run.missing_answers(asked)
    desired, join = asked.desired, asked.join
    if "site" in missing:
        desired = replace(desired, site=click.prompt("Name of this site"))
    if "file" in missing:
        click.echo("The first site writes a join file; the second site uses it.")
        join = click.prompt(
            "Join file of the other site (empty if this is the first site)", default="", show_default=False
        )
        if not join:
            default = f"onedr-join-{desired.pool}"
            desired = replace(
                desired,
                offer=click.prompt("Where to write the join file for the other site", default=default),
            )
    if "front end" in missing:
        asked = replace(asked, front_end=_ask_front_end())
    return replace(asked, desired=desired, join=join)


def _ask_front_end() -> PeerFrontEnd | None:
    """The way to the other site's front-end, and the user there; None when that is left for later."""
    click.echo("A move and a failback need the other site's front-end (https://front-end-b/RPC2).")
    endpoint = click.prompt("Its address (empty: later)", default="", show_default=False)
    if not endpoint:
        return None
    insecure = parsing.in_plain_text(endpoint)
    if insecure:
        click.confirm("http sends the password readably. Is that network yours alone?", abort=True)
    file = pairing_front_end.default_auth()
    if file.exists():
        return pairing_front_end.wanted(endpoint, "", insecure)
    user = click.prompt("A user of group oneadmin there")
    password = click.prompt("The password", hide_input=True)
    return pairing_front_end.wanted(endpoint, "", insecure, f"{user}:{password}")


@click.command(short_help="Undo setup at this site.")
@click.argument("datastore", required=False, shell_complete=completion.datastores)
@_administered
def teardown(
    datastore: str | None, pool: str | None, yes: bool, as_json: bool, **given: Unpack[AdminOptions]
) -> None:
    """Undo what `onedr setup` changed at this site for the pool of DATASTORE. Other changes are kept.

    Refused while a datastore in that pool is protected.
    """
    target = _target(datastore, pool)
    admin, dry_run = _admin(target, given), given["dry_run"]
    if not (yes or dry_run):
        output.present(pairing_teardown.run_teardown(admin, target.pool, True), _VIEWS, as_json)
        _confirm(sys.stdin.isatty() and not as_json, "Undo these changes?")
    output.present(pairing_teardown.run_teardown(admin, target.pool, dry_run), _VIEWS, as_json)


def _plan(event: PairingPlanEvent) -> None:
    out = output.console()
    if event.refusals:
        return  # the error says them
    if event.steps:
        columns = ("#", "what", "now", "then", "cost")
        out.print(output.table(f"Pool {event.pool}", columns, [
            (place, step.text, step.now, step.then, step.cost) for place, step in enumerate(event.steps, 1)
        ]))
    else:
        out.print(f"Pool {event.pool}: nothing to change.")
    for note in event.notes:
        out.print(f"Note: {note}", soft_wrap=True)


def _step(event: ChangeEvent) -> None:
    output.console().print(f"  ok     {event.text}: {event.then}", soft_wrap=True)


def _note(event: NoteEvent) -> None:
    output.console().print(f"  {event.level:8} {event.text}", soft_wrap=True)


def _verdict(event: VerdictEvent) -> None:
    output.console().print(event.message, soft_wrap=True)


_VIEWS: output.Views = {
    PairingPlanEvent: _plan, ChangeEvent: _step, NoteEvent: _note, VerdictEvent: _verdict,
}
