"""The rules of the code about itself (docs/architecture.md): who may import whom, what is pure, how long
things may be.
"""
from __future__ import annotations

import ast
import fnmatch
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# From the ground up. A package imports what lies below, never what stands beside it.
RANKS = (
    {"model"}, {"host"}, {"ceph", "opennebula"}, {"runs", "sunstone"}, {"replication", "document"}, {"failover"}, {"rejoin"}, {"protection"},
    {"check", "drill", "metrics", "rehearsal", "runbook", "support"}, {"pairing", "mapping", "recovery_plans", "notify", "report"}, {"driver"}, {"hook", "cli", "install"},
)
# Decisions: facts in, verdicts and steps out. By name, so that a new one is covered.
PURE = (
    "*/model/*.py", "*/plan.py", "*_plan.py", "*/rules_*.py", "*_rules.py", "*/state.py", "*/runs/steps.py",
    "*/step_docs.py", "*/split_brain.py", "*/inventory.py", "*/recovery_point.py", "*/start_order.py",
    "*/placement.py", "*/planned_move.py", "*/failover/facts.py", "*/failover/waves.py", "*/opennebula/vms.py",
    "*/opennebula/vm_template.py", "*/opennebula/objects.py", "*/replication/secrets.py",
    "*/runs/history.py", "*/runs/chain.py", "*/runs/request.py", "*/runs/*events.py", "*/runs/journal_entry.py",
    "*/ceph/mon_host.py", "*/failover/verdict.py", "*/check/table.py", "*/check/facts.py", "*/pairing/ceph_caps.py",
    "*/pairing/facts.py", "*/protection/pace.py", "*/ceph/encoding.py", "*/ceph/image_header.py", "*/ceph/journal_header.py",
    "*/opennebula/attributes.py", "*/opennebula/files.py", "*/opennebula/nics.py", "*/opennebula/nic_aliases.py", "*/opennebula/image_template.py",
    "*/opennebula/mapped.py", "*/opennebula/scheduled_actions.py", "*/opennebula/requirements.py", "*/opennebula/own_marks.py",
    "*/failover/host_choice.py", "*/failover/not_followed.py", "*/failover/setting_changes.py", "*/failover/nic_changes.py", "*/opennebula/vm_locks.py", "*/failover/loss.py", "*/failover/outcomes.py", "*/opennebula/uses.py", "*/opennebula/quotas.py", "*/opennebula/acls.py",
    "*/mapping/map_file.py", "*/recovery_plans/plan_file.py", "*/drill/drill_networks.py", "*/metrics/catalogue.py", "*/failover/image_subject.py",
    "*/document/form.py", "*/document/*_part.py", "*/replication/vm_points.py", "*/runbook/facts.py", "*/runbook/page.py", "*/runbook/shell_text.py",
)
OUTSIDE_WORLD = {
    "time",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "os",
    "sys",
    "pathlib",
    "threading",
    "urllib",
    "http",
    "rados",
    "rbd",
    "pyone",
    "datetime",
    "uuid",
    "tempfile",
    "shutil",
}
MAY_START_PROGRAMS = {"onedr/host/process.py", "onedr/cli/run_action.py"}
FILE_LINES, FUNCTION_LINES = 400, 40


def sources(*folders: str) -> list[Path]:
    """Python files, and executables that are Python."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    return [path for path in found if "__pycache__" not in path.parts and _is_python(path)]


def _is_python(path: Path) -> bool:
    return path.suffix == ".py" or (
        not path.suffix and path.read_bytes()[:40].startswith(b"#!/usr/bin/env python3")
    )


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    """`onedr.failover.plan` of its path; a package of its `__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Those of a file's tree that the rules look at; parsed once for all of them."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.Attribute)
    return tuple(node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, kinds))


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """Full names of what a file imports, wherever in it."""
    found: list[str] = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def package(module: str) -> str:
    """`failover` of `onedr.failover.plan.plan`."""
    return module.split(".")[1] if "." in module else ""


def rank(name: str) -> int:
    return next(number for number, names in enumerate(RANKS) if name in names)


def is_pure(path: Path) -> bool:
    return path.name != "__init__.py" and any(fnmatch.fnmatch(name_of(path), pattern) for pattern in PURE)


ONEDR = sources("onedr")


@pytest.mark.parametrize("path", ONEDR, ids=name_of)
def test_imports_go_downward_only_and_never_sideways(path: Path) -> None:
    own = package(module_of(path))
    for module in imports(path):
        if module.startswith("onedr.") and package(module) != own:
            assert own and rank(package(module)) < rank(own), f"{name_of(path)} imports {module}"


def test_every_package_has_a_rank() -> None:
    folders = {path.name for path in (ROOT / "onedr").iterdir() if (path / "__init__.py").exists()}
    assert folders == set().union(*RANKS)
    assert [path.name for path in (ROOT / "onedr").glob("*.py")] == ["__init__.py"]


def graph(*folders: str) -> dict[str, set[str]]:
    """Which module imports which, of these folders."""
    files = {module_of(path): path for path in sources(*folders) if path.suffix == ".py"}
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        wanted = {module if module in files else module.rpartition(".")[0] for module in imports(path)}
        found[name] = {module for module in wanted if module in files and module != name}
    return found


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring; empty when none do."""
    left = {name: set(targets) for name, targets in arrows.items()}
    while free := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in free}
    return sorted(left)


@pytest.mark.parametrize("folder", ["onedr", "tests"])
def test_no_modules_import_each_other_in_a_circle(folder: str) -> None:
    assert circle(graph(folder)) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


@pytest.mark.parametrize("path", [path for path in ONEDR if is_pure(path)], ids=name_of)
def test_decisions_neither_look_at_the_world_nor_at_the_clock(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        assert top not in OUTSIDE_WORLD, f"{name_of(path)} imports {module}"
        if top == "onedr":
            source = next(
                (found for stem in (module, module.rpartition(".")[0])
                 if (found := ROOT / (stem.replace(".", "/") + ".py")).exists()), None)
            assert source is not None and is_pure(source), (
                f"{name_of(path)} imports {module}, which is not pure"
            )


@pytest.mark.parametrize("path", sources("onedr", "drivers", "hooks"), ids=name_of)
def test_other_programs_are_started_through_one_gate_only(path: Path) -> None:
    if name_of(path) in MAY_START_PROGRAMS or name_of(path).startswith("onedr/install/"):
        return
    assert "subprocess" not in {module.split(".")[0] for module in imports(path)}
    names = {
        f"{node.value.id}.{node.attr}" for node in nodes(path)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not names & {"os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "os.posix_spawn"}


@pytest.mark.parametrize("path", sources("onedr", "drivers", "hooks", "remotes"), ids=name_of)
def test_the_library_does_not_know_the_sandbox(path: Path) -> None:
    assert "sandbox" not in {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", sources("sandbox"), ids=name_of)
def test_the_sandbox_does_not_know_the_library(path: Path) -> None:
    assert "onedr" not in {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", sources("onedr", "drivers", "hooks", "sandbox"), ids=name_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_bytes().splitlines()) <= FILE_LINES
    for node in nodes(path):
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
    for name in (
        "onedr/failover/plan.py",
        "drivers/datastore/ceph_dr/cp",
        "hooks/ceph_dr/vm",
        "sandbox/bed.py",
    ):
        assert name in found
    assert found >= MAY_START_PROGRAMS
    for pattern in PURE:
        assert any(fnmatch.fnmatch(name_of(path), pattern) for path in ONEDR), pattern
