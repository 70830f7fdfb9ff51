"""OneDR's page put into front-ends of each release, brought up to date, taken out; killed at each step."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from lxml import etree

from onedr.model.errors import InputError, RefusedError
from onedr.sunstone import run, wanted_rules
from onedr.sunstone.run import SunstoneFolders

REMOTES = """\
UtilsModule:
  name: UtilsModule
  entry: __HOST__/fireedge/modules/UtilsModule/remoteEntry.js
"""
MANIFEST = "- title: Storage\n  icon: Box\n  routes:\n    - title: Datastores\n      path: /datastore\n"
VIEW = "---\n# A view.\nresource_name: \"{}\"\nactions:\n  chown: true\ninfo-tabs:\n  info:\n    enabled: true\n"
RELEASES = ("7.0.0", "7.2.0", "7.4.0")
MODULE = "dist/modules/OneDRModule"


def front_end(folder: Path, release: str) -> SunstoneFolders:
    """A front-end's folders as this release lays them."""
    where = SunstoneFolders(folder / "etc", folder / "dist/modules", folder / "source", folder / "remotes")
    files = {"remotes/VERSION": release, "etc/remotes-config.yaml": REMOTES, "dist/modules/UtilsModule/remoteEntry.js": "",
             "source/remoteEntry.js": "entry", "source/rules.js": "rules"}
    for view in ("admin", "user"):
        for kind in ("datastore", "vm"):
            files[f"etc/views/{view}/{kind}-tab.yaml"] = VIEW.format(kind.upper())
    files["etc/tabs/30-storage-tab.yaml" if release.startswith("7.4") else "etc/tab-manifest.yaml"] = MANIFEST
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for path in (folder / "etc").rglob("*.yaml"):
        path.chmod(0o640)
    return where


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def data(folder: Path, name: str) -> object:
    return yaml.safe_load((folder / "etc" / name).read_bytes())


def install(where: SunstoneFolders, views: tuple[str, ...] = ("admin",), dry_run: bool = False) -> list[str]:
    lines: list[str] = []
    run.install(where, views, dry_run, lines.append)
    return lines


@pytest.mark.parametrize("release", RELEASES)
def test_installed_twice_and_removed(tmp_path: Path, release: str) -> None:
    where = front_end(tmp_path, release)
    before = held(tmp_path)
    assert install(where)[-1].startswith(f"Sunstone {release[:3]} has the page") or release < "7.4"
    found = held(tmp_path)
    assert found[f"{MODULE}/remoteEntry.js"] == b"entry" and found[f"{MODULE}/rules.js"] == b"rules"
    remotes = data(tmp_path, "remotes-config.yaml")
    assert isinstance(remotes, dict) and list(remotes) == ["UtilsModule", "OneDRModule"]
    assert remotes["OneDRModule"]["entry"].startswith("__HOST__/fireedge/modules/OneDRModule/remoteEntry.js?v=")
    menu = data(tmp_path, "tabs/onedr-tab.yaml" if release == "7.4.0" else "tab-manifest.yaml")
    assert isinstance(menu, list) and menu[-1] == wanted_rules.MENU_ENTRY
    assert data(tmp_path, "views/admin/onedr-tab.yaml") == {"resource_name": "DISASTER-RECOVERY", "actions": {}}
    for kind in ("datastore", "vm"):
        assert (b"onedr" in found[f"etc/views/admin/{kind}-tab.yaml"]) == (release == "7.4.0")
    assert not (tmp_path / "etc/views/user/onedr-tab.yaml").exists()
    assert install(where)[0] == "Nothing to change." and held(tmp_path) == found
    whole = run.look(where)
    assert whole and whole.installed and not whole.blocking and not whole.lacking
    run.remove(where, False, lambda _: None)
    stub = {f"{MODULE}/remoteEntry.js": wanted_rules.STUB}
    assert held(tmp_path) == {**before, **stub}
    install(where)
    assert {name: text for name, text in held(tmp_path).items() if not name.endswith("backup")} == {
        name: text for name, text in found.items() if not name.endswith("backup")}


