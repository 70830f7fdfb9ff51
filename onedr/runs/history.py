"""What the journal of runs says to people: how each ended, how long recovery took, what may have been lost.

Pure.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True)
class Row:
    """A run in a line. `rto_s`, `rpo_s`: the worst of its VMs, seconds; None: no VM started, or not known."""

    run: str
    began: float
    by: str
    trigger: str
    result: str
    took_s: float | None
    rto_s: float | None
    rpo_s: float | None
    message: str


def result(entry: Mapping[str, Any], in_progress: str) -> str:
    """How a run ended; one that says RUNNING and is not the one in progress (its id) died on the way."""
    return (
        INTERRUPTED if entry["result"] == "RUNNING" and entry["run"] != in_progress else str(entry["result"])
    )


def row(entry: Mapping[str, Any], in_progress: str) -> Row:
    """A run in a line, from its journal; journals of earlier releases lack some of it."""
    vms = entry.get("vms", [])
    message = str(entry["message"])
    if entry.get("then"):
        message = f"Run {entry['then']} went on. {message}".rstrip()
    return Row(
        run=str(entry["run"]),
        began=float(entry["began"]),
        by=str(entry.get("by") or entry["owner"].split(":")[0]),
        trigger=str(entry.get("trigger", "")),
        result=result(entry, in_progress),
        took_s=entry.get("took_s"),
        rto_s=_worst(vms, "rto_s"),
        rpo_s=_worst(vms, "rpo_s"),
        message=message,
    )


def _worst(vms: list[dict[str, Any]], key: str) -> float | None:
    known = [float(vm[key]) for vm in vms if vm.get(key) is not None]
    return max(known, default=None)


def steps(entry: Mapping[str, Any]) -> list[tuple[str, str, float | None, str]]:
    """Kind, target, seconds, and what came of it, of every step done; one that was begun and did not end
    says so.
    """
    listed: list[tuple[str, str, float | None, str]] = []
    for done in entry["steps"]:
        seconds, results = done["seconds"], done["results"]
        targets = list(dict.fromkeys([*seconds, *results]))
        listed += [
            (done["kind"], target, seconds.get(target), str(results.get(target, ""))) for target in targets
        ]
        missing = int(done.get("of", len(targets))) - len(targets)
        if missing > 0:
            listed.append((done["kind"], f"{missing} more", None, "begun, its end was not journaled"))
    return listed
