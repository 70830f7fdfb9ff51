"""What root writes where another user may put links in the way: nothing outside is written, removed or given away,
and nothing inside shuts that user out.
"""
from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from onedr.host import log_handlers, secret_file, trusted_folder
from onedr.host.atomic_file import write_atomically
from onedr.install import manifest, registration
from onedr.install.paths import Paths
from onedr.install.tree import TreeItem
from onedr.model.errors import InputError, RefusedError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give away")
ROOT = Path(__file__).parents[2]
NOBODY = 65534
LEVELS = ("var", "var/remotes", "var/remotes/tm", "var/remotes/tm/ceph_dr")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Root's own folder, with root's own file; no name of OneDR's is in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "shadow").write_text("root's")
    return folder


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A front-end's tree of another user."""
    tree = tmp_path / "one"
    (tree / LEVELS[-1]).mkdir(parents=True)
    (tree / "etc").mkdir()
    give(tree)
    return tree


def give(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def held(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every path with its owner, mode and content."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_uid, path.lstat().st_mode, path.read_bytes() if path.is_file() else b""
        )
        for path in sorted((folder, *folder.rglob("*")))
    }


def swapped(one: Path, level: str, outside: Path) -> None:
    """The folder is a link of its owner's; below the target everything is called as before."""
    shutil.copytree(one / level, outside / "copy", symlinks=True)
    for path in (outside / "copy", *(outside / "copy").rglob("*")):
        os.chown(path, 0, 0, follow_symlinks=False)
    shutil.rmtree(one / level)
    (one / level).symlink_to(outside / "copy")
    os.chown(one / level, NOBODY, NOBODY, follow_symlinks=False)


def writes(one: Path) -> dict[str, Callable[[], object]]:
    folder = one / LEVELS[-1]
    return {
        "a file": lambda: write_atomically(folder / "clone", b"x", 0o755, (NOBODY, NOBODY)),
        "a secret": lambda: secret_file.write_secret(folder / "clone", "x", NOBODY),
        "a folder": lambda: trusted_folder.make_folder(folder / "new", 0o755, (NOBODY, NOBODY)),
        "folders": lambda: trusted_folder.make_folders(folder / "new/deeper"),
        "a link": lambda: trusted_folder.make_link(folder / "mv", "../ceph/mv", folder / ".mv.onedr-new"),
        "a line": lambda: os.close(trusted_folder.append_to(folder / "clone", 0o640)),
        "a removal": lambda: trusted_folder.remove_file(folder / "clone"),
        "a folder's removal": lambda: trusted_folder.remove_folder(folder),
        "a secret's removal": lambda: secret_file.remove_secret(folder / "clone"),
        "an installation": lambda: installed(one, [TreeItem(folder / "clone", b"x")]),
    }


def installed(one: Path, items: list[TreeItem]) -> None:
    record = manifest.Manifest()
    changes = manifest.to_install(items, record)
    where = one / "lib/onedr/installed.json"
    where.parent.mkdir(parents=True, exist_ok=True)
    manifest.apply_changes(changes, items, record, where, one / "var/remotes")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("what", writes(Path("/nowhere")))
def test_a_folder_that_became_a_link_is_refused_at_every_level(
    one: Path, outside: Path, level: str, what: str
) -> None:
    (one / LEVELS[-1] / "clone").write_text("old")
    swapped(one, level, outside)
    before = held(outside)
    with pytest.raises((OSError, InputError, RefusedError), match="link|Not a directory"):
        writes(one)[what]()
    assert held(outside) == before


@pytest.mark.parametrize("what", writes(Path("/nowhere")))
def test_the_same_is_done_where_there_is_no_link(one: Path, what: str) -> None:
    if "folder's" not in what:
        (one / LEVELS[-1] / "clone").write_text("old")
    writes(one)[what]()


def test_a_folder_swapped_while_root_writes_gives_away_nothing(one: Path, outside: Path) -> None:
    """The race itself: a thread swaps folder and link as fast as it can, root writes and gives away."""
    place, aside = one / "var/remotes", one / "var/aside"
    shutil.copytree(place, outside / "copy")
    link = one / "var/link"
    link.symlink_to(outside / "copy")
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    before, over = held(outside), threading.Event()

    def swap() -> None:
        while not over.is_set():
            place.rename(aside)
            link.rename(place)
            place.rename(link)
            aside.rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    done = 0
    try:
        for number in range(400):
            folder = one / LEVELS[-1]
            with suppress(OSError):
                write_atomically(folder / f"f{number}", b"x", 0o644, (NOBODY, NOBODY))
                done += 1
            with suppress(OSError):
                trusted_folder.make_folder(folder / f"d{number}", 0o755, (NOBODY, NOBODY))
            with suppress(OSError):
                trusted_folder.remove_file(folder / f"f{number}")
    finally:
        over.set()
        thread.join()
    assert done and held(outside) == before


