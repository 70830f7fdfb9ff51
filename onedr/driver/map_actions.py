"""The action `map`: shows the mapping of a datastore, drafts one, sets one."""
from __future__ import annotations

from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.mapping import run  # a bridge host may lack PyYAML, and needs it for nothing else
from onedr.opennebula.api import FrontEnd
from onedr.runs.request import Request


def map_(data: ActionData, request: Request) -> None:
    """Show the mapping (a VERSION of it), draft one (DRAFT), or set the one in FILE."""
    asked = dict(request.attributes)
    if "FILE" in asked:
        emit(run.set_map(data.target, request, asked["FILE"], FrontEnd()))
    elif "DRAFT" in asked:
        emit(run.make_draft(data.target, FrontEnd()))
    else:
        emit(run.show(data.target, asked.get("VERSION", "")))
