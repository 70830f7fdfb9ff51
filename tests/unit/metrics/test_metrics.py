"""The exporter's samples, its catalogue, its page, and what a scrape costs oned."""
from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import prometheus_client.parser
import pytest
from click.testing import CliRunner
from observed import disk, observed, standby, status, vm

from onedr.ceph import mirror_lag
from onedr.cli import main
from onedr.metrics import collect, exporter, page, samples_rules
from onedr.metrics.catalogue import METRICS
from onedr.metrics.exporter import Exporter
from onedr.metrics.samples_rules import Sample, SiteSeen
from onedr.model.errors import FrontEndError, StorageError
from onedr.model.lag import Lag, read_lag
from onedr.opennebula import xmlrpc
from onedr.opennebula.pools_once import PoolsOnce
from onedr.runs.answer_events import ObservedEvent
from tests.prometheus import free_port

ROOT = Path(__file__).parents[3]
SITE = SiteSeen("1.0", True, True, (("lead", 7),))


def values(samples: Iterable[Sample], name: str) -> dict[tuple[str, ...], float]:
    """By the labels after the datastore's."""
    return {sample.labels[2:]: sample.value for sample in samples if sample.name == f"onedr_{name}"}


def everything() -> list[Sample]:
    seen = [*samples_rules.of_site(SITE), *samples_rules.of_datastore(observed())]
    seen += samples_rules.of_datastore(standby())
    return [*seen, Sample("onedr_scrape_duration_seconds", (), 0.1), Sample("onedr_scrape_front_end_calls", (), 3)]


def test_every_metric_of_the_catalogue_is_exported_and_no_other_with_its_labels() -> None:
    found = {sample.name: len(sample.labels) for sample in everything()}
    assert found == {metric.name: len(metric.labels) for metric in METRICS}
    for metric in METRICS:
        assert re.fullmatch(r"onedr_[a-z_]+", metric.name) and metric.text.endswith((".", "?", ")."))
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert ("seconds" in metric.unit and "per" not in metric.unit) == metric.name.endswith("_seconds"), metric


def test_the_page_says_the_same() -> None:
    rules = (ROOT / "share/prometheus/onedr.rules.yml").read_text()
    assert (ROOT / "docs/metrics.md").read_text() == page.page(rules)


def test_what_is_unknown_has_no_sample() -> None:
    blind = observed(
        status=status(disks=(disk(age_s=None, lag=None, journal_bytes=None), disk("one-2")), vms=(vm(age_s=None),)),
        last_pass=None, last_hook=None, used_bytes=None, free_bytes=None, daemons=None,
    )
    names = {sample.name for sample in samples_rules.of_datastore(blind)}
    for name in ("datastore_recovery_point_age_seconds", "vm_recovery_point_age_seconds", "pool_used_bytes",
                 "rbd_mirror_daemons", "reconcile_duration_seconds", "hook_lag_seconds"):
        assert f"onedr_{name}" not in names
    assert "onedr_datastore_up" in names


def test_the_oldest_item_and_sums_count() -> None:
    seen = list(samples_rules.of_datastore(observed()))
    assert values(seen, "datastore_recovery_point_age_seconds") == {(): 6.0}
    assert values(seen, "datastore_entries_behind") == {(): 6}
    assert values(seen, "datastore_bytes_behind") == {(): 6 * 16384}
    assert values(seen, "datastore_journal_bytes") == {(): 128 << 20}
    assert values(seen, "vm_recovery_point_age_seconds") == {("db", "7", "north"): 6.0}
    assert values(seen, "vm_entries_behind") == {("db", "7", "north"): 6}
    assert values(seen, "vm_bytes_behind") == {("db", "7", "north"): 6 * 16384}
    assert (values(seen, "hook_lag_seconds"), values(seen, "hook_lag_worst_seconds")) == ({(): 1.5}, {(): 8.0})


@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_is_a_metric_of_its_own(paused: bool) -> None:
    seen = observed(status=status(paused=paused, state="DRILLING", code="DRILL"))
    assert values(samples_rules.of_datastore(seen), "datastore_paused") == {(): paused}


def test_exactly_one_state_and_role_is_on() -> None:
    seen = list(samples_rules.of_datastore(standby()))
    assert [labels for labels, on in values(seen, "datastore_state").items() if on] == [("STANDBY",)]
    assert [labels for labels, on in values(seen, "datastore_role").items() if on] == [("secondary",)]
    assert values(seen, "last_run_success") == {("failover",): False, ("drill",): True}
    assert values(seen, "vm_recoverable") == {("db", "7", "north"): False}
    assert values(seen, "datastore_items_unprotected")[("by_choice",)] == 1


