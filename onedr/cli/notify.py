"""`onedr notify`: tell by mail, webhook or program what changed since the last time."""
from __future__ import annotations

import click

from onedr.cli import output
from onedr.cli.exporter import bridged
from onedr.metrics import exporter as metrics_exporter
from onedr.model.errors import InputError, OneDRError, PartialError
from onedr.notify import change_rules
from onedr.notify import turn as notify_turn
from onedr.notify.settings import load_settings


@click.command(short_help="Tell what changed: mail, webhook, program.")
@click.option("--test", "test", is_flag=True, help="Only send a test by each channel that is set.")
def notify(test: bool) -> None:
    """Look at every datastore, and tell what changed since the last time by the channels in [notify] of
    onedr.conf (docs/notifications.md). onedr-notify.timer does it every minute.
    """
    settings = load_settings()
    if not settings.channels:
        raise InputError("No channel is set in [notify] of onedr.conf; see docs/notifications.md.")
    if test:
        _test(notify_turn.test(settings))
        return
    seen = {
        name: change_rules.unread(str(each)) if isinstance(each, OneDRError) else change_rules.seen_of(each)
        for name, each in metrics_exporter.observe_all(bridged).items()
    }
    fresh, waiting = notify_turn.turn(seen, settings)
    output.line(f"{fresh} new notice(s), {waiting} wait to be taken")


def _test(found: dict[str, str]) -> None:
    for channel, why in found.items():
        output.line(f"{channel}: {why or 'taken'}", err=bool(why))
    failed = [channel for channel, why in found.items() if why]
    if failed:
        raise PartialError(f"Not taken by {', '.join(failed)}; the reasons are above.")
