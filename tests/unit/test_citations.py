"""What code and pages cite is in this repository: pages, numbered facts, sections of the design, links."""
from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DESIGN = ROOT / "docs" / "design.md"
FACTS = {"C": ROOT / "docs" / "ceph-facts.md", "O": ROOT / "docs" / "opennebula-facts.md"}
_PAGE = re.compile(r"\bdocs/[a-z-]+\.md")
_FACTS = re.compile(r"docs/(?:ceph|opennebula)-facts\.md((?:,? (?:and )?[CO]\d+)+)")
_SECTION = re.compile(r'docs/design\.md, "([^"]+)"')
_LINK = re.compile(r"\]\(([\w./-]+\.(?:md|svg))?(#[a-z0-9-]+)?\)")
_MODULE = re.compile(r"`([a-z]+/[a-z_]+\.py)`")


def tracked() -> list[Path]:
    """Text files of the repository but for recordings."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [ROOT / name for name in names.split("\0") if name and "/wire/" not in name]
    return [path for path in found if path.is_file() and path != Path(__file__)]


@cache
def anchors(page: Path) -> set[str]:
    """Of headings, as GitHub makes them, and those set by hand."""
    text = page.read_text()
    made = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings(page)}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)


def dangling(text: str) -> Iterator[str]:
    """What a text cites that is not there; a citation may be broken over two lines of a comment."""
    joined = re.sub(r"\s*\n\s*(?:# )?", " ", text)
    yield from (page for page in _PAGE.findall(joined) if not (ROOT / page).is_file())
    for numbers in _FACTS.findall(joined):
        yield from (number for number in re.findall(r"[CO]\d+", numbers) if number.lower() not in anchors(FACTS[number[0]]))
    yield from (title for title in _SECTION.findall(joined) if title not in headings(DESIGN))


def test_what_is_cited_is_here() -> None:
    found = {str(path.relative_to(ROOT)): list(dangling(path.read_text(errors="replace"))) for path in tracked()}
    assert {name: missing for name, missing in found.items() if missing} == {}


@pytest.mark.parametrize("text", [
    "see docs/nowhere.md", "docs/ceph-facts.md C999", "docs/opennebula-facts.md O1,\n    O999", 'docs/design.md,\n"No such rule"',
], ids=["page", "ceph", "opennebula", "section"])
def test_a_dangling_citation_is_seen(text: str) -> None:
    assert len(list(dangling(text))) == 1


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name)
def test_a_page_links_to_what_is_here(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text()):
        other = (page.parent / target) if target else page
        assert other.is_file(), target
        assert not anchor or anchor[1:] in anchors(other), f"{target}{anchor}"


def test_the_architecture_page_names_modules_that_are_here() -> None:
    named = _MODULE.findall((ROOT / "docs" / "architecture.md").read_text())
    assert named and [name for name in named if not (ROOT / "onedr" / name).is_file() and not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("letter", FACTS)
def test_facts_are_numbered_without_a_gap(letter: str) -> None:
    text = FACTS[letter].read_text()
    numbers = [int(number) for number in re.findall(rf"^### {letter}(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert re.findall(rf'<a id="{letter.lower()}(\d+)">', text) == [str(number) for number in numbers]
