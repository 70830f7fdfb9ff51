"""`onedr -h` shows each verb's summary whole; verbs on a datastore go through the driver executables."""
from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from onedr.cli import main

CLI = Path(__file__).parents[3] / "onedr/cli"


def test_the_summaries_are_short_and_shown_whole() -> None:
    shown = CliRunner().invoke(main, ["-h"]).output
    for name, command in main.commands.items():
        assert command.short_help and len(command.short_help) <= 45, name
        assert any(line.split()[:1] == [name] and command.short_help in line for line in shown.splitlines())


def test_the_summaries_of_the_drills_verbs_too() -> None:
    drill = main.commands["drill"]
    assert isinstance(drill, click.Group)
    for name, command in drill.commands.items():
        assert command.short_help and len(command.short_help) <= 45, name


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_only_setup_and_guard_open_ceph_themselves(path: Path) -> None:
    opens = any(word in path.read_text() for word in ("onedr.ceph", "import rados", "connection.connect"))
    assert opens <= (path.stem == "setup")