def test_roots_own_links_are_followed(one: Path, tmp_path: Path) -> None:
    """/var/lib/one may be a link of the administrator's."""
    (tmp_path / "lib").symlink_to(one)
    write_atomically(tmp_path / "lib/var/x", b"x", 0o644)
    assert (one / "var/x").read_bytes() == b"x"


def test_a_linked_configuration_of_another_users_is_not_edited(one: Path, outside: Path) -> None:
    paths = Paths.from_environment({"ONE_LOCATION": str(one)})
    paths.oned_conf.symlink_to(outside / "shadow")
    os.chown(paths.oned_conf, NOBODY, NOBODY, follow_symlinks=False)
    before = held(outside)
    with pytest.raises(OSError, match="link"):
        registration.to_register(paths, ROOT / "share/augeas")
    assert held(outside) == before and [path.name for path in (one / "etc").iterdir()] == ["oned.conf"]


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_a_log_that_is_another_file_is_not_written(one: Path, outside: Path, kind: str) -> None:
    log = one / "var/onedr.log"
    log.symlink_to(outside / "shadow") if kind == "link" else os.link(outside / "shadow", log)
    before = held(outside)
    logged(log)
    assert held(outside) == before


def test_roots_log_belongs_to_the_front_ends_user(one: Path) -> None:
    logged(one / "var/onedr.log")
    assert "hello" in (one / "var/onedr.log").read_text()
    assert {path.stat().st_uid for path in (one / "var").glob("onedr.log*")} == {NOBODY}


def logged(log: Path) -> None:
    for handler in log_handlers.handlers(log, "/nowhere", 1, 1):
        handler.emit(logging.LogRecord("onedr", logging.INFO, "", 0, "hello", (), None))


# -- a verb and the installer, run by root -----------------------------------------------------------------


@pytest.fixture
def readable() -> Iterator[Path]:
    """This checkout where any user may read it."""
    folder = Path("/var/tmp") / f"onedr-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    for name in ("onedr", "share", "drivers", "hooks", "remotes", "sunstone"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("install.sh", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    yield folder
    shutil.rmtree(folder)


WHO = """
import os, sys
from onedr.host import log, privileges
from onedr.protection import keeper_lock
from onedr.cli import main
import click

@click.command()
def who():
    log.info("here")
    with keeper_lock.keeper_slot(7):
        print(os.getuid(), os.getgid(), os.getgroups(), os.environ["HOME"])

main.get_command = lambda context, name: who
main()
"""


def verb(name: str, one: Path, readable: Path) -> str:
    path = os.pathsep.join([str(readable), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, "-c", WHO, name], env={"ONE_LOCATION": str(one), "PYTHONPATH": path, "PATH": "/usr/bin:/bin", "HOME": "/root"},
        capture_output=True, text=True, timeout=60, cwd="/", check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def open_tree() -> Iterator[Path]:
    """A front-end's tree of another user, which that user can reach."""
    folder = Path("/var/tmp") / f"onedr-one-{os.getpid()}"
    (folder / "var").mkdir(parents=True)
    (folder / "etc").mkdir()
    give(folder)
    yield folder
    shutil.rmtree(folder)


def test_a_verb_of_roots_runs_as_the_front_ends_user(open_tree: Path, readable: Path) -> None:
    if not os.access(sys.executable, os.X_OK) or subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", "--clear-groups", sys.executable, "-c", ""], check=False
    ).returncode:
        pytest.skip("this interpreter is root's alone")
    assert verb("status", open_tree, readable).startswith(f"{NOBODY} ")
    left = [path for path in open_tree.rglob("*") if path.is_file()]
    assert left and {path.stat().st_uid for path in open_tree.rglob("*")} == {NOBODY}


def test_setup_stays_root_for_cephs_administrator(open_tree: Path, readable: Path) -> None:
    assert verb("setup", open_tree, readable).startswith("0 ")


def test_installing_into_anothers_tree_is_done_as_that_user(open_tree: Path, readable: Path) -> None:
    """Its interpreter and library are that user's: as root they would be a way to become root."""
    told = open_tree / "who"
    python = open_tree / "lib/python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nid -u >> {told}\nexit 1\n")
    python.chmod(0o755)
    give(open_tree)
    done = subprocess.run(
        [readable / "install.sh", "--python", python], capture_output=True, text=True, check=False, cwd="/",
        env={"ONE_LOCATION": str(open_tree), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, timeout=60,
    )
    assert done.returncode
    assert set(told.read_text().split()) == {str(NOBODY)}
