"""`--all` of `onedr move`, `failover` and `failback`: every protected datastore, one after another.

All plans are shown first. What is refused, fails or cannot be read is named in the end and stops no other.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import click

from onedr.cli import output, run_action, takeover
from onedr.model.errors import (
    InputError,
    OneDRError,
    PartialError,
    RefusedError,
    StillRunningError,
)
from onedr.model.text import printable
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.runs.events import VerdictEvent
from onedr.runs.plan_events import FailoverPlanEvent
from onedr.runs.request import Request

WORD = "ALL"  # what is typed to go on


@dataclass(frozen=True)
class Result:
    """What became of a datastore: the state its run left and its sentence, or why there was none."""

    datastore: str
    state: str = ""
    message: str = ""
    failed: str = ""


def run(
    datastore: str | None, given: takeover.TakeoverOptions, asked: Request, question: str, typed: bool
) -> None:
    """Show the plan of each, ask once, run each. `asked` is the request for any of them. `typed`: what may
    lose data is not begun by --yes alone.

    Raises InputError for options that belong to one datastore, PartialError when one was refused or failed,
    RefusedError when no plan can be carried out, StillRunningError after Ctrl-C: the datastores behind are
    not begun then.
    """
    _check_options(datastore, given, asked.confirm)
    ask, as_json = _is_asked(given, asked.confirm, typed), given["as_json"]
    # the word for all is no datastore's name: none of their plans may be refused for it
    plans, results = _plans(replace(asked, dry_run=True, confirm=""), as_json)
    if not plans:
        _end(results, as_json)
        raise RefusedError("No datastore can be taken; the reasons are above. Nothing was changed.")
    if not asked.dry_run:
        if ask:
            _ask(question, list(plans))
        for place, (name, plan) in enumerate(plans.items()):
            try:
                results[name] = _run(name, replace(asked, confirm=f"{name}:{plan.digest}"), as_json)
            except StillRunningError as error:
                behind = ", ".join(list(plans)[place + 1 :]) or "none"
                raise StillRunningError(f"{error} Not begun: {behind}.") from None
            except OneDRError as error:
                results[name] = _failed(name, error, as_json)
    _end(results, as_json)
    bad = [name for name, result in results.items() if result.failed]
    if bad:
        raise PartialError(f"Not everything was done: {', '.join(bad)}. The others are as shown above.")


def _ask(question: str, names: list[str]) -> None:
    text = f"{question} Datastores: {', '.join(names)}. Type {WORD} to continue"
    if click.prompt(printable(text), default="", show_default=False) != WORD:
        raise click.Abort


def _check_options(datastore: str | None, given: takeover.TakeoverOptions, confirm: str) -> None:
    """Raises InputError for options that name something within one datastore, or a datastore beside --all."""
    if datastore is not None:
        raise InputError("Name one datastore, or give --all, not both.")
    if given["vms"] or given["leave"] or given["take"]:
        raise InputError("--vm, --leave and --take belong to one datastore: give its name instead of --all.")
    if confirm not in ("", WORD):
        raise InputError(f"Confirm --all by --confirm {WORD}.")


def _is_asked(given: takeover.TakeoverOptions, confirm: str, typed: bool) -> bool:
    """Whether a person is asked. Raises RefusedError where one would have to type and none is there."""
    if given["dry_run"] or confirm:
        return False
    if not typed:
        return not given["yes"] and _is_terminal()
    if not _is_terminal():
        raise RefusedError(f"A failover may lose data: add --confirm {WORD}. Look first: --dry-run.")
    return True


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _plans(asked: Request, as_json: bool) -> tuple[dict[str, FailoverPlanEvent], dict[str, Result]]:
    """Plans that can be carried out, and results of the datastores that have none, by name."""
    plans: dict[str, FailoverPlanEvent] = {}
    results: dict[str, Result] = {}
    for name, number in sorted(datastores.protected(FrontEnd()).items()):
        try:
            if isinstance(number, OneDRError):
                raise number
            if not as_json:
                output.console().print(output.styled(f"Datastore {name}"))
            plans[name] = takeover.show_plan(number, asked, as_json)
        except OneDRError as error:
            results[name] = _failed(name, error, as_json)
    return plans, results


def _run(name: str, asked: Request, as_json: bool) -> Result:
    """Run one and show it. Raises what ended it."""
    last: VerdictEvent | None = None
    views = takeover.views()
    for event in run_action.events(name, asked):
        if isinstance(event, VerdictEvent):
            last = event
        output.present([event], views, as_json)
    if last is None:
        raise OneDRError("the action ended without a verdict")
    return Result(name, last.state, last.message)


def _failed(name: str, error: OneDRError, as_json: bool) -> Result:
    if not as_json:
        output.line(f"{name}: {error}", err=True)
    return Result(name, failed=str(error))


def _end(results: Mapping[str, Result], as_json: bool) -> None:
    """One verdict: a line for each datastore."""
    if as_json:
        told = [asdict(result) for result in results.values()]
        click.echo(json.dumps({"event": "all", "datastores": told}))
        return
    rows = [
        (each.datastore, each.state or "not taken", each.message or each.failed) for each in results.values()
    ]
    output.console().print(output.table("All datastores", ("datastore", "state", "what became of it"), rows))
