"""What Sunstone's folders hold when OneDR is in it, and when it is not: files before and after. Pure.

Sources: OpenNebula's FireEdge 7.0.0, 7.2.0 and 7.4.0 (docs/sunstone.md).
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from onedr.model.errors import InputError
from onedr.sunstone import yaml_edit_rules as yaml_text
from onedr.sunstone.yaml_edit_rules import Data

MODULE, TAB, ENTRY = "OneDRModule", "onedr", "remoteEntry.js"
KNOWN = ("7.0", "7.2", "7.4")
_WITH_DETAIL_TABS = ("7.4",)  # and with one file for each tab of the menu
_DETAILS = ("datastore-tab.yaml", "vm-tab.yaml")
_INFO_TABS, _ON = "info-tabs", {"enabled": True}
REMOTES, MANIFEST, MENU = "remotes-config.yaml", "tab-manifest.yaml", "tabs/onedr-tab.yaml"
MENU_ENTRY = {
    "title": "Disaster Recovery", "icon": "ShieldCheck", "path": "/disaster-recovery", "sidebar": True,
    "moduleId": MODULE, "Component": "DisasterRecovery",
}
_PERMISSION = b"""\
---
# The page Disaster Recovery of OneDR, in this view's menu.
resource_name: "DISASTER-RECOVERY"
actions: {}
"""
# Stays where the script was: without it a page that has the old configuration would find Sunstone blocked.
STUB = f"""\
/* OneDR was taken out of Sunstone (onedr sunstone remove). Pages that were open still load this file. */
window.{MODULE} = {{ init: function () {{}}, get: function () {{
  return Promise.resolve(function () {{ return {{}} }})
}} }}
""".encode()

Texts = Mapping[str, bytes]  # by path below a folder


@dataclass(frozen=True)
class Found:
    """What a front-end has. `etc`: files of etc/fireedge/sunstone; `module`: files of our folder below
    dist/modules; `source`: those that this OneDR brings; `etc_path`, `module_path`: for sentences.
    """

    series: str
    etc: Texts
    module: Texts
    source: Texts
    etc_path: str
    module_path: str

    @property
    def tag(self) -> str:
        """Of the scripts' content: browsers keep what they loaded once, a failure too, under its address."""
        content = b"\0".join(name.encode() + b"\0" + self.source[name] for name in sorted(self.source))
        return hashlib.sha256(content).hexdigest()[:12]

    @property
    def remote(self) -> dict[str, str]:
        """Our entry in the list of remotes."""
        return {"name": MODULE, "entry": f"__HOST__/fireedge/modules/{MODULE}/{ENTRY}?v={self.tag}"}

    @property
    def has_detail_tabs(self) -> bool:
        return self.series in _WITH_DETAIL_TABS

    def where(self, name: str) -> str:
        return f"{self.etc_path}/{name}"


@dataclass(frozen=True)
class FileChange:
    """A file before and after; None: it is not there. `ours`: nobody else writes it. `module`: below
    dist/modules, else below etc/fireedge/sunstone.
    """

    name: str
    before: bytes | None
    after: bytes | None
    ours: bool
    module: bool = False


def to_install(found: Found, views: Sequence[str]) -> list[FileChange]:
    """The changes in their order: scripts first, for a list of remotes must never name a missing one.

    Raises InputError where a file is not as expected; nothing may be changed then.
    """
    scripts = [name for name in sorted(found.source) if name != ENTRY]
    changes = [_script(found, name, found.source[name]) for name in (*scripts, ENTRY)]
    changes += [_script(found, name, None) for name in sorted(found.module) if name not in found.source]
    remotes = _required(found, REMOTES)
    remotes = yaml_text.with_key(remotes, (), MODULE, found.remote, found.where(REMOTES))
    changes.append(_edit(found, REMOTES, remotes))
    for view in views:
        changes += _view(found, view)
    return [change for change in (*changes, _menu(found)) if change.before != change.after]


def _script(found: Found, name: str, after: bytes | None) -> FileChange:
    return FileChange(name, found.module.get(name), after, True, True)


def _required(found: Found, name: str) -> bytes:
    if name not in found.etc:
        raise InputError(f"There is no {found.where(name)}, so Sunstone {found.series} is not whole here.")
    return found.etc[name]


def _edit(found: Found, name: str, after: bytes) -> FileChange:
    return FileChange(name, found.etc[name], after, False)


def _view(found: Found, view: str) -> Iterator[FileChange]:
    permission = f"views/{view}/onedr-tab.yaml"
    yield FileChange(permission, found.etc.get(permission), found.etc.get(permission, _PERMISSION), True)
    for name in _details(found, view):
        text, where = found.etc[name], found.where(name)
        shown = yaml_text.value_at(yaml_text.parse(text, where), (_INFO_TABS, TAB))
        if shown is None:  # else an administrator may have switched it off
            text = yaml_text.with_key(text, (_INFO_TABS,), TAB, _ON, where)
        yield _edit(found, name, text)


def _details(found: Found, view: str) -> list[str]:
    """The views of a datastore and of a VM that our tab can be in."""
    names = [f"views/{view}/{name}" for name in _DETAILS]
    return [name for name in names if name in found.etc] if found.has_detail_tabs else []


def _menu(found: Found) -> FileChange:
    if found.has_detail_tabs:
        text = yaml.safe_dump([MENU_ENTRY], sort_keys=False).encode()
        return FileChange(MENU, found.etc.get(MENU), found.etc.get(MENU, text), True)
    manifest = _required(found, MANIFEST)
    items = yaml_text.parse(manifest, found.where(MANIFEST)) or []
    if any(map(_is_ours, items)):
        return _edit(found, MANIFEST, manifest)
    return _edit(found, MANIFEST, yaml_text.with_item(manifest, MENU_ENTRY, found.where(MANIFEST)))


def _is_ours(item: Data) -> bool:
    return isinstance(item, dict) and item.get("moduleId") == MODULE


def to_remove(found: Found) -> list[FileChange]:
    """The changes in their order: the configuration first; a script stays that does nothing.

    Raises InputError.
    """
    changes = [FileChange(name, found.etc[name], None, True) for name in sorted(found.etc) if name == MENU
               or name.endswith("/onedr-tab.yaml")]
    for name in sorted(found.etc):
        if name == MANIFEST:
            items = yaml_text.parse(found.etc[name], found.where(name)) or []
            after = yaml_text.without_item(found.etc[name], map(_is_ours, items), found.where(name))
            changes.append(_edit(found, name, after))
        elif name.rpartition("/")[2] in _DETAILS:
            after = yaml_text.without_key(found.etc[name], (_INFO_TABS,), TAB, found.where(name))
            changes.append(_edit(found, name, after))
    if REMOTES in found.etc:
        after = yaml_text.without_key(found.etc[REMOTES], (), MODULE, found.where(REMOTES))
        changes.append(_edit(found, REMOTES, after))
    if found.module:
        changes.append(_script(found, ENTRY, STUB))
    changes += [_script(found, name, None) for name in sorted(found.module) if name != ENTRY]
    return [change for change in changes if change.before != change.after]
