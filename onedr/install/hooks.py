"""Creating OneDR's hooks in the running oned, and removing them.

The templates (`hooks/ceph_dr/templates/*.hook`) are in oned's template format, so `onehook create` accepts
them too. COMMAND becomes an absolute path here, because the default hook folder of a self-contained
installation is misspelt (docs/opennebula-facts.md O23). NAME makes a second run an update. What oned removes
from a template: src/hm/Hook.cc:insert removes NAME and TYPE, HookStateVM.cc removes ON.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onedr.host.paths import credentials, endpoint
from onedr.install.lens import parse
from onedr.install.oned_conf import LENS
from onedr.model.errors import FrontEndError, InputError
from onedr.model.types import DRIVER, HOOK_PREFIX

if TYPE_CHECKING:  # it needs lxml, which a Python that only shows a dry run may lack
    from lxml import etree

    from onedr.opennebula.api import FrontEnd


LIMIT_S = 30
APPEND = 1
NOT_KEPT = ("NAME", "TYPE", "ON")
# The attributes that determine the kind of a hook; oned cannot change them in an existing hook.
KIND = ("TYPE", "RESOURCE")
DONE = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "keep": "unchanged",
}


@dataclass(frozen=True)
class Hook:
    """One hook as it should be."""

    name: str
    attributes: Mapping[str, str]

    def text(self, without: tuple[str, ...] = ()) -> str:
        return "".join(f'{k} = "{v}"\n' for k, v in self.attributes.items() if k not in without)

    def is_same_as(self, current: RegisteredHook) -> bool:
        return all(
            current.attributes.get(key, "").casefold() == value.casefold()
            for key, value in self.attributes.items()
            if key not in ("NAME", "ON")
        )

    def is_kind_of(self, current: RegisteredHook) -> bool:
        return all(
            current.attributes.get(key, "").casefold() == self.attributes.get(key, "").casefold()
            for key in KIND
        )


@dataclass(frozen=True)
class RegisteredHook:
    """A hook in oned: its TEMPLATE with TYPE."""

    id: int
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class HookStep:
    """What to do with one hook: create, update, replace, delete, or keep.

    `current`: the hook in oned.
    """

    verb: str
    name: str
    hook: Hook | None = None
    current: RegisteredHook | None = None


def load_hooks(folder: Path, hooks_folder: Path, lenses: Path) -> list[Hook]:
    """The templates of a folder, with their commands as absolute paths."""
    hooks = []
    for file in sorted(folder.glob("*.hook")):
        nodes = parse(file.read_bytes(), LENS, str(file), str(lenses))
        attributes = {node.name.upper(): node.value for node in nodes}
        command = str(hooks_folder / attributes.get("COMMAND", ""))
        # onehem runs a command with shell characters through a shell (docs/opennebula-facts.md O23).
        if not re.fullmatch(r"[\w./+@:-]+", command):
            raise InputError(f"{file}: the command {command!r} has spaces or shell characters in its path.")
        hooks.append(Hook(attributes["NAME"], {**attributes, "COMMAND": command}))
    return hooks


def connect_front_end(environment: Mapping[str, str]) -> FrontEnd:
    """A client of the front-end, by ONE_XMLRPC and its credentials (host.paths). Raises FrontEndError."""
    try:
        from onedr.opennebula.api import FrontEnd
    except ImportError as error:
        raise FrontEndError(
            f"Python cannot load {error.name}, so oned cannot be called. Install it: apt install "
            "python3-lxml."
        ) from error
    try:
        session = credentials(environment)
    except OSError as error:
        raise FrontEndError(f"Cannot log in to oned: {error}.") from error
    return FrontEnd(endpoint(environment), session, LIMIT_S)


@contextmanager
def _asked_to(what: str) -> Iterator[None]:
    """Add what oned should do to its error."""
    try:
        yield
    except FrontEndError as error:
        raise FrontEndError(f"oned did not {what}: {error}", error.code) from error


def compare(frontend: FrontEnd, hooks: list[Hook]) -> list[HookStep]:
    """The steps after which oned has exactly `hooks` of ours; without hooks all of ours are deleted."""
    current = _current(frontend)
    steps = [_for_hook(hook, current.pop(hook.name, None)) for hook in hooks]
    return [*steps, *(HookStep("delete", name, current=other) for name, other in current.items())]


def _current(frontend: FrontEnd) -> dict[str, RegisteredHook]:
    """Our hooks in oned, recognised by name and command, so that other hooks named onedr-... are left alone.
    """
    with _asked_to("list the hooks"):
        found = {str(element.findtext("NAME")): _read(element) for element in frontend.hooks()}
    return {
        name: hook for name, hook in found.items()
        if name.startswith(HOOK_PREFIX) and f"/{DRIVER}/" in hook.attributes.get("COMMAND", "")
    }


def _read(element: etree._Element) -> RegisteredHook:
    from onedr.opennebula.api import number

    template = {str(child.tag): child.text or "" for child in element.iterfind("TEMPLATE/*")}
    return RegisteredHook(number(element, "ID"), {**template, "TYPE": element.findtext("TYPE") or ""})


def _for_hook(hook: Hook, current: RegisteredHook | None) -> HookStep:
    if current is None:
        return HookStep("create", hook.name, hook)
    if hook.is_same_as(current):
        return HookStep("keep", hook.name, hook, current)
    return HookStep("update" if hook.is_kind_of(current) else "replace", hook.name, hook, current)


def apply_hooks(frontend: FrontEnd, steps: list[HookStep]) -> list[str]:
    """Apply the steps. Returns the hooks whose API call does not exist in this release of oned."""
    unsupported = []
    for step in steps:
        if step.hook and step.current and step.verb == "update":
            with _asked_to(f"update the hook {step.name}"):
                frontend.call("hook.update", step.current.id, step.hook.text(NOT_KEPT), APPEND)
        if step.current and step.verb in ("delete", "replace"):
            with _asked_to(f"delete the hook {step.name}"):
                frontend.call("hook.delete", step.current.id)
        if step.hook and step.verb in ("create", "replace") and not _create(frontend, step.hook):
            unsupported.append(step.name)
    return unsupported


def _create(frontend: FrontEnd, hook: Hook) -> bool:
    try:
        with _asked_to(f"create the hook {hook.name}"):
            frontend.call("hook.allocate", hook.text())
    except FrontEndError as error:
        if "does not exist or is not supported" not in str(error):
            raise
        return False
    return True


def summary(steps: list[HookStep], unsupported: list[str]) -> str:
    """One line: the number of hooks for each kind of step, and the hooks that this oned does not support."""
    counts = Counter(DONE[step.verb] for step in steps if step.name not in unsupported)
    text = "Hooks: " + (", ".join(f"{n} {verb}" for verb, n in sorted(counts.items())) or "none") + "."
    if unsupported:
        text += " This release of oned does not have the calls of " + ", ".join(unsupported) + "."
    return text


def datastores_in_use(frontend: FrontEnd) -> list[str]:
    """The datastores of the running oned that use our driver, and whether they are protected."""
    with _asked_to("list the datastores"):
        pool = frontend.datastores()
    used = [element for element in pool if DRIVER in (element.findtext("DS_MAD"), element.findtext("TM_MAD"))]
    return [
        f"{element.findtext('ID')} ({element.findtext('NAME')}{_protection(element)})" for element in used
    ]


def _protection(element: etree._Element) -> str:
    return ", protected" if (element.findtext("TEMPLATE/DR_PROTECT") or "").strip().upper() == "YES" else ""
