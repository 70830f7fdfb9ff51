"""The verbs that write a page: the run book and the report."""
from __future__ import annotations

from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.opennebula.api import FrontEnd
from onedr.report import collect as report_collect
from onedr.runbook import collect as runbook_collect
from onedr.runs.request import Request


def runbook(data: ActionData, _: Request) -> None:
    emit(runbook_collect.make(data.target, FrontEnd()))


def report(data: ActionData, request: Request) -> None:
    emit(report_collect.collect(data.target, FrontEnd(), request))
