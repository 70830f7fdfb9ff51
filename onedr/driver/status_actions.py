"""The verbs that look at a datastore as it is, and the one that puts it right."""
from __future__ import annotations

from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.metrics import collect as metrics_collect
from onedr.model.errors import PartialError
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.protection import reconcile as protection_reconcile
from onedr.protection import scope_rules
from onedr.protection import status as protection_status
from onedr.runs.request import Request


def status(data: ActionData, _: Request) -> None:
    kind, driver = (data.datastore.findtext(key, "") for key in ("TYPE", "DS_MAD"))
    beyond = scope_rules.out_of_scope(data.datastore_name, kind, driver)
    emit(beyond or protection_status.status(data.target, FrontEnd()))


def observe(data: ActionData, _: Request) -> None:
    emit(metrics_collect.observe(data.target, FrontEnd()))


def reconcile(data: ActionData, _: Request) -> None:
    frontend, target = FrontEnd(), data.target
    report = protection_reconcile.reconcile(target, frontend)
    target = datastores.from_element(frontend.datastore(target.datastore_id))  # it may have been put right
    protection_status.show_status(target, frontend)
    emit(report.as_event())
    if report.failed:
        raise PartialError(f"{len(report.failed)} item(s) could not be repaired; see onedr status.")
