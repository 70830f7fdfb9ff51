"""`onedr <verb>`: one file a verb, no decisions here. Verbs on a datastore run the same driver executables as
OpenNebula does; setup, teardown and guard do not, because they work before OpenNebula knows the datastore or
while it is down.
"""
from __future__ import annotations

import sys

import click

from onedr.cli.check import check
from onedr.cli.diagnose import diagnose
from onedr.cli.disable import disable
from onedr.cli.drill import drill
from onedr.cli.enable import enable
from onedr.cli.exporter import exporter
from onedr.cli.failback import failback
from onedr.cli.failover import failover
from onedr.cli.guard import guard
from onedr.cli.history import history
from onedr.cli.kept import kept
from onedr.cli.map import map_
from onedr.cli.move import move
from onedr.cli.notify import notify
from onedr.cli.pause import pause, resume_protection
from onedr.cli.points import point, points
from onedr.cli.reconcile import reconcile
from onedr.cli.recovery_plans import recovery_plan
from onedr.cli.report import report
from onedr.cli.reprotect import reprotect
from onedr.cli.resume import abort, cancel, resume
from onedr.cli.runbook import runbook
from onedr.cli.setup import setup, teardown
from onedr.cli.snapshots import snapshots
from onedr.cli.status import status
from onedr.cli.sunstone import sunstone
from onedr.host import log, privileges
from onedr.model.errors import OneDRError, UnexpectedError

# They need Ceph's administrator, whose keyring root alone may read, or write to folders that are root's.
_AS_ROOT = ("setup", "teardown", "sunstone")


class _Plainly(click.Group):
    """Errors end as one sentence, the error's code in brackets, and its exit code."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OneDRError as error:
            failure = error
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 the process ends here
            log.exception(f"onedr {ctx.invoked_subcommand} failed unexpectedly")
            what = f"{type(error).__name__}: {error}"
            failure = UnexpectedError(
                f"OneDR failed unexpectedly ({what}); the traceback is in {log.path()}."
            )
        click.echo(f"{failure} [{failure.word}]", err=True)
        sys.exit(failure.exit_code)


@click.group(cls=_Plainly, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="onedr")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Disaster recovery for OpenNebula datastores on Ceph.

    Exit codes: 0 done, 1 bad input, 2 refused, 3 Ceph, 4 front-end, 5 partly done, 6 problems found (check,
    status), 7 the run was interrupted, 8 Ctrl-C: the run continues without this command.
    An error's code in brackets is explained in docs/errors.md.
    """
    if ctx.invoked_subcommand not in _AS_ROOT:
        privileges.become_front_end_user()


for verb in (
    status,
    check,
    move,
    failover,
    failback,
    resume,
    abort,
    cancel,
    reconcile,
    history,
    exporter,
    diagnose,
    notify,
    enable,
    disable,
    pause,
    resume_protection,
    guard,
    reprotect,
    kept,
    snapshots,
    points,
    point,
    map_,
    recovery_plan,
    runbook,
    report,
    drill,
    setup,
    teardown,
    sunstone,
):
    main.add_command(verb)
