"""install.sh as somebody runs it who follows README: an OpenNebula in ONE_LOCATION whose oned runs, and this
source tree.
"""
from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from oned import ROOT, Oned

from sandbox.frontend import tree
from sandbox.waiting import until

PYTHON = "/usr/bin/python3"
TOOLS = ("bash", "basename", "cat", "cp", "dirname", "mktemp", "readlink", "rm", "rmdir")
PROTECTED = (
    'NAME="gold"\nDS_MAD="ceph_dr"\nTM_MAD="ceph_dr"\nDISK_TYPE="RBD"\nPOOL_NAME="one"\nDR_PROTECT="YES"\n'
)
OWN = ("etc", "lib", "bin", "share", "var/remotes")  # what an installation may change
OLD = f'exec {PYTHON} -c "import sys; sys.version_info = (3, 8, 1, \'final\', 0); exec(sys.stdin.read())"'


def snapshot(location: Path) -> dict[str, str]:
    found = {}
    for place in OWN:
        for path in (location / place).rglob("*"):
            link = f"-> {os.readlink(path)}" if path.is_symlink() else ""
            content = path.read_bytes().hex() if path.is_file() and not link else ""
            found[str(path.relative_to(location))] = f"{path.lstat().st_mode:o} {link}{content}"
    return found


