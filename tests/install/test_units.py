"""A packaged front-end under systemd starts after the guard and has a timer; a self-contained tree has
nobody to tell.
"""
from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path

import pytest

from onedr.host import systemd
from onedr.install import manifest, units
from onedr.install.manifest import FileChange
from onedr.install.paths import Paths
from onedr.install.tree import GUARD, TIMER, UNITS, layout

ROOT = Path(__file__).parents[2]


def paths(tree: Path, units: Path | None) -> Paths:
    (tree / "var/remotes").mkdir(parents=True, exist_ok=True)
    return Paths(tree / "etc", tree / "var", tree / "lib", tree / "bin", tree / "share", units)


def test_units_and_their_links_are_laid_and_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "systemd"
    folder.mkdir()
    where = paths(tmp_path, folder)
    items = [item for item in layout(ROOT, where, Path(sys.executable)).items if item.path.name in UNITS]
    record = manifest.Manifest()
    if os.geteuid() == 0:
        os.chown(where.remotes, 65534, 65534)
    manifest.apply_changes(manifest.to_install(items, record), items, record, where.manifest, where.remotes)
    wanted_by = {
        "onedr-reconcile.service": "",
        "onedr-exporter.service": "",
        "onedr-notify.service": "",
        "onedr-notify.timer": "",
        GUARD: "opennebula.service.requires",
        TIMER: "timers.target.wants",
    }
    for unit, wanting in wanted_by.items():
        assert (folder / unit).stat().st_uid == os.geteuid(), (
            "a unit that oneadmin may change would be a way to root"
        )
        assert not wanting or os.readlink(folder / wanting / unit) == str(folder / unit)
    assert manifest.to_install(items, manifest.load_manifest(where.manifest)) == []
    record = manifest.load_manifest(where.manifest)
    manifest.apply_changes(manifest.to_remove(record), (), record, where.manifest, where.remotes)
    assert not list(folder.iterdir())


def test_the_unit_runs_before_opennebula_and_holds_it_when_it_fails() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "share/systemd" / GUARD)
    assert unit["Unit"]["Before"] == unit["Install"]["RequiredBy"] == "opennebula.service"
    assert unit["Service"]["Type"] == "oneshot" and unit["Service"]["ExecStart"].split()[:2] == [
        "/usr/bin/onedr",
        "guard",
    ]
    assert "RemainAfterExit" not in unit["Service"], "each start of OpenNebula asks anew"


def test_a_self_contained_tree_gets_none(tmp_path: Path) -> None:
    where = paths(tmp_path, None)
    assert not [item for item in layout(ROOT, where, Path(sys.executable)).items if item.path.name in UNITS]
    assert Paths.from_environment({"ONE_LOCATION": str(tmp_path)}).units is None


def test_the_timer_runs_the_reconcile_of_every_datastore_as_oneadmin() -> None:
    service, timer = (configparser.ConfigParser(interpolation=None) for _ in range(2))
    service.read(ROOT / "share/systemd/onedr-reconcile.service")
    timer.read(ROOT / "share/systemd" / TIMER)
    assert (
        service["Service"]["ExecStart"] == "/usr/bin/onedr reconcile"
        and service["Service"]["User"] == "oneadmin"
    )
    assert timer["Install"]["WantedBy"] == "timers.target" and "OnUnitInactiveSec" in timer["Timer"], (
        "never two at once"
    )


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemd that runs; what it was asked is in the file.

    It fails when there is a file beside named `broken`.
    """
    program, log = tmp_path / "systemctl", tmp_path / "log"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\n[ ! -e {tmp_path}/broken ] || {{ echo no bus >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    log.touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "RUNTIME_FOLDER", tmp_path)
    return log


def test_systemd_is_told_of_units_and_only_of_units(systemctl: Path) -> None:
    driver, timer = FileChange("copy", Path("/x/cp")), FileChange("copy", Path("/etc/systemd/system") / TIMER)
    assert units.after_install([driver]) == units.before_removal([driver]) == units.removed([driver]) == []
    assert systemctl.read_text() == ""
    assert (
        units.after_install([driver, timer]) == units.before_removal([timer]) == units.removed([timer]) == []
    )
    assert systemctl.read_text().splitlines() == [
        "daemon-reload",
        f"start {TIMER}",
        f"stop {TIMER}",
        "daemon-reload",
    ]


def test_a_systemd_that_refuses_leaves_it_to_the_administrator(systemctl: Path) -> None:
    (systemctl.parent / "broken").touch()
    said = units.after_install([FileChange("copy", Path(TIMER))])
    assert said[0] == "systemctl failed (no bus). To do: systemctl daemon-reload." and len(said) == 2


def test_without_a_running_systemd_nothing_is_called(
    systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "RUNTIME_FOLDER", systemctl.parent / "absent")
    assert units.after_install([FileChange("copy", Path(TIMER))]) == [] and systemctl.read_text() == ""
