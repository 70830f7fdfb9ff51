"""The mapping's file: YAML, read with its line numbers. Pure.

Every problem is reported at once, with its line and what to type. Anchors and aliases are refused, so no
small file becomes a large mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import yaml

from onedr.model import site_map
from onedr.model.address_rules import AddressRule, read_rule
from onedr.model.errors import InputError
from onedr.model.site_map import WORDS, Entry, Name, SiteMap
from onedr.model.text import closest

MAX_BYTES = 256 * 1024
_MAX_NODES, _MAX_DEPTH = 60_000, 8
_TOP = ("version", "sites", *WORDS)
_OF_NETWORKS = ("drill", "addresses")
_ID = re.compile(r"0|[1-9][0-9]{0,9}")
_SHOWN = 5  # problems named in one message


def read(text: str, here: str) -> SiteMap:
    """The mapping in a file; `here`: name of this site, which must be one of its two.

    Raises InputError that names every problem by its line.
    """
    if len(text.encode()) > MAX_BYTES:
        raise InputError(
            f"The mapping is larger than {MAX_BYTES >> 10} KiB; leave out what has the same name."
        )
    _bounded(text)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InputError(f"The mapping is no YAML: {_where(error)}") from error
    reader = _Reader()
    found = reader.read(root, here)
    trouble = sorted({*reader.problems, *(site_map.problems(found) if not reader.problems else ())})
    if trouble:
        more = f"; and {len(trouble) - _SHOWN} more" if len(trouble) > _SHOWN else ""
        shown = "; ".join(f"line {line}: {said}" for line, said in trouble[:_SHOWN])
        raise InputError(f"The mapping cannot be used, nothing was changed: {shown}{more}")
    return found


def _bounded(text: str) -> None:
    """Refuse aliases, and more nodes or levels than a mapping has, before anything is built of them."""
    nodes = depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise InputError(
                    f"The mapping, line {line}: anchors (&) and aliases (*) are not read; put a text that "
                    "begins with one of them in quotes, and write names out."
                )
            nodes += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if nodes > _MAX_NODES or depth > _MAX_DEPTH:
                raise InputError(
                    f"The mapping, line {line}: it has too many entries or levels for a mapping."
                )
    except yaml.YAMLError as error:
        raise InputError(f"The mapping is no YAML: {_where(error)}") from error


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {said}" if mark is not None else said


class _Reader:
    """Reads the nodes of one file and collects what is wrong: (line, sentence)."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str]] = []

    def _wrong(self, node: yaml.Node, said: str) -> None:
        self.problems.append((node.start_mark.line + 1, said))

    def read(self, root: yaml.Node | None, here: str) -> SiteMap:
        if not isinstance(root, yaml.MappingNode):
            raise InputError(
                "The mapping is empty or no mapping; draft one with onedr map DATASTORE --draft."
            )
        top = self._keys(root, _TOP, "the file")
        version = top.get("version")
        if not isinstance(version, yaml.ScalarNode) or version.value != "1":
            self._wrong(version or root, "version is missing or not known: write version: 1")
        sites = self._sites(top.get("sites"), root, here)
        sections = {
            name: tuple(self._entries(name, node, sites)) for name, node in top.items() if name in WORDS
        }
        return SiteMap(sites, {name: entries for name, entries in sections.items() if entries})

    def _keys(self, node: yaml.MappingNode, known: Iterable[str], where: str) -> dict[str, yaml.Node]:
        """The values by key. A key that is not known, or given twice, is a problem."""
        found: dict[str, yaml.Node] = {}
        words = tuple(known)
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in words:
                self._wrong(
                    key, f"{where} has no key {name!r}{closest(name, words)} Known: {', '.join(words)}"
                )
            elif name in found:
                self._wrong(key, f"{name} is there twice; write its entries as one list")
            else:
                found[name] = value
        return found

    def _sites(self, node: yaml.Node | None, root: yaml.Node, here: str) -> tuple[str, str]:
        names = [each.value for each in node.value] if isinstance(node, yaml.SequenceNode) else []
        if (
            len(names) != 2
            or not all(isinstance(name, str) and name for name in names)
            or len(set(names)) != 2
        ):
            self._wrong(node or root, "sites must be the names of both sites: sites: [site-a, site-b]")
            return (here, f"{here}'s peer")
        if here not in names:
            self._wrong(
                node or root, f"sites does not name this site, {here} (DR_SITE){closest(here, names)}"
            )
        if set(names) & set(_OF_NETWORKS):
            self._wrong(
                node or root, f"a site cannot be called {' or '.join(_OF_NETWORKS)}; change its DR_SITE"
            )
        return (names[0], names[1])

    def _entries(self, section: str, node: yaml.Node, sites: tuple[str, str]) -> Iterable[Entry]:
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            return
        if not isinstance(node, yaml.SequenceNode):
            self._wrong(node, f"{section} must be a list: - {{{sites[0]}: NAME, {sites[1]}: NAME}}")
            return
        for each in node.value:
            if not isinstance(each, yaml.MappingNode):
                self._wrong(each, f"an entry of {section} must be {{{sites[0]}: NAME, {sites[1]}: NAME}}")
                continue
            known = (*sites, *(_OF_NETWORKS if section == "networks" else ()))
            found = self._keys(each, known, f"an entry of {section}")
            missing = [site for site in sites if site not in found]
            if missing:
                self._wrong(each, f"an entry of {section} lacks {missing[0]}: write {missing[0]}: NAME")
                continue
            yield Entry(
                (self._names(found[sites[0]]), self._names(found[sites[1]])),
                self._drill(found.get("drill"), sites),
                tuple(self._addresses(found.get("addresses"), sites)),
                each.start_mark.line + 1,
            )

    def _names(self, node: yaml.Node) -> tuple[Name, ...]:
        each = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not each:
            self._wrong(node, "an empty list: name one object at least, or remove the entry")
        return tuple(self._name(one) for one in each)

    def _name(self, node: yaml.Node) -> Name:
        """A name, or an id: a plain number."""
        if not isinstance(node, yaml.ScalarNode):
            self._wrong(node, "a name is expected here")
            return ""
        text: str = node.value
        if node.style is None and _ID.fullmatch(text):
            return int(text)
        if not text.strip() or text == "?" or node.tag.endswith(":null"):
            self._wrong(node, "a name is missing")
        elif not node.tag.endswith(":str"):
            self._wrong(node, f'{text} is no text for YAML: put it in quotes: "{text}"')
        return text

    def _drill(self, node: yaml.Node | None, sites: tuple[str, str]) -> tuple[Name, Name]:
        if node is None:
            return ("", "")
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"drill must say at which site: drill: {{{sites[1]}: NETWORK}}")
            return ("", "")
        found = self._keys(node, sites, "drill")
        first, second = (self._name(found[site]) if site in found else "" for site in sites)
        return (first, second)

    def _addresses(self, node: yaml.Node | None, sites: tuple[str, str]) -> Iterable[AddressRule]:
        if node is None:
            return
        form = f"- {{{sites[0]}: 10.0.1.0/24, {sites[1]}: 10.9.1.0/24}}"
        if not isinstance(node, yaml.SequenceNode):
            self._wrong(node, f"addresses must be a list: {form}")
            return
        for each in node.value:
            found: Mapping[str, yaml.Node] = (
                self._keys(each, sites, "an address rule") if isinstance(each, yaml.MappingNode) else {}
            )
            sides = [found[site].value for site in sites if isinstance(found.get(site), yaml.ScalarNode)]
            if len(sides) != 2:
                self._wrong(each, f"an address rule must be {form}")
                continue
            try:
                yield read_rule(*sides)
            except ValueError as error:
                self._wrong(each, str(error))