@dataclass
class Site:
    """A front-end of somebody who begins."""

    location: Path
    oned: Oned
    said: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    found: dict[str, dict[str, str]] = field(default_factory=dict)

    def environment(self, path: str) -> dict[str, str]:
        index = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "http", "HTTP"))}
        return {**index, "PATH": path, "HOME": os.environ["HOME"], "ONE_LOCATION": str(self.location),
                "ONE_XMLRPC": self.oned.endpoint}

    def install(
        self, *options: str, path: str = os.environ["PATH"], source: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(source / "install.sh"), *options],
            env=self.environment(path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    def step(self, name: str, *options: str) -> None:
        self.said[name] = self.install(*options)
        self.found[name] = snapshot(self.location)

    def install_and_kill(self) -> None:
        """Kill it while pip fills the environment."""
        cut = subprocess.Popen(
            [str(ROOT / "install.sh")],
            env=self.environment(os.environ["PATH"]),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until("an environment half made", (self.location / "lib/onedr/venv/pyvenv.cfg").exists, 60, 0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(cut.pid, signal.SIGKILL)
        cut.wait(30)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    location = tmp_path_factory.mktemp("new") / "one"
    tree.make(location)
    made = Site(location, Oned(location, location / "var"))
    try:
        yield made
    finally:
        made.oned.stop()


@pytest.fixture(scope="module")
def story(site: Site) -> Site:
    frontend = site.oned.start()
    site.found["empty"] = snapshot(site.location)
    site.install_and_kill()
    site.step("installed")
    site.said["from the wheel"] = site.install(
        "--dry-run", source=site.location / "lib/onedr/venv/share/onedr"
    )
    site.oned.start()
    site.step("hooks", "--hooks")
    version = site.location / "var/remotes/VERSION"
    version.write_text("7.2.1\n")
    site.step("upgraded", "--hooks")
    version.write_text("7.4.0\n")
    protected = frontend.call("datastore.allocate", PROTECTED, -1)
    site.found["before"] = snapshot(site.location)
    site.step("refused", "--uninstall")
    frontend.call("datastore.delete", protected)
    site.step("removed", "--uninstall")
    return site


def test_what_a_killed_run_left_is_completed(story: Site) -> None:
    said = story.said["installed"]
    assert said.returncode == 0, said.stdout
    assert re.search(r"(\d+) files, \d+ links, ", said.stdout)
    driver = (bytes.fromhex(story.found["installed"]["var/remotes/datastore/ceph_dr/cp"].split()[1])).decode()
    assert driver.startswith(f"#!{story.location}/lib/onedr/venv/bin/python -IS\n")


def test_its_environment_sees_cephs_modules_and_has_the_command(story: Site) -> None:
    assert story.found["installed"]["bin/onedr"] == f"120777 -> {story.location}/lib/onedr/venv/bin/onedr"
    assert "share/man/man1/onedr.1" in story.found["installed"]
    page = bytes.fromhex(story.found["installed"]["share/man/man1/onedr.1"].split()[1]).decode()
    assert ".SS onedr failover" in page


def test_the_wheel_that_pip_made_has_everything_and_can_install_itself(story: Site) -> None:
    """Only the name of its interpreter (python3 instead of python) is another: nothing would go, so nothing
    is missing.
    """
    said = story.said["from the wheel"]
    assert said.returncode == 0, said.stdout
    verbs = {line.split()[0] for line in said.stdout.splitlines() if str(story.location) in line}
    assert "copy" in verbs and "remove" not in verbs


def test_an_oned_that_was_not_restarted_does_not_know_the_driver(story: Site) -> None:
    said = story.said["installed"].stdout
    assert (
        "The running oned does not know ceph_dr yet (TM_MAD -d, DATASTORE_MAD -d, DATASTORE_MAD -s, "
        "TM_MAD_CONF, "
        in said
    )
    assert "To do: restart oned." in said and " created." in said


def test_after_the_restart_it_does(story: Site) -> None:
    said = story.said["hooks"].stdout
    assert "The running oned (7.4.0) knows ceph_dr." in said and "unchanged." in said


def test_files_of_another_release_than_the_running_one_are_told(story: Site) -> None:
    said = story.said["upgraded"].stdout
    assert "The running oned is 7.4.0, but the installed files are of 7.2.1. To do: restart oned." in said


def test_uninstalling_is_refused_while_a_datastore_is_protected(story: Site) -> None:
    said = story.said["refused"]
    assert said.returncode == 2
    assert "(gold, protected)" in said.stdout and "onedr disable" in said.stdout
    assert story.found["refused"] == story.found["before"]


def test_the_way_back_ends_where_it_began(story: Site) -> None:
    assert story.said["removed"].returncode == 0, story.said["removed"].stdout
    assert "deleted" in story.said["removed"].stdout
    assert story.found["removed"] == story.found["empty"]


# -- wrong Pythons -------------------------------------------------------------------------------------


def path_with(folder: Path, **pythons: str) -> str:
    """A PATH with what install.sh calls and these Pythons; a text is the rest of a shell script."""
    for tool in TOOLS:
        (folder / tool).symlink_to(f"/usr/bin/{tool}")
    for name, script in pythons.items():
        (folder / name.replace("_", ".")).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name.replace("_", ".")).chmod(0o755)
    return str(folder)


def test_without_any_python_it_says_what_is_needed(site: Site, tmp_path: Path) -> None:
    said = site.install("--dry-run", path=path_with(tmp_path))
    assert said.returncode == 1
    assert "there is no Python for OneDR: none is on the path; it needs 3.9 or newer" in said.stdout
    assert "apt install python3-rados python3-rbd" in said.stdout


def test_of_each_wrong_python_it_says_why(site: Site, tmp_path: Path) -> None:
    before = snapshot(site.location)
    bare, inside, broken = f'exec {PYTHON} -S "$@"', f'exec {sys.executable} "$@"', "exit 3"
    path = path_with(tmp_path, python3=OLD, python3_9=bare, python3_10=inside, python3_11=broken)
    said = site.install(path=path)
    assert said.returncode == 1
    assert f"{path}/python3 is Python 3.8;" in said.stdout
    assert re.search(rf"{path}/python3\.9 \(3\.\d+\) cannot import rados and rbd;", said.stdout)
    assert f"{path}/python3.10 belongs to a virtual environment;" in said.stdout
    assert f"{path}/python3.11 does not run;" in said.stdout
    assert snapshot(site.location) == before


def test_the_first_fit_python_is_taken(site: Site, tmp_path: Path) -> None:
    said = site.install("--dry-run", path=path_with(tmp_path, python3=OLD, python3_11=f'exec {PYTHON} "$@"'))
    assert said.returncode == 0, said.stdout


def test_the_python_behind_a_virtual_environment_is_found(site: Site, tmp_path: Path) -> None:
    inside = Path(sys.executable).parent
    said = site.install("--dry-run", path=f"{inside}:{path_with(tmp_path)}:/usr/bin")
    assert said.returncode == 0, said.stdout


def test_a_chosen_python_that_is_too_old_is_refused(site: Site, tmp_path: Path) -> None:
    path = path_with(tmp_path, python3="exit 1")
    said = site.install("--python", f"{path}/python3", path=path)
    assert said.returncode == 1 and f"{path}/python3 is not Python 3.9 or newer" in said.stdout
