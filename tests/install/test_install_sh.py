"""install.sh in a self-contained tree: what it lays down, that twice is once, and the way back."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from onedr.host import config as host_config
from onedr.install.paths import Paths
from onedr.install.release import require_known

ROOT = Path(__file__).parents[2]
CONF = """\
# by hand
TM_MAD = [ EXECUTABLE = "one_tm", ARGUMENTS = "-t 15 -d ssh,ceph" ]
DATASTORE_MAD = [ EXECUTABLE = "one_datastore", ARGUMENTS = "-t 15 -d fs,ceph -s ssh,ceph" ]
DB = [ BACKEND = "mysql", PASSWD = "hush-hush" ]
INHERIT_DATASTORE_ATTR = "CEPH_HOST"
TM_MAD_CONF = [ NAME = "ceph", LN_TARGET = "NONE" ]
DS_MAD_CONF = [ NAME = "ceph" ]
"""
RC = 'LIVE_DISK_SNAPSHOTS="kvm-ceph kvm-ssh"\n'
PYTHON = "venv/bin/python"
STOCK_TM = (
    "clone",
    "clone.ssh",
    "context",
    "delete",
    "mkswap",
    "mv",
    "premigrate",
    "snap_revert",
    "brand_new",
)
STOCK_DS = ("ceph_utils.sh", "cp", "export", "rm", "snap_flatten")
CEPH_DR = ("datastore/ceph_dr", "tm/ceph_dr", "hooks/ceph_dr")


def put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A front-end's tree with a small stock ceph driver."""
    tree = tmp_path / "one"
    put(tree / "etc/oned.conf", CONF, 0o640)
    put(tree / "etc/vmm_exec/vmm_execrc", RC)
    put(tree / "var/remotes/VERSION", "7.4.0\n")
    for action in STOCK_TM:
        put(tree / "var/remotes/tm/ceph" / action, f"#!/bin/sh\necho stock {action}\n", 0o755)
    for action in STOCK_DS:
        put(tree / "var/remotes/datastore/ceph" / action, f"#!/bin/sh\necho stock {action}\n", 0o755)
    put(tree / "var/remotes/vmm/kvm/save.ceph", "#!/bin/sh\n", 0o755)
    return tree


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library, which nobody edits meanwhile, and an interpreter that has it: venv/bin/python.
    """
    folder = tmp_path_factory.mktemp("library")
    shutil.copytree(ROOT / "onedr", folder / "onedr", ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(folder / "venv", system_site_packages=True, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = folder / "venv/lib" / version / "site-packages/paths.pth"
    paths.write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n")
    return folder


@pytest.fixture
def source(tmp_path: Path, library: Path) -> Path:
    """This project's installer with a few drivers of the test's own, and the interpreter they shall have."""
    tree = tmp_path / "source"
    put(tree / "drivers/datastore/ceph_dr/cp", '#!/usr/bin/env python3\nprint("ours")\n', 0o755)
    put(tree / "drivers/datastore/ceph_dr/rm", "#!/bin/sh\necho ours\n", 0o755)
    put(tree / "drivers/tm/ceph_dr/clone", '#!/usr/bin/env python3\nprint("ours")\n', 0o755)
    put(tree / "drivers/tm/ceph_dr/__pycache__/clone.pyc", "no")
    put(tree / "hooks/ceph_dr/vm", '#!/usr/bin/env python3\nprint("ours")\n', 0o755)
    put(tree / "remotes/etc/datastore/ceph_dr/onedr.conf", "# defaults\n")
    shutil.copytree(ROOT / "hooks/ceph_dr/templates", tree / "hooks/ceph_dr/templates")
    shutil.copytree(ROOT / "share", tree / "share")
    for name in ("onedr", "venv"):
        (tree / name).symlink_to(library / name)
    shutil.copy(ROOT / "install.sh", tree)
    return tree


def install(
    source: Path, one: Path, *options: str, python: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        "ONE_LOCATION": str(one),
        # Nothing listens here: oned does not run.
        "ONE_XMLRPC": "http://127.0.0.1:1/RPC2",
        "PATH": os.environ["PATH"],
        "HOME": str(one),
        **more,
    }
    command = [str(source / "install.sh"), "--python", python or str(source / PYTHON), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def done(source: Path, one: Path, *options: str, **more: str) -> str:
    result = install(source, one, *options, **more)
    assert result.returncode == 0, result.stderr
    return result.stdout


def snapshot(tree: Path) -> dict[str, str]:
    """Every path below a tree with its kind, mode and content."""
    found = {}
    for path in sorted(tree.rglob("*")):
        if path.is_symlink():
            held = f"-> {os.readlink(path)}"
        elif path.is_dir():
            held = "folder"
        else:
            held = f"{path.stat().st_mode & 0o777:o} {path.read_bytes()!r}"
        found[str(path.relative_to(tree))] = held
    return found


FIREEDGE = {
    "etc/fireedge/sunstone/remotes-config.yaml": "UtilsModule:\n  name: UtilsModule\n  entry: __HOST__/x.js\n",
    "etc/fireedge/sunstone/views/admin/datastore-tab.yaml": "info-tabs:\n  info:\n    enabled: true\n",
    "etc/fireedge/sunstone/views/admin/vm-tab.yaml": "info-tabs:\n  info:\n    enabled: true\n",
    "etc/fireedge/sunstone/tabs/30-storage-tab.yaml": "- title: Storage\n",
    "lib/fireedge/dist/modules/UtilsModule/remoteEntry.js": "",
}
STUB = "lib/fireedge/dist/modules/OneDRModule/remoteEntry.js"


def test_the_page_in_sunstone_comes_by_an_option_and_goes_with_the_rest(source: Path, one: Path) -> None:
    shutil.copytree(ROOT / "sunstone", source / "sunstone")
    for name, text in FIREEDGE.items():
        put(one / name, text, 0o640)
    before = snapshot(one)
    done(source, one)
    assert "OneDRModule" not in (one / "etc/fireedge/sunstone/remotes-config.yaml").read_text()
    said = done(source, one, "--sunstone", "--dry-run")
    assert "+OneDRModule:" in said and not (one / STUB).exists()
    done(source, one, "--sunstone")
    assert (one / STUB).read_bytes() == (ROOT / "sunstone/remoteEntry.js").read_bytes()
    assert "OneDRModule" in (one / "etc/fireedge/sunstone/remotes-config.yaml").read_text()
    done(source, one, "--uninstall", "--force")
    after = snapshot(one)
    assert "onedr sunstone remove" in after.pop(STUB)
    after.pop(str(Path(STUB).parent))
    assert after == before


def test_the_page_is_refused_before_the_rest_is_installed(source: Path, one: Path) -> None:
    for name, text in FIREEDGE.items():
        put(one / name, text, 0o640)
    refused = install(source, one, "--sunstone")
    assert refused.returncode == 1 and "Run install.sh of this OneDR first" in refused.stderr


# -- what is laid down --------------------------------------------------------------------------------


def test_own_actions_run_with_the_chosen_interpreter(source: Path, one: Path) -> None:
    done(source, one)
    for action in ("datastore/ceph_dr/cp", "tm/ceph_dr/clone", "hooks/ceph_dr/vm"):
        file = one / "var/remotes" / action
        assert file.read_text().splitlines()[0] == f"#!{source / PYTHON} -IS"
        assert file.stat().st_mode & 0o777 == 0o755
        assert subprocess.run([file], capture_output=True, text=True).stdout == "ours\n"
    assert (one / "var/remotes/datastore/ceph_dr/rm").read_text().startswith("#!/bin/sh")
    assert (one / "var/remotes/etc/datastore/ceph_dr/onedr.conf").stat().st_mode & 0o777 == 0o644
    assert not (one / "var/remotes/tm/ceph_dr/__pycache__").exists()


def test_the_rest_is_linked_and_named(source: Path, one: Path) -> None:
    said = done(source, one)
    for action in set(STOCK_TM) - {"clone"}:
        assert os.readlink(one / "var/remotes/tm/ceph_dr" / action) == f"../ceph/{action}"
        assert f"tm/{action}" in said
    for action in set(STOCK_DS) - {"cp", "rm"}:
        assert os.readlink(one / "var/remotes/datastore/ceph_dr" / action) == f"../ceph/{action}"
    assert os.readlink(one / "var/remotes/vmm/kvm/save.ceph_dr") == "save.ceph"
    assert "tm/snap_revert: replaces the disk by a new, unmirrored image" in said
    assert "tm/brand_new: is unknown to this release of OneDR" in said


def test_the_command_is_on_the_path(source: Path, one: Path) -> None:
    done(source, one)
    assert (one / "bin/onedr").exists()
    assert os.access(one / "bin/onedr", os.X_OK)


def test_registration_keeps_mode_and_backs_up_once(source: Path, one: Path) -> None:
    done(source, one)
    conf = one / "etc/oned.conf"
    assert conf.stat().st_mode & 0o777 == 0o640
    assert '-d ssh,ceph,ceph_dr"' in conf.read_text()
    assert 'kvm-ceph_dr"' in (one / "etc/vmm_exec/vmm_execrc").read_text()
    backup = one / "etc/oned.conf.onedr-backup"
    assert (backup.read_text(), backup.stat().st_mode & 0o777) == (CONF, 0o640)
    conf.write_text(CONF + "MORE = 1\n")
    done(source, one)
    assert backup.read_text() == CONF


def test_another_tree_in_the_current_folder_is_not_taken(source: Path, one: Path, tmp_path: Path) -> None:
    put(tmp_path / "onedr/install/__main__.py", "raise SystemExit('the wrong one')")
    for package in ("onedr", "onedr/install"):
        put(tmp_path / package / "__init__.py", "")
    environment = {"ONE_LOCATION": str(one), "PATH": os.environ["PATH"], "HOME": str(one)}
    command = [str(source / "install.sh"), "--python", str(source / PYTHON), "--dry-run"]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (said.returncode, said.stderr) == (0, "")


def test_a_linked_oned_conf_stays_a_link(source: Path, one: Path) -> None:
    (one / "etc/oned.conf").rename(one / "etc/real.conf")
    (one / "etc/oned.conf").symlink_to("real.conf")
    done(source, one)
    assert os.readlink(one / "etc/oned.conf") == "real.conf"
    assert "ceph_dr" in (one / "etc/real.conf").read_text()


def test_without_oned_it_says_how_to_make_the_hooks(source: Path, one: Path) -> None:
    put(one / "var/.one/one_auth", "oneadmin:hush-hush\n", 0o600)
    result = install(source, one)
    assert result.returncode == 0
    assert "does not answer" in result.stdout and "install.sh --hooks" in result.stdout
    assert "hush" not in result.stdout + result.stderr
    assert install(source, one, "--hooks").returncode == 4


# -- twice, newer, dry ---------------------------------------------------------------------------------


def test_twice_is_once(source: Path, one: Path) -> None:
    done(source, one)
    once = snapshot(one)
    changes = done(source, one, "--dry-run")
    assert "Nothing to change." in changes, changes
    assert "0 of them new or changed" in done(source, one)
    assert snapshot(one) == once


def test_a_dry_run_shows_and_changes_nothing(source: Path, one: Path) -> None:
    before = snapshot(one)
    said = done(source, one, "--dry-run")
    assert snapshot(one) == before
    assert f"copy   {one}/var/remotes/tm/ceph_dr/clone\n" in said
    assert f"link   {one}/var/remotes/tm/ceph_dr/mv -> ../ceph/mv\n" in said
    assert '+INHERIT_IMAGE_ATTR  = "DR_PROTECT"' in said


def test_the_settings_are_a_file_that_says_what_may_be_set(
    source: Path, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(source, one)
    file = one / "etc/onedr/onedr.conf"
    monkeypatch.setenv("ONE_LOCATION", str(one))
    assert host_config.path() == file and host_config.load_config() == host_config.Configuration()
    text = re.sub(r"^#(\w+ = )", r"\1", file.read_text(), flags=re.MULTILINE)
    file.write_text(text.replace("/etc/one/onedr/peer_auth", str(one / "peer_auth")))
    put(one / "peer_auth", "oneadmin:hush", 0o600)
    assert host_config.load_config() == host_config.Configuration(
        "https://front-end-b/RPC2",
        "oneadmin:hush",
        fence_command=("/usr/local/sbin/fence-site", "site-a"),
        siem=("siem.example.org", 514),
    )
    assert f"Kept {file}: it was edited." in done(source, one, "--uninstall", "--force")


def test_a_newer_release_replaces_and_removes(source: Path, one: Path) -> None:
    done(source, one)
    tm = one / "var/remotes/tm"
    (source / "drivers/datastore/ceph_dr/rm").rename(source / "drivers/datastore/ceph_dr/new")
    put(source / "drivers/tm/ceph_dr/mv", "#!/bin/sh\necho native\n", 0o755)
    (tm / "ceph/premigrate").unlink()
    done(source, one)
    assert os.readlink(one / "var/remotes/datastore/ceph_dr/rm") == "../ceph/rm"
    assert (one / "var/remotes/datastore/ceph_dr/new").exists()
    assert not (tm / "ceph_dr/mv").is_symlink()
    assert (tm / "ceph/mv").read_text() == "#!/bin/sh\necho stock mv\n"
    assert not (tm / "ceph_dr/premigrate").is_symlink()


def test_edited_configuration_and_foreign_files_stay(source: Path, one: Path) -> None:
    done(source, one)
    edited = one / "var/remotes/etc/datastore/ceph_dr/onedr.conf"
    edited.write_text("# mine\n")
    put(one / "var/remotes/tm/ceph_dr/theirs", "x")
    put(source / "remotes/etc/datastore/ceph_dr/onedr.conf", "# newer defaults\n")
    assert f"Kept {edited}: it was edited." in done(source, one)
    done(source, one)
    assert edited.read_text() == "# mine\n"
    assert f"Kept {edited}: it was edited." in done(source, one, "--uninstall", "--force")
    assert edited.exists() and (one / "var/remotes/tm/ceph_dr/theirs").exists()


# Runs the installer's module and dies by SIGKILL at the n-th time that a file of that name would be put in
# its place.
KILLED = """
import os, signal, sys
from onedr.install import __main__ as installer
name, times = sys.argv.pop(1), int(sys.argv.pop(1))
put = os.replace
def replace(source, target, **folders):
    global times
    times -= os.path.basename(target) == name
    if times == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    put(source, target, **folders)
