"""The alert rules by promtool, the dashboard's queries by a real Prometheus that scrapes the real exporter."""
from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
import yaml
from observed import NOW, observed, standby
from test_metrics import SITE

from onedr.metrics import exporter, samples_rules
from onedr.metrics.catalogue import METRICS
from onedr.metrics.exporter import Exporter
from onedr.metrics.samples_rules import Sample, SiteSeen
from onedr.model.types import State
from onedr.runs.answer_events import ObservedEvent
from tests.prometheus import (
    DASHBOARD,
    MINUTES,
    RULES,
    Prometheus,
    firing,
    free_port,
    held,
    promtool,
    queries,
    scraping,
)

ROOT = Path(__file__).parents[3]
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
SITE_OF_ONE = SiteSeen("1.0", True, True)
NAMES = {metric.name for metric in METRICS}
DS = 'datastore="gold",datastore_id="100"'


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_each_rule_says_what_is_wrong_and_where_to_read(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule["annotations"]) == {"summary", "description", "page"}
    assert (ROOT / rule["annotations"]["page"]).is_file()
    used = set(re.findall(r"onedr_[a-z_]+", rule["expr"]))
    assert used and used <= NAMES
    assert set(re.findall(r"\$labels\.([a-z_]+)", str(rule["annotations"]))) <= {
        "datastore", "vm", "vm_id", "verb", "instance"}


# Of a healthy primary: nothing fires. Series in the notation of promtool, one sample a minute.
def flat(value: float) -> str:
    return f"{float(value):.1f}+0x{MINUTES}"


HEALTHY = {
    **{f'onedr_datastore_state{{{DS},state="{state.value}"}}': flat(state is State.PROTECTED) for state in State},
    f'onedr_datastore_role{{{DS},role="primary"}}': flat(1),
    f'onedr_datastore_role{{{DS},role="secondary"}}': flat(0),
    f'onedr_datastore_role{{{DS},role="unprotected"}}': flat(0),
    f"onedr_datastore_paused{{{DS}}}": flat(0),
    f"onedr_datastore_up{{{DS}}}": flat(1), f"onedr_datastore_items{{{DS}}}": flat(2),
    f"onedr_datastore_recovery_point_age_seconds{{{DS}}}": flat(4),
    f"onedr_datastore_objective_seconds{{{DS}}}": flat(900),
    f'onedr_vm_recovery_point_age_seconds{{{DS},vm="db",vm_id="7",site="n"}}': flat(4),
    f'onedr_vm_objective_seconds{{{DS},vm="db",vm_id="7",site="n"}}': flat(900),
    f'onedr_datastore_items_unprotected{{{DS},reason="by_choice"}}': flat(3),
    f'onedr_datastore_items_unprotected{{{DS},reason="not_mirrored"}}': flat(0),
    f"onedr_rbd_mirror_daemons{{{DS}}}": flat(1),
    f"onedr_pool_used_bytes{{{DS}}}": flat(5e9), f"onedr_pool_free_bytes{{{DS}}}": flat(95e9),
    f"onedr_datastore_journal_bytes{{{DS}}}": flat(3e9),
    f"onedr_reconcile_failed_items{{{DS}}}": flat(0), f"onedr_reconcile_timestamp_seconds{{{DS}}}": f"0+60x{MINUTES}",
    f"onedr_last_good_drill_timestamp_seconds{{{DS}}}": flat(0),
    f'onedr_rehearsal_vms{{{DS},result="refused"}}': flat(0),
    f'onedr_last_run_success{{{DS},verb="move"}}': flat(1),
    f'onedr_last_run_timestamp_seconds{{{DS},verb="move"}}': flat(0),
    'onedr_record_key_usable{instance="a"}': flat(1), "onedr_front_end_up": flat(1),
}


def state(name: str) -> dict[str, str]:
    return {f'onedr_datastore_state{{{DS},state="{name}"}}': flat(1),
            f'onedr_datastore_state{{{DS},state="PROTECTED"}}': flat(0)}


SECONDARY = {f'onedr_datastore_role{{{DS},role="primary"}}': flat(0),
             f'onedr_datastore_role{{{DS},role="secondary"}}': flat(1)}
