"""After install.sh every action that oned calls is there, whatever OpenNebula release is below: ours, or a
link to stock's.
"""
from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from onedr.driver.start_action import VERBS
from onedr.install.stock import HARMLESS

ROOT = Path(__file__).parents[2]
# Names of the stock driver's files, per release (src/datastore_mad/remotes/ceph, src/tm_mad/ceph,
# src/vmm_mad/remotes).
RELEASES = sorted((Path(__file__).parent / "stock").glob("*.txt"))

# What oned 6.10 to 7.4 calls (one_datastore.rb, TransferManager.cc, one_vmm_exec.rb, market_mad; kvm: save,
# restore).
OURS = {
    "datastore": "cp mkfs clone rm stat monitor snap_delete snap_revert snap_flatten restore increment_flatten",
    "tm": """clone ln delete mvds cpds mkimage mkswap resize snap_create snap_create_live snap_delete snap_revert monitor restore
        clone.ssh ln.ssh mvds.ssh cpds.ssh delete.ssh resize.ssh
        snap_create.ssh snap_create_live.ssh snap_delete.ssh snap_revert.ssh""",
}
STOCKS = {
    "datastore": "export",
    "tm": "context mv premigrate postmigrate failmigrate prebackup prebackup_live postbackup postbackup_live",
    "vmm/kvm": "save.ceph_dr restore.ceph_dr",
}


def put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture(scope="module", params=RELEASES, ids=lambda path: path.stem)
def remotes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A front-end of a release with the real drivers installed; its stock actions only say their name."""
    one = tmp_path_factory.mktemp("one")
    put(one / "etc/oned.conf", """\
TM_MAD = [ EXECUTABLE = "one_tm", ARGUMENTS = "-t 15 -d ssh,ceph" ]
DATASTORE_MAD = [ EXECUTABLE = "one_datastore", ARGUMENTS = "-t 15 -d fs,ceph -s ssh,ceph" ]
INHERIT_DATASTORE_ATTR = "CEPH_HOST"
TM_MAD_CONF = [ NAME = "ceph", LN_TARGET = "NONE" ]
DS_MAD_CONF = [ NAME = "ceph" ]
""", 0o640)
    put(one / "var/remotes/VERSION", f"{request.param.stem}.0\n")
    put(one / "etc/vmm_exec/vmm_execrc", 'LIVE_DISK_SNAPSHOTS="kvm-ceph"\n')
    for name in request.param.read_text().split():
        put(one / "var/remotes" / name, f"#!/bin/sh\necho stock {name} called as $0\n", 0o755)
    environment = {"ONE_LOCATION": str(one), "ONE_XMLRPC": "http://127.0.0.1:1/RPC2", "HOME": str(one)}
    command = [str(ROOT / "install.sh"), "--python", sys.executable]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return one / "var/remotes"


def place(kind: str, name: str) -> str:
    return f"{kind}/{name}" if kind.startswith("vmm") else f"{kind}/ceph_dr/{name}"


def named(table: dict[str, str]) -> set[str]:
    return {place(kind, name) for kind, names in table.items() for name in names.split()}


def test_every_action_is_there(remotes: Path) -> None:
    for name in named({**OURS, "datastore": f"{OURS['datastore']} {' '.join(VERBS)}"}):
        file = remotes / name
        assert stat.S_ISREG(file.lstat().st_mode) and os.access(file, os.X_OK), name
        assert "from onedr." in file.read_text(), name
    for name in named(STOCKS):
        file = remotes / name
        assert file.is_symlink() and os.access(file, os.X_OK), name
        stock = name.replace("ceph_dr", "ceph")
        said = subprocess.run([file], capture_output=True, text=True, check=True).stdout
        # with our folder's name: so it finds what lies beside it
        assert said == f"stock {stock} called as {file}\n"


def test_nothing_of_stock_that_touches_a_disk_is_left(remotes: Path) -> None:
    """Every stock action that is linked takes no part in mirroring; one that OneDR does not know is named to
    the admin.
    """
    folders = (remotes / kind / "ceph_dr" for kind in ("tm", "datastore"))
    linked = {file.name for folder in folders for file in folder.iterdir() if file.is_symlink()}
    assert linked <= HARMLESS
    assert linked == {*" ".join(STOCKS[kind] for kind in ("datastore", "tm")).split(), "ceph_utils.sh"}


def test_the_page_of_actions_names_each() -> None:
    """docs/actions.md is a table with a row for every action, and says which are ours."""
    rows = re.findall(r"^\| `([^|]+)` \| (ours|stock|OneDR) \|", (ROOT / "docs/actions.md").read_text(), re.M)
    shown = set()
    for names, whose in rows:
        kind, _, actions = names.partition("/")
        shown |= {(f"{kind}/{action}", whose) for action in actions.split()}
    tables = {"ours": named(OURS), "stock": named(STOCKS), "OneDR": named({"datastore": " ".join(VERBS)})}
    assert shown == {
        (name.replace("ceph_dr/", "", 1), whose) for whose, table in tables.items() for name in table
    }


def test_the_releases_are_all_here() -> None:
    assert [path.stem for path in RELEASES] == ["6.10", "7.0", "7.2", "7.4"]
