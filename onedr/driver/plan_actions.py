"""The action `recovery_plan`: shows the recovery plans of a datastore, sets and checks one."""
from __future__ import annotations

from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.recovery_plans import run
from onedr.runs.request import Request


def answer(data: ActionData, request: Request) -> None:
    """The plan NAME, or all; after FILE was set as it (empty: removed); or a CHECK of it."""
    target, asked = data.target, dict(request.attributes)
    name = asked.get("NAME", "")
    if "FILE" in asked:
        emit(run.edit(target, request, name, asked["FILE"]))
    elif "CHECK" in asked:
        emit(run.check(target, name))
    else:
        emit(run.show(target, name, asked.get("VERSION", "")))
