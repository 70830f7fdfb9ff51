"""What OneDR's page shows of what OpenNebula holds."""
from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fake_oned import DATASTORE, DOCUMENT, EXAMPLE, FakeOned, part

from conftest import Sunstone

HOSTILE = '<img src=x onerror="window.errors.push(1)">\u202egnp.exe\x1b[2J & "quotes"'


def test_a_datastore_with_its_document(sunstone: Sunstone) -> None:
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-summary]")
    assert sunstone.marked("onedr-state") == "STANDBY" and sunstone.marked("onedr-role") == "secondary"
    assert sunstone.marked("onedr-message") == EXAMPLE["STATUS"]["message"]
    assert sunstone.marked("onedr-protected") == "5 of 6 disks and images"
    assert "scratch (VM 14, disk 1)" in sunstone.marked("onedr-unprotected")
    vms = sunstone.marked("onedr-vms")
    assert "the copy of one-7-12-0 is not complete" in vms and "6.4 s, 16 KiB" in vms and "NIC 0 has another MAC" in vms
    assert "58 s" in sunstone.marked("onedr-history") and "PARTIAL" in sunstone.marked("onedr-history")
    assert "100-onedr-drill-1a2b3c4d-100-1764500000000.html" in sunstone.marked("onedr-report")
    names = page.locator("[data-cy=onedr-MOVE], [data-cy=onedr-FAILOVER], [data-cy=onedr-DRILL]")
    assert names.count() == 3
    assert page.locator("[data-cy=onedr-REPROTECT], [data-cy=onedr-ABORT]").count() == 0


@pytest.mark.parametrize("old_s, late", [(60, False), (1200, True)])
def test_the_age_is_told_by_the_front_ends_clock(sunstone: Sunstone, old_s: int, late: bool) -> None:
    now = time.time()
    sunstone.oned.documents[DOCUMENT]["STATUS"] = part("STATUS", as_of=now, recovery_point=now - old_s)
    sunstone.page.add_init_script("Date.now = () => 0; ")  # this browser's clock is far off
    sunstone.open().wait_for_selector("[data-cy=onedr-point]")
    shown = sunstone.marked("onedr-point")
    assert (" – late" in shown) == late and "objective 15 min" in shown
    assert ("20 min old" if late else "6") in shown


def test_users_text_is_text(sunstone: Sunstone) -> None:
    status = part("STATUS", message=HOSTILE, hint=HOSTILE, peer_detail=HOSTILE)
    for row in status["vms"]["rows"]:
        row.update(name=HOSTILE, obstacles=[HOSTILE], warnings=[HOSTILE])
    status["unprotected"]["rows"][0].update(item=HOSTILE, why=HOSTILE)
    status["runs"][0].update(by=HOSTILE, message=HOSTILE, result=HOSTILE)
    sunstone.oned.documents[DOCUMENT]["STATUS"] = status
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-history]")
    assert page.evaluate("window.errors") == [] and page.locator("img").count() == 0
    text = page.locator("[data-cy=onedr-panel]").inner_text()
    assert "<img src=x" in text and "\u202e" not in text and "\x1b" not in text


def test_the_page_has_the_worst_first(sunstone: Sunstone) -> None:
    for number, state in enumerate(["PROTECTED", "SPLIT_BRAIN", "DEGRADED", "NEVER_HEARD_OF"], 101):
        sunstone.oned.datastores[number] = (f"ds-{number}", {"DR_PROTECT": "YES", "DR_STATE": state})
    page = sunstone.open("page")
    page.wait_for_selector("[data-cy=onedr-row-104]")
    rows = page.locator("[data-cy^=onedr-row-]")
    assert [row.get_attribute("data-cy") for row in rows.all()] == [
        f"onedr-row-{number}" for number in (104, 102, 103, DATASTORE, 101)]
    page.click(f"[data-cy=onedr-row-{DATASTORE}] button")
    page.wait_for_selector("[data-cy=onedr-vms]")


@pytest.mark.parametrize("others", [0, 1])
def test_one_datastore_or_none(sunstone: Sunstone, others: int) -> None:
    """A pool of one is an object, an empty one a text."""
    sunstone.oned.datastores = {key: value for key, value in sunstone.oned.datastores.items() if others and key == DATASTORE}
    page = sunstone.open("page")
    page.wait_for_selector(f"[data-cy=onedr-row-{DATASTORE}]" if others else "[data-cy=onedr-none]")