# What is wrong, and the one alert that says it.
FAULTS: dict[str, dict[str, str | None]] = {
    "OneDRLate": {f"onedr_datastore_recovery_point_age_seconds{{{DS}}}": flat(901)},
    "OneDRVmLate": {f'onedr_vm_recovery_point_age_seconds{{{DS},vm="db",vm_id="7",site="n"}}': flat(901)},
    "OneDRAgeUnknown": {f"onedr_datastore_recovery_point_age_seconds{{{DS}}}": None},
    "OneDRUnprotected": {f'onedr_datastore_items_unprotected{{{DS},reason="not_mirrored"}}': flat(1)},
    "OneDRSplitBrain": dict(state("SPLIT_BRAIN")), "OneDRReturned": dict(state("RETURNED")),
    "OneDRRunInterrupted": dict(state("INTERRUPTED")), "OneDRTookOver": dict(state("ACTIVE_UNPROTECTED")),
    "OneDRPaused": {f"onedr_datastore_paused{{{DS}}}": flat(1)},
    "OneDRDrillTooOld": {**SECONDARY, f"onedr_last_good_drill_timestamp_seconds{{{DS}}}": flat(-100 * 86400)},
    "OneDRRehearsalFailed": {f'onedr_rehearsal_vms{{{DS},result="refused"}}': flat(1)},
    "OneDRRunFailed": {f'onedr_last_run_success{{{DS},verb="move"}}': flat(0)},
    "OneDRRecordKeyMissing": {'onedr_record_key_usable{instance="a"}': flat(0)},
    "OneDRMirrorDaemonGone": {f"onedr_rbd_mirror_daemons{{{DS}}}": flat(0)},
    "OneDRPoolNearlyFull": {f"onedr_pool_free_bytes{{{DS}}}": flat(0.5e9)},
    "OneDRJournalGrowing": {f"onedr_datastore_journal_bytes{{{DS}}}": f"1e9+1e8x{MINUTES - 30} 13e9+1e9x30"},
    "OneDRReconcileFails": {f"onedr_reconcile_failed_items{{{DS}}}": flat(1)},
    "OneDRReconcileSilent": {f"onedr_reconcile_timestamp_seconds{{{DS}}}": flat(0)},
    "OneDRDatastoreUnread": {f"onedr_datastore_up{{{DS}}}": flat(0)},
    "OneDRFrontEndDown": {"onedr_front_end_up": None},
}


def fired(tmp_path: Path, changes: dict[str, str | None]) -> set[str]:
    return firing({key: value for key, value in {**HEALTHY, **changes}.items() if value is not None}, tmp_path)


def test_every_alert_has_its_fault() -> None:
    assert set(FAULTS) == set(ALERTS)


def test_nothing_fires_where_all_is_well(tmp_path: Path) -> None:
    assert fired(tmp_path, {}) == set()


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_fires_its_alert_and_no_other(tmp_path: Path, name: str) -> None:
    assert fired(tmp_path, FAULTS[name]) == {name}


@pytest.mark.parametrize(("seen", "expected"), [
    (observed(), set()), (standby(), {"OneDRRehearsalFailed", "OneDRRunFailed"}),
])
def test_what_the_exporter_writes_fires_what_it_says(seen: ObservedEvent, expected: set[str], tmp_path: Path) -> None:
    registry = prometheus_client.CollectorRegistry()
    made = Exporter("1.0", lambda _: seen)
    made._look = lambda: [*samples_rules.of_site(SITE_OF_ONE), *samples_rules.of_datastore(seen)]  # type: ignore[method-assign]
    registry.register(made)
    scraped = prometheus_client.generate_latest(registry).decode()
    assert firing(held(scraped, NOW), tmp_path) == expected


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the exporter of two made-up datastores."""
    seen = [*samples_rules.of_site(SITE), *samples_rules.of_datastore(observed()), *samples_rules.of_datastore(standby()),
            Sample("onedr_scrape_duration_seconds", (), 0.1), Sample("onedr_scrape_front_end_calls", (), 3)]
    made = Exporter("1.0", lambda _: observed())
    made._look = lambda: seen  # type: ignore[method-assign]
    exporter.serve(made, "127.0.0.1", port := free_port())
    with scraping(f"127.0.0.1:{port}", tmp_path_factory.mktemp("prometheus")) as running:
        yield running


@pytest.mark.parametrize(("title", "expression"), queries())
def test_each_query_of_the_dashboard_finds_what_the_exporter_tells(asked: Prometheus, title: str, expression: str) -> None:
    assert set(re.findall(r"onedr_[a-z_]+", expression)) <= NAMES
    assert asked.query(expression.replace("$datastore", ".*")), f"{title}: {expression}"
    if "$datastore" in expression:
        assert not asked.query(expression.replace("$datastore", "nosuch"))


def test_the_dashboard_chooses_among_the_datastores() -> None:
    (chosen,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "datastore"]
    assert chosen["query"]["query"] == "label_values(onedr_datastore_up, datastore)"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_prometheus_loads_the_rules_and_evaluates_each(asked: Prometheus) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        (group,) = asked.ask("rules")["groups"]
        if all(rule["health"] == "ok" for rule in group["rules"]):
            break
        time.sleep(0.2)
    assert {rule["name"]: rule["health"] for rule in group["rules"]} == dict.fromkeys(ALERTS, "ok")
    told = [alert for rule in group["rules"] for alert in rule["alerts"]]
    assert told and not [alert for alert in told if "error" in str(alert["annotations"])]
