"""The man page and the shell's completion: made from the commands themselves, so that none is missing."""
from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from onedr.cli import main, manual

ROOT = Path(__file__).parents[2]


def commands(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")
        elif not command.hidden:
            yield f"{words} {name}", command


def test_every_command_and_option_is_in_the_page() -> None:
    page = manual.page().replace("\\-", "-")
    found = dict(commands(main, "onedr"))
    assert {"onedr move", "onedr failover", "onedr drill start"} <= set(found)
    for words, command in found.items():
        assert f"\n.SS {words} " in page
        for option in command.params:
            assert (
                not isinstance(option, click.Option) or option.hidden or f"\n.B {option.opts[0]}" in page
            ), (words, option.opts)


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
def test_man_takes_the_page_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "onedr.1").write_text(manual.page())
    argv = ["man", "--warnings=all", "--local-file", str(tmp_path / "onedr.1")]
    environment = {"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "onedr - disaster recovery" in done.stdout


@pytest.mark.parametrize(("words", "offered"), [
    (("onedr", "fai"), {"failover", "failback"}),
    (("onedr", "drill", ""), {"start", "cleanup", "report"}),
    (("onedr", "failover", "one", "--dry"), {"--dry-run"}),
])
def test_bash_completes(words: tuple[str, ...], offered: set[str]) -> None:
    command = Path(sys.executable).parent / "onedr"
    script = f"""source {ROOT}/share/bash-completion/onedr
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _onedr {command}; echo "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered
