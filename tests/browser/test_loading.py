"""How Sunstone loads OneDR's scripts: nothing that is missing or odd may keep Sunstone from starting."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_oned import DATASTORE

from conftest import ROOT, Sunstone


@pytest.mark.parametrize("first", ["remote", "resources"])
def test_the_tab_is_there_whichever_script_comes_first(sunstone: Sunstone, first: str) -> None:
    page = sunstone.open(first=first)
    assert page.locator("[data-cy=tab-onedr]").all_inner_texts() == ["Disaster Recovery"]
    page.wait_for_selector("[data-cy=onedr-summary]")
    assert page.evaluate("window.errors") == []


def test_a_second_load_adds_no_second_tab(sunstone: Sunstone) -> None:
    page = sunstone.open(twice="yes")
    assert page.locator("[data-cy=tab-onedr]").count() == 1
    page.wait_for_selector("[data-cy=onedr-summary]")


def test_a_vm_has_the_tab_too(sunstone: Sunstone) -> None:
    sunstone.oned.vms[10] = {"NAME": "web", "TEMPLATE": "", "USER_TEMPLATE": ""}
    page = sunstone.open("vm", id="10")
    page.wait_for_selector("[data-cy=onedr-vm]")


def test_a_view_that_does_not_enable_it_has_no_tab(sunstone: Sunstone) -> None:
    page = sunstone.open(enabled="no")
    assert page.locator("nav button").all_inner_texts() == ["Info"]


@pytest.mark.parametrize("shape", ["odd", "none"])
def test_a_sunstone_with_tabs_elsewhere_starts_without_ours(sunstone: Sunstone, shape: str) -> None:
    page = sunstone.open("page", shape=shape)
    page.wait_for_selector(f"[data-cy=onedr-row-{DATASTORE}]")
    assert "keeps its tabs elsewhere" in sunstone.marked("onedr-about")
    assert page.evaluate("window.errors") == []


def test_without_mui_the_page_says_so_and_nothing_else_stops(sunstone: Sunstone) -> None:
    page = sunstone.open(without="@mui/material")
    page.wait_for_selector("text=Sunstone does not share @mui/material")
    page.click("[data-cy=tab-info]")
    page.wait_for_selector("text=stock information")


def test_without_the_chosen_zone_nothing_is_started(sunstone: Sunstone) -> None:
    page = sunstone.open(without="react-redux")
    page.wait_for_selector("text=It cannot be seen which zone is chosen")
    assert page.locator("[data-cy=onedr-FAILOVER]").count() == 0


def test_a_script_that_is_missing_is_said_and_tried_again(sunstone: Sunstone, tmp_path: Path) -> None:
    """FireEdge answers with a lasting redirect, which browsers keep: a further try needs another address."""
    shutil.copytree(ROOT / "sunstone", tmp_path / "remote")
    (tmp_path / "remote/tables.js").unlink()
    sunstone.fireedge.remote = tmp_path / "remote"
    page = sunstone.open()
    page.wait_for_selector("text=OneDR cannot be shown: tables.js")
    shutil.copy(ROOT / "sunstone/tables.js", tmp_path / "remote")
    page.click("[data-cy=tab-info]")
    page.click("[data-cy=tab-onedr]")
    page.wait_for_selector("[data-cy=onedr-summary]")


def test_a_script_that_throws_is_said(sunstone: Sunstone, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sunstone", tmp_path / "remote")
    (tmp_path / "remote/rules.js").write_text("throw new Error('half a file')")
    sunstone.fireedge.remote = tmp_path / "remote"
    page = sunstone.open()
    page.wait_for_selector("text=rules.js is not whole")
    assert page.locator("[data-cy=tab-info]").count() == 1
