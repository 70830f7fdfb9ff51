"""How many files a newcomer has to open to follow a command (docs/architecture.md, "Reading paths")."""
from __future__ import annotations

import ast
import re
from itertools import chain
from pathlib import Path

import pytest
from test_layers import ROOT, imports, module_of

from onedr.driver.verbs import VERBS

MOST = {"onedr failover": 25, "oneimage create": 15}
# A process is started here: by the verb's name, so no import leads to the executable.
BORDER = {"drivers/datastore/ceph_dr/failover": "onedr/driver/start_action.py"}
BY_NAME = "onedr/driver/verbs.py"  # imports what it is asked for
RUN = "onedr/failover/run.py"


def paths() -> dict[str, list[str]]:
    """The files of each numbered list of the section, by the command that begins the paragraph before."""
    text = (ROOT / "docs/architecture.md").read_text()
    section = text.split("## Reading paths\n")[1].split("\n## ")[0]
    found: dict[str, list[str]] = {}
    command = ""
    for paragraph in section.split("\n\n"):
        if paragraph.startswith("1. "):
            found[command] = re.findall(r"`((?:onedr|drivers)/[^`]+)`", paragraph)
        elif paragraph.startswith("`"):
            command = paragraph[1:].partition("`")[0]
    return found


def called(path: str) -> set[str]:
    by_name = {f"onedr.driver.{each.partition(':')[0]}" for each in VERBS.values()} if path == BY_NAME else set()
    return set(imports(ROOT / path)) | by_name


def beside() -> str:
    return (ROOT / "docs/architecture.md").read_text().split("Beside it, read when the case is there:")[1].split("\n\n")[0]


def step_modules() -> set[str]:
    """Modules of OneDR's features that the methods of a run's steps call, as its `_actions` lists them."""
    tree = ast.parse((ROOT / RUN).read_bytes())
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in tree.body if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    methods = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    steps = {
        node.attr for node in ast.walk(methods["_actions"]) if isinstance(node, ast.Attribute) and node.attr in methods
    }
    names = {
        node.id for step in steps for node in ast.walk(methods[step]) if isinstance(node, ast.Name) and node.id in imported
    }
    modules = {imported[name] for name in names}
    return {name for name in modules if name.startswith(("onedr.failover.", "onedr.replication."))}


@pytest.mark.parametrize("command", MOST)
def test_a_newcomer_opens_few_files(command: str) -> None:
    files = paths()[command]
    assert len(files) == len(set(files)) <= MOST[command]


@pytest.mark.parametrize("command", MOST)
def test_each_file_is_called_by_one_before_it(command: str) -> None:
    files = paths()[command]
    for at, path in enumerate(files[1:], 1):
        before = files[:at]
        if path in BORDER:
            assert BORDER[path] in before and (ROOT / path).is_file()
            continue
        known = set(chain.from_iterable(called(one) for one in before))
        assert any(name == module_of(ROOT / path) or name.startswith(f"{module_of(ROOT / path)}.") for name in known), path


def test_every_file_with_a_step_of_a_failover_is_on_its_path_or_beside_it() -> None:
    files, rest = paths()["onedr failover"], beside()
    assert len(step_modules()) >= 6
    for module in step_modules():
        path = Path(*module.split(".")).with_suffix(".py")
        path = path if (ROOT / path).is_file() else Path(*module.split(".")[:-1]).with_suffix(".py")
        assert str(path) in files or path.name in rest, path
