"""What `onedr enable` and `onedr disable` show: plan, a progress bar over the items, how it ended."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from onedr.cli import output

_WHAT = {"act": "to do", "done": "done already", "wait": "waits", "leave": "left alone"}
_MIB = 1024 * 1024


def present(events: Iterable[dict[str, Any]], as_json: bool) -> None:
    """Show events as they come, or hand them on as lines of JSON."""
    if as_json:
        output.present(events, {}, as_json)
        return
    out = output.console()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=out, disable=not out.is_terminal, transient=True) as progress:
        told: set[tuple[str, str]] = set()
        bar = progress.add_task("", total=None, visible=False)
        for event in events:
            if event["event"] == "item":
                progress.update(
                    bar,
                    description=event["label"],
                    completed=event["number"],
                    total=event["total"],
                    visible=True,
                )
                out.print(_item(event), markup=False)
                told.add((event["label"], event["result"]))
            elif event["event"] == "plan":
                _plan(event)
            else:
                _verdict(event, told)


def _plan(event: dict[str, Any]) -> None:
    out = output.console()
    if event["refusals"]:
        return  # the error says them
    out.print(
        output.table(
            f"Datastore {event['datastore']}",
            ("image or disk", "RBD image", "MiB", "what", "why"),
            [
                (item["label"], item["name"], item["size"] // _MIB, _WHAT[item["what"]], item["reason"])
                for item in event["items"]
            ],
        )
    )
    for number, step in enumerate(event["steps"], 1):
        out.print(f"{number}. {step}", markup=False)
    if event["changes"]:
        changes = " ".join(f"{key}={value}" for key, value in event["changes"].items() if key != "DR_MESSAGE")
        out.print(f"Attributes to be set: {changes}", markup=False)
    for warning in event["warnings"]:
        out.print(f"Note: {warning}", markup=False)


def _item(event: dict[str, Any]) -> str:
    return f"  {event['result']:8} {event['label']} ({event['name']}): {event['detail']}"


def _verdict(event: dict[str, Any], told: set[tuple[str, str]]) -> None:
    out = output.console()
    for kind in ("waiting", "failed"):
        for label, why in event[kind].items():
            if (label, kind) in told:
                continue
            out.print(f"  {kind:8} {label}: {why}", markup=False)
    out.print(event["message"], markup=False)
