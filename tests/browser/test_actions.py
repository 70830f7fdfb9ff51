"""Starting an action: the plan is read, the name typed, one update sent."""
from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from fake_oned import DATASTORE, DOCUMENT, EXAMPLE, Attributes, part

from conftest import Sunstone

PATH = f"/fireedge/api/datastore/update/{DATASTORE}"


class Driver:
    """What OneDR does with requests, in short: each is taken off; a plan is written, a run begins."""

    def __init__(self, sunstone: Sunstone, plan: dict[str, Any] | None = None):
        self.taken: list[Attributes] = []
        self.sunstone, self.plan = sunstone, plan or {}
        self.refuses = ""
        sunstone.oned.updated = self.on_update

    def on_update(self, datastore: int, written: Attributes) -> None:
        self.taken.append(written)
        for key in written:
            self.sunstone.oned.attributes(datastore).pop(key, None)
        parts, request = self.sunstone.oned.documents[DOCUMENT], written["DR_REQUEST"]
        if self.refuses:
            self.sunstone.oned.attributes()["DR_MESSAGE"] = f"Refused at 10:00:00Z: {self.refuses}"
        elif written["DR_ACTION"] == "PLAN":
            parts["PLAN"] = part("PLAN", request=request, verb=written["DR_PLAN"], **self.plan)
        else:
            parts["RUN"] = part("RUN", request=request, verb=written["DR_ACTION"].lower())


def sent(sunstone: Sunstone) -> list[Attributes]:
    """The updates, each of which has to be a merge of well-formed XML."""
    found = []
    for path, body in sunstone.fireedge.updates:
        assert path == PATH and set(body) == {"template", "replace"} and body["replace"] == 1
        assert "CDATA" not in str(body["template"])
        found.append({each.tag: each.text for each in ElementTree.fromstring(str(body["template"]))})
    return found


def test_a_failover_from_the_button_to_its_end(sunstone: Sunstone) -> None:
    driver = Driver(sunstone)
    page = sunstone.open()
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("[data-cy=onedr-plan]")
    plan = sunstone.marked("onedr-plan")
    assert "is left out: its disk one-7-12-0 has no complete copy" in plan and "6.4 s, 16 KiB" in plan
    assert "Demote one-7-10-0 at the peer" in sunstone.marked("onedr-plan-steps") and "6 of this kind" in plan
    go = page.locator("[data-cy=onedr-go]")
    assert go.is_disabled()
    for wrong in ("ceph", "CEPH-DR", "ceph-dr "):
        page.fill("[data-cy=onedr-confirm]", wrong)
        assert go.is_disabled(), wrong
    page.fill("[data-cy=onedr-confirm]", "ceph-dr")
    go.click()
    page.wait_for_selector("[data-cy=onedr-run]")
    assert "17 of 42 steps, 1 failed" in sunstone.marked("onedr-steps")
    assert page.locator("[data-cy=onedr-CANCEL]").count() == 1 and page.locator("[data-cy=onedr-MOVE]").count() == 0
    planned, started = sent(sunstone)
    assert planned == {"DR_ACTION": "PLAN", "DR_PLAN": "FAILOVER", "DR_REQUEST": planned["DR_REQUEST"]}
    assert started == {"DR_ACTION": "FAILOVER", "DR_CONFIRM": "ceph-dr:0f3c5a77e21b", "DR_REQUEST": started["DR_REQUEST"]}
    assert planned["DR_REQUEST"] != started["DR_REQUEST"]
    assert all(re.fullmatch(r"sunstone-[0-9a-f]{24}", each["DR_REQUEST"]) for each in (planned, started))
    runs = [{**EXAMPLE["STATUS"]["runs"][1], "run": "9-failover", "result": "DONE"}, *EXAMPLE["STATUS"]["runs"]]
    sunstone.oned.documents[DOCUMENT].update(RUN=None, STATUS=part("STATUS", state="ACTIVE_UNPROTECTED", actions=[], runs=runs))
    page.wait_for_selector("text=Failover has ended")
    assert sunstone.marked("onedr-state") == "ACTIVE UNPROTECTED" and len(driver.taken) == 2


def test_a_move_confirms_the_plan_that_was_shown(sunstone: Sunstone) -> None:
    Driver(sunstone, {"lossless": True})
    page = sunstone.open()
    page.click("[data-cy=onedr-MOVE]")
    page.wait_for_selector("text=Nothing is lost.")
    assert page.locator("[data-cy=onedr-confirm]").count() == 0
    page.click("[data-cy=onedr-go]")
    page.wait_for_selector("[data-cy=onedr-run]")
    assert sent(sunstone)[1]["DR_CONFIRM"] == "ceph-dr:0f3c5a77e21b"


@pytest.mark.parametrize("confirm, typed", [("none", ""), ("name", "ceph-dr")])
def test_a_reprotect_gives_images_up_only_where_the_name_is_asked(sunstone: Sunstone, confirm: str, typed: str) -> None:
    Driver(sunstone, {"confirm": "", "vms": {"total": 0, "rows": []}})
    action = {"action": "REPROTECT", "text": "Makes this site the standby.", "confirm": confirm, "plan": True}
    sunstone.oned.documents[DOCUMENT]["STATUS"] = part("STATUS", state="RETURNED", actions=[action])
    page = sunstone.open()
    page.click("[data-cy=onedr-REPROTECT]")
    if typed:  # giving images up is confirmed before it is planned
        page.wait_for_selector("[data-cy=onedr-plan-again]")
        assert page.locator("[data-cy=onedr-plan-again]").is_disabled() and sent(sunstone) == []
        page.fill("[data-cy=onedr-confirm]", typed)
        page.click("[data-cy=onedr-plan-again]")
    page.wait_for_selector("[data-cy=onedr-plan]")
    page.click("[data-cy=onedr-go]")
    page.wait_for_selector("[data-cy=onedr-run]")
    assert [each.get("DR_CONFIRM", "") for each in sent(sunstone)] == [typed, typed]


