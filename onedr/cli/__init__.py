"""`onedr <verb>`: one file a verb, no decisions here. Verbs on a datastore run the same driver executables as
OpenNebula does; setup, teardown and guard do not, because they work before OpenNebula knows the datastore or
while it is down.
"""
from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

import click

from onedr.host import log, privileges
from onedr.model.errors import OneDRError, UnexpectedError

# They need Ceph's administrator, whose keyring root alone may read, or write to folders that are root's.
_AS_ROOT = ("setup", "teardown", "sunstone")


VERBS: Mapping[str, str] = {
    "status": "status:status",
    "check": "check:check",
    "move": "move:move",
    "failover": "failover:failover",
    "failback": "failback:failback",
    "resume": "resume:resume",
    "abort": "resume:abort",
    "cancel": "resume:cancel",
    "reconcile": "reconcile:reconcile",
    "history": "history:history",
    "exporter": "exporter:exporter",
    "diagnose": "diagnose:diagnose",
    "notify": "notify:notify",
    "enable": "enable:enable",
    "disable": "disable:disable",
    "pause": "pause:pause",
    "resume-protection": "pause:resume_protection",
    "guard": "guard:guard",
    "reprotect": "reprotect:reprotect",
    "kept": "kept:kept",
    "snapshots": "snapshots:snapshots",
    "points": "points:points",
    "point": "points:point",
    "map": "map:map_",
    "recovery-plan": "recovery_plans:recovery_plan",
    "runbook": "runbook:runbook",
    "report": "report:report",
    "drill": "drill:drill",
    "setup": "setup:setup",
    "teardown": "setup:teardown",
    "sunstone": "sunstone:sunstone",
}
"""Each verb's file in this folder and its command there."""


class _Verbs(click.Group):
    """Only the verb that runs is imported: all of them take 0.4 s of CPU. Errors end as one sentence, the
    error's code in brackets, and its exit code.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        file, _, name = VERBS[cmd_name].partition(":")
        command = getattr(import_module(f"{__name__}.{file}"), name)
        assert isinstance(command, click.Command)
        return command

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


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
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

