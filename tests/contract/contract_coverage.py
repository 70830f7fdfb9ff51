"""The lists in README.md: which recorded cases are played, by which file, and which are not, and why.

`PYTHONPATH=. python tests/contract/contract_coverage.py` prints them.
"""
from __future__ import annotations

import contract_life  # noqa: F401
from contract_cases import CASES, COVERED_ELSEWHERE, UNSUPPORTED
from contract_shapes import WIRE

PARTS = {"ds": "test_cases.py", "vm": "test_cases.py", "errors": "test_cases.py", "hooks": "test_hook_payloads.py",
         "xmlrpc": "test_requests.py"}


def covered(part: str) -> list[str]:
    """Recorded cases of a part that are played."""
    recorded = sorted(path.name for path in (WIRE / part).iterdir())
    return [name for name in recorded if f"{part}/{name}" not in UNSUPPORTED]


def lists() -> str:
    """The lists as Markdown."""
    lines = []
    for part, file in PARTS.items():
        names = covered(part)
        lines += [f"### {part}: {len(names)}, by {file}", "", ", ".join(names), ""]
    lines += ["### Not played", "", "| case | why |", "| --- | --- |"]
    lines += [f"| {name} | {reason} |" for name, reason in sorted(UNSUPPORTED.items())]
    return "\n".join(lines) + "\n"


def known() -> set[str]:
    """Every case that is played or excused, as part/name."""
    return set(CASES) | set(COVERED_ELSEWHERE) | set(UNSUPPORTED)


if __name__ == "__main__":
    print(lists())
