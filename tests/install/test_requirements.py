"""What install.sh takes from a package index is pinned by version and digest, and can come from a folder instead."""
from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.frontend import tree

ROOT = Path(__file__).parents[2]
PINS = [ROOT / "share" / name for name in ("requirements.txt", "requirements-build.txt")]
NO_INDEX = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "",
            "PIP_CONFIG_FILE": os.devnull}


def pinned() -> dict[str, list[str]]:
    """Digests by `name==version`."""
    text = "".join(path.read_text() for path in PINS).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.split()[0]: re.findall(r"--hash=sha256:([0-9a-f]{64})", line) for line in lines}


def test_every_requirement_has_a_version_and_digests() -> None:
    found = pinned()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", name) and digests for name, digests in found.items())
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = set(setup["options"]["install_requires"].split()) - {"lxml"}  # the distribution's
    assert wanted | {"setuptools"} <= {name.partition("==")[0] for name in found}
    calls = [line for line in (ROOT / "install.sh").read_text().splitlines() if '"${quiet[@]}"' in line]
    assert len(calls) == 4 and all("--require-hashes" in line or "--no-index" in line for line in calls)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for pins in PINS:
        argv = [sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "-r", str(pins), "-d", str(folder)]
        subprocess.run(argv, check=True, timeout=300)
    return folder


def install(location: Path, *options: str, source: Path = ROOT) -> subprocess.CompletedProcess[str]:
    if not location.exists():
        tree.make(location)
    env = {"PATH": os.environ["PATH"], "HOME": str(location), "ONE_LOCATION": str(location),
           "ONE_XMLRPC": "http://127.0.0.1:1/RPC2", **NO_INDEX}
    return subprocess.run(
        [source / "install.sh", *options], env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_without_an_index_a_folder_is_enough(wheels: Path, tmp_path: Path) -> None:
    done = install(tmp_path / "one", "--wheels", str(wheels))
    assert done.returncode == 0, done.stderr
    python = tmp_path / "one/lib/onedr/venv/bin/python"
    shown = subprocess.run(
        [python, "-m", "pip", "list", "--local", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout.lower().split()
    assert {line for line in shown if line.startswith(("click", "rich", "cryptography"))} <= set(pinned())
    assert "onedr==0.1.0" in shown


def test_a_folder_beside_the_source_is_taken_unasked(wheels: Path, tmp_path: Path) -> None:
    """As `make wheels` leaves it, carried to a front-end together with the source."""
    source = tmp_path / "onedr"
    source.mkdir()
    for name in ("onedr", "drivers", "hooks", "remotes", "share", "sunstone"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("install.sh", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    shutil.copytree(wheels, source / "wheels")
    done = install(tmp_path / "one", source=source)
    assert done.returncode == 0, done.stderr


def test_an_index_that_is_not_there_shows_at_once_with_what_to_do(tmp_path: Path) -> None:
    done = install(tmp_path / "one")
    assert done.returncode == 1 and "make wheels" in done.stderr and "make deb" in done.stderr
    assert done.stderr.count("Retrying (") == 1, "pip's own five attempts take 38 s"


def test_a_file_with_another_digest_is_refused(wheels: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(wheels, changed)
    with next(changed.glob("mdurl-*.whl")).open("ab") as file:
        file.write(b"\0")
    done = install(tmp_path / "one", "--wheels", str(changed))
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr and "--wheels" in done.stderr
    assert not (tmp_path / "one/bin/onedr").exists()


@pytest.mark.parametrize(("options", "why"), [
    (("--wheels", "/nowhere"), "no such folder"), (("--wheels",), "wants a folder"),
    (("--wheels", "/tmp", "--python", sys.executable), "without --python"),
])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    done = install(tmp_path / "one", *options)
    assert done.returncode != 0 and why in done.stderr