@pytest.mark.parametrize(("changes", "recoverable"), [
    ({}, True), ({"disks": ("one-1", "gone")}, True), ({"disks": ()}, False),
])
def test_a_vm_of_ours_is_recoverable_with_a_whole_copy_of_each_disk(
    changes: dict[str, Any], recoverable: bool
) -> None:
    seen = observed(status=status(vms=(vm(**changes),)))
    assert list(values(samples_rules.of_datastore(seen), "vm_recoverable").values()) == [recoverable]
    cut = observed(status=status(vms=(vm(),), disks=(disk(complete=False), disk("one-2"))))
    assert not list(values(samples_rules.of_datastore(cut), "vm_recoverable").values())[0]


DATASTORE = (
    "<DATASTORE><ID>{id}</ID><NAME>ds-{id}</NAME><DS_MAD>ceph_dr</DS_MAD><TM_MAD>ceph_dr</TM_MAD><TYPE>0</TYPE>"
    "<TEMPLATE><DS_MAD>ceph_dr</DS_MAD><POOL_NAME>one</POOL_NAME><DR_PROTECT>YES</DR_PROTECT></TEMPLATE></DATASTORE>"
)


class Oned:
    """Answers pool calls; counts them."""

    def __init__(self, count: int):
        self.calls: list[str] = []
        self.count, self.fails = count, False

    def call(self, url: str, method: str, arguments: tuple[Any, ...], limit_s: float) -> list[Any]:
        self.calls.append(method)
        if self.fails:
            raise xmlrpc.TransportError("refused")
        pools = {"one.datastorepool.info": ("DATASTORE_POOL", DATASTORE), "one.imagepool.info": ("IMAGE_POOL", ""),
                 "one.vmpool.infoextended": ("VM_POOL", "")}
        tag, each = pools[method]
        return [True, f"<{tag}>{''.join(each.format(id=number) for number in range(self.count))}</{tag}>", 0]


@pytest.fixture
def oned(monkeypatch: pytest.MonkeyPatch) -> Oned:
    made = Oned(20)
    monkeypatch.setattr(xmlrpc, "call", made.call)
    monkeypatch.setattr("onedr.host.paths.credentials", lambda: "a:b")
    monkeypatch.setattr(exporter, "_key_usable", lambda: False)

    def observe(datastore: Any, frontend: PoolsOnce) -> ObservedEvent:
        if datastore.name == "ds-3":
            raise StorageError("Ceph does not answer.")
        frontend.images(), frontend.vms(), frontend.datastores()
        return replace(observed(), datastore=datastore.name, datastore_id=datastore.datastore_id)

    monkeypatch.setattr(collect, "observe", observe)
    return made


def looked(count: int = 1) -> dict[str, list[tuple[dict[str, str], float]]]:
    made = Exporter("1.0", lambda _: pytest.fail("no bridge here"))
    for _ in range(count):
        found = {family.name: [(s.labels, s.value) for s in family.samples] for family in made.collect()}
    return found


def test_a_scrape_of_many_datastores_asks_oned_three_times_and_one_that_fails_hides_no_other(oned: Oned) -> None:
    found = looked()
    assert sorted(oned.calls) == ["one.datastorepool.info", "one.imagepool.info", "one.vmpool.infoextended"]
    assert found["onedr_scrape_front_end_calls"] == [({}, 3.0)]
    up = {labels["datastore"]: value for labels, value in found["onedr_datastore_up"]}
    assert len(up) == 20 and [name for name, value in up.items() if not value] == ["ds-3"]
    assert len(found["onedr_datastore_items"]) == 19


def test_a_second_scrape_at_once_costs_nothing(oned: Oned) -> None:
    looked(2)
    assert len(oned.calls) == 3


def test_a_silent_oned_is_said(oned: Oned) -> None:
    oned.fails = True
    found = looked()
    assert found["onedr_front_end_up"] == [({}, 0.0)] and "onedr_datastore_items" not in found


def test_a_pool_is_asked_for_once_and_an_error_is_not_remembered(oned: Oned) -> None:
    frontend, oned.fails = PoolsOnce(), True
    with pytest.raises(FrontEndError):
        frontend.images()
    oned.fails = False
    assert frontend.images() is frontend.images() and frontend.calls == 2