def test_a_dry_run_shows_a_diff_and_changes_nothing(tmp_path: Path) -> None:
    where = front_end(tmp_path, "7.4.0")
    before = held(tmp_path)
    lines = install(where, dry_run=True)
    assert "+OneDRModule:" in lines and "+  onedr:" in lines and any("remoteEntry.js" in line for line in lines)
    assert held(tmp_path) == before and not where.module.exists()


def test_modes_and_owners(tmp_path: Path) -> None:
    where = front_end(tmp_path, "7.4.0")
    install(where)
    for name, mode in (("etc/tabs/onedr-tab.yaml", 0o640), ("etc/views/admin/onedr-tab.yaml", 0o640),
                       ("etc/remotes-config.yaml", 0o640), ("dist/modules/OneDRModule/rules.js", 0o644)):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode, name
    assert where.module.stat().st_mode & 0o777 == 0o755


def test_another_content_has_another_address_and_old_scripts_go(tmp_path: Path) -> None:
    where = front_end(tmp_path, "7.4.0")
    install(where)
    old = data(tmp_path, "remotes-config.yaml")
    (where.source / "rules.js").rename(where.source / "laws.js")
    seen = run.look(where)
    assert seen and len(seen.lacking) == 3 and not seen.blocking
    install(where)
    assert data(tmp_path, "remotes-config.yaml") != old
    assert sorted(path.name for path in where.module.iterdir()) == ["laws.js", "remoteEntry.js"]


class Killed(Exception):
    pass


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("what", ["install", "upgrade", "remove"])
def test_killed_at_any_step_sunstone_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, what: str
) -> None:
    """The list of remotes never names a script that is missing; running it again completes it."""
    act: Callable[[SunstoneFolders], object] = (
        (lambda where: run.remove(where, False, lambda _: None)) if what == "remove" else install)
    real = run._write
    for last in range(20):
        where = front_end(tmp_path / str(last), release)
        if what != "install":
            install(where)
        if what == "upgrade":
            (where.source / "rules.js").write_text("new rules")
        left = [last]

        def write(*arguments: object, left: list[int] = left) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(run, "_write", write)
        try:
            act(where)
            finished = True
        except Killed:
            finished = False
        monkeypatch.setattr(run, "_write", real)
        seen = run.look(where)
        assert seen is not None and not seen.blocking, (last, seen)
        act(where)
        seen = run.look(where)
        assert seen is not None and seen.installed == (what != "remove") and not seen.lacking
        if finished:
            assert last >= 2
            return
    pytest.fail("it never finished")


def test_what_an_administrator_switched_off_stays_off(tmp_path: Path) -> None:
    where = front_end(tmp_path, "7.4.0")
    view = where.etc / "views/admin/vm-tab.yaml"
    view.write_text(view.read_text() + "  onedr:\n    enabled: false\n")
    install(where)
    assert "enabled: false" in view.read_text() and "onedr" in (where.etc / "views/admin/datastore-tab.yaml").read_text()


def test_several_views(tmp_path: Path) -> None:
    where = front_end(tmp_path, "7.4.0")
    before = held(tmp_path)
    install(where, ("admin", "user"))
    assert (where.etc / "views/user/onedr-tab.yaml").exists()
    run.remove(where, False, lambda _: None)
    assert held(tmp_path / "etc") == {name[4:]: text for name, text in before.items() if name.startswith("etc/")}


@pytest.mark.parametrize("release", ["6.10.0", "7.6.0", "8.0.0"])
def test_another_release_is_refused(tmp_path: Path, release: str) -> None:
    where = front_end(tmp_path, release)
    before = held(tmp_path)
    with pytest.raises(RefusedError, match="made for Sunstone 7.0, 7.2, 7.4"):
        install(where)
    assert held(tmp_path) == before


def _break(where: SunstoneFolders, what: str) -> None:
    if what == "remotes":
        (where.etc / "remotes-config.yaml").write_text("a: [")
    elif what == "no remotes":
        (where.etc / "remotes-config.yaml").unlink()
    elif what == "view":
        (where.etc / "views/admin/vm-tab.yaml").write_text("info-tabs: {info: {enabled: true}}\n")
    elif what == "source":
        for path in where.source.iterdir():
            path.unlink()