os.replace = replace
installer.main()
"""


def killed(source: Path, one: Path, step: str, name: str, times: int) -> None:
    argv = [
        str(source / PYTHON),
        "-c",
        KILLED,
        name,
        str(times),
        step,
        "--source",
        str(source),
        "--python",
        str(source / PYTHON),
        "--force",
    ]
    environment = {"ONE_LOCATION": str(one), "PYTHONPATH": str(source), "PATH": os.environ["PATH"]}
    done = subprocess.run(argv, cwd="/", env=environment, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("step", "name", "times"),
    [
        ("install", "installed.json", 1),
        ("install", "clone", 1),
        ("install", "oned.conf.onedr-backup", 1),
        ("install", "oned.conf", 1),
        ("uninstall", "oned.conf", 1),
        ("uninstall", "vmm_execrc", 1),
    ],
)
def test_a_run_that_was_killed_is_completed_and_undone(
    source: Path, one: Path, step: str, name: str, times: int
) -> None:
    for folder in ("bin", "lib", "share"):
        (one / folder).mkdir()
    before = snapshot(one)
    if step == "uninstall":
        done(source, one)
    killed(source, one, step, name, times)
    done(source, one, "--uninstall", "--force")
    assert snapshot(one) == before
    if step == "uninstall":
        return
    killed(source, one, step, name, times)
    done(source, one)
    assert "Nothing to change." in done(source, one, "--dry-run")
    assert not [path for path in snapshot(one) if path.endswith("onedr-new")]


# -- refusals ----------------------------------------------------------------------------------------


def refused(source: Path, one: Path, *options: str) -> str:
    """The reason of a run that changed nothing."""
    before = snapshot(one)
    result = install(source, one, *options)
    assert result.returncode != 0
    assert snapshot(one) == before
    assert result.stderr.startswith("install.sh: ")
    return result.stderr


def test_a_broken_oned_conf_is_refused_untouched(source: Path, one: Path) -> None:
    (one / "etc/oned.conf").write_text(CONF.replace('"mysql",', '"mysql"'))
    reason = refused(source, one)
    assert f"{one}/etc/oned.conf, line 4:" in reason
    assert "hush" not in reason


def test_a_tree_without_opennebula_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no OpenNebula front-end is installed here" in refused(source, tmp_path / "empty")


def test_hooks_without_the_files_they_call_are_refused(source: Path, one: Path) -> None:
    assert "Run install.sh first" in refused(source, one, "--hooks")


def test_a_linked_driver_folder_is_refused(source: Path, one: Path) -> None:
    (one / "var/remotes/tm/ceph_dr").symlink_to("ceph")
    assert "another driver" in refused(source, one)


def test_a_foreign_command_is_refused(source: Path, one: Path) -> None:
    put(one / "bin/onedr", "theirs")
    assert "was not installed by OneDR" in refused(source, one)


def test_an_interpreter_without_the_library_is_refused(source: Path, one: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    put(bare, '#!/bin/sh\ncase "$*" in *rbd*) exit 1 ;; esac\n', 0o755)
    result = install(source, one, python=str(bare))
    assert result.returncode == 1
    assert "cannot import rbd. Install it (apt install python3-rbd)" in result.stderr


def test_an_interpreter_without_what_the_command_needs_is_refused(
    source: Path, one: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "python"
    lacking = 'case "$*" in *cli.manual*) echo "No module named click" >&2; exit 1 ;; esac'
    put(bare, f'#!/bin/sh\n{lacking}\nexec {source / PYTHON} "$@"\n', 0o755)
    result = install(source, one, python=str(bare))
    assert result.returncode == 1
    assert f"onedr does not run with {bare} (No module named click). Install what it needs" in result.stderr
    assert not (one / "etc/oned.conf.onedr-backup").exists()


def test_unknown_options_and_missing_interpreters_are_refused(source: Path, one: Path) -> None:
    assert "unknown option --nope" in install(source, one, "--nope").stderr
    assert "no such interpreter" in install(source, one, python="/nonexistent").stderr


def test_an_unknown_release_is_refused_unless_forced(source: Path, one: Path) -> None:
    version = one / "var/remotes/VERSION"
    for text, told in (
        ("7.1.80", "is OpenNebula 7.1.80"),
        ("8.0.0", "is OpenNebula 8.0.0"),
        ("6.8.3", "is OpenNebula 6.8.3"),
    ):
        version.write_text(f"{text}\n")
        assert f"{told}; OneDR was made for 6.10, 7.0, 7.2, 7.4." in refused(source, one)
    version.write_text("soon\n")
    assert "which is not a release of OpenNebula" in refused(source, one, "--force-version")
    version.unlink()
    assert f"has an unknown release (there is no {version})" in refused(source, one)
    assert "Continuing because of --force-version." in done(source, one, "--force-version")


@pytest.mark.parametrize("release", ["6.10.5", "7.0.0", "7.0.1", "7.2.0", "7.4.0"])
def test_known_releases_are_told(one: Path, release: str) -> None:
    (one / "var/remotes/VERSION").write_text(f"{release}\n")
    paths = Paths.from_environment({"ONE_LOCATION": str(one)})
    assert require_known(paths, force=False) == f"OpenNebula {release}."


def test_a_front_end_without_ceph_is_told_so(source: Path, one: Path, tmp_path: Path) -> None:
    assert f"There is no {tmp_path}/ceph.conf: this front-end cannot access Ceph yet." in done(
        source, one, "--dry-run", CEPH_CONF=f"{tmp_path}/ceph.conf"
    )
    put(tmp_path / "ceph.conf", "[global]\n")
    assert "cannot access Ceph" not in done(source, one, "--dry-run", CEPH_CONF=f"{tmp_path}/ceph.conf")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere (as root: test_package.py)")
def test_missing_rights_are_named_before_anything_is_done(source: Path, one: Path) -> None:
    (one / "etc").chmod(0o555)
    try:
        assert f"No permission to write to {one}/etc" in refused(source, one)
    finally:
        (one / "etc").chmod(0o755)


# -- the way back ------------------------------------------------------------------------------------


def test_uninstall_leaves_no_trace(source: Path, one: Path) -> None:
    (one / "bin").mkdir()
    (one / "lib").mkdir()
    before = snapshot(one)
    done(source, one)
    for folder in CEPH_DR:
        assert (one / "var/remotes" / folder).is_dir()
    done(source, one, "--uninstall", "--force")
    assert snapshot(one) == before


def test_uninstall_without_an_answer_of_oned_is_refused(source: Path, one: Path) -> None:
    done(source, one)
    assert "Cannot determine" in refused(source, one, "--uninstall")


def test_uninstall_keeps_the_backup_when_others_changed_the_file(source: Path, one: Path) -> None:
    done(source, one)
    conf = one / "etc/oned.conf"
    conf.write_text(conf.read_text() + "MORE = 1\n")
    assert "Kept" in done(source, one, "--uninstall", "--force")
    assert conf.read_text() == CONF + "MORE = 1\n"
    assert (one / "etc/oned.conf.onedr-backup").exists()