def test_names_of_users_cannot_forge_a_sample_and_the_file_is_one_that_prometheus_reads(
    oned: Oned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile = 'a"} 1\nonedr_record_key_usable 1\n# \\ {'
    seen = observed(status=status(vms=(vm(name=hostile),)))
    monkeypatch.setattr(collect, "observe", lambda *_: seen)
    done = CliRunner().invoke(main, ["exporter", "--textfile", str(tmp_path / "onedr.prom")])
    assert done.exit_code == 0, done.output
    families = list(prometheus_client.parser.text_string_to_metric_families((tmp_path / "onedr.prom").read_text()))
    by_name = {sample.name: sample for family in families for sample in family.samples}
    assert by_name["onedr_vm_skew_seconds"].labels["vm"] == hostile
    assert by_name["onedr_record_key_usable"].value == 0
    assert [path.name for path in tmp_path.iterdir()] == ["onedr.prom"]


def test_over_http(oned: Oned) -> None:
    exporter.serve(Exporter("1.0", lambda _: observed()), "127.0.0.1", port := free_port())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'onedr_datastore_up{datastore="ds-3",datastore_id="3"} 0.0' in text and "python_info" not in text


@pytest.mark.parametrize("address", ["9925", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:0"])
def test_a_bad_address_is_refused(address: str) -> None:
    done = CliRunner().invoke(main, ["exporter", "--listen", address])
    assert done.exit_code == 1 and "is not an address such as" in done.output


def test_a_file_that_cannot_be_written_is_named(oned: Oned, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["exporter", "--textfile", str(tmp_path / "no/onedr.prom")])
    assert done.exit_code == 1 and "cannot be written" in done.output


@pytest.mark.parametrize(("said", "found"), [
    ('replaying, {"bytes_per_second":12.5,"entries_behind_primary":3,"entries_per_second":1.0,'
     '"primary_position":{"entry_tid":3}}', Lag(3, 12.5)),
    ('replaying, {"bytes_per_second":0.0,"bytes_per_snapshot":5.0,"last_snapshot_bytes":5742592,'
     '"last_snapshot_sync_seconds":2,"replay_state":"idle"}', Lag(None, 0.0, last_bytes=5742592, last_s=2.0)),
    ('replaying, {"replay_state":"syncing","syncing_percent":41,"seconds_until_synced":9}', Lag(percent=41, left_s=9.0)),
    ("bootstrapping, IMAGE_SYNC/COPY_OBJECT 12%", Lag(percent=12)),
    ("syncing, IMAGE_COPY/COPY_OBJECT 999%", Lag(percent=100)),
    ('replaying, {"entries_behind_primary":-1,"bytes_per_second":true,"syncing_percent":"9"}', Lag()),
    ('replaying, {"entries_behind_primary":1e400}', Lag()),
    ("replaying, {broken", None), ("replaying, [1]", None), ("local image is primary", None), ("", None),
])
def test_what_rbd_mirror_says_is_read_and_nothing_else_believed(said: str, found: Lag | None) -> None:
    assert read_lag(said) == found


class Pool:
    """A pool whose mirror status says this."""

    def __init__(self, *listed: dict[str, Any]):
        self.rbd, self.io, self._listed = self, None, listed

    def mirror_image_status_list(self, _: Any) -> Iterable[dict[str, Any]]:
        return self._listed


def test_the_lag_is_that_of_the_site_which_copies() -> None:
    replays = 'replaying, {"entries_behind_primary":2}'
    own = {"name": "one-1", "up": True, "description": "local image is primary",
           "remote_statuses": [{"up": True, "description": replays}]}
    copy = {"name": "one-2", "up": True, "description": replays, "remote_statuses": []}
    down = {"name": "one-3", "up": False, "description": replays}
    assert mirror_lag.lags(Pool(own, copy, down)) == {"one-1": Lag(2), "one-2": Lag(2)}  # type: ignore[arg-type]


def test_a_journal_is_as_long_as_its_object_sets() -> None:
    def said(oldest: int, active: int) -> dict[str, bytes]:
        sets = {"minimum_set": oldest, "active_set": active}
        return {"order": b"\x18", "splay_width": b"\x04", **{key: at.to_bytes(8, "little") for key, at in sets.items()}}

    assert mirror_lag.journal_length(said(3, 3)) == 4 << 24
    assert mirror_lag.journal_length(said(3, 6)) == 16 << 24
    assert mirror_lag.journal_length(said(6, 3)) is None and mirror_lag.journal_length({}) is None
    assert mirror_lag.journal_length({**said(1, 1), "order": b"\xff"}) is None


def test_an_observation_survives_the_way_from_the_driver() -> None:
    import json

    from onedr.cli.run_action import read_event

    assert read_event(json.loads(json.dumps(standby().to_json()))) == standby()