def test_an_unprotected_datastore(sunstone: Sunstone) -> None:
    sunstone.open(id="1").wait_for_selector("text=onedr enable default begins that")


@pytest.mark.parametrize("held, said", [
    ({}, "has not written its document yet"),
    ({"DR_DOCUMENT": "99"}, "Error getting document [99]"),
    ({"DR_DOCUMENT": "7/../../x"}, "has not written its document yet"),
])
def test_without_a_document_the_attributes_are_shown(sunstone: Sunstone, held: dict[str, str], said: str) -> None:
    attributes = sunstone.oned.attributes()
    del attributes["DR_DOCUMENT"]
    attributes.update(held)
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-problem]")
    assert said in sunstone.marked("onedr-problem")
    assert sunstone.marked("onedr-protected") == "5 of 6 disks and images"
    assert page.locator("[data-cy=onedr-FAILOVER]").count() == 0


@pytest.mark.parametrize("status, said", [
    ("{", "cannot be read"), (json.dumps(part("STATUS", schema=9)), "another release of OneDR"),
    (json.dumps(part("STATUS", datastore={"id": 5, "name": "x", "site": "y"})), "another datastore"),
])
def test_a_document_that_is_of_no_use_is_not_believed(sunstone: Sunstone, status: str, said: str) -> None:
    sunstone.oned.documents[DOCUMENT]["STATUS"] = status
    sunstone.open().wait_for_selector(f"text={said}")
    assert sunstone.page.locator("[data-cy=onedr-FAILOVER]").count() == 0


def test_a_document_that_this_user_may_not_read(sunstone: Sunstone) -> None:
    sunstone.oned.forbidden.add("document.info")
    sunstone.open().wait_for_selector("text=Not authorized to perform")


@pytest.mark.parametrize("token", ["", "a.b.c"])
def test_a_token_in_the_browsers_storage_is_sent(sunstone: Sunstone, token: str) -> None:
    """As Sunstone 7.0 keeps it; later ones have a cookie."""
    sunstone.page.add_init_script(f"if ('{token}') localStorage.setItem('FireedgeToken', '{token}')")
    sunstone.open("page").wait_for_selector(f"[data-cy=onedr-row-{DATASTORE}]")
    assert sunstone.fireedge.tokens[-1] == (f"Bearer {token}" if token else "")


def test_a_session_that_ended(sunstone: Sunstone) -> None:
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-FAILOVER]")
    sunstone.fireedge.logged_in = False
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("text=Log in to Sunstone again")


def test_a_server_that_answers_with_something_else_keeps_what_was_read(sunstone: Sunstone) -> None:
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-DRILL]")
    sunstone.fireedge.broken = "/fireedge/api/datastore/info"
    page.click("[data-cy=onedr-DRILL]")  # asks for a plan, then reads again
    page.wait_for_selector("[data-cy=onedr-error]")
    assert "What is shown is older" in sunstone.marked("onedr-error")
    assert sunstone.marked("onedr-state") == "STANDBY"


def test_another_zone_is_asked_and_changed(sunstone: Sunstone) -> None:
    other = FakeOned()
    other.attributes()["DR_STATE"] = "DEGRADED"
    other.documents[DOCUMENT]["STATUS"] = part("STATUS", state="DEGRADED")
    sunstone.fireedge.zones["3"] = other
    page = sunstone.open(zone="3")
    page.wait_for_selector("[data-cy=onedr-summary]")
    assert sunstone.marked("onedr-state") == "DEGRADED"
    page.click("[data-cy=onedr-DRILL]")
    page.wait_for_selector("[data-cy=onedr-dialog]")
    page.evaluate("window.chooseZone(0)")  # what was open belongs to the other zone
    page.wait_for_selector("[data-cy=onedr-dialog]", state="detached")
    page.wait_for_selector("text=STANDBY")
    assert [path for path, _ in sunstone.fireedge.updates] == [f"/fireedge/api/datastore/update/{DATASTORE}?zone=3"]
    assert "DR_ACTION" not in sunstone.oned.attributes() and other.attributes()["DR_ACTION"] == "PLAN"


