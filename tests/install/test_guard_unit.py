"""A packaged front-end under systemd starts after the guard; a self-contained tree has nobody to tell."""
from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path

from onedr.setup import manifest
from onedr.setup.paths import Paths
from onedr.setup.tree import GUARD, layout

ROOT = Path(__file__).parents[2]


def paths(tree: Path, units: Path | None) -> Paths:
    (tree / "var/remotes").mkdir(parents=True, exist_ok=True)
    return Paths(tree / "etc", tree / "var", tree / "lib", tree / "bin", tree / "share", units)


def test_the_unit_and_its_link_are_laid_and_taken_away(tmp_path: Path) -> None:
    units = tmp_path / "systemd"
    units.mkdir()
    where = paths(tmp_path, units)
    items = [item for item in layout(ROOT, where, Path(sys.executable)).items if GUARD in item.path.name]
    record = manifest.Manifest()
    if os.geteuid() == 0:
        os.chown(where.remotes, 65534, 65534)
    manifest.carry_out(manifest.to_install(items, record), items, record, where.manifest, where.remotes)
    assert (units / GUARD).stat().st_uid == os.geteuid(), "a unit that oneadmin may change would be a way to root"
    link = units / "opennebula.service.requires" / GUARD
    assert os.readlink(link) == str(units / GUARD)
    assert manifest.to_install(items, manifest.load(where.manifest)) == []
    record = manifest.load(where.manifest)
    manifest.carry_out(manifest.to_remove(record), (), record, where.manifest, where.remotes)
    assert not list(units.iterdir())


def test_the_unit_runs_before_opennebula_and_holds_it_when_it_fails() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "share/systemd" / GUARD)
    assert unit["Unit"]["Before"] == unit["Install"]["RequiredBy"] == "opennebula.service"
    assert unit["Service"]["Type"] == "oneshot" and unit["Service"]["ExecStart"].split()[:2] == ["/usr/bin/onedr", "guard"]
    assert "RemainAfterExit" not in unit["Service"], "each start of OpenNebula asks anew"


def test_a_self_contained_tree_gets_none(tmp_path: Path) -> None:
    where = paths(tmp_path, None)
    assert not [item for item in layout(ROOT, where, Path(sys.executable)).items if GUARD in item.path.name]
    assert Paths.from_environment({"ONE_LOCATION": str(tmp_path)}).units is None
