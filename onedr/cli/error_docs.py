"""docs/errors.md, written from the classes of errors: `python -m onedr.cli.error_docs > docs/errors.md`."""
from __future__ import annotations

import importlib
import pkgutil

from onedr.model.errors import OneDRError, all_errors

_HEAD = """\
# Error codes

`onedr` ends an error's sentence with its code in brackets. The `error` event of a driver action has it as
`code`, and the log has it too. Codes never change their meaning. Exit codes: 0 done, 1 bad input, 2 refused,
3 Ceph, 4 front-end, 5 partly done, 6 problems found, 7 run interrupted, 8 Ctrl-C, the run continues.

This page is made from the code: `python -m onedr.cli.error_docs`.

| code | exit | meaning | what to do |
|---|---|---|---|
"""


def load_all() -> None:
    """Import every module, so that every class of error is known."""
    for module in pkgutil.walk_packages(importlib.import_module("onedr").__path__, "onedr."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def page() -> str:
    """The whole page."""
    load_all()
    kinds = sorted(all_errors(), key=lambda kind: (kind is not OneDRError, kind.exit_code, kind.word))
    rows = [f"| `{kind.word}` | {kind.exit_code} | {kind.meaning} | {kind.todo} |\n" for kind in kinds]
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    print(page(), end="")