def test_a_plan_that_would_be_refused_starts_nothing(sunstone: Sunstone) -> None:
    Driver(sunstone, {"refusal": "VMs of site-a run on these disks."})
    page = sunstone.open()
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("[data-cy=onedr-refusal]")
    page.fill("[data-cy=onedr-confirm]", "ceph-dr")
    assert page.locator("[data-cy=onedr-go]").is_disabled() and "would be refused" in sunstone.marked("onedr-hindrance")


def test_without_a_plan_a_failover_can_be_confirmed_by_name_and_a_move_cannot(sunstone: Sunstone) -> None:
    Driver(sunstone, {"error": "The pool does not answer.", "digest": "", "confirm": "", "steps": [],
                      "vms": {"total": 0, "rows": []}})
    page = sunstone.open()
    page.click("[data-cy=onedr-MOVE]")
    page.wait_for_selector("[data-cy=onedr-plan-error]")
    assert page.locator("[data-cy=onedr-go]").is_disabled()
    page.click("[data-cy=onedr-close]")
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("[data-cy=onedr-plan-error]")
    page.wait_for_selector("text=to confirm without a plan.")
    page.fill("[data-cy=onedr-confirm]", "ceph-dr")
    page.click("[data-cy=onedr-go]")
    page.wait_for_selector("[data-cy=onedr-run]")
    assert sent(sunstone)[-1]["DR_CONFIRM"] == "ceph-dr"


def test_a_drill_loses_nothing_so_its_plan_has_no_such_column(sunstone: Sunstone) -> None:
    plan = part("PLAN")
    rows = [{**row, "loss_s": None, "loss_bytes": None, "priority": None} for row in plan["vms"]["rows"]]
    Driver(sunstone, {"vms": {"total": 2, "rows": rows}, "seen": "", "peer": "a monitor greets", "network": "apart"})
    page = sunstone.open()
    page.click("[data-cy=onedr-DRILL]")
    page.wait_for_selector("[data-cy=onedr-plan]")
    shown = sunstone.marked("onedr-plan")
    assert "Lost at most" not in shown and "not known" not in shown
    assert "Other site: a monitor greets. " in shown and "Network: apart." in shown


def test_a_move_that_would_be_refused_does_not_promise_anything(sunstone: Sunstone) -> None:
    Driver(sunstone, {"lossless": True, "refusal": "A move without loss is not possible now."})
    page = sunstone.open()
    page.click("[data-cy=onedr-MOVE]")
    page.wait_for_selector("[data-cy=onedr-refusal]")
    assert "Nothing is lost" not in sunstone.marked("onedr-plan") and page.locator("[data-cy=onedr-go]").is_disabled()


def test_no_right_to_change_the_datastore(sunstone: Sunstone) -> None:
    sunstone.oned.forbidden.add("datastore.update")
    page = sunstone.open()
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("text=Not authorized to perform MANAGE DATASTORE [100]")


def test_an_answer_in_the_datastores_message(sunstone: Sunstone) -> None:
    driver = Driver(sunstone)
    page = sunstone.open()
    page.click("[data-cy=onedr-DRILL]")
    page.wait_for_selector("[data-cy=onedr-plan]")
    driver.refuses = "another run is in progress"
    page.click("[data-cy=onedr-go]")
    page.wait_for_selector("[data-cy=onedr-asked] >> text=another run is in progress")


def test_a_plan_of_somebody_else_is_not_shown(sunstone: Sunstone) -> None:
    """Two operators at once: each sees the plan of the own request."""
    sunstone.oned.documents[DOCUMENT]["PLAN"] = part("PLAN")
    page = sunstone.open()
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("text=Working out the plan")
    page.fill("[data-cy=onedr-confirm]", "ceph-dr")
    assert page.locator("[data-cy=onedr-go]").is_disabled() and page.locator("[data-cy=onedr-plan]").count() == 0


def test_a_name_with_markup_is_sent_as_it_is(sunstone: Sunstone) -> None:
    name = 'a<b>&"c"]]>'
    sunstone.oned.datastores[DATASTORE] = (name, sunstone.oned.attributes())
    Driver(sunstone, {"confirm": f"{name}:0f3c"})
    page = sunstone.open()
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("[data-cy=onedr-plan]")
    page.fill("[data-cy=onedr-confirm]", name)
    page.click("[data-cy=onedr-go]")
    page.wait_for_selector("[data-cy=onedr-run]")
    assert sent(sunstone)[1]["DR_CONFIRM"] == f"{name}:0f3c"


def test_a_run_of_the_other_site_is_named(sunstone: Sunstone) -> None:
    other = {"verb": "move", "by": "joe", "host": "fe-a", "site": "site-a", "began": 1764523780.2, "here": False}
    sunstone.oned.documents[DOCUMENT]["STATUS"] = part("STATUS", run=other, actions=[], hint="It runs at site-a.")
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-run]")
    assert "Move in progress at site-a" in sunstone.marked("onedr-run") and sunstone.marked("onedr-hint") == "It runs at site-a."
