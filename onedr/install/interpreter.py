"""The first lines of an installed executable: which interpreter runs it, and where that finds its modules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from onedr.model.errors import InputError

_LIMIT_S = 30
_ALL = (
    "import json, os, sys, onedr; print(json.dumps([os.path.dirname(os.path.dirname(onedr.__file__)), "
    "*sys.path]))"
)
_BARE = "import json, sys; print(json.dumps(sys.path))"


def first_lines(python: Path) -> bytes:
    """`#!` and, when the interpreter has OneDR already, its module folders written down.

    With them it starts as `-IS`: searching site-packages and reading .pth files costs each of oned's calls 10
    to 20 ms (docs/bench.md), and nothing of the caller's environment or folder can stand in for a module.
    """
    everything, bare = _asked(python, "-E", "-c", _ALL), _asked(python, "-IS", "-c", _BARE)
    if everything is None or bare is None:
        return b"#!" + bytes(python) + b"\n"
    folders = [folder for folder in dict.fromkeys(everything) if folder not in bare and Path(folder).is_dir()]
    return f"#!{python} -IS\nimport sys\n\nsys.path += {folders!r}\n".encode()


def manual(python: Path) -> bytes:
    """The man page of `onedr`, written by the command itself; empty when that is not there yet (a dry run).

    Raises InputError when the command does not run, which is the first time that anybody tries.
    """
    argv = [str(python), "-E", "-m", "onedr.cli.manual"]
    try:
        done = subprocess.run(argv, cwd="/", capture_output=True, timeout=_LIMIT_S)
    except (OSError, subprocess.SubprocessError):
        return b""
    reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"])[-1]
    if done.returncode and not re.search(r"No module named '?onedr\b", reason):
        raise InputError(
            f"The command onedr does not run with {python} ({reason}). Install what it needs: apt install"
            " python3-click python3-rich, or OneDR with pip, which brings them."
        )
    return done.stdout if not done.returncode else b""


def _asked(python: Path, *arguments: str) -> list[str] | None:
    try:
        done = subprocess.run(
            [str(python), *arguments], cwd="/", capture_output=True, text=True, check=True, timeout=_LIMIT_S
        )
        return [str(folder) for folder in json.loads(done.stdout) if folder]
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # there is none yet (a dry run), or OneDR is not in it: install.sh says so
