"""An operator at site B opens Sunstone's tab while site A is dead, reads the plan, types the name and watches.

The browser, oned's stand-in, OneDR, Ceph and the guest are real; FireEdge is `sandbox.fireedge`.
"""
from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import workload as w
from playwright.sync_api import Page

from sandbox.cloud import DATASTORE
from sandbox.fireedge.browser import LIBRARIES, chromium
from sandbox.fireedge.oned import over_xmlrpc
from sandbox.fireedge.server import FireEdge
from sandbox.layout import REPO

if TYPE_CHECKING:
    from conftest import Sites

LIMIT_MS = 120_000
VM = "db"


@dataclass
class Story:
    """What the operator saw, in order."""

    sites: Sites
    before: str = ""
    plan: str = ""
    hindered: list[bool] = field(default_factory=list)
    steps: str = ""
    ended: str = ""
    after: str = ""
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def protect(sites: Sites) -> None:
    """One VM with one disk, whose copy is complete; then its site dies."""
    a, b = sites.a, sites.b
    image = w.create_image(a, "db-disk")
    vm = w.create_vm(a, VM, [image])
    with w.open_pool(b) as there:
        w.wait_recorded(a, vm, there)
    w.wait_complete(a, w.vm_disks(a, vm))
    w.wait_point(b, [VM], after=time.time(), limit_s=60)
    sites.kill_a()


def operate(story: Story, page: Page, pictures: Path) -> None:
    """Everything that the operator does."""
    page.wait_for_selector("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("[data-cy=onedr-vms]")
    story.before = page.inner_text("[data-cy=onedr-panel]")
    page.screenshot(path=pictures / "tab.png", full_page=True)
    page.click("[data-cy=onedr-FAILOVER]")
    page.wait_for_selector("[data-cy=onedr-plan]")
    story.plan = page.inner_text("[data-cy=onedr-plan]")
    for name in ("ceph", DATASTORE):
        page.fill("[data-cy=onedr-confirm]", name)
        story.hindered.append(page.locator("[data-cy=onedr-go]").is_disabled())
    page.screenshot(path=pictures / "plan.png")
    page.click("[data-cy=onedr-go]")
    page.wait_for_selector("[data-cy=onedr-asked], [data-cy=onedr-run]")
    page.screenshot(path=pictures / "run.png")
    page.wait_for_selector("[data-cy=onedr-asked] >> text=has ended")
    story.ended = page.inner_text("[data-cy=onedr-asked]")
    page.wait_for_selector("[data-cy=onedr-history] >> text=Failover")
    page.wait_for_selector("[data-cy=onedr-state] >> text=ACTIVE UNPROTECTED")
    story.after = page.inner_text("[data-cy=onedr-panel]")
    page.screenshot(path=pictures / "after.png", full_page=True)
    story.errors = page.evaluate("window.errors")


@pytest.fixture(scope="module")
def story(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    protect(sites)
    told, b = Story(sites), sites.b
    fireedge = FireEdge({"": over_xmlrpc(b.endpoint, b.one_auth.read_text().strip())}, REPO / "sunstone", LIBRARIES)
    with fireedge.served() as url, chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(LIMIT_MS)
        page.goto(f"{url}/?show=datastore&id={b.datastore_id}")
        page.click("[data-cy=tab-onedr]")
        operate(told, page, tmp_path_factory.mktemp("pictures"))
    told.requests = [str(body["template"]) for _, body in fireedge.updates]
    yield told


def test_the_tab_shows_the_standby_with_its_vm(story: Story) -> None:
    assert "STANDBY" in story.before and VM in story.before and "1 of 1" in story.before
    assert story.errors == []


def test_the_plan_says_what_is_lost_and_which_steps_come(story: Story) -> None:
    assert VM in story.plan and "starts" in story.plan and "promote one-" in story.plan


def test_the_name_has_to_be_typed(story: Story) -> None:
    assert story.hindered == [True, False]


def test_two_requests_were_sent_and_none_is_left(story: Story) -> None:
    assert len(story.requests) == 2 and f"<DR_CONFIRM>{DATASTORE}:" in story.requests[1]
    found = story.sites.b.api.datastore.info(story.sites.b.datastore_id).TEMPLATE
    assert not any(found.get(key) for key in ("DR_ACTION", "DR_CONFIRM", "DR_REQUEST", "DR_PLAN"))


def test_the_vm_runs_here_and_the_page_says_so(story: Story) -> None:
    b = story.sites.b
    found = [vm for vm in b.api.vmpool.info(-2, -1, -1, -2).VM if vm.NAME == VM]
    assert len(found) == 1 and b.wait_vm(found[0].ID)
    assert w.last_run(b)["result"] == "DONE" and w.last_run(b)["trigger"] == "DR_ACTION"
    assert "Failover has ended" in story.ended and "DONE" in story.after and VM in story.after
