"""The file of a recovery plan: YAML, read with its line numbers. Pure.

Every problem is reported at once, with its line and what to type.
"""
from __future__ import annotations

import re

import yaml

from onedr.model import recovery_plan, settings, yaml_nodes
from onedr.model.recovery_plan import MOST_WITHIN_S, NAME, Gate, Group, RecoveryPlan
from onedr.model.yaml_nodes import Document, Reader

_TOP = ("version", "groups")
_OF_GROUP = ("name", "vms", "labels", "groups", "owners", "after", "depends", "gate", "delay")
_OF_GATE = ("running", "port", "http", "within", "then")
_PATH = re.compile("/[!-~]{0,199}")  # printable ASCII without blanks
_HTTP = 80  # its port, unless the gate names one
_THEN = ("continue", "stop")
_DOCUMENT = Document("plan", "select VMs by label or group", "docs/plans.md shows one")


def read(text: str) -> RecoveryPlan:
    """The plan in a file. Raises InputError that names every problem by its line."""
    reader = _Reader()
    found = reader.read(yaml_nodes.compose(text, _DOCUMENT))
    yaml_nodes.refuse("plan", reader.problems or recovery_plan.problems(found))
    return found


class _Reader(Reader):
    """Reads the nodes of one plan."""

    def read(self, root: yaml.MappingNode) -> RecoveryPlan:
        top = self.keys(root, _TOP, "the file")
        self.check_version(root, top.get("version"))
        node, found = top.get("groups"), list[Group]()
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            form = "groups must be a list with at least one group: - {name: NAME, vms: [NAME]}"
            self.wrong(node or root, form)
            return RecoveryPlan()
        for each in node.value:
            if isinstance(each, yaml.MappingNode):
                found.append(self._group(each, found[-1].name if found else ""))
            else:
                self.wrong(each, "a group must be {name: NAME, vms: [NAME]}")
        return RecoveryPlan(tuple(found))

    def _group(self, node: yaml.MappingNode, before: str) -> Group:
        """`before`: the group above it, after which it comes unless it says another."""
        keys = self.keys(node, _OF_GROUP, "a group")
        name = self.text(keys["name"]) if "name" in keys else ""
        if not NAME.fullmatch(name):
            self.wrong(
                keys.get("name") or node,
                "a group needs a name of small letters, digits and -, which begins with a letter: name: web",
            )
        after = self._texts(keys.get("after")) if "after" in keys else (before,) if before else ()
        return Group(
            name,
            vms=self._texts(keys.get("vms")), labels=self._texts(keys.get("labels")),
            groups=self._texts(keys.get("groups")), owners=self._texts(keys.get("owners")),
            after=after, depends=self._depends(keys.get("depends")), gate=self._gate(keys.get("gate")),
            delay_s=self._seconds(keys.get("delay"), settings.MAX_DELAY_S, 0),
            line=node.start_mark.line + 1,
        )

    def _texts(self, node: yaml.Node | None) -> tuple[str, ...]:
        """One text or a list of texts."""
        if node is None:
            return ()
        found = tuple(map(self.text, node.value if isinstance(node, yaml.SequenceNode) else [node]))
        twice = sorted({each for each in found if found.count(each) > 1})
        for each in twice:
            self.wrong(node, f"{each} is there twice")
        return found

    def _depends(self, node: yaml.Node | None) -> dict[str, tuple[str, ...]]:
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, "depends must say which VM needs which: depends: {app: [db]}")
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for key, value in node.value:
            name = self.text(key)
            if name in found:
                self.wrong(key, f"{name} is there twice; write what it needs as one list")
            found[name] = self._texts(value)
        return found

    def _gate(self, node: yaml.Node | None) -> Gate | None:
        if node is None:
            return None
        form = "gate must be {running: yes, within: 5m} or {port: 22, within: 5m, then: continue}"
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, form)
            return None
        keys = self.keys(node, _OF_GATE, "a gate")
        path = self._path(keys.get("http"))
        port = self._port(keys.get("port")) or (_HTTP if path else 0)
        if bool({"port", "http"} & keys.keys()) == ("running" in keys):
            self.wrong(node, form)
        running = keys.get("running")
        if running is not None and getattr(running, "value", "") not in ("yes", "true"):
            self.wrong(running, "running must be yes; leave the gate out where there is none")
        then = self.text(keys["then"]) if "then" in keys else _THEN[0]
        if then not in _THEN:
            self.wrong(keys["then"], f"then must be {' or '.join(_THEN)}")
        within_s = self._seconds(keys.get("within"), MOST_WITHIN_S, Gate.within_s)
        return Gate(port, within_s, then == "stop", path)

    def _path(self, node: yaml.Node | None) -> str:
        if node is None:
            return ""
        path = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not _PATH.fullmatch(path):
            self.wrong(node, "http must be the path of a page, which begins with a /: http: /health")
        return path

    def _port(self, node: yaml.Node | None) -> int:
        if node is None:
            return 0
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
        if not 0 < port < 1 << 16:
            self.wrong(node, "port must be a TCP port from 1 to 65535")
        return port

    def _seconds(self, node: yaml.Node | None, most: int, otherwise: int) -> int:
        if node is None:
            return otherwise
        try:
            seconds = settings.duration(node.value if isinstance(node, yaml.ScalarNode) else "")
        except ValueError as error:
            self.wrong(node, str(error))
            return otherwise
        if seconds > most:
            self.wrong(node, f"{node.value} is longer than the {most} s that are possible")
        return seconds
