"""The DR actions by name, and where each is. Only the one that runs is imported."""
from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from onedr.driver.decode import ActionData
from onedr.runs.request import Request

VERBS: Mapping[str, str] = {
    "move": "failover_actions:failover",
    "failover": "failover_actions:failover",
    "failback": "failover_actions:failover",
    "status": "status_actions:status",
    "observe": "status_actions:observe",
    "reconcile": "status_actions:reconcile",
    "enable": "protection_actions:enable",
    "disable": "protection_actions:disable",
    "reprotect": "failover_actions:reprotect",
    "drill": "drill_actions:drill",
    "drill_cleanup": "drill_actions:drill_cleanup",
    "drill_report": "drill_actions:drill_report",
    "resume": "failover_actions:resume",
    "abort": "failover_actions:abort",
    "cancel": "failover_actions:cancel",
    "check": "check_actions:check",
    "rehearse": "drill_actions:rehearse",
    "history": "history_actions:history",
    "kept": "copies_actions:kept",
    "snapshots": "copies_actions:snapshots",
    "map": "map_actions:map_",
    "recovery_plan": "plan_actions:answer",
    "pause": "protection_actions:pause",
    "resume_protection": "protection_actions:pause",
    "points": "point_actions:answer",
    "runbook": "report_actions:runbook",
    "report": "report_actions:report",
    "plan": "document_actions:plan",
}
"""The file in this folder and the function there, which takes the data and the request."""


def perform(data: ActionData, request: Request) -> None:
    """Run the verb of the request. Events go to standard output; raises what it raises."""
    file, _, name = VERBS[request.verb].partition(":")
    getattr(import_module(f"onedr.driver.{file}"), name)(data, request)
