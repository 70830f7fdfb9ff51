"""The sandbox stands apart from the product, and its stand-in front-end imports downward only."""
from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SANDBOX = ROOT / "sandbox"
FRONTEND = SANDBOX / "frontend"
# Packages and modules of the stand-in front-end from the ground up: each knows itself and what lies below.
RANKS = (
    {"objects"}, {"hooks", "executor"}, {"frontend"}, {"drivers"}, {"vm"}, {"api"},
    {"__main__", "bootstrap", "tree", "tree_conf"},
)


def modules() -> dict[str, Path]:
    """Every module of the sandbox under its full name; executables without a suffix under their path."""
    found = {}
    for path in sorted(SANDBOX.rglob("*")):
        if path.is_symlink() or "__pycache__" in path.parts or not path.is_file():
            continue
        if path.suffix == ".py" or not path.suffix and b"python3" in path.read_bytes().partition(b"\n")[0]:
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """Full names of what a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(name: str) -> set[str]:
    """Modules of the sandbox that a module imports."""
    found = set()
    for wanted in imported(MODULES[name]):
        while wanted and wanted not in MODULES:
            wanted = wanted.rpartition(".")[0]
        found.add(wanted)
    return found - {"", name}


def in_frontend(name: str) -> bool:
    """Whether a module is part of the stand-in front-end."""
    return name.split(".")[:2] == ["sandbox", "frontend"]


def rank(name: str) -> int:
    """Rank of a module of the front-end; its `__init__` holds constants and lies below all."""
    parts = name.split(".")
    return next(number for number, names in enumerate(RANKS) if parts[2] in names) if len(parts) > 2 else -1


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Modules that lie on a circle of imports, or behind one."""
    left = dict(graph)
    while True:
        free = [name for name, wanted in left.items() if not wanted & left.keys()]
        if not free:
            return sorted(left)
        for name in free:
            del left[name]


@pytest.mark.parametrize("name", MODULES)
def test_the_sandbox_imports_nothing_of_the_product(name: str) -> None:
    assert "onedr" not in {module.partition(".")[0] for module in imported(MODULES[name])}


def test_no_modules_of_the_sandbox_import_each_other_in_a_circle() -> None:
    assert circles({name: arrows(name) for name in MODULES}) == []


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}) == ["a", "b", "c"]


@pytest.mark.parametrize("name", [name for name in MODULES if in_frontend(name)])
def test_the_front_end_imports_downward_only(name: str) -> None:
    for wanted in arrows(name):
        assert in_frontend(wanted), f"{name} imports {wanted}"
        assert rank(wanted) <= rank(name), f"{name} imports {wanted}"


def test_every_package_of_the_front_end_has_a_rank_and_is_looked_at() -> None:
    ranked = set().union(*RANKS)
    files = {path.stem for path in FRONTEND.glob("*.py")} - {"__init__"}
    assert files | {path.parent.name for path in FRONTEND.glob("*/__init__.py")} == ranked
    assert {f"sandbox.frontend.{name}" for name in ranked} <= MODULES.keys()
    assert "sandbox.guest.vmm.driver" in MODULES
