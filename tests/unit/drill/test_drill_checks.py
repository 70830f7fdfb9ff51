"""Checks of a drill's VM: each is done whatever became of the others, with evidence; reports are kept whole
and told apart.
"""
from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from onedr.ceph import space
from onedr.drill import checks as drill_checks
from onedr.drill import report as drill_report
from onedr.drill.checks import Checks, DrillGuest
from onedr.drill.evidence import CheckDone
from onedr.model.errors import InputError, OneDRError
from onedr.model.template import parse_xml

PASSES = (sys.executable, "-c", "import os; print(os.environ['ONEDR_VM_NAME'], os.environ['ONEDR_VM_IP'])")
FAILS = (sys.executable, "-c", "raise SystemExit('no such page')")


class Here:
    """A front-end that shows one VM in one LCM state."""

    def __init__(self, lcm: int) -> None:
        self.lcm = lcm

    def vm(self, vm_id: int) -> Any:
        host = "<HISTORY_RECORDS><HISTORY><HOSTNAME>h</HOSTNAME></HISTORY></HISTORY_RECORDS>"
        return parse_xml(f"<VM><ID>{vm_id}</ID><STATE>3</STATE><LCM_STATE>{self.lcm}</LCM_STATE>{host}</VM>")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_BOOT_LIMIT_S", "_PORT_LIMIT_S"):
        monkeypatch.setattr(drill_checks, name, 0)
    monkeypatch.setattr(drill_checks, "_PAUSE_S", 0)


def run(
    monkeypatch: pytest.MonkeyPatch,
    checks: Checks,
    written: int = 4096,
    lcm: int = 3,
    address: str = "127.0.0.1",
) -> Any:
    """(results by check, what was raised)."""
    monkeypatch.setattr(space, "own_bytes", lambda pool, name: written)
    seen: list[CheckDone] = []
    raised = ""
    guest = DrillGuest(7, "web", address, ("clone",))
    try:
        drill_checks.run_checks(None, Here(lcm), guest, checks, seen.append)  # type: ignore[arg-type]
    except OneDRError as error:
        raised = str(error)
    assert all(found.evidence and found.seconds >= 0 for found in seen)
    return (
        {found.check: found.result for found in seen},
        raised,
        {found.check: found.evidence for found in seen},
    )


def test_a_vm_that_passes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        results, raised, evidence = run(monkeypatch, Checks(port, PASSES))
    assert set(results.values()) == {"passed"} and raised == "" and len(results) == 4
    assert "web 127.0.0.1" in evidence[f"command {sys.executable}"]


def test_each_check_that_fails_is_named_and_the_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    results, raised, _ = run(monkeypatch, Checks(closed, FAILS), written=0, lcm=36)
    assert set(results.values()) == {"failed"} and len(results) == 4
    for reason in ("wrote nothing", "accepted no connection", "no such page", "(LCM 36)"):
        assert reason in raised


def test_a_vm_without_an_address_fails_the_port_only(monkeypatch: pytest.MonkeyPatch) -> None:
    results, raised, _ = run(monkeypatch, Checks(22), address="")
    assert results == {"guest boots": "passed", "port 22": "failed", "runs": "passed"}
    assert "no IPv4 address" in raised


@pytest.fixture
def kept_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(drill_report, "report_folder", lambda: tmp_path / "drills")
    monkeypatch.setattr(
        "onedr.drill.report_html.page", lambda report, digest, name: f"{name} {digest}".encode()
    )
    return tmp_path / "drills"


def test_a_report_is_kept_for_its_group_only_with_its_digest_and_found_again(kept_in: Path) -> None:
    for moment in (9, 10):
        drill_report.save_report(3, f"onedr-drill-0ad1c9f2-3-{moment}", {"n": moment, "cleanup": None})
    found, kept = drill_report.last_report(3)
    assert found["n"] == 10, "by number, not by letter"
    assert kept.html.read_text() == f"{kept.json.name} {kept.digest}"
    assert {path.stat().st_mode & 0o777 for path in kept_in.iterdir()} == {0o640}
    assert not [path for path in kept_in.iterdir() if path.name.startswith(".")]


def test_a_cleanup_is_added_to_the_newest_drill_that_has_a_report(kept_in: Path) -> None:
    drill_report.save_report(3, "onedr-drill-0ad1c9f2-3-9", {"n": 9, "cleanup": None})
    # the last one was killed before its report
    tags = ["onedr-drill-0ad1c9f2-3-9", "onedr-drill-0ad1c9f2-3-10"]
    assert (
        drill_report.amend(
            3, tags, {"at": 1.0, "removed": {"VM 1": "is DONE"}, "left": {"the peer": "silent"}}
        )
        is not None
    )
    drill_report.amend(3, tags, {"at": 2.0, "removed": {"one-1@x": "gone"}, "left": {}})
    assert drill_report.last_report(3)[0] == {"n": 9, "cleanup": {
        "at": 2.0, "removed": {"VM 1": "is DONE", "one-1@x": "gone"}, "recovery_points": {}, "left": {},
    }}
    assert drill_report.amend(3, [], {"at": 2.0}) is None


def test_a_report_that_was_altered_or_is_not_there_is_an_error_that_says_so(kept_in: Path) -> None:
    with pytest.raises(InputError, match="There is no report"):
        drill_report.last_report(3)
    kept = drill_report.save_report(3, "onedr-drill-0ad1c9f2-3-9", {"result": "FAILED"})
    kept.json.write_text(json.dumps({"result": "PASSED"}))
    with pytest.raises(InputError, match="was changed since OneDR wrote it"):
        drill_report.last_report(3)
