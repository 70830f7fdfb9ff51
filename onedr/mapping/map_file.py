"""The mapping's file: YAML, read with its line numbers. Pure.

Every problem is reported at once, with its line and what to type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import yaml

from onedr.model import site_map, yaml_nodes
from onedr.model.address_rules import AddressRule, read_rule
from onedr.model.site_map import WORDS, Entry, Name, SiteMap
from onedr.model.text import closest
from onedr.model.yaml_nodes import Document, Reader

_TOP = ("version", "sites", *WORDS)
_OF_NETWORKS = ("drill", "addresses")
_ID = re.compile(r"0|[1-9][0-9]{0,9}")
_DOCUMENT = Document(
    "mapping", "leave out what has the same name", "draft one with onedr map DATASTORE --draft"
)


def read(text: str, here: str) -> SiteMap:
    """The mapping in a file; `here`: name of this site, which must be one of its two.

    Raises InputError that names every problem by its line.
    """
    reader = _Reader()
    found = reader.read(yaml_nodes.compose(text, _DOCUMENT), here)
    yaml_nodes.refuse("mapping", [*reader.problems, *(() if reader.problems else site_map.problems(found))])
    return found


class _Reader(Reader):
    """Reads the nodes of one mapping."""

    def read(self, root: yaml.MappingNode, here: str) -> SiteMap:
        top = self.keys(root, _TOP, "the file")
        self.check_version(root, top.get("version"))
        sites = self._sites(top.get("sites"), root, here)
        sections = {
            name: tuple(self._entries(name, node, sites)) for name, node in top.items() if name in WORDS
        }
        return SiteMap(sites, {name: entries for name, entries in sections.items() if entries})

    def _sites(self, node: yaml.Node | None, root: yaml.Node, here: str) -> tuple[str, str]:
        names = [each.value for each in node.value] if isinstance(node, yaml.SequenceNode) else []
        if (
            len(names) != 2
            or not all(isinstance(name, str) and name for name in names)
            or len(set(names)) != 2
        ):
            self.wrong(node or root, "sites must be the names of both sites: sites: [site-a, site-b]")
            return (here, f"{here}'s peer")
        if here not in names:
            self.wrong(
                node or root, f"sites does not name this site, {here} (DR_SITE){closest(here, names)}"
            )
        if set(names) & set(_OF_NETWORKS):
            self.wrong(
                node or root, f"a site cannot be called {' or '.join(_OF_NETWORKS)}; change its DR_SITE"
            )
        return (names[0], names[1])

    def _entries(self, section: str, node: yaml.Node, sites: tuple[str, str]) -> Iterable[Entry]:
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            return
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{section} must be a list: - {{{sites[0]}: NAME, {sites[1]}: NAME}}")
            return
        for each in node.value:
            if not isinstance(each, yaml.MappingNode):
                self.wrong(each, f"an entry of {section} must be {{{sites[0]}: NAME, {sites[1]}: NAME}}")
                continue
            known = (*sites, *(_OF_NETWORKS if section == "networks" else ()))
            found = self.keys(each, known, f"an entry of {section}")
            missing = [site for site in sites if site not in found]
            if missing:
                self.wrong(each, f"an entry of {section} lacks {missing[0]}: write {missing[0]}: NAME")
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
            self.wrong(node, "an empty list: name one object at least, or remove the entry")
        return tuple(self._name(one) for one in each)

    def _name(self, node: yaml.Node) -> Name:
        """A name, or an id: a plain number."""
        if isinstance(node, yaml.ScalarNode) and node.style is None and _ID.fullmatch(node.value):
            return int(node.value)
        return self.text(node)

    def _drill(self, node: yaml.Node | None, sites: tuple[str, str]) -> tuple[Name, Name]:
        if node is None:
            return ("", "")
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"drill must say at which site: drill: {{{sites[1]}: NETWORK}}")
            return ("", "")
        found = self.keys(node, sites, "drill")
        first, second = (self._name(found[site]) if site in found else "" for site in sites)
        return (first, second)

    def _addresses(self, node: yaml.Node | None, sites: tuple[str, str]) -> Iterable[AddressRule]:
        if node is None:
            return
        form = f"- {{{sites[0]}: 10.0.1.0/24, {sites[1]}: 10.9.1.0/24}}"
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"addresses must be a list: {form}")
            return
        for each in node.value:
            found: Mapping[str, yaml.Node] = (
                self.keys(each, sites, "an address rule") if isinstance(each, yaml.MappingNode) else {}
            )
            sides = [found[site].value for site in sites if isinstance(found.get(site), yaml.ScalarNode)]
            if len(sides) != 2:
                self.wrong(each, f"an address rule must be {form}")
                continue
            try:
                yield read_rule(*sides)
            except ValueError as error:
                self.wrong(each, str(error))
