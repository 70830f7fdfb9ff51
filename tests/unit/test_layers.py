"""The house's rules about its own code (DESIGN §2): which layer knows which, and how long things may be."""
from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# From the ground up; a layer knows itself and what lies below.
LAYERS = (
    {"errors", "model", "facts", "template", "parse", "names"}, {"ports"}, {"policy"}, {"ops"},
    {"cli", "driver", "hook", "setup"},
)
FORBIDDEN_IN_POLICY = {"ports", "ops", "cli", "driver", "hook", "setup"}
OUTSIDE_WORLD = {
    "time", "random", "secrets", "socket", "subprocess", "os", "sys", "pathlib", "threading", "urllib", "http", "rados",
    "rbd", "pyone", "datetime", "uuid", "tempfile", "shutil",
}
MAY_START_PROGRAMS = {"onedr/ports/process.py", "onedr/cli/runner.py"}
FILE_LINES, FUNCTION_LINES = 400, 40


def sources(*folders: str) -> list[Path]:
    """Python files, and executables that are Python."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    return [path for path in found if "__pycache__" not in path.parts and _is_python(path)]


def _is_python(path: Path) -> bool:
    return path.suffix == ".py" or (not path.suffix and path.read_bytes()[:40].startswith(b"#!/usr/bin/env python3"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def area(module: str) -> str:
    """`ops` of `onedr.ops.record.seal`."""
    return module.split(".")[1] if "." in module else ""


def level(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


ONEDR = sources("onedr")


def area_of(path: Path) -> str:
    return path.relative_to(ROOT / "onedr").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", ONEDR, ids=name_of)
def test_imports_go_downward_only(path: Path) -> None:
    if area_of(path) == "__init__":
        return
    own = level(area_of(path))
    for module in imports(path):
        if module.split(".")[0] == "onedr":
            assert level(area(module)) <= own, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", sources("onedr/policy"), ids=name_of)
def test_policy_neither_looks_at_the_world_nor_at_the_clock(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        assert top not in OUTSIDE_WORLD, f"{name_of(path)} imports {module}"
        assert top != "onedr" or area(module) not in FORBIDDEN_IN_POLICY, f"{name_of(path)} imports {module}"


def test_the_ground_of_the_house_does_not_look_at_the_world_either() -> None:
    for path in ONEDR:
        if area_of(path) in LAYERS[0]:
            assert not {module.split(".")[0] for module in imports(path)} & OUTSIDE_WORLD, name_of(path)


@pytest.mark.parametrize("path", sources("onedr", "drivers", "hooks"), ids=name_of)
def test_other_programs_are_started_through_one_gate_only(path: Path) -> None:
    if name_of(path) in MAY_START_PROGRAMS or name_of(path).startswith("onedr/setup/"):
        return
    assert "subprocess" not in {module.split(".")[0] for module in imports(path)}
    names = {
        f"{node.value.id}.{node.attr}" for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not names & {"os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "os.posix_spawn"}


@pytest.mark.parametrize("path", sources("onedr", "drivers", "hooks"), ids=name_of)
def test_the_library_does_not_know_the_sandbox(path: Path) -> None:
    assert "sandbox" not in {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", sources("onedr", "drivers", "hooks", "sandbox"), ids=name_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_bytes()
    assert len(text.splitlines()) <= FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{node.name} has {length} lines"


@pytest.mark.parametrize("module", ["onedr.driver.datastore", "onedr.driver.tm"])
def test_a_driver_oned_calls_for_every_disk_loads_no_heavy_module(module: str) -> None:
    heavy = {"pyone", "rich", "click", "cryptography", "requests", "xmltodict", "dict2xml"}
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "rbd" in done.stdout.split()  # it was the driver that was loaded
    assert not heavy & set(done.stdout.split())


def test_the_rules_look_at_something() -> None:
    """A moved folder must not turn these tests into empty ones."""
    found = {name_of(path) for path in sources("onedr", "drivers", "hooks", "sandbox")}
    for name in ("onedr/policy/failover.py", "drivers/datastore/ceph_dr/cp", "hooks/ceph_dr/vm", "sandbox/bed.py"):
        assert name in found
    assert set(MAY_START_PROGRAMS) <= found
