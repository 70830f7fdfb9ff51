"""`onedr -h` shows each verb's summary whole; verbs on a datastore go through the driver executables."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from onedr.cli import VERBS, main

CLI = Path(__file__).parents[3] / "onedr/cli"


def verb(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


def test_the_summaries_are_short_and_shown_whole() -> None:
    shown = CliRunner().invoke(main, ["-h"]).output
    for name in VERBS:
        command = verb(name)
        assert command.name == name
        assert command.short_help and len(command.short_help) <= 45, name
        assert any(line.split()[:1] == [name] and command.short_help in line for line in shown.splitlines())


def test_the_summaries_of_the_drills_verbs_too() -> None:
    drill = verb("drill")
    assert isinstance(drill, click.Group)
    for name, command in drill.commands.items():
        assert command.short_help and len(command.short_help) <= 45, name


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_only_setup_and_guard_open_ceph_themselves(path: Path) -> None:
    opens = any(word in path.read_text() for word in ("onedr.ceph", "import rados", "connection.connect"))
    assert opens <= (path.stem == "setup")


def test_a_verb_imports_no_other() -> None:
    """It is what most of its time went into."""
    code = "import sys; from onedr.cli import main; main.get_command(None, 'history'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "onedr.cli.history" in loaded
    assert not {"onedr.cli.check", "onedr.cli.setup", "onedr.cli.failover", "rados", "rbd"} & set(loaded)


def test_what_draws_tables_is_loaded_for_tables() -> None:
    """It takes as long as all else that `status --json` needs."""
    code = "import sys; from onedr.cli import main; main.get_command(None, 'status'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "onedr.cli.output" in loaded and not {"rich.console", "concurrent.futures.thread"} & set(loaded)
