"""A YAML file that people write, as nodes with their line numbers. Pure.

Anchors and aliases are refused, so no small file becomes a large document. Only what reads such a file
imports this: a bridge host may lack PyYAML.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from onedr.model.errors import InputError
from onedr.model.text import closest

MAX_BYTES = 256 * 1024
_MAX_NODES, _MAX_DEPTH = 60_000, 8
_SHOWN = 5  # problems named in one message


@dataclass(frozen=True)
class Document:
    """What a file is called in sentences (`mapping`), and what to do with one that is too large, or empty."""

    called: str
    too_large: str
    empty: str


def compose(text: str, document: Document) -> yaml.MappingNode:
    """The root node of a file. Raises InputError, with the line where there is one."""
    what = f"The {document.called}"
    if len(text.encode()) > MAX_BYTES:
        raise InputError(f"{what} is larger than {MAX_BYTES >> 10} KiB; {document.too_large}.")
    try:
        _bounded(text, document.called)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InputError(f"{what} is no YAML: {_where(error)}") from error
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{what} is empty or no mapping; {document.empty}.")
    return root


def _bounded(text: str, called: str) -> None:
    """Refuse aliases, and more nodes or levels than such a file has, before anything is built of them."""
    nodes = depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(
                f"The {called}, line {line}: anchors (&) and aliases (*) are not read; put a text that "
                "begins with one of them in quotes, and write names out."
            )
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise InputError(f"The {called}, line {line}: it has too many entries or levels for a {called}.")


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {said}" if mark is not None else said


def refuse(called: str, problems: Iterable[tuple[int, str]]) -> None:
    """Raise InputError that names the first problems by line; nothing where there is none."""
    trouble = sorted(set(problems))
    if trouble:
        more = f"; and {len(trouble) - _SHOWN} more" if len(trouble) > _SHOWN else ""
        shown = "; ".join(f"line {line}: {said}" for line, said in trouble[:_SHOWN])
        raise InputError(f"The {called} cannot be used, nothing was changed: {shown}{more}")


class Reader:
    """Reads the nodes of one file and collects what is wrong: (line, sentence)."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str]] = []

    def wrong(self, node: yaml.Node, said: str) -> None:
        """Note a problem at a node."""
        self.problems.append((node.start_mark.line + 1, said))

    def keys(self, node: yaml.MappingNode, known: Iterable[str], where: str) -> dict[str, yaml.Node]:
        """The values by key. A key that is not known, or given twice, is a problem."""
        found: dict[str, yaml.Node] = {}
        words = tuple(known)
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in words:
                self.wrong(
                    key, f"{where} has no key {name!r}{closest(name, words)} Known: {', '.join(words)}"
                )
            elif name in found:
                self.wrong(key, f"{name} is there twice; write its entries as one list")
            else:
                found[name] = value
        return found

    def check_version(self, root: yaml.MappingNode, version: yaml.Node | None) -> None:
        """`version: 1` must be there."""
        if not isinstance(version, yaml.ScalarNode) or version.value != "1":
            self.wrong(version or root, "version is missing or not known: write version: 1")

    def text(self, node: yaml.Node) -> str:
        """One text; what YAML takes for something else is a problem."""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, "a name is expected here")
            return ""
        text: str = node.value
        if not text.strip() or text == "?" or node.tag.endswith(":null"):
            self.wrong(node, "a name is missing")
        elif not node.tag.endswith(":str"):
            self.wrong(node, f'{text} is no text for YAML: put it in quotes: "{text}"')
        return text