@pytest.mark.parametrize("disks", [{"DATASTORE_ID": "100"}, [{"DATASTORE_ID": "100"}, {"DATASTORE_ID": "1"}]])
def test_a_vm_with_its_row(sunstone: Sunstone, disks: Any) -> None:
    status = part("STATUS")
    status["vms"]["rows"][1]["here"] = True
    sunstone.oned.documents[DOCUMENT]["STATUS"] = status
    sunstone.oned.vms[10] = {"NAME": "web", "TEMPLATE": {"DISK": disks},
                             "USER_TEMPLATE": {"DR_STATE": "PROTECTED", "DR_PRIORITY": "2", "DR_START": "NO"}}
    page = sunstone.open("vm", id="10")
    page.wait_for_selector("[data-cy=onedr-vm-loss]")
    assert sunstone.marked("onedr-vm-loss") == "6.4 s, 16 KiB" and "accepted" in sunstone.marked("onedr-vm-rehearsed")
    assert sunstone.marked("onedr-state") == "PROTECTED" and "is not started: DR_START=NO" in page.inner_text("body")
    if isinstance(disks, list):
        page.wait_for_selector("text=Datastore default is not protected")


def test_a_vm_that_is_not_listed(sunstone: Sunstone) -> None:
    sunstone.oned.vms[77] = {"NAME": "x", "TEMPLATE": {"DISK": {"DATASTORE_ID": "100"}}, "USER_TEMPLATE": ""}
    sunstone.open("vm", id="77").wait_for_selector("text=onedr status --vm 77 shows it")


@pytest.mark.parametrize("theme", ["light", "dark", "dark74"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_window(sunstone: Sunstone, width: int, theme: str) -> None:
    sunstone.page.set_viewport_size({"width": width, "height": 800})
    page = sunstone.open(theme=theme)
    page.wait_for_selector("[data-cy=onedr-history]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    widest = page.evaluate("Math.max(...[...document.querySelectorAll('[data-cy=onedr-panel] *')]"
                           ".map((each) => each.getBoundingClientRect().right))")
    assert widest <= width
    ink, ground = (page.evaluate(f"getComputedStyle(document.querySelector('{where}')).{what}") for where, what in (
        ("[data-cy=onedr-message]", "color"), ("body", "backgroundColor")))
    assert (_light(ink), _light(ground)) == ((False, True) if theme == "light" else (True, False))


def test_a_dialog_can_be_read_in_the_dark(sunstone: Sunstone) -> None:
    """Sunstone 7.4 is dark with a palette that says it is light."""
    page = sunstone.open(theme="dark74")
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("[data-cy=onedr-dialog]")
    ink, ground = (page.evaluate(f"getComputedStyle(document.querySelector('{where}')).{what}") for where, what in (
        ("[data-cy=onedr-what]", "color"), ("[data-cy=onedr-dialog] .MuiPaper-root", "backgroundColor")))
    assert _light(ink) and not _light(ground)


@pytest.mark.parametrize("room, head", [(700, 0), (1000, 1)])
def test_a_table_follows_the_room_that_a_detail_has_in_its_window(sunstone: Sunstone, room: int, head: int) -> None:
    page = sunstone.open(room=str(room))
    page.wait_for_selector("[data-cy=onedr-history]")
    assert page.locator("[data-cy=onedr-history] thead:visible").count() == head
    assert page.evaluate("document.querySelector('[data-cy=onedr-history]').getBoundingClientRect().right") <= room


def test_while_a_run_is_in_progress_its_state_is_shown(sunstone: Sunstone) -> None:
    """STATUS is as old as the run."""
    sunstone.oned.attributes()["DR_STATE"] = "DRILLING"
    sunstone.oned.documents[DOCUMENT]["RUN"] = part("RUN")
    sunstone.open().wait_for_selector("[data-cy=onedr-run]")
    assert sunstone.marked("onedr-state") == "DRILLING"


def test_a_refusal_is_shown_whoever_asked(sunstone: Sunstone) -> None:
    """As after an old page wrote an action back."""
    markup = HOSTILE.replace("\x1b", "")  # which XML cannot hold
    refusal = f"Refused at 2025-11-30 17:31:00Z: DR_ACTION=FAILOVER was taken off and nothing was started: {markup}"
    sunstone.oned.attributes()["DR_MESSAGE"] = f"{EXAMPLE['STATUS']['message']} {refusal}"
    page = sunstone.open()
    page.wait_for_selector("[data-cy=onedr-refused]")
    assert sunstone.marked("onedr-refused").startswith("Refused at 2025-11-30 17:31:00Z: DR_ACTION=FAILOVER")
    assert page.evaluate("window.errors") == [] and sunstone.marked("onedr-message") == EXAMPLE["STATUS"]["message"]


def _light(colour: str) -> bool:
    return sum(float(each) for each in colour.partition("(")[2].rstrip(")").split(",")[:3]) > 382
