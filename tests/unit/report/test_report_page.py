"""The report's page: all that it must tell, and nothing of users that acts."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import reports
from lxml import html

from onedr.report.page import Section, page

EVIL = "<script>alert(1)</script><img src=x>\x1b[2J\x00&lt;"


def text_of(*sections: Section) -> str:
    return "".join(map(str, html.fromstring(page(sections, reports.NOW, "ada@front-end")).itertext()))


def test_it_says_what_is_protected_what_not_and_why() -> None:
    told = text_of(Section("gold", reports.report()))
    for words in (
        "Datastore gold at south", "STANDBY", "this site can take over", "6 of 6 images and disks", "db (7 at north)",
        "66.7 min old, LATE", "there is no network lan", "one-10", "it is LOCKED", "the record key is missing",
        "1 of 3 checks found nothing to do", "NIC 0: lan", "4-drill", "FAILED", "3-move", "PARTIAL", "RTO 72 s",
        "This is the first report that this front-end keeps.",
    ):
        assert words in told, words


def test_what_cannot_be_read_hides_no_other() -> None:
    told = text_of(Section("silver", error="Ceph does not answer"), Section("gold", reports.report()))
    assert "Ceph does not answer" in told and "Datastore gold" in told


def test_without_anything_it_says_so() -> None:
    assert "No datastore is protected" in text_of()
    bare = reports.report(
        status=reports.status(vms=(), disks=(), unprotected=()), findings=(), ages=(), runs={}, rehearsed=None,
    )
    told = text_of(Section("gold", bare))
    for words in ("None is noted yet", "Everything in the datastore is protected", "There was none"):
        assert words in told


def test_the_share_within_the_objective_counts_an_unknown_age_as_outside() -> None:
    ages = (reports.ages()[0],) * 3 + (replace(reports.ages()[0], age_s=None),)
    assert "Within the objective in 75.0 % of 4 parts" in text_of(Section("gold", reports.report(ages=ages)))


def evil(value: Any) -> Any:
    if isinstance(value, str):
        return EVIL
    if isinstance(value, dict):
        return {key: each if key in ("verb", "result", "run") else evil(each) for key, each in value.items()}
    return [evil(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("place", ["status", "findings", "runs", "before", "error"])
def test_nothing_a_user_wrote_becomes_part_of_the_page(place: str) -> None:
    report = reports.report()
    vms = tuple(replace(vm, name=EVIL, state=EVIL, obstacles=(EVIL,)) for vm in report.status.vms)
    section = {
        "status": Section("gold", replace(report, datastore=EVIL, status=reports.status(vms=vms, message=EVIL))),
        "findings": Section("gold", replace(report, findings=tuple(replace(one, text=EVIL) for one in report.findings))),
        "runs": Section("gold", replace(report, runs={"1-move": {**report.runs["3-move"], "message": EVIL, "by": EVIL}})),
        "before": Section("gold", report, replace(report, status=reports.status(state=EVIL))),
        "error": Section(EVIL, error=EVIL),
    }[place]
    made = page([section], reports.NOW, EVIL)
    root = html.fromstring(made)
    assert not list(root.iter("script", "img", "iframe", "link", "a", "object")) and b"\x1b" not in made
    assert "&lt;script&gt;" in made.decode() and EVIL.partition("\x1b")[0] in "".join(map(str, root.itertext()))


def test_it_needs_no_network() -> None:
    made = page([Section("gold", reports.report())], reports.NOW, "ada").decode()
    assert "http:" not in made and "https:" not in made and "url(" not in made and "@import" not in made
    assert "default-src 'none'" in made
