"""The Debian package on a system-wide front-end: from nothing to installed, refused while a datastore is
protected, and back.
"""
from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from machine import Machine, machine
from oned import ROOT

from onedr.opennebula.api import FrontEnd

INSTALL = "/usr/share/onedr/install.sh"
VERSION = importlib.metadata.version("onedr")
NOBODY = 65534
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a mount namespace and a chroot"),
    pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb"),
]
PROTECTED = (
    'NAME="gold" DS_MAD="ceph_dr" TM_MAD="ceph_dr" DISK_TYPE="RBD" POOL_NAME="one" DR_PROTECT="YES"'.replace(
        " ", "\n"
    )
)


@dataclass
class Story:
    """What was said, and what was on the machine, at each of its points."""

    said: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    found: dict[str, dict[str, str]] = field(default_factory=dict)

    def new(self, since: str, now: str) -> set[str]:
        return {path for path, held in self.found[now].items() if self.found[since].get(path) != held}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run(
        [str(ROOT / "packaging/deb"), sys.executable, str(folder)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder / f"onedr_{VERSION}_all.deb"


@pytest.fixture(scope="module")
def bare() -> Iterator[Machine]:
    try:
        with machine() as made:
            made.make_front_end()
            yield made
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def story(bare: Machine, package: Path) -> Story:
    told = Story()

    def look(point: str) -> None:
        told.found[point] = bare.snapshot()

    def do(point: str, *command: str, user: int = 0, **env: str) -> None:
        told.said[point] = bare.run(*command, user=user, env=env)
        look(point)

    shutil.copy(package, bare.root / "srv/onedr.deb")
    bare.lend_modules()
    bare.make_own_tree("/srv/own", NOBODY)
    look("empty")
    do("unpack", "dpkg", "--install", "--force-depends", "--no-triggers", "/srv/onedr.deb")
    do("version", "/usr/bin/onedr", "--version")
    do("manual", "zcat", "/usr/share/man/man1/onedr.1.gz")
    do("listed", "dpkg", "--listfiles", "onedr")
    do("no rights", INSTALL, user=NOBODY)
    do("owner", INSTALL, user=NOBODY, ONE_LOCATION="/srv/own")
    do("owner removes", INSTALL, "--uninstall", "--force", user=NOBODY, ONE_LOCATION="/srv/own")
    do("dry run", INSTALL, "--dry-run")
    do("without oned", INSTALL)
    frontend = bare.oned.start()
    do("with oned", INSTALL)
    do("again", INSTALL)
    do("dry run again", INSTALL, "--dry-run")
    do("upgraded", "dpkg", "--install", "--force-depends", "--no-triggers", "/srv/onedr.deb")
    _protect(bare, frontend, do)
    return told


def _protect(bare: Machine, frontend: FrontEnd, do) -> None:  # type: ignore[no-untyped-def]
    protected = frontend.call("datastore.allocate", PROTECTED, -1)
    do("refused", "dpkg", "--remove", "onedr")
    frontend.call("datastore.delete", protected)
    bare.oned.stop()
    do("refused without oned", "dpkg", "--remove", "onedr")
    bare.oned.start()
    do("removed", "dpkg", "--remove", "onedr")
    do("purged", "dpkg", "--purge", "onedr")


def test_unpacking_changes_nothing_of_opennebula(story: Story) -> None:
    assert story.said["unpack"].returncode == 0, story.said["unpack"].stdout
    new = story.new("empty", "unpack")
    assert {
        "usr/bin/onedr",
        "usr/share/man/man1/onedr.1.gz",
        "usr/share/bash-completion/completions/onedr",
    } <= new
    assert not [path for path in new if path.startswith(("etc/", "var/", "usr/lib/one"))]


def test_the_command_runs_with_debians_python(story: Story) -> None:
    assert story.said["version"].stdout == f"onedr, version {VERSION}\n"
    assert ".SS onedr failover" in story.said["manual"].stdout.replace("\\", "")
    assert (
        story.said["listed"].stdout.splitlines().count("/usr/lib/python3/dist-packages/onedr/cli/__init__.py")
        == 1
    )
    assert not [
        line for line in story.said["listed"].stdout.splitlines() if "__pycache__" in line or "/tests" in line
    ]


def test_without_rights_it_says_so_and_changes_nothing(story: Story) -> None:
    said = story.said["no rights"]
    assert said.returncode == 1
    assert "No permission to write to /etc/one" in said.stdout and "Run this as root" in said.stdout
    assert story.new("unpack", "no rights") == set()


def test_the_owner_of_a_self_contained_front_end_needs_no_root(story: Story) -> None:
    for point in ("owner", "owner removes"):
        assert story.said[point].returncode == 0, story.said[point].stdout
    own = {path: held for path, held in story.found["owner"].items() if path.startswith("srv/own")}
    assert "srv/own/var/remotes/datastore/ceph_dr/cp" in own and "srv/own/bin/onedr" in own
    assert {held.split(":")[0] for held in own.values()} == {str(NOBODY)}
    assert not [path for path in own if "systemd/" in path]
    assert story.found["owner removes"] == story.found["no rights"]


def test_a_dry_run_prints_the_diff_and_changes_nothing(story: Story) -> None:
    said = story.said["dry run"]
    assert said.returncode == 0
    assert "--- /etc/one/oned.conf\n+++ /etc/one/oned.conf (new)\n" in said.stdout
    assert (
        "+TM_MAD_CONF = [\n" in said.stdout
        and "copy   /var/lib/one/remotes/datastore/ceph_dr/cp\n" in said.stdout
    )
    assert story.new("owner removes", "dry run") == set()


def test_what_is_laid_belongs_to_oneadmin_and_units_to_root(story: Story, bare: Machine) -> None:
    found = story.found["without oned"]
    oneadmin = bare.done("id", "-u", "oneadmin").strip()
    assert found["var/lib/one/remotes/datastore/ceph_dr/cp"].startswith(f"{oneadmin}:")
    assert found["etc/one/onedr/onedr.conf"].startswith(f"{oneadmin}:")
    for path in ("usr/lib/one/onedr", "usr/lib/one/onedr/installed.json"):
        assert found[path].startswith("0:0 "), "what root reads and runs later, nobody else may change"
    assert found["etc/one/oned.conf.onedr-backup"] == story.found["empty"]["etc/one/oned.conf"]
    for unit in ("onedr-guard.service", "onedr-reconcile.service", "onedr-reconcile.timer", "onedr-exporter.service",
                 "onedr-notify.service", "onedr-notify.timer"):
        assert found[f"etc/systemd/system/{unit}"].startswith("0:0 100644 ")
    assert "etc/systemd/system/timers.target.wants/onedr-reconcile.timer" in found
    assert "etc/systemd/system/opennebula.service.requires/onedr-guard.service" in found
    # the package's own, not laid a second time
    assert found["usr/bin/onedr"] == story.found["unpack"]["usr/bin/onedr"]


def test_the_drivers_run_with_the_packages_library(story: Story) -> None:
    driver = bytes.fromhex(story.found["without oned"]["var/lib/one/remotes/datastore/ceph_dr/cp"].split()[2])
    assert driver.startswith(b"#!/usr/bin/python3 -IS\n") and b"/usr/lib/python3/dist-packages" in driver


def test_it_says_what_remains_to_be_done(story: Story) -> None:
    first = story.said["without oned"].stdout
    assert story.said["without oned"].returncode == 0, first
    assert first.startswith("OpenNebula 7.4.0.\n")
    assert (
        "To do: restart oned" in first
        and "onehost sync --force" in first
        and "There is no /etc/ceph/ceph.conf" in first
    )
    assert "Run `install.sh --hooks` once oned runs" in first


def test_the_running_oned_is_asked(story: Story) -> None:
    """It was started with the new oned.conf, so it knows the driver; the hooks are made at once."""
    said = story.said["with oned"].stdout
    assert "The running oned (7.4.0) knows ceph_dr.\n" in said
    assert "created" in said and "restart oned" not in said


def test_twice_is_once(story: Story) -> None:
    assert story.new("with oned", "again") == set() == story.new("again", "dry run again")
    assert "0 of them new or changed" in story.said["again"].stdout
    assert (
        "Nothing to change." in story.said["dry run again"].stdout
        and "unchanged" in story.said["dry run again"].stdout
    )


def test_an_upgrade_takes_nothing_out_and_says_what_to_do(story: Story) -> None:
    said = story.said["upgraded"]
    assert said.returncode == 0 and "To do: /usr/share/onedr/install.sh" in said.stdout
    assert "To do" not in story.said["unpack"].stdout
    assert not [
        path
        for path in story.new("dry run again", "upgraded")
        if path.startswith(("etc/", "var/", "usr/lib/one"))
    ]


def test_removal_is_refused_while_a_datastore_is_protected(story: Story) -> None:
    said = story.said["refused"]
    assert said.returncode != 0
    assert "(gold, protected)" in said.stdout and "onedr disable" in said.stdout
    assert "ceph_dr" in bytes.fromhex(story.found["refused"]["etc/one/oned.conf"].split()[2]).decode()
    assert story.new("upgraded", "refused") == set()


def test_removal_is_refused_when_oned_cannot_be_asked(story: Story) -> None:
    said = story.said["refused without oned"]
    assert said.returncode != 0 and "Cannot determine" in said.stdout
    assert story.new("upgraded", "refused without oned") == set()


def test_removal_leaves_the_machine_as_it_was_to_the_byte(story: Story) -> None:
    said = story.said["removed"]
    assert said.returncode == 0, said.stdout
    assert "deleted" in said.stdout and "OneDR is removed from /var/lib/one" in said.stdout
    assert story.said["purged"].returncode == 0
    assert story.found["purged"] == story.found["empty"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_units(story: Story, bare: Machine) -> None:
    for name in ("onedr-guard.service", "onedr-reconcile.service", "onedr-reconcile.timer", "onedr-exporter.service",
                 "onedr-notify.service", "onedr-notify.timer"):
        shutil.copy(ROOT / "share/systemd" / name, bare.root / "etc/systemd/system" / name)
    (bare.root / "usr/bin/onedr").write_text("#!/bin/sh\n")
    (bare.root / "usr/bin/onedr").chmod(0o755)
    (bare.root / "etc/systemd/system/opennebula.service").write_text("[Service]\nExecStart=/bin/true\n")
    units = ("onedr-guard.service", "onedr-reconcile.timer")
    said = bare.run(
        "systemd-analyze", "verify", "--man=no", *(f"/etc/systemd/system/{unit}" for unit in units)
    )
    assert not [line for line in said.stdout.splitlines() if "onedr" in line], said.stdout


@pytest.mark.skipif(not shutil.which("lintian"), reason="needs lintian")
def test_lintian_finds_no_error(package: Path) -> None:
    argv = ["lintian", "--allow-root", "--fail-on", "error", str(package)]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stdout