@pytest.mark.parametrize("what, said", [
    ("remotes", "cannot be read as YAML"), ("no remotes", "remotes-config.yaml, so Sunstone 7.4 is not whole"),
    ("view", "vm-tab.yaml is written in a form"), ("source", "Run install.sh"),
])
def test_what_is_not_as_expected_is_said_before_anything_is_changed(tmp_path: Path, what: str, said: str) -> None:
    where = front_end(tmp_path, "7.4.0")
    _break(where, what)
    before = held(tmp_path)
    with pytest.raises(InputError, match=said):
        install(where)
    assert held(tmp_path) == before


@pytest.mark.parametrize("view", ["nobody", "../etc", ""])
def test_a_view_that_is_not_there(tmp_path: Path, view: str) -> None:
    with pytest.raises(InputError, match="no view"):
        install(front_end(tmp_path, "7.4.0"), (view,))


def test_a_front_end_without_sunstone(tmp_path: Path) -> None:
    where = SunstoneFolders(tmp_path / "etc", tmp_path / "modules", tmp_path / "source", tmp_path / "remotes")
    assert run.look(where) is None
    with pytest.raises(InputError, match="no Sunstone"):
        install(where)


@pytest.mark.parametrize("gone, blocking", [("remoteEntry.js", True), ("rules.js", False)])
def test_a_script_that_is_gone(tmp_path: Path, gone: str, blocking: bool) -> None:
    where = front_end(tmp_path, "7.4.0")
    install(where)
    (where.module / gone).unlink()
    seen = run.look(where)
    assert seen and bool(seen.blocking) == blocking and bool(seen.lacking) == (not blocking)
    install(where)
    seen = run.look(where)
    assert seen and not seen.blocking and not seen.lacking


def test_another_program_writes_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = front_end(tmp_path, "7.4.0")
    real = wanted_rules.to_install

    def slow(*arguments: object) -> object:
        planned = real(*arguments)  # type: ignore[arg-type]
        (where.etc / "remotes-config.yaml").write_text(REMOTES + "Other:\n  name: Other\n")
        return planned

    monkeypatch.setattr(wanted_rules, "to_install", slow)
    with pytest.raises(RefusedError, match="changed by another program"):
        install(where)
    assert "Other" in (where.etc / "remotes-config.yaml").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give away")
def test_root_writes_nothing_through_a_link_of_another_user(tmp_path: Path) -> None:
    where = front_end(tmp_path / "one", "7.4.0")
    outside = tmp_path / "outside"
    outside.mkdir()
    where.module.symlink_to(outside)
    for path in ((tmp_path / "one"), *(tmp_path / "one").rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(OSError):
        install(where)
    assert not list(outside.iterdir())


class HighlyAvailable:
    def __init__(self, own: str) -> None:
        self.own = own

    def configuration(self) -> etree._Element:
        return etree.fromstring(
            f"<C><FEDERATION><SERVER_ID>{self.own}</SERVER_ID><ZONE_ID>0</ZONE_ID></FEDERATION></C>")

    def zone(self, zone_id: int) -> etree._Element:
        servers = "" if self.own == "-1" else "".join(
            f"<SERVER><ID>{i}</ID><NAME>one-{i}</NAME><ENDPOINT>http://one-{i}/RPC2</ENDPOINT></SERVER>" for i in range(3))
        return etree.fromstring(f"<ZONE><ID>{zone_id}</ID><SERVER_POOL>{servers}</SERVER_POOL></ZONE>")


def test_the_other_front_ends_of_an_ha_set_are_named() -> None:
    assert run.other_front_ends(HighlyAvailable("1")) == [  # type: ignore[arg-type]
        "one-0 (http://one-0/RPC2)", "one-2 (http://one-2/RPC2)"]
    assert run.other_front_ends(HighlyAvailable("-1")) == []  # type: ignore[arg-type]
